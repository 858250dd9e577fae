"""Everything together: measurements and a scheme in, the rating table out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from rating.baskets import choose
from rating.cells import Cells
from rating.errors import RatingError
from rating.judge import Line
from rating.model import Configuration, Measurements, Rating
from rating.overall import overall_line
from rating.ranks import rank_ranges
from rating.scheme import Scheme
from rating.task import Problem, rate_task
from rating.validity import examine

__all__ = ["DRAWS", "FEWEST_DRAWS", "SEED", "rate"]

DRAWS: Final = 2000
FEWEST_DRAWS: Final = 100
SEED: Final = 0


def rate(
    measurements: Measurements, scheme: Scheme, *, draws: int = DRAWS, seed: int = SEED, min_items: int | None = None
) -> list[Rating]:
    """Rates every configuration in every task of every cohort, and overall.

    The same input, scheme, draws and seed give the same output; a configuration outside the basket changes nothing of
    the others but their ranks.

    Args:
        measurements: answers; the order of rows does not matter.
        scheme: classes, thresholds, weights and baskets.
        draws: bootstrap draws, at least 100.
        seed: of the bootstrap.
        min_items: fewest items behind a letter; None takes the scheme's.

    Returns:
        Ratings in the order of cohort, task (``overall`` last) and configuration.

    Raises:
        RatingError: too few draws.
    """
    if draws < FEWEST_DRAWS:
        raise RatingError(
            f"{draws} draws are too few: take at least {FEWEST_DRAWS}",
            f"抽样次数 {draws} 太少：至少 {FEWEST_DRAWS} 次",
        )
    if min_items is not None:
        scheme = replace(scheme, min_items=min_items)
    problem = Problem(measurements, Cells.of(measurements), examine(measurements), scheme, draws, seed)
    lines: list[Line] = []
    for cohort in sorted(range(len(measurements.cohorts)), key=lambda code: measurements.cohorts[code] or ""):
        lines += _cohort(problem, cohort)
    return [line.rating for line in lines]


def _cohort(problem: Problem, cohort: int) -> list[Line]:
    measurements, scheme = problem.measurements, problem.scheme
    reference = choose(measurements, problem.cells, problem.facts, scheme, cohort)
    lines: list[Line] = []
    by_configuration: dict[Configuration, dict[str, Line]] = {}
    for task in sorted({group.task for group in problem.facts if group.cohort == cohort}, key=measurements.tasks.__getitem__):
        found = _ranked(rate_task(problem, reference, cohort, task))
        for line in found:
            by_configuration.setdefault(line.rating.configuration, {})[measurements.tasks[task]] = line
        lines += found
    weights = dict(scheme.weights) or dict.fromkeys(measurements.tasks, 1.0)
    overall = [overall_line(of_tasks, weights, scheme) for of_tasks in by_configuration.values()]
    return lines + _ranked(overall)


def _ranked(lines: Sequence[Line]) -> list[Line]:
    """The lines in the order of their configurations, those with a letter with their ranks."""
    ordered = sorted(lines, key=lambda line: line.rating.configuration.configuration)
    draws = [line.log2_eei for line in ordered if line.log2_eei is not None]
    ranges = iter(rank_ranges(np.stack(draws)) if draws else [])
    ranked = []
    for line in ordered:
        if line.log2_eei is not None:
            low, high = next(ranges)
            line = replace(line, rating=replace(line.rating, rank_low=low, rank_high=high))
        ranked.append(line)
    return ranked
