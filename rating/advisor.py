"""Which configuration to run: the least joules per success under the user's weights and limits, and how sure that is.

All configurations of one cohort share one reference, so that the order by weighted geometric mean of x is the order by
overall EEI and no basket is needed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rating.advice import cost_per_1000
from rating.baskets import alike
from rating.cells import Cells
from rating.effects import problem_of
from rating.errors import RatingError
from rating.judge import forbidding
from rating.model import FloatArray, Group, Measurements
from rating.ranks import probability_better
from rating.rate import DRAWS, SEED
from rating.reasons import Reason, chance_text, reason, task_words
from rating.scheme import default_scheme
from rating.task import Problem, paired_sums
from rating.validity import Facts, examine

__all__ = ["Advice", "Excluded", "Option", "Resources", "Wish", "advise"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user needs.

    Attributes:
        weights: task to weight, at least one above 0; a task of weight 0 does not count.
        min_quality: least weighted mean quality, 0 to 1; None for no floor. Likewise the limits below.
        max_vram_bytes: most memory on the GPU.
        max_latency_s: longest time to a whole answer.
        price_per_kwh: price of energy; None leaves costs out.
    """

    weights: Mapping[str, float]
    min_quality: float | None = None
    max_vram_bytes: float | None = None
    max_latency_s: float | None = None
    price_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a configuration takes: bytes on the GPU and seconds for a whole answer; None where it was not measured."""

    vram_bytes: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A configuration that meets the wish.

    Attributes:
        joules_per_success: weighted geometric mean of its tasks' x.
        energy_j: weighted mean of joules per answer; likewise ``quality``.
        cost_per_1000: price of the energy behind 1,000 successes; None without a price.
        quality_probability: share of draws in which it reaches the quality floor; None without a floor.
        n_items: items behind the task that has the fewest.
    """

    configuration: str
    joules_per_success: float
    energy_j: float
    quality: float
    resources: Resources
    cost_per_1000: float | None
    quality_probability: float | None
    n_items: int


@dataclass(frozen=True, slots=True)
class Excluded:
    """A configuration that does not come into question, with every reason."""

    configuration: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """What to run.

    Attributes:
        options: what meets the wish, the least joules per success first: the choice, then the runner-up.
        excluded: what does not, with the reasons.
        probability: share of draws in which the choice takes fewer joules per success than the runner-up, on the items
            that both answered; None without a runner-up or where they share fewer than two items in a task.
        extra_ratio: joules per success of the runner-up over the choice's; None without a runner-up.
        extra_cost_per_1000: what 1,000 successes of the runner-up cost more; None likewise or without a price.
        reasons: why the choice, and what to keep in mind about it, in words.
    """

    options: tuple[Option, ...]
    excluded: tuple[Excluded, ...]
    probability: float | None = None
    extra_ratio: float | None = None
    extra_cost_per_1000: float | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def choice(self) -> Option | None:
        """What to run; None where nothing meets the wish."""
        return self.options[0] if self.options else None

    @property
    def runner_up(self) -> Option | None:
        """The second best; None where nothing else meets the wish."""
        return self.options[1] if len(self.options) > 1 else None


