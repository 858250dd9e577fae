"""Ranks with their uncertainty: in every draw the configurations are ranked, ties share a rank."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rating.model import FloatArray

__all__ = ["RankRange", "probability_better", "rank_ranges"]


class RankRange(NamedTuple):
    """Best and worst rank, 1 is the lowest EEI."""

    low: int
    high: int


def rank_ranges(log2_eei: FloatArray) -> list[RankRange]:
    """95 % range of each row's rank among the rows of (configurations, draws); equal values count as both ranks.

    A draw without a value ranks last.
    """
    values = np.where(np.isnan(log2_eei), np.inf, log2_eei)
    count, draws = values.shape
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    place = np.broadcast_to(np.arange(count)[:, None], values.shape)
    differs = ordered[1:] != ordered[:-1]
    edge = np.ones((1, draws), dtype=bool)
    # Within a run of equal values the first place is the best rank, the last place the worst.
    first = np.maximum.accumulate(np.where(np.vstack([edge, differs]), place, 0), axis=0)
    last = np.where(np.vstack([differs, edge]), place, count)
    last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
    best, worst = np.empty(values.shape, np.int32), np.empty(values.shape, np.int32)
    np.put_along_axis(best, order, first + 1, axis=0)
    np.put_along_axis(worst, order, last + 1, axis=0)
    best.sort(axis=1)
    worst.sort(axis=1)
    low_at, high_at = max(0, int(np.ceil(0.025 * draws)) - 1), max(0, int(np.ceil(0.975 * draws)) - 1)
    return [RankRange(int(best[row, low_at]), int(worst[row, high_at])) for row in range(count)]


def probability_better(log2_eei: FloatArray) -> FloatArray:
    """P(i beats j) for all rows of (configurations, draws): share of draws with a lower EEI, ties count half."""
    count = len(log2_eei)
    found = np.full((count, count), 0.5)
    for row in range(count):
        with np.errstate(invalid="ignore"):
            less = (log2_eei[row] < log2_eei).mean(axis=1)
            equal = (log2_eei[row] == log2_eei).mean(axis=1)
        found[row] = less + equal / 2
    return found
