"""pass@k: the chance that at least one of k programs written for a task passes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from statistics import fmean
from typing import NamedTuple, TypeVar

__all__ = ["PassAtK", "pass_at_k", "pass_at_k_by"]

G = TypeVar("G", bound=Hashable)


class PassAtK(NamedTuple):
    """pass@k of one group.

    Attributes:
        value: mean over the items with at least k answers, 0..1; None when there is none.
        n_items: those items.
    """

    value: float | None
    n_items: int


def pass_at_k(answers: int, passed: int, k: int) -> float | None:
    """1 - C(n-c, k) / C(n, k), the unbiased estimator (Chen et al. 2021, arXiv 2107.03374).

    Args:
        answers: n, answers to one item.
        passed: c, how many of them passed every case.
        k: how many are drawn.

    Returns:
        0..1; None when there are fewer than ``k`` answers.

    Raises:
        ValueError: there are no such counts.
    """
    if not 0 <= passed <= answers or k < 1:
        raise ValueError(f"no such counts: {passed} of {answers}, k {k}")
    return None if answers < k else 1.0 - math.comb(answers - passed, k) / math.comb(answers, k)


def pass_at_k_by(rows: Iterable[tuple[G, Hashable, bool | None]], k: int) -> dict[G, PassAtK]:
    """pass@k per group, e.g. per configuration.

    Args:
        rows: of each answer its group, its item, and whether it passed; None (it was not run) is left out, as a program
            that nobody ran neither passed nor failed.
        k: how many are drawn.

    Returns:
        Every group of ``rows``, in its order.
    """
    counts: dict[G, dict[Hashable, list[int]]] = {}
    for group, item, passed in rows:
        items = counts.setdefault(group, defaultdict(lambda: [0, 0]))
        if passed is not None:
            items[item][0] += 1
            items[item][1] += bool(passed)
    found: dict[G, PassAtK] = {}
    for group, items in counts.items():
        values = [value for n, c in items.values() if (value := pass_at_k(n, c, k)) is not None]
        found[group] = PassAtK(fmean(values) if values else None, len(values))
    return found
