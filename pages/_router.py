"""Frame of every page: title, language, menu. A new page is one file and one line in ``PAGES``."""

from pathlib import Path

import streamlit as st

from db import StoreError
from pages._ui import states
from pages._ui.i18n import LANGUAGES, browser_language, t
from pages._ui.roles import login_button

SIDEBAR_PX = 216
ICON = str(Path(__file__).parent / "_ui" / "icon.svg")
# file, address, icon; the first one is the start page
PAGES = (
    ("overview.py", "ratings", ":material/leaderboard:"),
    ("model.py", "model", ":material/id_card:"),
    ("compare.py", "compare", ":material/compare_arrows:"),
    ("tasks.py", "tasks", ":material/grid_on:"),
    ("quantization.py", "quantization", ":material/compress:"),
    ("runs.py", "runs", ":material/monitoring:"),
    ("spotcheck.py", "spotcheck", ":material/rate_review:"),
    ("collection.py", "collection", ":material/sensors:"),
    ("advisor.py", "advisor", ":material/lightbulb:"),
    ("method.py", "method", ":material/menu_book:"),
)

st.set_page_config(page_title="GenAI energy rating", page_icon=ICON, layout="wide", initial_sidebar_state=SIDEBAR_PX)
with st.sidebar:
    st.segmented_control(
        "Language", LANGUAGES, default=browser_language(), required=True, key="lang", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
page = st.navigation([
    st.Page(file, title=t(f"nav.{file[:-3]}"), help=t(f"nav.{file[:-3]}_help"), url_path=path, icon=icon, default=n == 0)
    for n, (file, path, icon) in enumerate(PAGES)
])  # fmt: skip
st.session_state["page"] = page.url_path
with st.sidebar:
    login_button()
    st.caption(t("nav.not_eu"))
try:
    page.run()
except StoreError as error:
    states.show_error(error)
