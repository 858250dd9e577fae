"""From draws to what is published: the letter of the median draw, its probability, ranges and intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from rating.classes import LETTERS, class_indices, rounded_log2
from rating.model import FloatArray
from rating.scheme import Scheme

__all__ = ["Interval", "Letter", "finite", "interval", "items_needed", "letter"]

BoolArray = npt.NDArray[np.bool_]
_LOW: Final = 0.025
_HIGH: Final = 0.975
_MOST_ITEMS: Final = 100_000
"""More items than this are no advice; the letter sits on a class border."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a 95 % interval; None where the end is unbounded or there are no draws."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter with its share of the draws and its 95 % range (``low`` is the better end).

    ``capped`` says that the functional minimum moved it.
    """

    grade: str
    probability: float
    low: str
    high: str
    capped: bool


def finite(value: float) -> float | None:
    """The value, or None where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def _quantile(ordered: FloatArray, share: float) -> float:
    """The draw at ``share`` of sorted draws (inverse of the empirical distribution): always one that occurred."""
    return float(ordered[max(0, math.ceil(share * len(ordered)) - 1)])


def interval(draws: FloatArray) -> Interval:
    """Middle 95 % of the draws that are not NaN."""
    ordered = np.sort(draws[~np.isnan(draws)])
    if not len(ordered):
        return Interval()
    return Interval(finite(_quantile(ordered, _LOW)), finite(_quantile(ordered, _HIGH)))


def letter(log2_eei: FloatArray, below_minimum: BoolArray, scheme: Scheme) -> Letter | None:
    """The letter of draws of log2 EEI; None where no draw has a class.

    Args:
        log2_eei: draws, NaN where a draw has none.
        below_minimum: draws whose quality misses the functional minimum; their class is at best the scheme's cap.
        scheme: bounds and cap.
    """
    known = ~np.isnan(log2_eei)
    if not known.any():
        return None
    plain = class_indices(log2_eei[known], scheme.eei_bounds)
    cap = LETTERS.index(scheme.capped_at)
    classes = np.where(below_minimum[known], np.maximum(plain, cap), plain)
    ordered = np.sort(classes)
    middle = int(_quantile(ordered, 0.5))
    return Letter(
        grade=LETTERS[middle],
        probability=float(np.count_nonzero(classes == middle) / len(log2_eei)),
        low=LETTERS[int(_quantile(ordered, _LOW))],
        high=LETTERS[int(_quantile(ordered, _HIGH))],
        capped=middle != int(_quantile(np.sort(plain), 0.5)),
    )


def items_needed(log2_eei: FloatArray, n_items: int, scheme: Scheme) -> int | None:
    """How many more items would lift the letter's probability to the scheme's threshold.

    Takes log2 EEI as normal with a standard deviation that falls with the root of the number of items. None where more
    than 100,000 would be needed: the configuration sits on a class border.
    """
    draws = log2_eei[np.isfinite(log2_eei)]
    if not len(draws):
        return None
    middle, spread = float(np.median(draws)), float(np.std(draws))
    edges = [-math.inf, *rounded_log2(scheme.eei_bounds).tolist(), math.inf]
    index = int(class_indices(middle, scheme.eei_bounds))
    below, above = middle - edges[index], edges[index + 1] - middle

    def probability(items: int) -> float:
        scale = spread * math.sqrt(n_items / items)
        if scale == 0:
            return 1.0
        normal = NormalDist(0.0, scale)
        return normal.cdf(above) - normal.cdf(-below)

    low, high = n_items, n_items + _MOST_ITEMS
    if probability(high) < scheme.rated_probability:
        return None
    while low < high:
        half = (low + high) // 2
        low, high = (low, half) if probability(half) >= scheme.rated_probability else (half + 1, high)
    return low - n_items