def advise(
    measurements: Measurements,
    cohort: str | None,
    wish: Wish,
    resources: Mapping[str, Resources],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Advice:
    """Chooses among the configurations of a cohort.

    Args:
        measurements: answers, as for :func:`rating.rate`.
        cohort: which machine; configurations of others are not looked at.
        wish: weights and limits. A limit on something that was not measured excludes: unknown is not zero.
        resources: by configuration.
        draws: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        RatingError: the weights are not positive or the floor lies outside 0 to 1.
    """
    share = _shares(wish)
    problem, facts = problem_of(measurements, draws, seed), examine(measurements)
    codes = sorted(
        {g.configuration for g in facts if measurements.cohorts[g.cohort] == cohort},
        key=lambda code: measurements.configurations[code].configuration,
    )
    place = measurements.cohorts.index(cohort) if codes else 0
    fits = _fits(problem, facts, place, share, codes)
    options: list[tuple[Option, int]] = []
    excluded = []
    for code in codes:
        name = measurements.configurations[code].configuration
        groups = {task: _group(measurements, place, task, code) for task in share}
        found = _unfit(problem.cells, facts, groups, fits, code)
        known = resources.get(name, Resources())
        option = None if found else _option(problem, name, groups, share, wish, known)
        found += _limits(wish, option, known)
        if found or option is None:
            excluded.append(Excluded(name, tuple(found)))
        else:
            options.append((option, code))
    options.sort(key=lambda entry: (entry[0].joules_per_success, entry[0].configuration))
    given = _advice(problem, place, share, options, tuple(excluded))
    tiers = {
        c.tier
        for _, code in options[:2]
        for task in share
        for c in facts[_group(measurements, place, task, code)].conditions
    }
    return replace(given, reasons=(*given.reasons, *_caveats(measurements, options[:2], tiers)))


def _shares(wish: Wish) -> dict[str, float]:
    """Weights above 0, summing to 1."""
    weights = {task: weight for task, weight in sorted(wish.weights.items()) if weight > 0}
    if not weights or any(not math.isfinite(w) or w < 0 for w in wish.weights.values()):
        raise RatingError("task weights must be 0 or more, one of them above 0", "任务权重不能为负，且至少一个大于 0")
    if wish.min_quality is not None and not 0 <= wish.min_quality <= 1:
        raise RatingError("the quality floor must lie in 0 to 1", "质量下限必须在 0 到 1 之间")
    total = sum(weights.values())
    return {task: weight / total for task, weight in weights.items()}


def _group(measurements: Measurements, cohort: int, task: str, code: int) -> Group:
    """The group; a task that nobody was asked is at -1, where no group is."""
    return Group(cohort, measurements.tasks.index(task) if task in measurements.tasks else -1, code)


def _fits(
    problem: Problem, facts: Mapping[Group, Facts], cohort: int, share: Mapping[str, float], codes: Sequence[int]
) -> set[int]:
    """Configurations measured under the most common condition of every task, so that all may be held against each other."""
    fits = set(codes)
    for task in share:
        groups = [_group(problem.measurements, cohort, task, code) for code in codes]
        valid = [group for group in groups if group in problem.cells.slices and not forbidding(facts[group])]
        fits &= alike(facts, valid)
    return fits


def _unfit(
    cells: Cells, facts: Mapping[Group, Facts], groups: Mapping[str, Group], fits: set[int], code: int
) -> list[Reason]:
    """Why a configuration's answers cannot be weighed at all."""
    absent = [task for task, group in groups.items() if group not in cells.slices]
    if absent:
        return [reason("task_missing", tasks=task_words(absent))]
    found = [wrong for group in groups.values() for wrong in forbidding(facts[group])]
    empty = [task for task, group in groups.items() if not cells.quality[cells.slices[group]].any()]
    if empty:
        found.append(reason("advice_no_success", tasks=task_words(empty)))
    if not found and code not in fits:
        found.append(reason("advice_other_condition"))
    return list(dict.fromkeys(found))


def _option(
    problem: Problem,
    name: str,
    groups: Mapping[str, Group],
    share: Mapping[str, float],
    wish: Wish,
    resources: Resources,
) -> Option:
    cells = problem.cells
    log_x = energy = quality = 0.0
    draws = np.zeros(problem.draws)
    for task, group in groups.items():
        place, weight = cells.slices[group], share[task]
        log_x += weight * math.log(cells.energy_j[place].sum() / cells.quality[place].sum())
        energy += weight * float(cells.energy_j[place].mean())
        quality += weight * float(cells.quality[place].mean())
        found = paired_sums(problem, group, group) if wish.min_quality is not None else None
        if found is None:
            draws[:] = np.nan
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                draws += weight * found.sums.quality[0] / found.sums.items[0]
    x = math.exp(log_x)
    known = draws[~np.isnan(draws)]
    sure = None
    if wish.min_quality is not None and len(known):
        sure = float((np.round(known - wish.min_quality, 9) >= 0).mean())
    cost = None if wish.price_per_kwh is None else cost_per_1000(x, wish.price_per_kwh)
    fewest = min(cells.slices[group].stop - cells.slices[group].start for group in groups.values())
    return Option(name, x, energy, quality, resources, cost, sure, fewest)


def _limits(wish: Wish, option: Option | None, known: Resources) -> list[Reason]:
    """Which limits a configuration misses."""
    found = []
    floor = wish.min_quality
    if option is not None and floor is not None and round(option.quality - floor, 9) < 0:
        found.append(reason("advice_quality", quality=f"{option.quality:.3g}", floor=f"{floor:.3g}"))
    for code, unit, limit, have in (
        ("vram", 1e9, wish.max_vram_bytes, known.vram_bytes),
        ("latency", 1.0, wish.max_latency_s, known.latency_s),
    ):
        if limit is None:
            continue
        if have is None or math.isnan(have):
            found.append(reason(f"advice_{code}_unknown", limit=f"{limit / unit:.3g}"))
        elif have > limit:
            found.append(reason(f"advice_{code}", have=f"{have / unit:.3g}", limit=f"{limit / unit:.3g}"))
    return found


def _advice(
    problem: Problem,
    cohort: int,
    share: Mapping[str, float],
    options: Sequence[tuple[Option, int]],
    excluded: tuple[Excluded, ...],
) -> Advice:
    ordered = tuple(option for option, _ in options)
    if not options:
        return Advice((), excluded, reasons=(reason("advice_nothing", n=len(excluded)),))
    best = ordered[0]
    figures = {"choice": best.configuration, "x": f"{best.joules_per_success:.3g}", "quality": f"{best.quality:.3g}"}
    why = [reason("advice_choice", n=len(options), **figures)]
    if len(options) == 1:
        return Advice(ordered, excluded, reasons=(*why, reason("advice_alone")))
    second = ordered[1]
    codes = (options[0][1], options[1][1])
    probability = _probability(problem, cohort, share, codes)
    ratio = second.joules_per_success / best.joules_per_success
    percent = f"{100 * (ratio - 1):.3g}"
    if probability is None:
        why.append(reason("advice_runner_up_unsure", runner_up=second.configuration, percent=percent))
    else:
        shown = chance_text(probability)
        why.append(reason("advice_runner_up", runner_up=second.configuration, percent=percent, probability=shown))
    costs = (best.cost_per_1000, second.cost_per_1000)
    extra = None if costs[0] is None or costs[1] is None else costs[1] - costs[0]
    return Advice(ordered, excluded, probability, ratio, extra, tuple(why))


def _caveats(
    measurements: Measurements, compared: Sequence[tuple[Option, int]], tiers: Collection[str | None]
) -> list[Reason]:
    """What to keep in mind about the choice and the runner-up."""
    found = []
    fewest, needed = min((option.n_items for option, _ in compared), default=None), default_scheme().min_items
    if fewest is not None and fewest < needed:
        found.append(reason("advice_few_items", n=fewest, needed=needed))
    if "estimated" in tiers:
        found.append(reason("energy_estimated"))
    if any(measurements.configurations[code].demo for _, code in compared):
        found.append(reason("demo_model"))
    return found


def _probability(problem: Problem, cohort: int, share: Mapping[str, float], codes: tuple[int, int]) -> float | None:
    """Share of draws in which the first has the lower weighted mean of log x, paired on shared items; ties count half."""
    log2: FloatArray = np.zeros((2, problem.draws))
    for task, weight in share.items():
        at = problem.measurements.tasks.index(task)
        found = paired_sums(problem, Group(cohort, at, codes[0]), Group(cohort, at, codes[1]))
        if found is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            log2 += weight * np.log2(found.sums.energy_j / found.sums.quality)
    known = log2[:, ~np.isnan(log2).any(axis=0)]
    return float(probability_better(np.round(known, 9))[0, 1]) if known.shape[1] else None
