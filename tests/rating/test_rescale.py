"""The proposal to rescale: 30 % of a cohort's configurations in A under one scheme."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rating import best_class_shares, needs_rescale


def rows(*grades: object, task: str = "overall", cohort: str = "here", scheme: str = "v1") -> list[dict[str, Any]]:
    return [
        {"cohort": cohort, "scheme": scheme, "configuration": f"c{index}", "task": task, "grade": grade}
        for index, grade in enumerate(grades)
    ]


@pytest.mark.parametrize(
    ("grades", "full"),
    [("AAABCDEFGG", True), ("AABCDEFGGG", False), ("A", True), ("BBB", False), ("", False)],
)
def test_at_thirty_percent(grades: str, full: bool) -> None:
    assert needs_rescale(rows(*grades)) is full


def test_configurations_without_a_letter_do_not_count() -> None:
    (found,) = best_class_shares(rows("A", "B", "C", "D", None, math.nan))
    assert (found.best, found.graded, found.share, found.full) == (1, 4, 0.25, False)


def test_cohorts_and_schemes_stand_alone() -> None:
    found = best_class_shares([*rows("A", "B", scheme="v2"), *rows("B", "B"), *rows("B", "C", cohort="there")])
    assert [(one.cohort, one.scheme, one.full) for one in found] == [
        ("here", "v1", False), ("here", "v2", True), ("there", "v1", False),
    ]  # fmt: skip


def test_without_an_overall_letter_the_worst_task_counts() -> None:
    (found,) = best_class_shares([*rows("A", "A", task="qa"), *rows("A", "D", task="code"), *rows(None, None)])
    assert (found.best, found.graded) == (1, 2)
