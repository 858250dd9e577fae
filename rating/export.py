"""The rating table as CSV that a spreadsheet opens: one function for the command and the page's download."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rating.model import COLUMNS

__all__ = ["WHOLE", "csv_bytes"]

WHOLE: Final = frozenset(("parameter_count", "context_length", "n_items", "rank_low", "rank_high", "items_needed"))
"""Columns of whole numbers; a data frame holds them as floats where some are unknown."""
_EXECUTABLE: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_bytes(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = COLUMNS) -> bytes:
    """The rows as CSV in UTF-8 with a byte order mark, lines ending in CR LF.

    Rows are sorted by cohort, task, configuration and scheme, numbers written so that they read back unchanged, unknown
    cells empty, and texts that a spreadsheet would execute get a leading apostrophe. Rows of ``v_ratings`` and of
    :meth:`rating.Rating.as_row` give the same bytes.

    Args:
        rows: mappings with ``columns``; others are ignored. A data frame goes in as ``frame.to_dict("records")``.
        columns: which columns, in this order.
    """
    names = list(columns)
    table = [[_cell(name, row.get(name)) for name in names] for row in sorted(rows, key=_place)]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows(table)
    return out.getvalue().encode("utf-8-sig")


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        "" if _unknown(row.get(name)) else str(row[name]) for name in ("cohort", "task", "configuration", "scheme")
    )


def _unknown(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN and NaT differ from themselves


def _cell(name: str, value: Any) -> str:
    if name == "reasons":
        return _text(_reasons(value))
    if _unknown(value):
        return ""
    if name in WHOLE:
        return str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else ""
    return _text(str(value))


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_EXECUTABLE) else text


def _reasons(value: Any) -> str:
    """``code: text`` of every reason; stored ones come as JSON text."""
    entries = json.loads(value) if isinstance(value, str) else value
    return "" if not isinstance(entries, (list, tuple)) else "; ".join(f"{e['code']}: {e['text']}" for e in entries)
