"""What a factor does to energy and quality: quantization, context, temperature, task, load, language, time, size.

Every effect is a :class:`rating.effects.Comparison` of two levels with all else equal, or the reasons why the two must
not be compared. Nothing is pooled over configurations: a reader sees each one's own difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from rating.answers import measurements_of
from rating.coding import combined, encoded
from rating.effects import Comparison, Trend, compare_in, problem_of, size_trend
from rating.judge import forbidding
from rating.model import Group, Measurements
from rating.rate import DRAWS, SEED
from rating.reasons import Reason
from rating.task import Problem
from rating.validity import Basis, Facts, compared, examine

__all__ = ["FACTORS", "Effect", "Factor", "SizeTrend", "campaign_changes", "factor_effects", "size_trends"]

Factor = Literal["quantization", "context_length", "temperature", "task", "load", "language"]
FACTORS: Final[tuple[Factor, ...]] = ("quantization", "context_length", "temperature", "task", "load", "language")
_ALIKE: Final[dict[str, tuple[str, ...]]] = {
    "quantization": ("model_base", "context_length", "temperature", "engine", "engine_version"),
    "context_length": ("model", "digest", "quantization", "temperature", "engine", "engine_version"),
    "temperature": ("model", "digest", "quantization", "context_length", "engine", "engine_version"),
}
"""What must be equal for a difference in the factor to be its effect; the first must be known."""
_FULL_BITS: Final = {"F64": 64, "F32": 32, "BF16": 16, "F16": 16, "FP16": 16}
_LOADS: Final = ("short", "medium", "long")
_MARK: Final = "\x1f"
_PAIRED_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Effect:
    """What going from one level of a factor to another does.

    Attributes:
        task: where it was seen; None where the factor is the task.
        subject: what stays the same: the base model for quantization, the model for context and temperature, else the
            configuration.
        first: level that is the reference; ``second`` the other one.
        configurations: behind the two levels.
        comparison: None where the two must not be compared or have fewer than two items in common.
        reasons: why they must not be compared.
    """

    factor: str
    cohort: str | None
    task: str | None
    subject: str
    first: str
    second: str
    configurations: tuple[str, str]
    comparison: Comparison | None
    reasons: tuple[Reason, ...] = ()


def factor_effects(measurements: Measurements, factor: Factor, *, draws: int = DRAWS, seed: int = SEED) -> list[Effect]:
    """Effects of one factor in every cohort, each level against the first one.

    The first level is the most precise quantization, the smallest context or temperature, the shortest load, the first
    task or language by name. Of several configurations at one level the one with most items speaks.
    """
    find = _between if factor in _ALIKE else _within
    return find(measurements, factor, draws, seed)


def _between(m: Measurements, factor: Factor, draws: int, seed: int) -> list[Effect]:
    """Configurations that differ in the factor only, on the items they share."""
    problem, facts = problem_of(m, draws, seed), examine(m)
    alike: dict[tuple[Any, ...], dict[Any, Group]] = {}
    for group in sorted(facts, key=lambda g: (-_items(problem, g), m.configurations[g.configuration].configuration)):
        configuration = m.configurations[group.configuration]
        level, key = getattr(configuration, factor), tuple(getattr(configuration, name) for name in _ALIKE[factor])
        if level is not None and key[0] is not None:
            alike.setdefault((group.cohort, group.task, *key), {}).setdefault(level, group)
    found = []
    for (cohort, task, subject, *_), groups in alike.items():
        first, *others = sorted(groups, key=_precision if factor == "quantization" else None)
        for level in others:
            one, two = groups[first], groups[level]
            wrong = _incomparable(facts[one], facts[two])
            comparison = None if wrong else compare_in(problem, one, two)
            names = [m.configurations[group.configuration].configuration for group in (one, two)]
            where = (m.cohorts[cohort], m.tasks[task], str(subject))
            found.append(Effect(factor, *where, str(first), str(level), (names[0], names[1]), comparison, wrong))
    return sorted(found, key=_place)


def _within(m: Measurements, factor: Factor, draws: int, seed: int) -> list[Effect]:
    """Levels within a configuration; on shared items where the levels have them, else on each level's own."""
    levels = _levels(m, factor)
    problem, facts = problem_of(_split(m, factor, levels), draws, seed), examine(m)
    groups: dict[Group, dict[str, Group]] = {}
    for group in problem.cells.slices:
        code, at = divmod(group.configuration, len(levels))
        name = levels[at]
        if name is not None:
            groups.setdefault(group._replace(configuration=code), {})[name] = group
    found = []
    for place, of_level in groups.items():
        first, *others = sorted(of_level, key=_load_then_name)
        for level in others:
            one, two = of_level[first], of_level[level]
            tasks = [m.tasks.index(name) for name in (first, level)] if factor == "task" else [place.task]
            wrong = _forbidden([facts[place._replace(task=task)] for task in tasks])
            comparison = None if wrong else compare_in(problem, one, two, paired=_shared(problem, one, two))
            task = None if factor == "task" else m.tasks[place.task]
            subject = m.configurations[place.configuration].configuration
            where = (m.cohorts[place.cohort], task, subject)
            found.append(Effect(factor, *where, first, level, (subject, subject), comparison, wrong))
    return sorted(found, key=_place)


def _levels(measurements: Measurements, factor: Factor) -> list[str | None]:
    """Names of a factor's levels."""
    if factor == "task":
        return list(measurements.tasks)
    names = {getattr(condition, factor) for condition in measurements.conditions}
    return sorted(names, key=lambda name: name or "") or [None]


