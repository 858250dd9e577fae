"""Ratings as rows of the history: a new row only where data or scheme changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from rating.export import WHOLE
from rating.model import COLUMNS, Rating
from rating.scheme import OWN_MARK, Scheme

__all__ = ["current", "from_stored", "new_rows"]

_DIGITS: Final = 12
Row = TypeVar("Row", bound=Mapping[Any, Any])
Key = tuple[str, str, str, str]


def new_rows(
    ratings: Iterable[Rating],
    schemes: Mapping[str, Scheme],
    known: Mapping[Key, str],
    campaigns: Mapping[Key, str],
    now: datetime,
) -> list[dict[str, Any]]:
    """Rows to add to the ``ratings`` table.

    Args:
        ratings: the current ratings.
        schemes: scheme of every name that the ratings carry.
        known: hash of the newest stored row by scheme, cohort, task and configuration.
        campaigns: campaign by the same key, where there is one.
        now: time of rating, aware.
    """
    rows = []
    for rating in ratings:
        key = (rating.scheme, rating.cohort or "", rating.task, rating.configuration.configuration)
        digest = _hash(rating, schemes[rating.scheme])
        if known.get(key) == digest:
            continue
        row = rating.as_row()
        row["reasons"] = [
            {"code": reason.code, "text": reason.text("en"), "text_zh": reason.text("zh")} for reason in rating.reasons
        ]
        row |= {"cohort": key[1], "rated_at": now, "input_hash": digest, "campaign_id": campaigns.get(key)}
        rows.append(row)
    return rows


def current(rows: Iterable[Row]) -> list[Row]:
    """The rows of the rating table as it stands: where a cohort's scheme has its basket by now, that scheme's alone.

    Rows of an own basket that served before stay in the history. Works on rows of ``v_ratings`` and on those of
    :func:`from_stored`; the command and the page's download both show these.
    """
    kept = list(rows)
    present = {(row["cohort"], row["scheme"]) for row in kept}
    return [row for row in kept if not _superseded(row, present)]


def _superseded(row: Mapping[Any, Any], present: Collection[tuple[Any, Any]]) -> bool:
    base, mark, _ = str(row["scheme"]).partition(OWN_MARK)
    return bool(mark) and (row["cohort"], base) in present


def from_stored(records: Iterable[Mapping[Any, Any]], language: str) -> list[dict[str, Any]]:
    """Rows of ``v_ratings`` in the shape of :meth:`rating.Rating.as_row`; NaN becomes None."""
    rows = []
    for record in records:
        row = {name: _plain(record[name]) for name in COLUMNS}
        row |= {name: None if row[name] is None else int(row[name]) for name in WHOLE}
        entries: Sequence[Mapping[str, str]] = json.loads(row["reasons"])
        text = "text_zh" if language == "zh" else "text"
        row["reasons"] = [{"code": entry["code"], "text": entry.get(text, entry["text"])} for entry in entries]
        rows.append(row)
    return rows


def _plain(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124 - NaN and NaT differ from themselves
        return None
    item = getattr(value, "item", None)  # of a numpy scalar
    return item() if item else value


def _hash(rating: Rating, scheme: Scheme) -> str:
    """Hash of all that the rating says, which is a function of data, scheme, draws and seed.

    Figures go in with 12 digits, so that another processor's last bits do not make a new row.
    """
    row = {
        name: f"{value:.{_DIGITS}g}" if isinstance(value, float) else value for name, value in rating.as_row().items()
    }
    return hashlib.sha256(json.dumps([row, scheme.hash], sort_keys=True).encode()).hexdigest()
