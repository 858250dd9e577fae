"""What a page shows when there is nothing to show yet or the store cannot be read. Never a traceback."""

from __future__ import annotations

import os
import subprocess

import streamlit as st

from db import StoreError, StoreLocked, StoreMissing, StoreNewer, StoreOlder, store_path
from pages._ui.i18n import language, t

__all__ = ["command", "empty", "show_error", "stale_note"]

_START = "python start.py"
_QUICKSTART = "python -m collector quickstart"
_RATE = "python -m rating table"
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
        command()
    elif isinstance(error, StoreNewer):
        st.error(t("state.newer"), icon=":material/block:")
    else:
        st.error(t("state.unusable"), icon=":material/error:")
    if not isinstance(error, StoreMissing):
        st.caption(t("state.details"))
        st.text(error.text(language()))


def command(words: str = _RATE) -> None:
    """A command to run, naming the database where these pages do not read the usual one."""
    if os.environ.get("ENERGY_RATING_DB"):
        # double quotes around blanks, as every system's shell takes them
        words = f"{words} --db {subprocess.list2cmdline([str(store_path().resolve())])}"
    st.code(words, language="bash", wrap_lines=True)


def stale_note() -> None:
    """A small note that older data is shown while the collector writes."""
    st.caption(":material/hourglass_top: " + t("state.stale"))


def _first_steps() -> None:
    with st.container(border=True):
        st.header(t("state.empty_title"))
        st.markdown(t("state.empty_text"))
        st.code(_START, language="bash")
        st.markdown(t("state.empty_again"))
        command(_QUICKSTART)
        st.caption(t("state.empty_demo"))
        st.markdown(t("state.demo_only"))
        command(_DEMONSTRATION)
        st.caption(t("state.demo_gives"))
