"""Which configurations are the reference of a cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rating.cells import Cells
from rating.model import Condition, Group, Measurements
from rating.reasons import Both, Reason, reason
from rating.scheme import OWN_MINIMUM, Basket, Member, Scheme, own_name
from rating.validity import Basis, Facts, compared, intrinsic

__all__ = ["Reference", "alike", "choose", "own_members"]

_EXPERIMENTS: Final = {"ollama-8gb": "docs/experiments/gpu-8gb.toml", "pocket": "docs/experiments/pocket.toml"}
"""Experiment files that measure the baskets of the default scheme."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The basket of a cohort.

    Attributes:
        scheme: name that the ratings carry; an own-basket name also while a cohort has no basket yet.
        members: code of the configuration behind each basket member, None where it is not measured in the cohort.
        basket: the basket, None where there is none.
        own: whether it is an own basket.
        missing: why there is none, None where there is one.
        comparable: what would make an own basket's letters comparable.
    """

    scheme: str
    members: tuple[int | None, ...]
    basket: Basket | None
    own: bool
    missing: Reason | None
    comparable: Both

    @property
    def codes(self) -> list[int]:
        """Codes of the members that are measured in the cohort."""
        return [code for code in self.members if code is not None]


def choose(
    measurements: Measurements, cells: Cells, facts: Mapping[Group, Facts], scheme: Scheme, cohort: int
) -> Reference:
    """The first basket of the scheme that is measured in the cohort, else an own basket, else none."""
    label = measurements.cohorts[cohort]
    fitting = [basket for basket in scheme.baskets if not basket.own or basket.cohort == label]
    found = [(basket, _members(measurements, cells, basket, cohort)) for basket in fitting]
    complete = [(basket, codes) for basket, codes in found if all(code is not None for code in codes)]
    frozen = [entry for entry in found if entry[0].own]  # stays the reference even if a member's data are gone
    chosen = complete or frozen or ([] if scheme.own_baskets else found)
    open_baskets = [entry for entry in found if not entry[0].own]
    # The one of which least is missing; of none at all the first, which is for real machines.
    wanted = min(open_baskets, key=lambda entry: entry[1].count(None) / len(entry[1]), default=None)
    cure = _cure(wanted[0] if wanted else None)
    if chosen:
        basket, codes = chosen[0]
        return Reference(basket.name if basket.own else scheme.name, codes, basket, basket.own, None, cure)
    members = own_members(measurements, cells, facts, scheme, cohort) if scheme.own_baskets else ()
    if members:
        basket = Basket(own_name(scheme.name, label), members, label, own=True)
        codes = _members(measurements, cells, basket, cohort)
        return Reference(basket.name, codes, basket, True, None, cure)
    missing = [str(m) for m, code in zip(wanted[0].members, wanted[1], strict=True) if code is None] if wanted else []
    name = own_name(scheme.name, label) if scheme.own_baskets else scheme.name
    return Reference(name, (), None, False, reason("no_basket", missing=", ".join(missing) or "-", cure=cure), cure)


def own_members(
    measurements: Measurements, cells: Cells, facts: Mapping[Group, Facts], scheme: Scheme, cohort: int
) -> tuple[Member, ...]:
    """Configurations fit to be the own basket of a cohort, () if fewer than 3.

    They are valid and have enough items in every task, leaving out tasks in which fewer than 3 of them would be left,
    and were measured under the most common condition, so that one odd one out cannot spoil the basket.
    """
    codes = sorted({group.configuration for group in cells.slices if group.cohort == cohort})
    by_task = {}
    for task in sorted({group.task for group in cells.slices if group.cohort == cohort}):
        of_task = [Group(cohort, task, code) for code in codes]
        by_task[task] = alike(facts, [group for group in of_task if _sound(facts, cells, scheme, group)])
    sound: set[int] = set()
    for task in sorted(by_task, key=lambda task: (-len(by_task[task]), measurements.tasks[task])):
        narrowed = sound & by_task[task] if sound else by_task[task]
        sound = narrowed if len(narrowed) >= OWN_MINIMUM else sound
    if len(sound) < OWN_MINIMUM:
        return ()
    chosen = sorted((measurements.configurations[code] for code in sound), key=lambda c: c.configuration)
    return tuple(Member(c.model or c.configuration, c.quantization, c.configuration) for c in chosen)


def _sound(facts: Mapping[Group, Facts], cells: Cells, scheme: Scheme, group: Group) -> bool:
    place = cells.slices.get(group)
    if place is None or intrinsic(facts[group]) or any(note.code == "flagged" for note in facts[group].notes):
        return False
    return place.stop - place.start >= scheme.min_items and float(cells.quality[place].sum()) > 0


def alike(facts: Mapping[Group, Facts], groups: Sequence[Group]) -> set[int]:
    """Configurations of the most common condition that the gate lets compare with each other."""
    stamps = {group: _stamp(facts[group].conditions) for group in groups}
    counted = Counter(stamps.values())
    common = min(counted, key=lambda stamp: (-counted[stamp], str(stamp)), default=())
    basis = Basis.of([facts[group] for group in groups if stamps[group] == common])
    return {group.configuration for group in groups if stamps[group] == common and not compared(facts[group], basis)}


def _stamp(conditions: frozenset[Condition]) -> tuple[Condition, ...]:
    return tuple(sorted((_how(condition) for condition in conditions), key=str))


def _how(condition: Condition) -> Condition:
    """The condition without load and language, which say what was asked and not how it was measured."""
    return condition._replace(load=None, language=None)


def _members(measurements: Measurements, cells: Cells, basket: Basket, cohort: int) -> tuple[int | None, ...]:
    """Code of the configuration behind each member: of several matches the one with most items, then by name."""
    items: Counter[int] = Counter()
    for group, place in cells.slices.items():
        if group.cohort == cohort:
            items[group.configuration] += place.stop - place.start
    codes: list[int | None] = []
    for member in basket.members:
        fitting = [code for code in items if member.matches(measurements.configurations[code])]
        fitting.sort(key=lambda code: (-items[code], measurements.configurations[code].configuration))
        codes.append(fitting[0] if fitting else None)
    return tuple(codes)


def _cure(basket: Basket | None) -> Both:
    """What to measure so that letters compare."""
    if basket is None:
        return Both("name a basket with --basket a,b,c", "用 --basket a,b,c 指定参照篮")
    models = ", ".join(str(member) for member in basket.members)
    experiment = _EXPERIMENTS.get(basket.name)
    if experiment:
        run = f"python -m collector run {experiment}"
        return Both(f"measure the basket's models ({models}): {run}", f"测量参照篮模型（{models}）：{run}")
    return Both(
        f"add the basket's models ({models}) to an experiment file and run: python -m collector run EXPERIMENT.toml",
        f"把参照篮模型（{models}）加入实验文件并运行：python -m collector run EXPERIMENT.toml",
    )
