"""Paired comparisons, size trend, cost and the way to the next class."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rating import Group, Scheme, co2e_g_per_1000, compare, cost_per_1000, rate, saving_to_next_class, size_trend
from tests.rating.rating_data import measurements, noisy, steady

FIRST, SECOND = Group(0, 0, 0), Group(0, 0, 1)


def test_a_known_difference_is_found_with_its_verdict() -> None:
    data = measurements(steady({"f16": 4.0, "q4": 1.0}, {"f16": 0.8, "q4": 0.4}))
    found = compare(data, FIRST, SECOND, draws=200)
    assert found is not None
    assert (found.n_items, found.verdict) == (40, "better")
    assert found.energy_ratio == pytest.approx(0.25)
    assert found.quality_difference == pytest.approx(-0.4)
    assert found.x_ratio == pytest.approx(0.5)
    assert found.x_interval.low == pytest.approx(0.5)
    assert found.energy_difference_j == pytest.approx(-3.0)
    assert found.energy_difference_interval.high == pytest.approx(-3.0)
    assert found.x_difference_j == pytest.approx(1.0 / 0.4 - 4.0 / 0.8)
    assert found.x_difference_interval.low == pytest.approx(-2.5)
    back = compare(data, SECOND, FIRST, draws=200)
    assert back is not None
    assert back.verdict == "worse"


def test_equal_configurations_show_no_evidence() -> None:
    verdicts = [
        compare(measurements(noisy(seed, {"a": 2.0, "b": 2.0})), FIRST, SECOND, draws=200) for seed in range(10)
    ]
    assert sum(found is not None and found.verdict == "no evidence" for found in verdicts) >= 8


def test_pairing_makes_the_difference_sharper_than_the_figures() -> None:
    data = measurements(noisy(3, {"a": 2.0, "b": 2.8}))
    found = compare(data, FIRST, SECOND, draws=400)
    assert found is not None
    assert found.verdict == "worse"
    alone = [r for r in rate(data, Scheme("v1"), draws=400) if r.task == "qa"]
    assert alone[0].joules_per_success_high is not None
    assert alone[1].joules_per_success_low is not None
    assert alone[0].joules_per_success_high > alone[1].joules_per_success_low  # their own intervals overlap


def test_only_shared_items_are_compared() -> None:
    answers = [a for a in steady({"a": 1.0, "b": 2.0}) if a[0] == "a" or a[1] < "i005"]
    found = compare(measurements(answers), FIRST, SECOND, draws=200)
    assert found is not None
    assert found.n_items == 5
    alone = [a for a in answers if a[0] == "a" or a[1] < "i001"]
    assert compare(measurements(alone), FIRST, SECOND, draws=200) is None


def test_no_success_has_no_ratio_of_x() -> None:
    found = compare(measurements(steady({"a": 1.0, "b": 2.0}, {"b": 0.0})), FIRST, SECOND, draws=200)
    assert found is not None
    assert (found.x_ratio, found.x_difference_j, found.verdict) == (None, None, "no evidence")
    assert found.x_difference_interval.high is None


def test_a_power_law_over_size() -> None:
    sizes = [1e9, 2e9, 4e9, 8e9]
    trend = size_trend(sizes, [3 * size**0.8 for size in sizes])
    assert trend is not None
    assert trend.slope == pytest.approx(0.8)
    assert trend.low <= trend.slope <= trend.high
    assert size_trend(sizes[:2], [1.0, 2.0]) is None
    assert size_trend([1e9] * 4, [1.0, 2.0, 3.0, 4.0]) is None


def test_the_trends_interval_is_that_of_linear_regression() -> None:
    rng = np.random.default_rng(4)
    sizes = 10 ** rng.uniform(8, 11, size=9)
    figures = sizes**0.6 * np.exp(0.4 * rng.normal(size=9))
    fit = stats.linregress(np.log(sizes), np.log(figures))
    half = stats.t.ppf(0.975, 7) * fit.stderr
    trend = size_trend(sizes.tolist(), figures.tolist())
    assert trend is not None
    assert (trend.slope, trend.low, trend.high) == pytest.approx((fit.slope, fit.slope - half, fit.slope + half))


def test_cost_and_co2e_of_a_thousand_answers() -> None:
    assert cost_per_1000(3600.0, 0.30) == pytest.approx(0.30)  # 1,000 answers of 1 Wh are 1 kWh
    assert co2e_g_per_1000(3600.0, 400.0) == pytest.approx(400.0)


def test_the_way_to_the_next_class() -> None:
    assert saving_to_next_class(0.1) is None
    assert saving_to_next_class(1.5) == pytest.approx(1 / 3)
    assert saving_to_next_class(16.0) == pytest.approx(0.75)
