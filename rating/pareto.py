"""Which configurations nobody beats in both quality and energy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["pareto_front"]


def pareto_front(quality: npt.ArrayLike, energy: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Marks the points with no other point of at least their quality and at most their energy, one of them better.

    Args:
        quality: higher is better; NaN is never on the front.
        energy: joules, lower is better; NaN likewise.

    Returns:
        One truth value per point; equal points are on the front together.
    """
    q, e = np.asarray(quality, dtype=np.float64), np.asarray(energy, dtype=np.float64)
    front = np.zeros(len(q), dtype=np.bool_)
    order = np.lexsort((e, -q))
    best = np.inf
    known = order[~(np.isnan(q) | np.isnan(e))[order]]
    start = 0
    while start < len(known):
        stop = start
        while stop < len(known) and q[known[stop]] == q[known[start]]:
            stop += 1
        cheapest = e[known[start]]  # the first of equal quality
        if cheapest < best:
            front[known[start:stop][e[known[start:stop]] == cheapest]] = True
            best = cheapest
        start = stop
    return front
