"""The gate before any letter: what is wrong with a configuration's answers, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from rating.cells import valid_rows
from rating.model import Condition, FloatArray, Group, IntArray, Measurements
from rating.reasons import Reason, reason

__all__ = ["Basis", "Facts", "compared", "examine", "intrinsic"]

BoolArray = npt.NDArray[np.bool_]
_POWER_SHARE: Final = 0.2
"""Mean power below this share of the basket's median is not believed."""
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What the gate looks at in one group.

    Attributes:
        rows: answers; ``missing`` those without energy, ``zero`` with energy 0 or below, ``unscored`` without quality.
        missing_items: names of some of them; likewise zero_items.
        conditions: conditions of its valid answers.
        power_w: energy over duration of the rows that have both, None without any.
        has_cpu: whether every valid answer has the CPU's part; None where the data have no such column.
            Likewise has_gpu.
        notes: what the source says about it.
    """

    rows: int = 0
    missing: int = 0
    zero: int = 0
    unscored: int = 0
    missing_items: tuple[str, ...] = ()
    zero_items: tuple[str, ...] = ()
    conditions: frozenset[Condition] = frozenset()
    power_w: float | None = None
    has_cpu: bool | None = None
    has_gpu: bool | None = None
    notes: tuple[Reason, ...] = ()


def examine(measurements: Measurements) -> dict[Group, Facts]:
    """Facts of every group that has a row or a note."""
    m = measurements
    tasks, configurations = max(len(m.tasks), 1), max(len(m.configurations), 1)
    code = (m.cohort.astype(np.int64) * tasks + m.task) * configurations + m.configuration
    codes, inverse = np.unique(code, return_inverse=True)
    with np.errstate(invalid="ignore"):
        zero = np.isfinite(m.energy_j) & (m.energy_j <= 0)
    missing, unscored, valid = ~np.isfinite(m.energy_j), ~np.isfinite(m.quality), valid_rows(m)
    counted = [np.bincount(inverse[rows], minlength=len(codes)) for rows in (valid | ~valid, missing, zero, unscored)]
    named = [_names(m, inverse, rows) for rows in (missing, zero)]
    conditions = _conditions(m, inverse, valid)
    power = _power(m, inverse, valid, len(codes))
    parts = [_part(column, inverse, valid, len(codes)) for column in (m.cpu_energy_j, m.gpu_energy_j)]
    facts = {}
    for index, value in enumerate(codes.tolist()):
        group = Group(value // configurations // tasks, value // configurations % tasks, value % configurations)
        rows, without, at_zero, unknown = (int(column[index]) for column in counted)
        facts[group] = Facts(
            rows=rows,
            missing=without,
            zero=at_zero,
            unscored=unknown,
            missing_items=named[0].get(index, ()),
            zero_items=named[1].get(index, ()),
            conditions=frozenset(conditions.get(index, ())),
            power_w=power.get(index),
            has_cpu=parts[0][index] if parts[0] else None,
            has_gpu=parts[1][index] if parts[1] else None,
            notes=m.notes.get(group, ()),
        )
    return facts | {group: Facts(notes=notes) for group, notes in m.notes.items() if group not in facts}


def _names(m: Measurements, inverse: IntArray, rows: BoolArray) -> dict[int, tuple[str, ...]]:
    """The first few items of each group among ``rows``, by name."""
    found: dict[int, set[str]] = {}
    for index in np.flatnonzero(rows).tolist():
        found.setdefault(int(inverse[index]), set()).add(m.items[m.item[index]])
    return {group: tuple(sorted(names)) for group, names in found.items()}


def _conditions(m: Measurements, inverse: IntArray, valid: BoolArray) -> dict[int, set[Condition]]:
    pairs = np.unique(inverse[valid] * max(len(m.conditions), 1) + m.condition[valid])
    found: dict[int, set[Condition]] = {}
    for pair in pairs.tolist():
        found.setdefault(pair // len(m.conditions), set()).add(m.conditions[pair % len(m.conditions)])
    return found


def _power(m: Measurements, inverse: IntArray, valid: BoolArray, groups: int) -> dict[int, float]:
    if m.duration_s is None:
        return {}
    rows = valid & np.isfinite(m.duration_s) & (np.nan_to_num(m.duration_s) > 0)
    energy = np.bincount(inverse[rows], weights=m.energy_j[rows], minlength=groups)
    seconds = np.bincount(inverse[rows], weights=m.duration_s[rows], minlength=groups)
    return {index: float(energy[index] / seconds[index]) for index in np.flatnonzero(seconds > 0).tolist()}


def _part(column: FloatArray | None, inverse: IntArray, valid: BoolArray, groups: int) -> list[bool] | None:
    """Per group, whether every valid row has this part of the energy; a part of 0 J was not measured."""
    if column is None:
        return None
    lacking = np.bincount(inverse[valid & ~(np.nan_to_num(column) > 0)], minlength=groups)
    return [bool(count == 0) for count in lacking]


def intrinsic(facts: Facts) -> list[Reason]:
    """What forbids a letter whatever the basket is."""
    found = []
    if facts.missing:
        found.append(reason("energy_missing", n=facts.missing, items=_listed(facts.missing_items)))
    if facts.zero:
        found.append(reason("energy_zero", n=facts.zero, items=_listed(facts.zero_items)))
    if facts.rows and facts.unscored == facts.rows:
        found.append(reason("no_quality", n=facts.rows))
    elif not facts.conditions and not found:
        found.append(reason("no_answers"))
    found += _conflicts([facts.conditions])
    return found


@dataclass(frozen=True, slots=True)
class Basis:
    """What a configuration is held against: conditions, parts of the energy and median power of the basket."""

    conditions: frozenset[Condition]
    has_cpu: bool
    has_gpu: bool
    power_w: float | None

    @staticmethod
    def of(basket: Sequence[Facts]) -> Basis:
        """Sums up a basket; it has a part of the energy where most of its members have it."""
        powers = [member.power_w for member in basket if member.power_w is not None]
        return Basis(
            frozenset(condition for member in basket for condition in member.conditions),
            sum(bool(member.has_cpu) for member in basket) * 2 > len(basket),
            sum(bool(member.has_gpu) for member in basket) * 2 > len(basket),
            median(powers) if powers else None,
        )


def compared(facts: Facts, basis: Basis) -> list[Reason]:
    """What forbids comparing a configuration with the basket: other scope, tier, version, checkpoint, a part missing."""
    found = _conflicts([facts.conditions, basis.conditions])
    for name, own, theirs in (("CPU", facts.has_cpu, basis.has_cpu), ("GPU", facts.has_gpu, basis.has_gpu)):
        if own is False and theirs:
            found.append(reason("mixed_scope", seen=f"no {name} energy, unlike the basket"))
    if facts.power_w is not None and basis.power_w is not None and facts.power_w < _POWER_SHARE * basis.power_w:
        found.append(
            reason("implausible_power", power=f"{facts.power_w:.3g}", median=f"{basis.power_w:.3g}"),
        )
    return found


def _conflicts(sets: Iterable[Collection[Condition]]) -> list[Reason]:
    """Values that should be one and are several. Suite is one per load and language, checkpoint one per language."""
    conditions = {condition for one in sets for condition in one}
    found = []
    for field, per in (("scope", ()), ("tier", ()), ("suite", ("load", "language")), ("checkpoint", ("language",))):
        seen: dict[tuple[str | None, ...], set[str]] = {}
        for condition in conditions:
            value = getattr(condition, field)
            if value is not None:
                seen.setdefault(tuple(getattr(condition, name) for name in per), set()).add(value)
        several = [values for _, values in sorted(seen.items(), key=str) if len(values) > 1]
        if several:
            found.append(reason(f"mixed_{field}", seen=", ".join(sorted(several[0]))))
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown}, …" if len(names) > _NAMED else shown
