"""When the best class has filled up: the proposal to rescale, as the EU label has it at 30 % in A."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rating.classes import LETTERS
from rating.scheme import OVERALL

__all__ = ["RESCALE_SHARE", "BestClass", "best_class_shares", "needs_rescale"]

RESCALE_SHARE: Final = 0.3
"""Share of configurations in A from which on a scheme no longer tells the best apart."""


@dataclass(frozen=True, slots=True)
class BestClass:
    """How full class A is in a cohort under a scheme.

    Attributes:
        best: configurations in A; ``graded`` those with any letter.
        share: best over graded.
    """

    cohort: str | None
    scheme: str
    best: int
    graded: int

    @property
    def share(self) -> float:
        """Share of the graded configurations that are A."""
        return self.best / self.graded

    @property
    def full(self) -> bool:
        """Whether a rescale is to be proposed."""
        return self.share >= RESCALE_SHARE


def best_class_shares(rows: Iterable[Mapping[Any, Any]]) -> list[BestClass]:
    """How full class A is in every cohort and scheme that has letters.

    A configuration counts with its overall letter, or where it has none with the worst of its tasks' letters.

    Args:
        rows: current rows of the rating table (:func:`rating.current`): as_row mappings or ``v_ratings`` records.
    """
    letters: dict[tuple[Any, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        grade = row["grade"]
        if isinstance(grade, str) and grade:
            of_scheme = letters.setdefault((row["cohort"], str(row["scheme"])), {})
            of_scheme.setdefault(str(row["configuration"]), {})[str(row["task"])] = grade
    found = []
    for (cohort, scheme), configurations in sorted(letters.items(), key=str):
        grades = [tasks.get(OVERALL) or max(tasks.values()) for tasks in configurations.values()]
        found.append(BestClass(cohort, scheme, grades.count(LETTERS[0]), len(grades)))
    return found


def needs_rescale(rows: Iterable[Mapping[Any, Any]]) -> bool:
    """Whether in any cohort and scheme 30 % or more of the current configurations with a letter are A."""
    return any(one.full for one in best_class_shares(rows))
