"""From figures to a line of the table: status, letter, reasons, and what would settle it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from rating.baskets import Reference
from rating.classes import quality_class_of
from rating.letters import Interval, Letter, finite, interval, items_needed, letter
from rating.model import FloatArray, Group, Measurements, Rating, Status
from rating.reasons import UNRATED, Both, Reason, reason
from rating.scheme import Scheme
from rating.validity import Basis, Facts, compared, intrinsic

__all__ = ["Draws", "Figures", "Judge", "Line", "forbidding", "uncertainty"]

BoolArray = npt.NDArray[np.bool_]
_INCOMPARABLE: Final = frozenset(("mixed_scope", "mixed_tier", "mixed_suite", "mixed_checkpoint", "implausible_power"))


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Bootstrap draws, each of shape (draws,): x (J), quality, log2 EEI and the basket's median quality.

    The last two are None without a basket; NaN marks a draw without a value.
    """

    x: FloatArray
    quality: FloatArray
    log2_eei: FloatArray | None
    basket_quality: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Point values of one configuration on the items compared.

    Attributes:
        n_items: items compared; ``measured`` items that are valid for the configuration alone.
        x: joules per success-equivalent, infinite without any success.
        reference: R, the basket's geometric mean of x; None without a basket.
        basket_quality: median of the basket's mean qualities; None without a basket.
        draws: None with fewer than two items.
    """

    n_items: int
    measured: int
    n_repeats: float
    energy_j: float
    quality: float
    successes: float
    x: float
    reference: float | None
    basket_quality: float | None
    draws: Draws | None


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A rating with its draws of log2 EEI, quality and the basket's median quality; None where it has no letter."""

    rating: Rating
    log2_eei: FloatArray | None = None
    quality: FloatArray | None = None
    basket_quality: FloatArray | None = None
    basket_quality_point: float | None = None


def forbidding(facts: Facts) -> list[Reason]:
    """What forbids a letter in the configuration's own answers."""
    return intrinsic(facts) + [note for note in facts.notes if note.code in UNRATED]


