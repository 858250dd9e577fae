"""The frame of one page: its title, the store it reads, and the notices that must stand wherever figures do."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages._ui import states, urls
from pages._ui.data import Snapshot, snapshot
from pages._ui.i18n import t

__all__ = ["choose_cohort", "notices", "open_page"]


def open_page(name: str, *, needs: str = "runs") -> Snapshot:
    """Title and subtitle of a page, then the store; ends the page where nothing was measured yet.

    Args:
        name: of the page in the catalogue.
        needs: the number of :func:`pages._ui.queries.totals` that must not be zero.

    Raises:
        StoreError: the store cannot be read.
    """
    st.session_state["notes"] = []
    st.title(t(f"nav.{name}"))
    st.caption(t(f"{name}.lead"))
    shot = snapshot()
    if shot.stale:
        states.stale_note()
    if shot.ask("totals")[needs] == 0:
        states.empty()
    return shot


def notices(frame: pd.DataFrame) -> None:
    """Says what figures are not, where ``frame`` (columns ``demo``, ``energy_tier``) holds such rows; one box for all."""
    found = []
    if frame["demo"].fillna(False).astype(bool).any():
        found.append("demo")
    if frame["energy_tier"].fillna("").str.contains("estimated").any():
        found.append("estimated")
    if found:
        st.info("\n\n".join(t(f"notice.{name}") for name in found), icon=":material/info:")
    st.session_state["notes"] = [t(f"notice.{name}_short") for name in found]  # for pictures that leave the page


def choose_cohort(figures: pd.DataFrame) -> str:
    """One cohort, asked for where there are several; the first is that of real models with most configurations.

    Args:
        figures: answer of :func:`pages._ui.queries.figures`. Without any row the page says so and ends.
    """
    if figures.empty:
        st.info(t("overview.no_valid"), icon=":material/hourglass_empty:")
        st.page_link("collection.py", label=t("overview.see_collection"), icon=":material/sensors:")
        st.stop()
    sizes = figures[figures["task"] == "overall"].groupby("cohort")["demo"].agg(["all", "size"])
    cohorts = [str(name) for name in sizes.sort_values(["all", "size"], ascending=[True, False]).index]
    chosen = urls.choose("cohort", t("filter.cohort"), cohorts, show=str, keep=True) if len(cohorts) > 1 else None
    return chosen or cohorts[0]
