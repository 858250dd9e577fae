"""What a page shows when there is nothing to show yet or the store cannot be read. Never a traceback."""

from __future__ import annotations

import streamlit as st

from db import StoreError, StoreLocked, StoreMissing, StoreNewer, StoreOlder
from pages._ui.i18n import language, t

__all__ = ["empty", "show_error", "stale_note"]

_START = "python start.py"
_QUICKSTART = "python -m collector quickstart"
_DEMONSTRATION = "python -m collector run docs/experiments/pocket.toml"


def empty() -> None:
    """Nothing was measured yet: says what to run, and ends the page."""
    _first_steps()
    st.stop()


def show_error(error: StoreError) -> None:
    """The view of a store that cannot be read."""
    if isinstance(error, StoreMissing):
        _first_steps()
    elif isinstance(error, StoreLocked):
        st.info(t("state.locked"), icon=":material/hourglass_top:")
        st.button(t("state.again"), icon=":material/refresh:", key="state-again")
    elif isinstance(error, StoreOlder):
        st.warning(t("state.older"), icon=":material/upgrade:")
        st.code(_QUICKSTART, language="bash")
    elif isinstance(error, StoreNewer):
        st.error(t("state.newer"), icon=":material/block:")
    else:
        st.error(t("state.unusable"), icon=":material/error:")
    if not isinstance(error, StoreMissing):
        st.caption(t("state.details"))
        st.text(error.text(language()))


def stale_note() -> None:
    """A small note that older data is shown while the collector writes."""
    st.caption(":material/hourglass_top: " + t("state.stale"))


def _first_steps() -> None:
    with st.container(border=True):
        st.header(t("state.empty_title"))
        st.markdown(t("state.empty_text"))
        st.code(_START, language="bash")
        st.markdown(t("state.empty_again"))
        st.code(_QUICKSTART, language="bash")
        st.caption(t("state.empty_demo"))
        st.markdown(t("state.demo_only"))
        st.code(_DEMONSTRATION, language="bash")
        st.caption(t("state.demo_gives"))
