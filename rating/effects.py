"""Differences between configurations on the items they share, and the trend over model size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from rating.cells import Cells
from rating.letters import Interval, interval
from rating.model import FloatArray, Group, Measurements
from rating.rate import DRAWS, SEED
from rating.scheme import Scheme
from rating.task import Problem, paired_sums

__all__ = ["Comparison", "Trend", "compare", "compare_in", "problem_of", "size_trend"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second against the first.

    Attributes:
        n_items: items behind the comparison: those shared where ``paired``, else those of the side that has fewer.
        paired: only items valid for both are compared; otherwise the two sides have items of their own.
        energy_ratio: joules per answer, second over first; likewise x_ratio for joules per success (None without any
            success of one of them), each with its 95 % interval.
        quality_difference: mean quality, second minus first; likewise energy_difference_j and x_difference_j in joules.
        verdict: better or worse by joules per success where the interval excludes a ratio of 1, else no evidence.
    """

    n_items: int
    energy_ratio: float
    energy_interval: Interval
    quality_difference: float
    quality_interval: Interval
    x_ratio: float | None
    x_interval: Interval
    energy_difference_j: float
    energy_difference_interval: Interval
    x_difference_j: float | None
    x_difference_interval: Interval
    verdict: Literal["better", "worse", "no evidence"]
    paired: bool = True


def compare(
    measurements: Measurements, first: Group, second: Group, *, draws: int = DRAWS, seed: int = SEED
) -> Comparison | None:
    """Paired comparison of two groups of one cohort and task, e.g. two precisions of a model or two campaigns.

    Returns:
        None where they share fewer than two items.
    """
    return compare_in(problem_of(measurements, draws, seed), first, second)


def problem_of(measurements: Measurements, draws: int, seed: int) -> Problem:
    """What :func:`compare_in` takes, to be made once for many comparisons."""
    return Problem(measurements, Cells.of(measurements), {}, Scheme("compare"), draws, seed)


def compare_in(problem: Problem, first: Group, second: Group, *, paired: bool = True) -> Comparison | None:
    """Like :func:`compare`; not ``paired`` takes all items of both, drawn together where they share them."""
    found = paired_sums(problem, first, second, shared=paired)
    if found is None:
        return None
    sums, energy, quality = found
    with np.errstate(divide="ignore", invalid="ignore"):
        x = sums.energy_j / sums.quality
        x_draws = x[1] / x[0]
        means = sums.quality / sums.items
        answers = sums.energy_j / sums.items
        per_answer = answers[1] / answers[0]
        x_apart = x[1] - x[0]
    x_interval = interval(x_draws)
    points = [float(e.sum() / q.sum()) if q.sum() > 0 else None for e, q in zip(energy, quality, strict=True)]
    verdict: Literal["better", "worse", "no evidence"] = "no evidence"
    if x_interval.high is not None and x_interval.high < 1:
        verdict = "better"
    elif x_interval.low is not None and x_interval.low > 1:
        verdict = "worse"
    both = None if points[0] is None or points[1] is None else (points[0], points[1])
    return Comparison(
        n_items=min(len(energy[0]), len(energy[1])),
        energy_ratio=float(energy[1].mean() / energy[0].mean()),
        energy_interval=interval(per_answer),
        quality_difference=float(quality[1].mean() - quality[0].mean()),
        quality_interval=interval(means[1] - means[0]),
        x_ratio=both[1] / both[0] if both else None,
        x_interval=x_interval,
        energy_difference_j=float(energy[1].mean() - energy[0].mean()),
        energy_difference_interval=interval(answers[1] - answers[0]),
        x_difference_j=both[1] - both[0] if both else None,
        x_difference_interval=interval(x_apart),
        verdict=verdict,
        paired=paired,
    )


@dataclass(frozen=True, slots=True)
class Trend:
    """Slope of log(figure) over log(size): 1 is proportional, 0 is none; with its 95 % interval."""

    slope: float
    low: float
    high: float
    n: int


def size_trend(parameter_counts: Sequence[float], figures: Sequence[float]) -> Trend | None:
    """Least-squares trend of a positive figure (joules, x) over model size, both in logarithms.

    Returns:
        None with fewer than three configurations or a single size.
    """
    size, figure = _logs(parameter_counts), _logs(figures)
    if len(size) < 3 or np.ptp(size) == 0:  # noqa: PLR2004 - a slope with an interval needs three points
        return None
    centred, degrees = size - size.mean(), len(size) - 2
    slope = float(centred @ (figure - figure.mean()) / (centred @ centred))
    rest = figure - figure.mean() - slope * centred
    error = math.sqrt(float(rest @ rest) / degrees / float(centred @ centred))
    half = float(stdtrit(degrees, 0.975)) * error  # quantile of Student's t; scipy.stats would take a second to import
    return Trend(slope, slope - half, slope + half, len(size)) if math.isfinite(half) else None


def _logs(values: Sequence[float]) -> FloatArray:
    return np.log(np.asarray(values, dtype=np.float64))
