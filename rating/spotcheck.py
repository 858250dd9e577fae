"""Which answers people should look at: stratified, half of them drawn at random, half where the metrics disagree."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

__all__ = ["DOUBLE_SHARE", "Candidate", "Pick", "choose", "disagreement", "order_for"]

DOUBLE_SHARE: Final = 0.2
"""Part of the sample (rounded up) that everybody rates twice, to see whether people agree with themselves."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored answer.

    Attributes:
        key: of the answer.
        stratum: what the sample is spread over, e.g. model, task and load.
        disagreement: how far its metrics contradict each other, larger is worse; None where there is only one.
    """

    key: str
    stratum: Hashable
    disagreement: float | None


@dataclass(frozen=True, slots=True)
class Pick:
    """An answer of the sample.

    Attributes:
        why: ``random`` or ``disagree``.
        weight: answers of its stratum that it stands for (1 / chance of being drawn), so that means stay unbiased.
        twice: whether it is shown a second time.
    """

    key: str
    stratum: Hashable
    why: Literal["random", "disagree"]
    weight: float
    twice: bool


def choose(candidates: Sequence[Candidate], size: int, seed: str) -> list[Pick]:
    """A sample of at most ``size`` answers, as evenly as it goes over the strata; the same for the same arguments.

    Of every stratum's share the first half is drawn at random; the rest are those left whose metrics disagree most. The odd
    one goes to either in turn, to the random ones where it is the only one. A random pick stands for the answers of its
    stratum that were not picked for disagreement, a pick for disagreement only for itself.
    """
    strata: dict[Hashable, list[Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: _hash(seed, one.key)):
        strata[candidate.stratum].append(candidate)
    picks: list[Pick] = []
    odd = 1
    for stratum, share in _shares({name: len(found) for name, found in strata.items()}, size, seed).items():
        found = strata[stratum]
        at_random = found[: max(1, (share + odd) // 2)]
        odd = (odd + share) % 2 if share > 1 else odd
        rest = sorted(found[len(at_random) :], key=lambda one: (-(one.disagreement or 0.0), _hash(seed, one.key)))
        contrary = [one for one in rest[: share - len(at_random)] if one.disagreement]
        at_random += [one for one in found if one not in at_random and one not in contrary][
            : share - len(at_random) - len(contrary)
        ]
        weight = (len(found) - len(contrary)) / len(at_random) if at_random else 0.0
        picks += [Pick(one.key, stratum, "random", weight, twice=False) for one in at_random]
        picks += [Pick(one.key, stratum, "disagree", 1.0, twice=False) for one in contrary]
    doubles = sorted(picks, key=lambda pick: _hash(seed + "/twice", pick.key))[: math.ceil(DOUBLE_SHARE * len(picks))]
    again = {pick.key for pick in doubles}
    return sorted((replace(pick, twice=pick.key in again) for pick in picks), key=lambda pick: _hash(seed, pick.key))


def order_for(picks: Sequence[Pick], rater: str) -> list[tuple[Pick, int]]:
    """Every pick with its pass (1 or 2) in an order of the rater's own; second passes come after all first ones.

    What is shown twice comes first to everybody, so that several raters soon have answers in common.
    """
    order = sorted(picks, key=lambda pick: (not pick.twice, _hash(rater, pick.key)))
    again = sorted((pick for pick in picks if pick.twice), key=lambda pick: _hash(rater + "/2", pick.key))
    return [*((pick, 1) for pick in order), *((pick, 2) for pick in again)]


def _shares(sizes: dict[Hashable, int], size: int, seed: str) -> dict[Hashable, int]:
    """Evenly over the strata; what a small one cannot take goes to the others, the odd ones by lot."""
    left = dict.fromkeys(sorted(sizes, key=lambda name: _hash(seed, repr(name))), 0)
    remaining = min(size, sum(sizes.values()))
    while remaining:
        for name in left:
            if remaining and left[name] < sizes[name]:
                left[name] += 1
                remaining -= 1
    return {name: share for name, share in left.items() if share}


def _hash(seed: str, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{key}".encode()).digest()[:8], "big")


def disagreement(metrics: Sequence[Sequence[float]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How far the metrics of every answer lie apart: the range of its ranks (0 to 1) over the metrics.

    Args:
        metrics: answers x metrics, NaN where a metric says nothing.

    Returns:
        One figure for each answer, NaN where fewer than two metrics say something.
    """
    table = np.asarray(metrics, dtype=np.float64)
    ranks = np.full(table.shape, np.nan)
    for column in range(table.shape[1]):
        known = ~np.isnan(table[:, column])
        if known.any():
            values = table[known, column]
            # mean rank of ties, scaled to 0..1
            position = (values[:, None] > values[None, :]).sum(1) + 0.5 * (
                (values[:, None] == values[None, :]).sum(1) - 1
            )
            ranks[known, column] = position / max(1, known.sum() - 1)
    enough = (~np.isnan(ranks)).sum(axis=1) >= 2
    spread = np.full(len(table), np.nan)
    spread[enough] = np.nanmax(ranks[enough], axis=1) - np.nanmin(ranks[enough], axis=1)
    return spread
