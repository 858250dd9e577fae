"""pass@k: by hand, against counting every draw, and its properties."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating import PassAtK, pass_at_k, pass_at_k_by


def test_by_hand() -> None:
    assert pass_at_k(5, 2, 1) == pytest.approx(0.4)
    assert pass_at_k(5, 2, 2) == pytest.approx(1 - 3 / 10)  # of 10 pairs, 3 have no passing answer
    assert pass_at_k(5, 0, 5) == 0.0
    assert pass_at_k(3, 2, 2) == 1.0
    assert pass_at_k(2, 2, 3) is None
    assert pass_at_k(0, 0, 1) is None


@pytest.mark.parametrize(("answers", "passed", "k"), [(2, 3, 1), (2, -1, 1), (-1, 0, 1), (2, 1, 0)])
def test_counts_that_cannot_be(answers: int, passed: int, k: int) -> None:
    with pytest.raises(ValueError, match="counts"):
        pass_at_k(answers, passed, k)


_COUNTS = st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(_COUNTS)
def test_it_is_the_share_of_draws_with_a_pass(counts: tuple[int, int, int]) -> None:
    answers, passed, k = counts
    draws = [any(n < passed for n in draw) for draw in combinations(range(answers), k)]
    assert pass_at_k(answers, passed, k) == pytest.approx(sum(draws) / len(draws))


@given(st.integers(2, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1), st.integers(1, n - 1))))
def test_more_passes_and_more_draws_never_lower_it(counts: tuple[int, int, int]) -> None:
    answers, passed, k = counts
    value = pass_at_k(answers, passed, k)
    assert value is not None
    assert 0 <= value <= 1
    assert pass_at_k(answers, passed + 1, k) >= value - 1e-12  # type: ignore[operator]
    assert pass_at_k(answers, passed, k + 1) >= value - 1e-12  # type: ignore[operator]


def test_groups_average_over_items_with_enough_answers() -> None:
    rows = [
        *(("a", "x", passed) for passed in (True, False, False)),
        *(("a", "y", passed) for passed in (True, True, None)),
        ("a", "z", True),
        ("b", "x", None),
    ]
    assert pass_at_k_by(rows, 1) == {"a": PassAtK(pytest.approx((1 / 3 + 1 + 1) / 3), 3), "b": PassAtK(None, 0)}
    assert pass_at_k_by(rows, 2)["a"] == PassAtK(pytest.approx((2 / 3 + 1) / 2), 2)
    assert pass_at_k_by(rows, 4)["a"] == PassAtK(None, 0)
    assert pass_at_k_by([], 1) == {}
