"""Ratings of one task in one cohort: x, EEI, letter and reasons of every configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rating.baskets import Reference
from rating.bootstrap import Series, Sums, resample, shuffled_repeats
from rating.cells import Cells
from rating.judge import Draws, Figures, Judge, Line, forbidding
from rating.model import Group, IntArray, Measurements
from rating.reasons import Both, Reason, reason
from rating.scheme import Scheme
from rating.validity import Facts

__all__ = ["Problem", "rate_task"]

_CHUNK: Final = 128


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """All that a rating is computed from."""

    measurements: Measurements
    cells: Cells
    facts: Mapping[Group, Facts]
    scheme: Scheme
    draws: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """Cells of a configuration that are compared; ``items`` are their places in the list of names."""

    group: Group
    cells: IntArray
    items: IntArray


def rate_task(problem: Problem, reference: Reference, cohort: int, task: int) -> list[Line]:
    """One line per configuration that has an answer or a note in this cohort and task, in the order of their codes."""
    groups = sorted(group for group in problem.facts if (group.cohort, group.task) == (cohort, task))
    troubles = _basket_troubles(problem, reference, cohort, task)
    judge = Judge(problem.measurements, problem.facts, problem.scheme, reference, tuple(troubles))
    measured = [group for group in groups if group in problem.cells.slices]
    found = _without_basket(problem, measured) if troubles else _with_basket(problem, reference, measured)
    lines = {group: judge.line(group, figures) for group, figures in found}
    return [lines.get(group) or judge.line(group, None) for group in groups]


def _basket_troubles(problem: Problem, reference: Reference, cohort: int, task: int) -> list[Reason]:
    """Why nobody can be compared here; empty when the basket stands."""
    if reference.missing is not None:
        return [reference.missing]
    names = zip(reference.basket.members if reference.basket else (), reference.members, strict=True)
    absent = [
        str(member) for member, code in names if code is None or Group(cohort, task, code) not in problem.cells.slices
    ]
    if absent:
        return [reason("basket_missing", missing=", ".join(absent), cure=reference.comparable)]
    for code in reference.codes:
        group = Group(cohort, task, code)
        wrong = forbidding(problem.facts[group])
        if not wrong and not problem.cells.quality[problem.cells.slices[group]].any():
            wrong = [reason("too_few_successes", n=0, needed=f"{problem.scheme.min_successes:g}")]
        if wrong:
            configuration = problem.measurements.configurations[code]
            why = Both(wrong[0].text("en"), wrong[0].text("zh"))
            return [reason("basket_invalid", model=configuration.model or configuration.configuration, why=why)]
    return []


def _without_basket(problem: Problem, groups: Sequence[Group]) -> Iterator[tuple[Group, Figures]]:
    """Figures on each configuration's own items; those with the same items are drawn together."""
    cells, same = problem.cells, dict[bytes, list[Group]]()
    for group in groups:
        same.setdefault(cells.item[cells.slices[group]].tobytes(), []).append(group)
    for members in same.values():
        names = cells.item[cells.slices[members[0]]]
        for low in range(0, len(members), _CHUNK):
            owns = [_own(cells, names, group) for group in members[low : low + _CHUNK]]
            yield from _chunk(problem, names, owns, [])


def _with_basket(problem: Problem, reference: Reference, groups: Sequence[Group]) -> Iterator[tuple[Group, Figures]]:
    """Figures on the items that are valid for the whole basket and the configuration."""
    cells = problem.cells
    members = [groups[0]._replace(configuration=code) for code in reference.codes]
    names = cells.item[cells.slices[members[0]]]
    for member in members[1:]:
        names = np.intersect1d(names, cells.item[cells.slices[member]], assume_unique=True)
    basket = [_own(cells, names, member) for member in members]
    apart: list[Group] = []
    for low in range(0, len(groups), _CHUNK):
        owns = [_own(cells, names, group) for group in groups[low : low + _CHUNK]]
        apart += [own.group for own in owns if not len(own.cells)]
        yield from _chunk(problem, names, [own for own in owns if len(own.cells)], basket)
    yield from _without_basket(problem, apart)


def _own(cells: Cells, names: IntArray, group: Group) -> _Own:
    """Cells of a group whose items are among ``names`` (sorted ranks)."""
    place = cells.slices[group]
    _, at, inside = np.intersect1d(names, cells.item[place], assume_unique=True, return_indices=True)
    return _Own(group, place.start + inside, at)


