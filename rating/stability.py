"""How much the order of configurations by quality owes to the weights of the quality's parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np

from rating.model import FloatArray

__all__ = ["SPREAD", "WEIGHT_DRAWS", "Stability", "Stack", "order_stability", "stability_by", "weights_of"]

WEIGHT_DRAWS: Final = 500
"""How often the weights are drawn anew."""

SPREAD: Final = 0.5
"""Half-width of a draw, as a share of the weight."""

_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Stack:
    """Answers of one configuration that were judged by the same parts.

    Attributes:
        answers: how many.
        parts: mean value of each part, 0 to 1; none stand for failed answers, quality 0.
        weights: weight of each part as it was used in them, summing to 1.
    """

    answers: int
    parts: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stability:
    """The order by mean quality, and what is left of it under other weights.

    Attributes:
        order: configurations, the best first, under the weights of the method.
        same_order: share of draws with the very same order, 0..1; equal means turn nothing round.
        same_best: share of draws in which the first one is not beaten.
        tau: mean Kendall rank correlation of a draw's order with the method's, -1..1.
        worst_pair: the two neighbours that change places most often, and the share of draws in which they do; None where no
            two ever do.
    """

    order: tuple[str, ...]
    same_order: float
    same_best: float
    tau: float
    worst_pair: tuple[str, str, float] | None


def stability_by(
    rows: Iterable[tuple[str, str, str, str, int, str | None, float, float]],
) -> dict[tuple[str, str], Stability]:
    """Stability of every cohort and task in which at least two configurations have parts to weigh.

    Args:
        rows: cohort, task, configuration, what they were judged by (any text that tells stacks apart), number of answers,
            part (None for failed answers), its mean value and weight in them.
    """
    stacks: dict[tuple[str, str], dict[str, dict[str, Stack]]] = {}
    for cohort, task, configuration, judged_by, answers, part, value, weight in rows:
        own = stacks.setdefault((cohort, task), {}).setdefault(configuration, {})
        stack = own.setdefault(judged_by, Stack(answers))
        if part is not None:
            stack.parts[part], stack.weights[part] = value, weight
    found = {
        key: order_stability({name: list(own.values()) for name, own in configurations.items()})
        for key, configurations in stacks.items()
    }
    return {key: stability for key, stability in found.items() if stability is not None}


def weights_of(stacks: Iterable[Stack]) -> dict[str, float]:
    """The method's weights, from those that were used: a part that an answer lacks leaves the others their proportion."""
    found: dict[str, float] = {}
    for stack in sorted(stacks, key=lambda one: (-len(one.weights), sorted(one.weights))):
        shared = sum(stack.weights[name] for name in stack.weights if name in found)
        scale = sum(found[name] for name in stack.weights if name in found) / shared if shared else 1.0
        for name, weight in stack.weights.items():
            found.setdefault(name, weight * scale)
    return found


def order_stability(
    configurations: Mapping[str, Sequence[Stack]],
    *,
    draws: int = WEIGHT_DRAWS,
    spread: float = SPREAD,
    seed: int = _SEED,
) -> Stability | None:
    """Draws every weight anew between (1 - spread) and (1 + spread) times itself, independently and evenly.

    Args:
        configurations: the answers of each, all of one task.
        draws: how often.
        spread: half-width of the draw, as a share of the weight.
        seed: same seed, same draws.

    Returns:
        None with fewer than two configurations, or where no answer has a part.
    """
    names = sorted(name for name, own in configurations.items() if own)
    weights = weights_of(stack for name in names for stack in configurations[name])
    if len(names) < 2 or not weights:
        return None
    parts = list(weights)
    factors = np.random.default_rng(seed).uniform(1 - spread, 1 + spread, (draws, len(parts)))
    table = np.array(list(weights.values())) * np.vstack([np.ones(len(parts)), factors])
    # Rounded, so that equal answers are equal in whatever order their parts were summed.
    means = np.stack([_means(configurations[name], parts, table) for name in names]).round(12)
    ranked = sorted(range(len(names)), key=lambda place: (-means[place, 0], names[place]))
    drawn = means[ranked, 1:]
    signs = [np.sign(drawn[first] - drawn[second]) for first, second in combinations(range(len(names)), 2)]
    swapped = [float((drawn[place] < drawn[place + 1]).mean()) for place in range(len(names) - 1)]
    worst = int(np.argmax(swapped))
    pair = (names[ranked[worst]], names[ranked[worst + 1]], swapped[worst])
    return Stability(
        order=tuple(names[place] for place in ranked),
        same_order=float((np.diff(drawn, axis=0) <= 0).all(axis=0).mean()),
        same_best=float((drawn[0] >= drawn.max(axis=0)).mean()),
        tau=float(np.stack(signs).mean()),
        worst_pair=pair if swapped[worst] else None,
    )


def _means(own: Sequence[Stack], parts: Sequence[str], table: FloatArray) -> FloatArray:
    """Mean quality under each row of weights: within a stack the mean of the parts is all that counts."""
    values = np.array([[stack.parts.get(part, np.nan) for part in parts] for stack in own])
    there = (~np.isnan(values)).astype(float)
    total = there @ table.T
    quality = np.divide(np.nan_to_num(values) @ table.T, total, out=np.zeros_like(total), where=total > 0)
    counts = np.array([stack.answers for stack in own], dtype=float)
    mean: FloatArray = counts @ quality / counts.sum()
    return mean