def _split(measurements: Measurements, factor: Factor, levels: Sequence[str | None]) -> Measurements:
    """The measurements with every level of a configuration as one of its own, and items named without the factor."""
    m = measurements
    if factor == "task":
        level = m.task
    else:
        level = np.array([levels.index(getattr(c, factor)) for c in m.conditions], dtype=np.int64)[m.condition]
    parts = [encoded(m.bare_items or m.items)]
    kept = {"load": ("language",), "language": ("load",)}.get(factor, ("load", "language"))
    bare = replace(parts[0], codes=parts[0].codes[m.item])
    others = []
    for name in kept:
        column = encoded(getattr(condition, name) for condition in m.conditions)
        others.append(replace(column, codes=column.codes[m.condition]))
    item, keys = combined([bare, *others])
    return replace(
        m,
        configurations=tuple(
            replace(c, configuration=f"{c.configuration}{_MARK}{level}") for c in m.configurations for level in levels
        ),
        configuration=m.configuration * len(levels) + level,
        items=tuple(_MARK.join(part or "" for part in key) for key in keys),
        bare_items=(),
        item=item,
        tasks=("",) if factor == "task" else m.tasks,
        task=np.zeros_like(m.task) if factor == "task" else m.task,
        notes={},
    )


def campaign_changes(
    columns: Mapping[str, Sequence[Any]], effect_of: Callable[[str], str], *, draws: int = DRAWS, seed: int = SEED
) -> list[Effect]:
    """Regression: each configuration's newest campaign against the one before it, on the items of both.

    Args:
        columns: as for :func:`rating.measurements_of`.
        effect_of: likewise.
        draws: bootstrap draws.
        seed: of the bootstrap.
    """
    pairs = zip(columns["configuration"], columns["campaign"], strict=True)
    apart = dict(columns) | {"configuration": [f"{name}{_MARK}{campaign}" for name, campaign in pairs]}
    selected = measurements_of(apart, effect_of, 1)
    m = selected.measurements
    started = dict(zip(columns["campaign"], columns["campaign_started_at"], strict=True))
    problem, facts = problem_of(m, draws, seed), examine(m)
    series: dict[tuple[int, int, str], list[Group]] = {}
    for group in problem.cells.slices:
        name = m.configurations[group.configuration].configuration.rpartition(_MARK)[0]
        series.setdefault((group.cohort, group.task, name), []).append(group)
    found = []
    for (cohort, task, name), groups in series.items():
        if len(groups) > 1:
            groups.sort(key=lambda g: (started[selected.campaigns[g]], selected.campaigns[g]))
            one, two = groups[-2:]
            wrong = _incomparable(facts[one], facts[two])
            levels = (selected.campaigns[one], selected.campaigns[two])
            comparison = None if wrong else compare_in(problem, one, two)
            where = (m.cohorts[cohort], m.tasks[task])
            found.append(Effect("campaign", *where, name, *levels, (name, name), comparison, wrong))
    return sorted(found, key=_place)


def _forbidden(facts: Sequence[Facts]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(reason for one in facts for reason in forbidding(one)))


def _incomparable(first: Facts, second: Facts) -> tuple[Reason, ...]:
    """What forbids holding two groups against each other."""
    mutual = compared(first, Basis.of([second])) + compared(second, Basis.of([first]))
    return tuple(dict.fromkeys([*_forbidden([first, second]), *mutual]))


def _items(problem: Problem, group: Group) -> int:
    place = problem.cells.slices.get(group)
    return 0 if place is None else place.stop - place.start


def _shared(problem: Problem, one: Group, two: Group) -> bool:
    """Whether two groups have enough items in common to leave out the others."""
    first, second = (problem.cells.item[problem.cells.slices[group]] for group in (one, two))
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common > 1 and common >= _PAIRED_SHARE * min(len(first), len(second))


def _load_then_name(level: str) -> tuple[int, str]:
    return (_LOADS.index(level) if level in _LOADS else len(_LOADS), level)


def _precision(quantization: str) -> tuple[int, str]:
    """Sorts the most precise first."""
    name = quantization.upper()
    digits = re.search(r"\d+", name)
    return (-_FULL_BITS.get(name, int(digits[0]) if digits else 0), name)


def _place(effect: Effect) -> tuple[str, ...]:
    return (effect.cohort or "", effect.task or "", effect.subject, effect.configurations[1], effect.second)


@dataclass(frozen=True, slots=True)
class SizeTrend:
    """Trend over model size within one family (None: over all families) of a cohort, task and scheme."""

    cohort: str | None
    task: str
    scheme: str
    family: str | None
    trend: Trend


def size_trends(rows: Iterable[Mapping[Any, Any]], figure: str = "joules_per_success") -> list[SizeTrend]:
    """Trends over model size of a figure of the rating table, over all models and within every family of three or more.

    Args:
        rows: rows of :meth:`rating.Rating.as_row` or ``v_ratings``; those without size or figure are left out.
        figure: a positive figure: ``joules_per_success``, ``energy_j``, ``eei``.
    """
    points: dict[tuple[str, str, str, str | None], list[tuple[float, float]]] = {}
    cohorts: dict[str, str | None] = {}
    for row in rows:
        size, value, family = row["parameter_count"], row[figure], row["family"]
        if size is None or value is None or not (size > 0 and value > 0):  # NaN of a data frame is not above 0
            continue
        cohorts[str(row["cohort"])] = row["cohort"]
        known = family if isinstance(family, str) else None
        for name in {None, known}:
            key = (str(row["cohort"]), str(row["task"]), str(row["scheme"]), name)
            points.setdefault(key, []).append((float(size), float(value)))
    found = []
    for (cohort, task, scheme, name), values in sorted(points.items(), key=str):
        trend = size_trend([size for size, _ in values], [value for _, value in values])
        if trend is not None:
            found.append(SizeTrend(cohorts[cohort], task, scheme, name, trend))
    return found
