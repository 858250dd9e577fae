"""The advisor: the known best is chosen, limits exclude by name, the probability is honest; loading breaks even."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating import Advice, Condition, Measurements, RatingError, Resources, Wish, advise, keep_loaded
from rating.reasons import Both
from tests.rating.rating_data import measurements, noisy, steady

QA = {"qa": 1.0}
KNOWN = {"small": Resources(2e9, 1.0), "large": Resources(8e9, 4.0), "odd": Resources(1e9, 0.5)}


def told(data: Measurements, wish: Wish, resources: dict[str, Resources] | None = None) -> Advice:
    return advise(data, "here", wish, KNOWN if resources is None else resources, draws=200)


def codes(advice: Advice) -> dict[str, set[str]]:
    return {one.configuration: {reason.code for reason in one.reasons} for one in advice.excluded}


def test_the_least_joules_per_success_wins_and_the_runner_up_costs_what_it_costs() -> None:
    data = measurements(steady({"small": 1.0, "large": 3.0}, {"small": 0.5, "large": 1.0}))
    advice = told(data, Wish(QA, price_per_kwh=0.36))
    assert advice.choice is not None
    assert advice.runner_up is not None
    assert (advice.choice.configuration, advice.runner_up.configuration) == ("small", "large")
    assert advice.choice.joules_per_success == pytest.approx(2.0)
    assert advice.extra_ratio == pytest.approx(1.5)
    assert advice.choice.cost_per_1000 == pytest.approx(2000 / 3.6e6 * 0.36)
    assert advice.extra_cost_per_1000 == pytest.approx(1000 / 3.6e6 * 0.36)
    assert advice.probability == pytest.approx(1.0)
    assert [reason.code for reason in advice.reasons] == ["advice_choice", "advice_runner_up"]
    assert "50 % more" in advice.reasons[1].text()


def test_weights_decide() -> None:
    answers = [
        *steady({"small": 1.0, "large": 2.0}),
        *[(m, f"s{i}", r, e, q) for m, i, r, e, q in steady({"small": 8.0, "large": 2.0})],
    ]
    data = measurements(answers)
    second = np.array([name.startswith("s") for name in data.items])[data.item].astype(np.int64)
    data = replace(data, tasks=("qa", "summary"), task=second)
    mostly_qa = told(data, Wish({"qa": 9.0, "summary": 1.0})).choice
    evenly = told(data, Wish({"qa": 1.0, "summary": 1.0})).choice
    only = told(data, Wish({"qa": 1.0, "summary": 0.0})).choice
    assert [one.configuration for one in (mostly_qa, evenly, only) if one] == ["small", "large", "small"]
    assert evenly is not None
    assert evenly.joules_per_success == pytest.approx(2.0)
    assert mostly_qa is not None
    assert mostly_qa.joules_per_success == pytest.approx(8**0.1)


def test_limits_exclude_by_name_and_unknown_is_not_zero() -> None:
    data = measurements(steady({"small": 1.0, "large": 3.0, "odd": 0.1, "new": 0.1}, {"odd": 0.2}))
    wish = Wish(QA, min_quality=0.5, max_vram_bytes=4e9, max_latency_s=2.0)
    advice = told(data, wish)
    assert advice.choice is not None
    assert advice.choice.configuration == "small"
    assert advice.choice.quality_probability == 1.0
    assert (advice.runner_up, advice.probability, advice.extra_ratio) == (None, None, None)
    assert codes(advice) == {
        "large": {"advice_vram", "advice_latency"},
        "odd": {"advice_quality"},
        "new": {"advice_vram_unknown", "advice_latency_unknown"},
    }
    nothing = told(data, replace(wish, min_quality=1.0, max_latency_s=0.1))
    assert nothing.choice is None
    assert [reason.code for reason in nothing.reasons] == ["advice_nothing"]


def test_how_sure_the_choice_is_follows_the_evidence() -> None:
    sure = [told(measurements(noisy(seed, {"a": 1.0, "b": 2.0})), Wish(QA)).probability for seed in range(5)]
    level = [told(measurements(noisy(seed, {"a": 1.0, "b": 1.02})), Wish(QA)).probability for seed in range(5)]
    assert min(value or 0.0 for value in sure) > 0.99
    assert 0.4 < float(np.mean([value for value in level if value is not None])) < 0.95


def test_equals_are_a_coin_toss() -> None:
    assert told(measurements(steady({"a": 1.0, "b": 1.0})), Wish(QA)).probability == pytest.approx(0.5)


def test_answers_that_cannot_be_weighed_are_named() -> None:
    answers = steady({"small": 1.0, "large": 2.0, "scoped": 0.1, "lost": 0.1, "dumb": 0.1}, {"dumb": 0.0})
    conditions = {"scoped": Condition(tier="counter", scope="process")}
    data = measurements(answers, conditions=conditions)
    energy = data.energy_j.copy()
    energy[[answer[0] for answer in answers].index("lost")] = 0.0
    advice = told(replace(data, energy_j=energy), Wish(QA))
    assert codes(advice) == {
        "scoped": {"advice_other_condition"}, "lost": {"energy_zero"}, "dumb": {"advice_no_success"},
    }  # fmt: skip
    assert advice.choice is not None
    assert advice.choice.configuration == "small"
    assert codes(told(data, Wish({"code": 1.0})))["small"] == {"task_missing"}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from((1 / 3600, 0.1, 7.0, 1e6)))
def test_neither_the_unit_nor_the_order_of_rows_nor_a_worse_model_moves_the_advice(seed: int, scale: float) -> None:
    models = {"a": 1.0, "b": 1.3, "c": 2.0}
    answers = noisy(seed, models)
    base = told(measurements(answers), Wish(QA, min_quality=0.1))
    shuffled = [answers[at] for at in np.random.default_rng(seed).permutation(len(answers))]
    others = (
        [(m, i, r, e * scale, q) for m, i, r, e, q in answers],
        shuffled,
        [*answers, *[("worst", i, r, 50 * e, q / 2) for m, i, r, e, q in answers if m == "c"]],
    )
    for changed in others:
        found = told(measurements(changed), Wish(QA, min_quality=0.1))
        names = [option.configuration for option in found.options if option.configuration != "worst"]
        assert names == [option.configuration for option in base.options]
        assert found.probability == pytest.approx(base.probability)
        assert found.extra_ratio == pytest.approx(base.extra_ratio)


def test_other_machines_are_not_asked() -> None:
    data = measurements(steady({"small": 1.0}))
    assert advise(data, "elsewhere", Wish(QA), {}, draws=100).options == ()


def test_what_to_keep_in_mind_is_said() -> None:
    conditions = dict.fromkeys(("a", "b"), Condition(tier="estimated", scope="process"))
    data = measurements(steady({"a": 1.0, "b": 2.0}, items=29), conditions=conditions)
    shown = replace(data, configurations=tuple(replace(c, demo=True) for c in data.configurations))
    said = [reason.code for reason in told(shown, Wish(QA)).reasons]
    assert said == ["advice_choice", "advice_runner_up", "advice_few_items", "energy_estimated", "demo_model"]
    enough = told(measurements(steady({"a": 1.0, "b": 2.0}, items=30)), Wish(QA))
    assert [reason.code for reason in enough.reasons] == ["advice_choice", "advice_runner_up"]


def test_items_not_shared_leave_the_probability_open() -> None:
    answers = [(m, f"{m}-{i}", r, e, q) for m, i, r, e, q in steady({"a": 1.0, "b": 2.0})]
    advice = told(measurements(answers), Wish(QA))
    assert (advice.probability, advice.extra_ratio) == (None, pytest.approx(2.0))
    assert advice.reasons[1].code == "advice_runner_up_unsure"


@pytest.mark.parametrize(
    "wish", [Wish({}), Wish({"qa": 0.0}), Wish({"qa": -1.0, "code": 2.0}), Wish(QA, min_quality=1.5)]
)
def test_wishes_that_cannot_be_are_refused(wish: Wish) -> None:
    with pytest.raises(RatingError):
        told(measurements(steady({"a": 1.0})), wish)


def test_every_reason_of_an_advice_speaks_both_languages() -> None:
    advice = told(measurements(steady({"small": 1.0, "large": 3.0})), Wish(QA))
    for reason in advice.reasons:
        assert reason.text("zh") != reason.text("en")
        assert not any(isinstance(value, Both) for _, value in reason.values)


def test_staying_loaded_breaks_even() -> None:
    # 10 W for a day are 864 kJ; a loading takes 4.32 kJ: 200 answers a day, one every 432 s.
    few, many = keep_loaded(100, 4320.0, 10.0), keep_loaded(300, 4320.0, 10.0)
    assert (few.keep, many.keep) == (False, True)
    assert few.keep_j_per_day == pytest.approx(864_000.0)
    assert many.reload_j_per_day == pytest.approx(1_296_000.0)
    assert few.break_even_per_day == pytest.approx(200.0)
    assert few.break_even_gap_s == pytest.approx(432.0)
    assert keep_loaded(100, 4320.0, 10.0, hours_per_day=8).keep
    assert keep_loaded(0, 0.0, 0.0).break_even_per_day is None
    assert keep_loaded(1, 10.0, 0.0).break_even_gap_s is None
    for wrong in ((-1, 1.0, 1.0, 24), (1, float("nan"), 1.0, 24), (1, 1.0, 1.0, 25)):
        with pytest.raises(RatingError):
            keep_loaded(*wrong)
