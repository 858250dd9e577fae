"""Choosing the next token from logits, in llama.cpp's order: top_k, top_p, then temperature."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

__all__ = ["Sampler", "Sampling"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens; the defaults are Ollama's.

    Attributes:
        temperature: 0 takes the most probable token.
        top_k: how many candidates stay; 0 keeps all.
        top_p: smallest set of candidates whose probability (at temperature 1) reaches this; 1 keeps all.
        seed: None or a negative number draws a fresh seed from the operating system.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    seed: int | None = None


class Sampler:
    """One answer's random choices: the same settings with the same seed choose the same tokens."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        fixed = sampling.seed is not None and sampling.seed >= 0
        self._random = random.Random(sampling.seed if fixed else None)

    def choose(self, logits: torch.Tensor) -> int:
        """The id of the next token.

        Args:
            logits: shape (vocabulary,), float32.
        """
        sampling = self.sampling
        if sampling.temperature <= 0:
            return int(logits.argmax())
        count = logits.shape[0]
        wanted = min(sampling.top_k, count) if sampling.top_k > 0 else count
        values, ids = torch.topk(logits, wanted)
        if sampling.top_p < 1:
            mass = torch.softmax(values, 0).cumsum(0)
            kept = int((mass < sampling.top_p).sum()) + 1
            values, ids = values[:kept], ids[:kept]
        mass = torch.softmax(values.to(torch.float64) / sampling.temperature, 0).cumsum(0)
        place = int(torch.searchsorted(mass, self._random.random() * float(mass[-1]), right=True))
        return int(ids[min(place, ids.shape[0] - 1)])
