"""How much the order of configurations owes to the weights of the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

__all__ = ["DRAWS", "SPREAD", "Stability", "order_stability"]

DRAWS, SPREAD = 500, 0.5


@dataclass(frozen=True, slots=True)
class Stability:
    """The order by mean quality, and what is left of it under other weights.

    Attributes:
        order: configurations, the best first, under the weights of the method.
        same_order: share of draws with the very same order, 0..1.
        same_best: share of draws with the same best one.
        tau: mean Kendall rank correlation of a draw's order with the method's, -1..1.
        worst_pair: the two neighbours that change places most often, and the share of draws in which they do.
    """

    order: tuple[str, ...]
    same_order: float
    same_best: float
    tau: float
    worst_pair: tuple[str, str, float]


def order_stability(
    answers: Mapping[str, Sequence[Mapping[str, float]]],
    weights: Mapping[str, float],
    *,
    draws: int = DRAWS,
    spread: float = SPREAD,
    seed: int = 7,
) -> Stability | None:
    """Draws every weight anew between (1 - spread) and (1 + spread) times itself, independently and evenly.

    Args:
        answers: per configuration the parts of each of its answers, 0..1; no parts stand for a failed answer, quality 0.
        weights: of the method; only parts named here count.
        draws: how often.
        spread: half-width of the draw, as a share of the weight.
        seed: same seed, same draws.

    Returns:
        None with fewer than two configurations.
    """
    names = sorted(name for name, own in answers.items() if own)
    if len(names) < 2:
        return None
    parts = list(weights)
    factors = np.random.default_rng(seed).uniform(1 - spread, 1 + spread, (draws, len(parts)))
    table = np.array(list(weights.values())) * np.vstack([np.ones(len(parts)), factors])
    means = np.stack([_means(answers[name], parts, table) for name in names])
    base = means[:, 0]
    ranked = sorted(range(len(names)), key=lambda place: (-base[place], names[place]))
    drawn = means[ranked, 1:]
    pairs = list(combinations(range(len(names)), 2))
    kept = np.stack([np.sign(drawn[first] - drawn[second]) for first, second in pairs])
    swapped = [float((drawn[place] < drawn[place + 1]).mean()) for place in range(len(names) - 1)]
    worst = int(np.argmax(swapped))
    return Stability(
        order=tuple(names[place] for place in ranked),
        same_order=float((np.diff(drawn, axis=0) <= 0).all(axis=0).mean()),
        same_best=float((drawn[0] >= drawn.max(axis=0)).mean()),
        tau=float(kept.mean()),
        worst_pair=(names[ranked[worst]], names[ranked[worst + 1]], swapped[worst]),
    )


def _means(own: Sequence[Mapping[str, float]], parts: Sequence[str], table: np.ndarray) -> np.ndarray:
    """Mean quality under each row of weights."""
    values = np.array([[answer.get(part, np.nan) for part in parts] for answer in own])
    there = ~np.isnan(values)
    total = there @ table.T
    quality = np.divide(np.nan_to_num(values) @ table.T, total, out=np.zeros_like(total), where=total > 0)
    mean: np.ndarray = quality.mean(axis=0)
    return mean
