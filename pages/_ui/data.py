"""Cached frames of the store: one read per question and data version, no connection kept.

Every question raises ``StoreError``; the router turns it into a view. While a writer holds the store, what was read
before is shown again (``Snapshot.stale``).
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from db import Store, StoreLocked, reader, store_path
from pages._ui import advisor_queries, model_queries, queries, spot_queries

__all__ = ["Snapshot", "snapshot"]

_log = logging.getLogger(__name__)
_PATIENCE_S = 3.0


class _PatientStore(Store):
    """A store whose readers give up sooner: a page that waits longer is worse than one with older figures."""

    def read(self, timeout_s: float | None = None) -> AbstractContextManager[Any]:
        return super().read(_PATIENCE_S if timeout_s is None else timeout_s)


_QUESTIONS = {
    name: getattr(reader, name)
    for name in ("campaigns", "configurations", "events", "progress", "rating_history", "ratings", "run", "runs",
                 "samples", "scores", "sensors")
} | {name: getattr(room, name) for room in (queries, model_queries, advisor_queries, spot_queries)
     for name in room.__all__ if name != "save_rating"}  # fmt: skip


@st.cache_data(max_entries=256, show_spinner=False)
def _answer(path: str, file: int, version: int, question: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The answer of one question, kept for as long as the data is the same."""
    return _QUESTIONS[question](_PatientStore(path), *args, **named)


@st.cache_resource
def _seen() -> dict[str, tuple[int, int]]:
    """Identity and data version last seen of each database file; what a page falls back to while it is locked."""
    return {}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store as of one data version.

    Attributes:
        path: the database file; ``file`` its identity, so that a new file under an old name is not taken for the old.
        version: its data version.
        stale: whether a writer holds the store and older data is shown.
    """

    path: str
    file: int
    version: int
    stale: bool

    def ask(self, question: str, *args: Any, **named: Any) -> Any:
        """A function of ``db.reader`` or of :mod:`pages._ui.queries` by its name, answered from the cache if it can be.

        Raises:
            StoreError: the store cannot be read and the answer is not in the cache.
        """
        return _answer(self.path, self.file, self.version, question, args, named)

    def frame(self, question: str, *args: Any, **named: Any) -> pd.DataFrame:
        """Like :meth:`ask` for the questions that answer with a table."""
        answer: pd.DataFrame = self.ask(question, *args, **named)
        return answer


def snapshot() -> Snapshot:
    """The store as it is now; the version last seen while a writer holds it.

    Raises:
        StoreError: the store cannot be read and was not read before.
    """
    path = Path(store_path()).expanduser().resolve()
    try:
        version = _PatientStore(path).data_version()
        file = path.stat().st_ino
    except StoreLocked:
        if str(path) not in _seen():
            raise
        _log.info("database %s is being written; showing what was read before", path)
        return Snapshot(str(path), *_seen()[str(path)], stale=True)
    _seen()[str(path)] = (file, version)
    return Snapshot(str(path), file, version, stale=False)
