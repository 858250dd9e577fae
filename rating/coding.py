"""Columns of labels as codes: the shape in which measurements travel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rating.model import IntArray

__all__ = ["Coded", "combined", "constant", "encoded"]


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of labels: ``labels[codes]``; a label None is an empty cell."""

    codes: IntArray
    labels: tuple[str | None, ...]


def encoded(values: Iterable[str | None]) -> Coded:
    """Codes of labels in the order of their first appearance."""
    known: dict[str | None, int] = {}
    codes = np.fromiter((known.setdefault(value, len(known)) for value in values), dtype=np.int64)
    return Coded(codes, tuple(known))


def constant(label: str | None, rows: int) -> Coded:
    """The same label in every row."""
    return Coded(np.zeros(rows, dtype=np.int64), (label,))


def combined(columns: Sequence[Coded]) -> tuple[IntArray, list[tuple[str | None, ...]]]:
    """One code per row for the combination of several columns, and the combinations behind the codes."""
    key = np.zeros(len(columns[0].codes), dtype=np.int64)
    for column in columns:
        _, key = np.unique(key * max(len(column.labels), 1) + column.codes, return_inverse=True)
    _, first, codes = np.unique(key, return_index=True, return_inverse=True)
    rows = first.tolist()
    return codes, [tuple(column.labels[int(column.codes[row])] for column in columns) for row in rows]
