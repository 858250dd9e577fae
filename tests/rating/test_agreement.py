"""Agreement of people and metrics against figures calculated by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rating.agreement import TARGET_HALF_WIDTH, alpha, tau, weighted_mean

NAN = math.nan


def test_alpha_of_two_coders_by_hand() -> None:
    # Two coders, four units, values 1 2 3: coincidences o11 = 2, o12 = o21 = 1, o22 = 2, o33 = 2; n1 = 3, n2 = 3, n3 = 2.
    # Ordinal distance: d12 = ((3 + 3) / 2)^2 = 9, d13 = (3/2 + 3 + 2/2)^2 = 30.25, d23 = ((3 + 2) / 2)^2 = 6.25.
    # Observed 1 * 9; expected (n1 n2 d12 + n1 n3 d13 + n2 n3 d23) / (n - 1) = (81 + 181.5 + 37.5) / 7 = 300 / 7.
    found = alpha([[1, 1, 2, 3], [1, 2, 2, 3]], draws=10)
    assert found.value == pytest.approx(1 - 9 / (300 / 7))
    assert found.n == 4


def test_alpha_of_krippendorffs_own_example() -> None:
    # Krippendorff 2011, section C: four observers, twelve units, ordinal 0.815.
    data = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
    found = alpha(data, draws=200)
    assert found.value == pytest.approx(0.815, abs=0.001)
    assert found.n == 11, "a unit with one rating says nothing about agreement"
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.815 <= found.high


def test_tau_b_by_hand() -> None:
    # People 1 2 2 3, metric 1 3 2 4: five pairs concordant, none discordant, one tie among people:
    # 5 / sqrt((6 - 1) * 6) = 0.9129.
    found = tau([1, 2, 2, 3], [1, 3, 2, 4], draws=10)
    assert found.value == pytest.approx(5 / math.sqrt(30))
    assert (found.low, found.high) == (None, None), "four answers give no interval"
    assert found.more == 1


@pytest.mark.parametrize("ratings", [[[3, 3, 3], [3, 3, 3]], [[1, NAN], [NAN, 2]], [[], []]])
def test_where_nothing_differs_or_nobody_met_nothing_is_said(ratings: list[list[float]]) -> None:
    assert alpha(ratings, draws=10).value is None


def test_missing_pairs_drop_out() -> None:
    assert tau([1, NAN, 2, 3], [1, 5, 2, NAN], draws=10).n == 2


def test_the_number_still_needed_follows_the_width_of_the_interval() -> None:
    rng = np.random.default_rng(5)
    people = rng.integers(1, 6, 40).astype(float)
    metric = people + rng.normal(0, 2.0, 40)
    few, many = tau(people[:15], metric[:15]), tau(people, metric)
    assert few.low is not None
    assert few.high is not None
    assert few.more is not None
    assert many.more is not None
    wanted = math.ceil(15 * ((few.high - few.low) / 2 / TARGET_HALF_WIDTH) ** 2)
    assert few.more == max(0, wanted - 15)
    assert few.more > 0


def test_weights_undo_the_choice_of_the_sample() -> None:
    # nine ordinary answers of value 1, one of which was drawn, and one odd answer of value 11 picked for itself
    assert weighted_mean([1.0, 11.0], [9.0, 1.0]) == pytest.approx(2.0)
    assert weighted_mean([], []) is None
    assert weighted_mean([NAN], [1.0]) is None


@settings(deadline=None, max_examples=30)
@given(some.lists(some.tuples(some.integers(1, 5), some.integers(1, 5)), min_size=2, max_size=20))
def test_coefficients_stay_in_range_and_do_not_care_who_is_first(pairs: list[tuple[int, int]]) -> None:
    a, b = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    one, other = alpha([a, b], draws=5).value, alpha([b, a], draws=5).value
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one == pytest.approx(other)
        assert one <= 1.0 + 1e-9
    rank = tau(a, b, draws=5).value
    assert rank is None or -1.0 - 1e-9 <= rank <= 1.0 + 1e-9
