"""The frame of one page: its title, the store it reads, and the notices that must stand wherever figures do."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages._ui import states
from pages._ui.data import Snapshot, snapshot
from pages._ui.i18n import t

__all__ = ["notices", "open_page"]


def open_page(name: str, *, needs: str = "runs") -> Snapshot:
    """Title and subtitle of a page, then the store; ends the page where nothing was measured yet.

    Args:
        name: of the page in the catalogue.
        needs: the number of :func:`pages._ui.queries.totals` that must not be zero.

    Raises:
        StoreError: the store cannot be read.
    """
    st.title(t(f"nav.{name}"))
    st.caption(t(f"{name}.lead"))
    shot = snapshot()
    if shot.stale:
        states.stale_note()
    if shot.ask("totals")[needs] == 0:
        states.empty()
    return shot


def notices(frame: pd.DataFrame) -> None:
    """Says what figures are not, where ``frame`` (columns ``demo``, ``energy_tier``) holds such rows."""
    if frame["demo"].fillna(False).astype(bool).any():
        st.info(t("notice.demo"), icon=":material/toys:")
    if frame["energy_tier"].fillna("").str.contains("estimated").any():
        st.info(t("notice.estimated"), icon=":material/calculate:")
