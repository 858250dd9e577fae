"""The overall letter: weighted geometric mean of the task EEIs, drawn jointly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rating.classes import LETTERS, quality_class_of
from rating.judge import Line, uncertainty
from rating.letters import interval, items_needed, letter
from rating.model import FloatArray, Rating, Status
from rating.reasons import Reason, reason, task_words
from rating.scheme import OVERALL, Scheme

__all__ = ["overall_line"]


def overall_line(lines: Mapping[str, Line], weights: Mapping[str, float], scheme: Scheme) -> Line:
    """Overall line of one configuration in one cohort.

    Args:
        lines: its lines by task, at least one; tasks outside ``weights`` do not count.
        weights: task to weight.
        scheme: bounds and thresholds.
    """
    first = next(iter(lines.values())).rating
    base = Rating(first.cohort, OVERALL, first.configuration, "unrated", first.scheme)
    reasons = []
    absent = sorted(task for task in weights if task not in lines)
    if absent:
        reasons.append(reason("task_missing", tasks=task_words(absent)))
    lacking = sorted(task for task in weights if task in lines and lines[task].log2_eei is None)
    if lacking:
        reasons.append(reason("task_unrated", tasks=task_words(lacking)))
    if reasons:
        return Line(replace(base, reasons=(*reasons, *_labels(lines))))
    return _graded(base, {task: lines[task] for task in sorted(weights)}, weights, scheme)


def _labels(lines: Mapping[str, Line]) -> list[Reason]:
    """What is said of the configuration in every task, once."""
    every = [reason for line in lines.values() for reason in line.rating.reasons]
    return list(dict.fromkeys(r for r in every if r.code in ("own_basket", "energy_estimated", "demo_model")))


def _graded(base: Rating, lines: Mapping[str, Line], weights: Mapping[str, float], scheme: Scheme) -> Line:
    total = sum(weights.values())
    share = {task: weights[task] / total for task in lines}
    log2_eei = _mean(share, {task: line.log2_eei for task, line in lines.items()})
    quality = _mean(share, {task: line.quality for task, line in lines.items()})
    median = _mean(share, {task: line.basket_quality for task, line in lines.items()})
    below = np.round(quality - scheme.functional_minimum * median, 9) < 0
    given = letter(np.round(log2_eei, 9), below, scheme)
    ratings = {task: line.rating for task, line in lines.items()}
    if given is None:
        return Line(replace(base, reasons=(reason("task_unrated", tasks=task_words(lines)),)))
    n_items = sum(rating.n_items for rating in ratings.values())
    reasons: list[Reason] = []
    needed: int | None = 0
    if round(given.probability, 9) < scheme.rated_probability:
        more = items_needed(log2_eei, n_items, scheme)
        needed = None if more is None else max(more, 1)
        reasons.append(uncertainty(scheme, given.probability, needed))
    weak = sorted(task for task, rating in ratings.items() if rating.status == "provisional")
    if weak:
        reasons.append(reason("task_provisional", tasks=task_words(weak)))
    status: Status = "provisional" if reasons else "rated"
    worst = max(ratings, key=lambda task: (LETTERS.index(ratings[task].grade or "A"), ratings[task].eei or 0.0))
    reasons.append(reason("worst_task", task=task_words([worst]), grade=ratings[worst].grade))
    if given.capped:
        point = sum(share[task] * (line.basket_quality_point or 0.0) for task, line in lines.items())
        own = sum(share[task] * (ratings[task].quality or 0.0) for task in lines)
        reasons.append(reason("below_functional_minimum", quality=f"{own:.3g}", median=f"{point:.3g}"))
    rating = replace(
        _averaged(base, share, ratings, log2_eei, quality, scheme),
        status=status,
        grade=given.grade,
        grade_probability=given.probability,
        grade_low=given.low,
        grade_high=given.high,
        reasons=(*reasons, *_labels(lines)),
        items_needed=needed,
        n_items=n_items,
        n_repeats=sum((r.n_repeats or 0.0) * r.n_items for r in ratings.values()) / n_items,
    )
    return Line(rating, log2_eei, quality, median)


def _averaged(
    base: Rating,
    share: Mapping[str, float],
    ratings: Mapping[str, Rating],
    log2_eei: FloatArray,
    quality: FloatArray,
    scheme: Scheme,
) -> Rating:
    """The line with x and EEI as weighted geometric means, quality and energy as weighted means.

    The interval of x is the EEI's, scaled: the basket's own uncertainty is part of both.
    """
    eei = _geometric(share, {task: rating.eei for task, rating in ratings.items()})
    x = _geometric(share, {task: rating.joules_per_success for task, rating in ratings.items()})
    mean = sum(share[task] * (rating.quality or 0.0) for task, rating in ratings.items())
    ends, quality_ends = interval(log2_eei), interval(quality)
    low = None if ends.low is None else 2.0**ends.low
    high = None if ends.high is None else 2.0**ends.high
    scale = None if eei is None or x is None else x / eei
    return replace(
        base,
        eei=eei,
        eei_low=low,
        eei_high=high,
        joules_per_success=x,
        joules_per_success_low=None if low is None or scale is None else low * scale,
        joules_per_success_high=None if high is None or scale is None else high * scale,
        quality=mean,
        quality_low=quality_ends.low,
        quality_high=quality_ends.high,
        quality_class=quality_class_of(mean, scheme.quality_bounds),
        energy_j=sum(share[task] * (rating.energy_j or 0.0) for task, rating in ratings.items()),
    )


def _mean(share: Mapping[str, float], arrays: Mapping[str, FloatArray | None]) -> FloatArray:
    found = [share[task] * array for task, array in arrays.items() if array is not None]
    return np.asarray(sum(found[1:], start=found[0]))


def _geometric(share: Mapping[str, float], values: Mapping[str, float | None]) -> float | None:
    logs = [share[task] * math.log(value) for task, value in values.items() if value]
    return math.exp(sum(logs)) if len(logs) == len(values) else None
