"""Downloads. The rating table is made by the rating package, so that page and command give the same bytes."""

from __future__ import annotations

import pandas as pd
import streamlit as st

import rating
from pages._ui.i18n import t

__all__ = ["rating_csv", "rating_table_button", "view_button", "view_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rating_csv(ratings: pd.DataFrame) -> bytes:
    """The rows of ``v_ratings`` as the file that ``python -m rating table --csv`` writes: those that stand."""
    return rating.csv_bytes(rating.current(ratings.to_dict("records")))


def view_csv(frame: pd.DataFrame) -> bytes:
    """What a page shows as a file for spreadsheets; text that one would execute gets an apostrophe before it."""
    safe = frame.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            texts = ["; ".join(v) if isinstance(v, list) else v for v in safe[name]]
            safe[name] = ["'" + v if isinstance(v, str) and v.startswith(_FORMULA) else v for v in texts]
    return safe.to_csv(index=False).encode("utf-8-sig")


def rating_table_button(ratings: pd.DataFrame) -> None:
    """Downloads the whole rating table."""
    st.download_button(
        t("export.ratings"), data=lambda: rating_csv(ratings), file_name="ratings.csv", mime="text/csv",
        on_click="ignore", icon=":material/download:", key="download-ratings", help=t("export.ratings_help"),
    )  # fmt: skip


def view_button(frame: pd.DataFrame, name: str) -> None:
    """Downloads what the page shows now."""
    st.download_button(
        t("export.view"), data=lambda: view_csv(frame), file_name=f"{name}.csv", mime="text/csv",
        on_click="ignore", icon=":material/download:", key=f"download-{name}",
    )  # fmt: skip
