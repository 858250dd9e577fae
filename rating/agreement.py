"""Do people agree with each other, and do the metrics agree with people: alpha, tau-b, and how many more are needed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import krippendorff
import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from rating.rate import SEED

__all__ = ["INCONCLUSIVE_BELOW", "TARGET_HALF_WIDTH", "Estimate", "alpha", "tau", "weighted_mean"]

FloatArray = npt.NDArray[np.float64]

INCONCLUSIVE_BELOW: Final = 0.667
"""Krippendorff (2004): below it not even tentative conclusions."""

TARGET_HALF_WIDTH: Final = 0.15
"""Ratings are asked for until the 95 % interval of a coefficient is within so much on either side."""

_DRAWS: Final = 1000
_LEAST: Final = 5  # fewer units give an interval that says nothing


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient with its 95 % percentile interval over resampled units.

    Attributes:
        value: None where it is not defined (fewer than two units, or nobody ever said two different things).
        low: lower end; None with fewer than five units or where resampling leaves it undefined; likewise high.
        n: units behind it.
        more: further units until the interval is within :data:`TARGET_HALF_WIDTH`; None where nothing can be said yet.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    more: int | None


def alpha(ratings: npt.ArrayLike, *, seed: int = SEED, draws: int = _DRAWS) -> Estimate:
    """Krippendorff's alpha for ordinal ratings (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").

    Args:
        ratings: coders x units, NaN where a coder did not rate a unit; units with fewer than two ratings do not count.
        seed: of the bootstrap over units.
        draws: bootstrap draws.
    """
    table = np.asarray(ratings, dtype=np.float64)
    table = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    return _estimate(table.T, _alpha, seed, draws)


def tau(people: Sequence[float], metric: Sequence[float], *, seed: int = SEED, draws: int = _DRAWS) -> Estimate:
    """Kendall's tau-b between people's mean ratings and a metric of the same answers; NaN on either side drops the pair."""
    pairs = np.column_stack([np.asarray(people, dtype=np.float64), np.asarray(metric, dtype=np.float64)])
    return _estimate(pairs[~np.isnan(pairs).any(axis=1)], _tau, seed, draws)


def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float | None:
    """Mean with importance weights, so that a sample half of which was picked for disagreement is unbiased; None without data."""
    known = np.column_stack([np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)])
    known = known[~np.isnan(known).any(axis=1)]
    total = float(known[:, 1].sum())
    return float((known[:, 0] * known[:, 1]).sum() / total) if total > 0 else None


def _alpha(units: FloatArray) -> float | None:
    table = units.T
    seen = table[~np.isnan(table)]
    if table.shape[1] < 2 or len(np.unique(seen)) < 2:
        return None
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a division by zero is the None below
        value = float(krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal"))
    return value if math.isfinite(value) else None


def _tau(pairs: FloatArray) -> float | None:
    if len(pairs) < 2 or len(np.unique(pairs[:, 0])) < 2 or len(np.unique(pairs[:, 1])) < 2:
        return None
    value = float(kendalltau(pairs[:, 0], pairs[:, 1], variant="b").statistic)
    return value if math.isfinite(value) else None


def _estimate(units: FloatArray, of: Callable[[FloatArray], float | None], seed: int, draws: int) -> Estimate:
    """The coefficient of all units and its percentile interval over resampled ones."""
    n = len(units)
    value = of(units)
    if value is None or n < _LEAST:
        return Estimate(value, None, None, n, None if value is None else _LEAST - n)
    rng = np.random.default_rng(seed)
    drawn = [found for _ in range(draws) if (found := of(units[rng.integers(0, n, n)])) is not None]
    if len(drawn) < 0.9 * draws:
        return Estimate(value, None, None, n, None)
    low, high = (float(end) for end in np.percentile(drawn, [2.5, 97.5]))
    half = (high - low) / 2
    # the half-width falls with the root of the number of units
    wanted = math.ceil(n * (half / TARGET_HALF_WIDTH) ** 2)
    return Estimate(value, low, high, n, max(0, wanted - n))
