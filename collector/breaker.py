"""Circuit breaker: a model that keeps failing is left, so that the night goes on with the others."""

from __future__ import annotations

from collections import Counter
from typing import Final

__all__ = ["Breaker"]

_ENOUGH: Final = 10  # cells before the share of failures says something
_SHARE: Final = 0.5


class Breaker:
    """Counts per model, across its cases, the cells that ended with and without an answer.

    A model is parked after ``in_a_row`` cells in a row without an answer (each of them tried as often as the protocol
    says), or when more than half of at least ten cells had none.
    """

    def __init__(self, in_a_row: int) -> None:
        self._limit = in_a_row
        self._streak: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._tried: Counter[str] = Counter()
        self._parked: set[str] = set()

    def note(self, model: str, answered: bool) -> None:
        """One cell has ended."""
        self._tried[model] += 1
        self._failed[model] += not answered
        self._streak[model] = 0 if answered else self._streak[model] + 1
        often = self._tried[model] >= _ENOUGH and self._failed[model] > _SHARE * self._tried[model]
        if self._streak[model] >= self._limit or often:
            self._parked.add(model)

    def park(self, model: str) -> None:
        """The model cannot be used at all."""
        self._parked.add(model)

    def parked(self, model: str) -> bool:
        """Whether the model is left for the rest of the campaign."""
        return model in self._parked
