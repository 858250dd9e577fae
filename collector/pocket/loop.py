"""What both training loops share: the learning rate's course and batches of similar lengths."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import TypeVar

__all__ = ["batches", "schedule"]

_POOL = 8
_Drawn = TypeVar("_Drawn")


def schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: 4 % warm-up, then a half cosine down to 3 %."""
    warm = max(1, steps // 25)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(done * math.pi))


def batches(
    rng: random.Random, draw: Callable[[], _Drawn], length: Callable[[_Drawn], int], batch: int
) -> Iterator[list[_Drawn]]:
    """Endless batches of ``draw()``, each of similar lengths, so that little is spent on padding."""
    while True:
        pool = sorted((draw() for _ in range(batch * _POOL)), key=length)
        groups = [pool[start : start + batch] for start in range(0, len(pool), batch)]
        rng.shuffle(groups)
        yield from groups
