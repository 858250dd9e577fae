"""What both training loops share: the learning rate's course and batches of similar lengths."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

__all__ = ["Course", "batches", "precision", "schedule"]

_POOL = 96
_TABLES = ("embed", "shared", "lm_head")
_Drawn = TypeVar("_Drawn")


class Course:
    """The optimizers of a training of ``steps`` steps: Muon for the matrices of the layers, AdamW for all else.

    Muon (https://kellerjordan.github.io/posts/muon/) learns these texts in less than half of AdamW's time.
    """

    def __init__(self, model: torch.nn.Module, rate: float, steps: int) -> None:
        self._parameters = list(model.parameters())
        matrices: list[torch.nn.Parameter] = []
        others: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            within = parameter.ndim == 2 and not any(part in name for part in _TABLES)
            (matrices if within else others).append(parameter)
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=2 * rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.05),
        ]
        self._slopes = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps))
            for optimizer in self._optimizers
        ]

    def step(self) -> None:
        """Applies the gradients (at most of norm 1) and forgets them."""
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for optimizer, slope in zip(self._optimizers, self._slopes, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            slope.step()


def precision() -> torch.autocast:
    """Multiplies in bfloat16 where the processor can do that itself, which takes half the time; weights stay float32."""
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    native = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=native)


def schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: 4 % warm-up, then a half cosine down to 3 %."""
    warm = max(1, steps // 25)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(done * math.pi))


def batches(
    rng: random.Random, draw: Callable[[], _Drawn], length: Callable[[_Drawn], int], tokens: int
) -> Iterator[list[_Drawn]]:
    """Endless batches of ``draw()``, each of similar lengths and at most ``tokens`` with its padding.

    One that is longer than ``tokens`` makes a batch of its own. So every step costs about the same.
    """
    while True:
        groups: list[list[_Drawn]] = [[]]
        for one in sorted((draw() for _ in range(_POOL)), key=length):
            if groups[-1] and length(one) * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(one)
        rng.shuffle(groups)
        yield from groups