def uncertainty(scheme: Scheme, probability: float, needed: int | None) -> Reason:
    """The reason why a letter is not certain enough, with what would settle it."""
    more = (
        Both("it sits on a class border", "它位于等级边界上")
        if needed is None
        else Both(f"about {needed} more items would settle it", f"大约再测 {needed} 道题可以确定")
    )
    shown, least = f"{100 * probability:.0f} %", f"{100 * scheme.rated_probability:.0f} %"
    return reason("uncertain_grade", probability=shown, needed=least, more=more)


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Judges the configurations of one cohort and task.

    ``troubles`` are the reasons why there is no basket to compare with; empty when it stands. ``basis`` sums up the basket.
    """

    measurements: Measurements
    facts: Mapping[Group, Facts]
    scheme: Scheme
    reference: Reference
    troubles: Sequence[Reason]
    basis: Basis

    def line(self, group: Group, figures: Figures | None) -> Line:
        """The line of one configuration; ``figures`` None where it has no valid answer."""
        reasons = self._gate(group, figures)
        draws = figures.draws if figures else None
        if figures is None:
            reasons += [note for note in self.facts[group].notes if note.code not in UNRATED] + self._label(group)
            return Line(self._rating(group, "unrated", reasons, None, None, None, None))
        if any(found.code in _INCOMPARABLE for found in reasons):
            draws = Draws(draws.x, draws.quality, None, None) if draws else None
            figures = _apart(figures)
        below = self._below(figures, draws)
        given = None
        if draws and draws.log2_eei is not None and not any(found.code in UNRATED for found in reasons):
            given = letter(draws.log2_eei, below, self.scheme)
        needed = self._needed(figures, draws, given, reasons)
        soft = self._provisional(group, given, needed)
        status: Status = "unrated" if given is None else "provisional" if soft else "rated"
        reasons += soft if given else []
        reasons += self._shown(group, figures, given)
        rating = self._rating(group, status, reasons, figures, draws, given, needed)
        if given is None or draws is None:
            return Line(rating)
        return Line(rating, draws.log2_eei, draws.quality, draws.basket_quality, figures.basket_quality)

    def _gate(self, group: Group, figures: Figures | None) -> list[Reason]:
        """Everything that forbids a letter."""
        facts = self.facts[group]
        reasons = forbidding(facts) + list(self.troubles)
        if not self.troubles:
            reasons += compared(facts, self.basis)
            if figures is not None and figures.reference is None:
                reasons.append(reason("no_common_items"))
        if figures is not None:
            least = max(self.scheme.min_items, 2)
            if figures.n_items < least:
                reasons.append(reason("too_few_items", n=figures.n_items, needed=least))
            if figures.successes < self.scheme.min_successes:
                shown = f"{figures.successes:.3g}"
                reasons.append(reason("too_few_successes", n=shown, needed=f"{self.scheme.min_successes:g}"))
        return list(dict.fromkeys(reasons))

    def _below(self, figures: Figures, draws: Draws | None) -> BoolArray:
        """Draws in which the quality misses the functional minimum."""
        if draws is None or draws.basket_quality is None:
            return np.zeros(len(draws.x) if draws else 0, dtype=bool)
        with np.errstate(invalid="ignore"):
            below: BoolArray = np.round(draws.quality - self.scheme.functional_minimum * draws.basket_quality, 9) < 0
        return below

    def _provisional(self, group: Group, given: Letter | None, needed: int | None) -> list[Reason]:
        """Why a letter is not final."""
        if given is None:
            return []
        soft = []
        if round(given.probability, 9) < self.scheme.rated_probability:
            soft.append(uncertainty(self.scheme, given.probability, needed))
        if any(condition.tier == "estimated" for condition in self.facts[group].conditions | self.basis.conditions):
            soft.append(reason("energy_estimated"))
        if self.reference.own:
            soft.append(reason("own_basket", comparable=self.reference.comparable))
        return soft

    def _shown(self, group: Group, figures: Figures, given: Letter | None) -> list[Reason]:
        """What a reader must know besides."""
        facts = self.facts[group]
        shown = [note for note in facts.notes if note.code not in UNRATED]
        median = figures.basket_quality
        if given and median is not None and (given.capped or self._misses(figures.quality, median)):
            values = {"quality": f"{figures.quality:.3g}", "median": f"{median:.3g}"}
            shown.append(reason("below_functional_minimum", **values))
        if any(condition.tier is None for condition in facts.conditions):
            shown.append(reason("tier_unstated"))
        if 0 < facts.unscored < facts.rows:
            shown.append(reason("not_scored", n=facts.unscored))
        if figures.n_items < figures.measured:
            shown.append(reason("fewer_items_compared", n=figures.n_items, measured=figures.measured))
        return shown + self._label(group)

    def _label(self, group: Group) -> list[Reason]:
        demo = self.measurements.configurations[group.configuration].demo
        return [reason("demo_model")] if demo else []

    def _misses(self, quality: float, median: float) -> bool:
        return round(quality - self.scheme.functional_minimum * median, 9) < 0

    def _needed(
        self, figures: Figures, draws: Draws | None, given: Letter | None, reasons: Sequence[Reason]
    ) -> int | None:
        """Items that would settle the letter; None where items alone cannot."""
        needed = max(0, max(self.scheme.min_items, 2) - figures.n_items)
        if figures.successes < self.scheme.min_successes:
            if figures.quality <= 0:
                return None
            needed = max(needed, math.ceil(self.scheme.min_successes / figures.quality) - figures.n_items)
        uncertain = given is None or round(given.probability, 9) < self.scheme.rated_probability
        if uncertain and draws and draws.log2_eei is not None:
            more = items_needed(draws.log2_eei, figures.n_items, self.scheme)
            if more is None:
                return None
            # The normal approximation may find a letter settled that its draws do not: then at least one more item.
            needed = max(needed, more, 1 if given else 0)
        elsewhere = any(r.code in UNRATED and not r.code.startswith("too_few") for r in reasons)
        return None if elsewhere and not needed else needed

    def _rating(
        self,
        group: Group,
        status: Status,
        reasons: Sequence[Reason],
        figures: Figures | None,
        draws: Draws | None,
        given: Letter | None,
        needed: int | None,
    ) -> Rating:
        measurements = self.measurements
        measurements = self.measurements
        base = Rating(
            cohort=measurements.cohorts[group.cohort],
            task=measurements.tasks[group.task],
            configuration=measurements.configurations[group.configuration],
            status=status,
            scheme=self.reference.scheme,
            reasons=tuple(reasons),
            items_needed=needed,
        )
        return base if figures is None else _filled(base, figures, draws, given, self.scheme)


def _apart(figures: Figures) -> Figures:
    """The figures without a reference."""
    return replace(figures, reference=None, basket_quality=None)


def _filled(base: Rating, figures: Figures, draws: Draws | None, given: Letter | None, scheme: Scheme) -> Rating:
    x = interval(draws.x) if draws else Interval()
    quality = interval(draws.quality) if draws else Interval()
    eei = interval(draws.log2_eei) if draws and draws.log2_eei is not None else Interval()
    return replace(
        base,
        grade=given.grade if given else None,
        grade_probability=given.probability if given else None,
        grade_low=given.low if given else None,
        grade_high=given.high if given else None,
        eei=finite(figures.x / figures.reference) if figures.reference else None,
        eei_low=None if eei.low is None else 2.0**eei.low,
        eei_high=None if eei.high is None else 2.0**eei.high,
        joules_per_success=finite(figures.x),
        joules_per_success_low=x.low,
        joules_per_success_high=x.high,
        quality=figures.quality,
        quality_low=quality.low,
        quality_high=quality.high,
        quality_class=quality_class_of(figures.quality, scheme.quality_bounds),
        energy_j=figures.energy_j,
        n_items=figures.n_items,
        n_repeats=figures.n_repeats,
    )