def _restricted(member: _Own, items: IntArray) -> _Own:
    if len(items) == len(member.items):
        return member
    kept = np.isin(member.items, items, assume_unique=True)
    return _Own(member.group, member.cells[kept], member.items[kept])


def _chunk(
    problem: Problem, names: IntArray, owns: Sequence[_Own], basket: Sequence[_Own]
) -> Iterator[tuple[Group, Figures]]:
    """Figures of some configurations, drawn together; the basket once for every set of items among them."""
    sets: dict[bytes, _Own] = {}
    for own in owns:
        sets.setdefault(own.items.tobytes(), own)
    series, first = list(owns), dict[bytes, int]()
    for name, owner in sets.items():
        first[name] = len(series)
        series += [_restricted(member, owner.items) for member in basket]
    sums = None
    if any(len(own.cells) > 1 for own in owns):
        key = _key(problem, owns[0].group)
        item_names = [problem.cells.item_names[rank] for rank in names]
        sums = resample(_series(problem, series), item_names, key, problem.draws)
    for place, own in enumerate(owns):
        at = first[own.items.tobytes()]
        members = slice(at, at + len(basket))
        yield own.group, _figures(problem.cells, own, place, series[members], members, sums)


def _key(problem: Problem, group: Group) -> tuple[object, ...]:
    return (problem.seed, problem.measurements.cohorts[group.cohort], problem.measurements.tasks[group.task])


def _series(problem: Problem, owns: Sequence[_Own]) -> Series:
    """All cells of the series, their repeats shuffled per configuration, sorted by item."""
    cells, shift, rows, place = problem.cells, dict[Group, int](), list[IntArray](), 0
    for own in owns:
        if own.group in shift:
            continue
        of_group = cells.slices[own.group]
        first = int(cells.start[of_group.start])
        owner = np.repeat(np.arange(of_group.stop - of_group.start), cells.repeats[of_group])
        name = problem.measurements.configurations[own.group.configuration].configuration
        rows.append(first + shuffled_repeats(owner, *_key(problem, own.group), name))
        shift[own.group] = place - first
        place += len(owner)
    every = np.concatenate(rows)
    index = np.concatenate([np.full(len(own.cells), at) for at, own in enumerate(owns)])
    item = np.concatenate([own.items for own in owns])
    start = np.concatenate([cells.start[own.cells] + shift[own.group] for own in owns])
    repeats = np.concatenate([cells.repeats[own.cells] for own in owns])
    order = np.lexsort((index, item))
    energy, quality = cells.row_energy_j[every], cells.row_quality[every]
    return Series(index[order], item[order], start[order], repeats[order], energy, quality, len(owns))


def _figures(cells: Cells, own: _Own, place: int, basket: Sequence[_Own], members: slice, sums: Sums | None) -> Figures:
    energy, quality = cells.energy_j[own.cells], cells.quality[own.cells]
    points = [_x(cells, member.cells) for member in basket]
    draws = None
    if sums is not None and len(own.cells) > 1:
        draws = _draws(sums, place, members)
    return Figures(
        n_items=len(own.cells),
        measured=len(range(*cells.slices[own.group].indices(len(cells.item)))),
        n_repeats=float(cells.repeats[own.cells].mean()),
        energy_j=float(energy.mean()),
        quality=float(quality.mean()),
        successes=float(quality.sum()),
        x=_x(cells, own.cells),
        reference=float(np.exp2(np.mean(np.log2(points)))) if points and np.isfinite(points).all() else None,
        basket_quality=float(np.median([cells.quality[m.cells].mean() for m in basket])) if basket else None,
        draws=draws,
    )


def _draws(sums: Sums, place: int, members: slice) -> Draws:
    with np.errstate(divide="ignore", invalid="ignore"):
        x = sums.energy_j[place] / sums.quality[place]
        quality = sums.quality[place] / sums.items[place]
        if members.start == members.stop:
            return Draws(x, quality, None, None)
        log2_basket = np.log2(sums.energy_j[members] / sums.quality[members]).mean(axis=0)
        log2_eei = np.round(np.log2(x) - log2_basket, 9)
        log2_eei[~np.isfinite(log2_basket)] = np.nan
        return Draws(x, quality, log2_eei, np.median(sums.quality[members] / sums.items[members], axis=0))


def _x(cells: Cells, chosen: IntArray) -> float:
    """Joules per success-equivalent, infinite without any success."""
    successes = float(cells.quality[chosen].sum())
    return float(cells.energy_j[chosen].sum()) / successes if successes > 0 else float("inf")
