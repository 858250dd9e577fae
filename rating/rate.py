"""Everything together: measurements and a scheme in, the rating table out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from rating.baskets import Reference, choose
from rating.cells import Cells
from rating.errors import RatingError
from rating.judge import Line
from rating.model import Configuration, FloatArray, Measurements, Rating
from rating.overall import overall_line
from rating.ranks import probability_better, rank_ranges
from rating.scheme import Scheme
from rating.task import Problem, rate_task
from rating.validity import examine

__all__ = ["DRAWS", "FEWEST_DRAWS", "SEED", "Rated", "Wins", "rate", "rate_with_schemes", "wins"]

DRAWS: Final = 2000
FEWEST_DRAWS: Final = 100
SEED: Final = 0


class Rated(NamedTuple):
    """The rating table and the scheme behind every scheme name in it, own baskets included."""

    ratings: list[Rating]
    schemes: dict[str, Scheme]


class Wins(NamedTuple):
    """P(i beats j) of the configurations with a letter in one cohort and task: share of draws with the lower EEI.

    ``probability[i, j]`` belongs to ``configurations[i]`` against ``configurations[j]``; ties count half.
    """

    cohort: str | None
    task: str
    configurations: tuple[str, ...]
    probability: FloatArray


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
    return rate_with_schemes(measurements, scheme, draws=draws, seed=seed, min_items=min_items).ratings


def rate_with_schemes(
    measurements: Measurements, scheme: Scheme, *, draws: int = DRAWS, seed: int = SEED, min_items: int | None = None
) -> Rated:
    """Like :func:`rate`, and says which schemes the ratings are under, so that own baskets can be frozen."""
    if min_items is not None:
        scheme = replace(scheme, min_items=min_items)
    ratings: list[Rating] = []
    schemes: dict[str, Scheme] = {}
    common = replace(scheme, baskets=tuple(basket for basket in scheme.baskets if not basket.own))
    for reference, lines in _by_cohort(measurements, scheme, draws, seed):
        own = reference.basket if reference.own else None
        schemes[reference.scheme] = scheme.with_own(own) if own else common
        ratings += [line.rating for line in lines]
    return Rated(ratings, schemes)


def wins(measurements: Measurements, scheme: Scheme, *, draws: int = DRAWS, seed: int = SEED) -> list[Wins]:
    """Who beats whom how surely, in every cohort and task and overall, from the very draws of :func:`rate`.

    Raises:
        RatingError: too few draws.
    """
    found = []
    for _, lines in _by_cohort(measurements, scheme, draws, seed):
        by_task: dict[tuple[str | None, str], list[tuple[str, FloatArray]]] = {}
        for line in lines:
            if line.log2_eei is not None:
                one = line.rating
                by_task.setdefault((one.cohort, one.task), []).append((one.configuration.configuration, line.log2_eei))
        for (cohort, task), entries in by_task.items():
            probability = probability_better(np.stack([log2 for _, log2 in entries]))
            found.append(Wins(cohort, task, tuple(name for name, _ in entries), probability))
    return found


def _by_cohort(
    measurements: Measurements, scheme: Scheme, draws: int, seed: int
) -> Iterator[tuple[Reference, list[Line]]]:
    if draws < FEWEST_DRAWS:
        raise RatingError(
            f"{draws} draws are too few: take at least {FEWEST_DRAWS}",
            f"抽样次数 {draws} 太少：至少 {FEWEST_DRAWS} 次",
        )
    problem = Problem(measurements, Cells.of(measurements), examine(measurements), scheme, draws, seed)
    for cohort in sorted(range(len(measurements.cohorts)), key=lambda code: measurements.cohorts[code] or ""):
        reference = choose(measurements, problem.cells, problem.facts, scheme, cohort)
        yield reference, _cohort(problem, reference, cohort)


def _cohort(problem: Problem, reference: Reference, cohort: int) -> list[Line]:
    measurements, scheme = problem.measurements, problem.scheme
    lines: list[Line] = []
    by_configuration: dict[Configuration, dict[str, Line]] = {}
    tasks = {group.task for group in problem.facts if group.cohort == cohort}
    for task in sorted(tasks, key=measurements.tasks.__getitem__):
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
