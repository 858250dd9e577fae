"""Ratings of one task in one cohort: x, EEI, letter and reasons of every configuration."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from rating.baskets import Reference
from rating.bootstrap import Series, Sums, resample, shuffled_repeats
from rating.cells import Cells
from rating.judge import Draws, Figures, Judge, Line, forbidding
from rating.model import FloatArray, Group, IntArray, Measurements
from rating.reasons import Both, Reason, reason
from rating.scheme import Scheme
from rating.validity import Basis, Facts

__all__ = ["Paired", "Problem", "paired_sums", "rate_task"]

_CHUNK: Final = 128
_BUNDLES: Final = 4096
"""More items than this are drawn in so many bundles."""
_BUNDLE_NAMES: Final = tuple(f"bundle {number}" for number in range(_BUNDLES))


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
    members = [problem.facts.get(Group(cohort, task, code), Facts()) for code in reference.codes]
    judge = Judge(problem.measurements, problem.facts, problem.scheme, reference, tuple(troubles), Basis.of(members))
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
    series, places = list(owns), dict[bytes, slice]()
    for name, owner in sets.items():
        places[name] = slice(len(series), len(series) + len(basket))
        series += [_restricted(member, owner.items) for member in basket]
    sums = None
    if any(len(own.cells) > 1 for own in owns):
        key = _key(problem, owns[0].group)
        item_names = [problem.cells.item_names[rank] for rank in names]
        if len(names) > _BUNDLES:
            sums = resample(_bundled(problem, series, item_names), _BUNDLE_NAMES, key, problem.draws)
        else:
            sums = resample(_series(problem, series), item_names, key, problem.draws)
    marks = {name: _mark(problem.cells, series[place], place, sums) for name, place in places.items()}
    for place, own in enumerate(owns):
        yield own.group, _figures(problem.cells, own, place, marks[own.items.tobytes()], sums)


class Paired(NamedTuple):
    """Draws of two groups, and the mean energies and qualities of their cells, an array of items for each."""

    sums: Sums
    energy_j: tuple[FloatArray, FloatArray]
    quality: tuple[FloatArray, FloatArray]


def paired_sums(problem: Problem, first: Group, second: Group, *, shared: bool = True) -> Paired | None:
    """Draws of two groups of one cohort and task, paired in every item that both have.

    Args:
        problem: where the groups are.
        first: a group; likewise second.
        shared: leave out items that only one of them has.

    Returns:
        None where one of them would be left with fewer than two items.
    """
    cells = problem.cells
    if first not in cells.slices or second not in cells.slices:
        return None
    items = [cells.item[cells.slices[group]] for group in (first, second)]
    names = np.intersect1d(items[0], items[1], assume_unique=True) if shared else np.union1d(items[0], items[1])
    one, two = (_own(cells, names, group) for group in (first, second))
    if min(len(one.cells), len(two.cells)) < 2:  # noqa: PLR2004
        return None
    item_names = [cells.item_names[rank] for rank in names]
    sums = resample(_series(problem, [one, two]), item_names, _key(problem, first), problem.draws)
    energy, quality = cells.energy_j, cells.quality
    return Paired(sums, (energy[one.cells], energy[two.cells]), (quality[one.cells], quality[two.cells]))


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


def _bundled(problem: Problem, owns: Sequence[_Own], names: Sequence[str]) -> Series:
    """Cells of very many items, gathered by the hash of their names into bundles that are drawn as one item each.

    A bundle's sums vary as the items' do, their repeats included, so the bundles alone carry the whole noise.
    """
    cells = problem.cells
    bundle = np.array([zlib.crc32(name.encode("utf-8", "surrogatepass")) % _BUNDLES for name in names], dtype=np.int64)
    parts = []
    for at, own in enumerate(owns):
        where = bundle[own.items]
        sums = [
            np.bincount(where, weights=values, minlength=_BUNDLES)
            for values in (cells.energy_j[own.cells], cells.quality[own.cells], None)
        ]
        present = np.flatnonzero(sums[2])
        parts.append((np.full(len(present), at), present, *(column[present] for column in sums)))
    index, item, energy, quality, count = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((index, item))
    once = np.ones(len(order), dtype=np.int64)
    return Series(
        index[order], item[order], np.arange(len(order)), once, energy[order], quality[order], len(owns), count[order]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    """What a set of items is compared with: R and the basket's median quality, as points and as draws."""

    reference: float | None = None
    quality: float | None = None
    draws_log2: FloatArray | None = None
    draws_quality: FloatArray | None = None


def _mark(cells: Cells, basket: Sequence[_Own], members: slice, sums: Sums | None) -> _Mark:
    if not basket:
        return _Mark()
    points = [_x(cells, member.cells) for member in basket]
    quality = float(np.median([cells.quality[member.cells].mean() for member in basket]))
    reference = float(np.exp2(np.mean(np.log2(points)))) if np.isfinite(points).all() else None
    if sums is None:
        return _Mark(reference, quality)
    with np.errstate(divide="ignore", invalid="ignore"):
        log2 = np.log2(sums.energy_j[members] / sums.quality[members]).mean(axis=0)
        log2[~np.isfinite(log2)] = np.nan
        median = np.median(sums.quality[members] / sums.items[members], axis=0)
    return _Mark(reference, quality, log2, median)


def _figures(cells: Cells, own: _Own, place: int, mark: _Mark, sums: Sums | None) -> Figures:
    quality = cells.quality[own.cells]
    draws = None
    if sums is not None and len(own.cells) > 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            x = sums.energy_j[place] / sums.quality[place]
            log2_eei = None if mark.draws_log2 is None else np.round(np.log2(x) - mark.draws_log2, 9)
            draws = Draws(x, sums.quality[place] / sums.items[place], log2_eei, mark.draws_quality)
    return Figures(
        n_items=len(own.cells),
        measured=len(range(*cells.slices[own.group].indices(len(cells.item)))),
        n_repeats=float(cells.repeats[own.cells].mean()),
        energy_j=float(cells.energy_j[own.cells].mean()),
        quality=float(quality.mean()),
        successes=float(quality.sum()),
        x=_x(cells, own.cells),
        reference=mark.reference,
        basket_quality=mark.quality,
        draws=draws,
    )


def _x(cells: Cells, chosen: IntArray) -> float:
    """Joules per success-equivalent, infinite without any success."""
    successes = float(cells.quality[chosen].sum())
    return float(cells.energy_j[chosen].sum()) / successes if successes > 0 else float("inf")
