"""Letters, gates and reasons on measurements whose outcome can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rating import (
    Condition,
    Group,
    Rating,
    RatingError,
    Scheme,
    class_of,
    default_scheme,
    pareto_front,
    quality_class_of,
    rate,
    wins,
)
from rating.ranks import probability_better, rank_ranges
from rating.reasons import UNRATED, reason
from tests.rating.rating_data import Answer, measurements, noisy, scheme, steady

BASE = {"base-1": 1.0, "base-2": 2.0, "base-4": 4.0}


def table(answers: list[Answer], used: Scheme | None = None, **changes: object) -> dict[str, Rating]:
    ratings = rate(measurements(answers, **changes), used or scheme(), draws=200)  # type: ignore[arg-type]
    return {rating.configuration.configuration: rating for rating in ratings if rating.task == "qa"}


def codes(rating: Rating) -> set[str]:
    return {reason.code for reason in rating.reasons}


@pytest.mark.parametrize(
    ("joules", "grade"),
    [(0.249, "A"), (0.25, "B"), (0.5, "C"), (1.0, "D"), (2.0, "E"), (4.0, "F"), (7.99, "F"), (8.0, "G")],
)
def test_letters_fall_where_the_thresholds_are(joules: float, grade: str) -> None:
    rating = table(steady(BASE | {"mine": joules}))["mine"]
    assert (rating.grade, rating.grade_probability, rating.status) == (grade, 1.0, "rated")
    assert rating.eei == pytest.approx(joules / 2)
    assert rating.items_needed == 0


def test_figures_are_sums_over_items_of_means_over_repeats() -> None:
    answers = steady(BASE)
    for item in range(40):
        hard = item % 4 == 0
        answers += [("mine", f"i{item:03}", r, (6.0 if hard else 2.0) + r, 0.0 if hard else 0.8) for r in (0, 2)]
    rating = table(answers)["mine"]
    # 10 hard items of 7 J and quality 0, 30 others of 3 J and 0.8
    assert rating.joules_per_success == pytest.approx((10 * 7 + 30 * 3) / (30 * 0.8))
    assert rating.eqr_per_kj == pytest.approx(1000 * 24 / 160)
    assert rating.quality == pytest.approx(0.6)
    assert rating.quality_class == "C"
    assert rating.energy_j == pytest.approx(4.0)
    assert (rating.n_items, rating.n_repeats) == (40, 2.0)


def test_only_items_valid_for_the_whole_basket_are_compared() -> None:
    answers = [a for a in steady(BASE | {"mine": 3.0}, items=50) if a[0] != "base-2" or a[1] >= "i010"]
    answers = [(m, i, r, e * 100 if i < "i010" else e, q) for m, i, r, e, q in answers]
    rating = table(answers)["mine"]
    assert rating.n_items == 40
    assert rating.eei == pytest.approx(1.5)
    assert "fewer_items_compared" in codes(rating)


def test_the_basket_is_recomputed_on_the_items_of_a_configuration_with_fewer() -> None:
    answers = [(m, i, r, e * (10 if i < "i010" else 1), q) for m, i, r, e, q in steady(BASE | {"mine": 3.0}, items=45)]
    rating = table([a for a in answers if a[0] != "mine" or a[1] >= "i010"])["mine"]
    assert rating.n_items == 35
    assert rating.eei == pytest.approx(1.5)
    assert rating.grade_probability == 1.0


def test_a_configuration_that_shares_no_item_has_figures_but_no_letter() -> None:
    answers = steady(BASE) + [(m, f"x{i}", r, e, q) for m, i, r, e, q in steady({"mine": 3.0})]
    rating = table(answers)["mine"]
    assert (rating.status, rating.grade, rating.eei) == ("unrated", None, None)
    assert rating.joules_per_success == pytest.approx(3.0)
    assert "no_common_items" in codes(rating)


def test_quality_below_half_the_baskets_median_caps_at_e() -> None:
    rating = table(steady(BASE | {"mine": 0.1}, {"mine": 0.4}))["mine"]
    assert (rating.grade, rating.status) == ("E", "rated")
    assert "below_functional_minimum" in codes(rating)
    worse = table(steady(BASE | {"mine": 20.0}, {"mine": 0.4}))["mine"]
    assert worse.grade == "G"
    assert table(steady(BASE | {"mine": 0.1}, {"mine": 0.5}))["mine"].grade == "A"


def test_too_few_items_say_how_many_are_missing() -> None:
    rating = table(steady(BASE | {"mine": 1.0}, items=12))["mine"]
    assert (rating.status, rating.items_needed) == ("unrated", 18)
    assert rating.eei == pytest.approx(0.5)
    assert codes(rating) == {"too_few_items"}


def test_one_item_is_no_evidence_even_where_one_is_asked_for() -> None:
    rating = table(steady(BASE | {"mine": 1.0}, items=1), scheme(min_items=1, min_successes=0.0))["mine"]
    assert (rating.status, rating.eei_low) == ("unrated", None)
    assert "too_few_items" in codes(rating)


def test_too_few_successes_are_no_letter() -> None:
    rating = table(steady(BASE | {"mine": 1.0}, {"mine": 0.2}))["mine"]
    assert (rating.status, rating.items_needed) == ("unrated", 10)
    assert codes(rating) == {"too_few_successes"}


def test_no_success_at_all_has_no_x() -> None:
    rating = table(steady(BASE | {"mine": 1.0}, {"mine": 0.0}))["mine"]
    assert (rating.joules_per_success, rating.eei, rating.eqr_per_kj, rating.items_needed) == (None, None, None, None)
    assert rating.quality == 0.0


def test_an_uncertain_letter_says_what_would_settle_it() -> None:
    rating = table(noisy(1, BASE | {"mine": 2.05}))["mine"]
    assert rating.status == "provisional"
    assert "uncertain_grade" in codes(rating)
    assert rating.grade_low is not None
    assert rating.grade_high is not None
    assert rating.grade_low < rating.grade_high
    assert rating.items_needed is None or rating.items_needed > 0


def test_more_items_settle_what_items_needed_promises() -> None:
    open_ones = {seed: table(noisy(seed, BASE | {"mine": 2.2}, items=30))["mine"] for seed in range(8)}
    settled = [
        table(noisy(seed, BASE | {"mine": 2.2}, items=30 + rating.items_needed))["mine"].grade_probability
        for seed, rating in open_ones.items()
        if rating.items_needed and rating.items_needed < 500
    ]
    assert len(settled) >= 3
    assert np.mean(settled) > np.mean([rating.grade_probability for rating in open_ones.values()])


ESTIMATED = Condition(tier="estimated", scope="cpu")


def test_estimated_energy_is_provisional_for_everybody_it_concerns() -> None:
    rows = table(steady(BASE | {"mine": 1.0}), conditions=dict.fromkeys((*BASE, "mine"), ESTIMATED))
    assert {row.status for row in rows.values()} == {"provisional"}
    assert all("energy_estimated" in codes(row) for row in rows.values())


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        (Condition(tier="counter", scope="machine"), "mixed_scope"),
        (Condition(tier="wall", scope="gpu"), "mixed_tier"),
        (Condition(tier="counter", scope="gpu", suite="scorer 2"), "mixed_suite"),
        (Condition(tier="counter", scope="gpu", checkpoint="other"), "mixed_checkpoint"),
    ],
)
def test_what_must_not_meet_is_refused_by_name(condition: Condition, code: str) -> None:
    base = Condition(tier="counter", scope="gpu", suite="scorer 1", checkpoint="bart")
    filled = replace_none(condition, base)
    rows = table(steady(BASE | {"mine": 1.0}), conditions=dict.fromkeys(BASE, base) | {"mine": filled})
    assert rows["mine"].status == "unrated"
    assert rows["mine"].eei is None
    assert codes(rows["mine"]) == {code}
    assert rows["base-1"].status == "rated"


def replace_none(condition: Condition, base: Condition) -> Condition:
    return Condition(*(own if own is not None else theirs for own, theirs in zip(condition, base, strict=True)))


def test_an_unstated_tier_is_said_and_costs_nothing() -> None:
    rating = table(steady(BASE | {"mine": 1.0}), conditions=dict.fromkeys((*BASE, "mine"), Condition()))["mine"]
    assert rating.status == "rated"
    assert codes(rating) == {"tier_unstated"}


def test_answers_without_the_gpus_part_are_no_cheap_model() -> None:
    answers = steady(BASE | {"mine": 0.1})
    gpu = [float("nan") if model == "mine" else joules * 0.9 for model, _, _, joules, _ in answers]
    rows = table(answers, columns={"gpu_energy_j": gpu})
    assert rows["mine"].status == "unrated"
    assert "mixed_scope" in codes(rows["mine"])
    assert rows["base-1"].status == "rated"


def test_a_mean_power_far_below_the_baskets_is_not_believed() -> None:
    answers = steady(BASE | {"mine": 0.1})
    seconds = [joules / (4.0 if model == "mine" else 200.0) for model, _, _, joules, _ in answers]
    rows = table(answers, columns={"duration_s": seconds})
    assert "implausible_power" in codes(rows["mine"])
    assert rows["mine"].status == "unrated"
    assert rows["base-4"].status == "rated"


def test_a_basket_model_absent_from_the_task_leaves_it_unrated_with_the_cure() -> None:
    rows = table([a for a in steady(BASE | {"mine": 1.0}) if a[0] != "base-2"])
    assert {row.status for row in rows.values()} == {"unrated"}
    assert all("base-2" in row.reasons[0].text() for row in rows.values())
    assert codes(rows["mine"]) == {"basket_missing"}
    assert rows["mine"].joules_per_success == pytest.approx(1.0)


def test_a_basket_model_with_invalid_energy_spoils_the_basket_by_name() -> None:
    answers = [
        (m, i, r, 0.0 if (m, i) == ("base-4", "i000") else e, q) for m, i, r, e, q in steady(BASE | {"mine": 1.0})
    ]
    rows = table(answers)
    assert codes(rows["mine"]) == {"basket_invalid"}
    assert "base-4" in rows["mine"].reasons[0].text("zh")


def test_rows_without_quality_leave_both_sums() -> None:
    answers = steady(BASE | {"mine": 1.0})
    answers = [
        (m, i, r, 50.0 if m == "mine" and r else e, math.nan if m == "mine" and r else q) for m, i, r, e, q in answers
    ]
    rating = table(answers)["mine"]
    assert rating.joules_per_success == pytest.approx(1.0)
    assert codes(rating) == {"not_scored"}
    unscored = table([(m, i, r, e, math.nan if m == "mine" else q) for m, i, r, e, q in answers])["mine"]
    assert codes(unscored) == {"no_quality"}
    assert unscored.energy_j is None


OWN = Scheme("v1")


def test_the_first_three_configurations_become_their_own_basket() -> None:
    rows = table(steady({"a": 1.0, "b": 2.0, "c": 4.0}), OWN)
    assert [rows[name].grade for name in "abc"] == ["D", "E", "F"]
    assert {row.status for row in rows.values()} == {"provisional"}
    assert all("own_basket" in codes(row) for row in rows.values())
    assert {row.scheme for row in rows.values()} == {"v1+own-" + rows["a"].scheme[-8:]}


def test_fewer_than_three_configurations_are_unrated_with_the_cure() -> None:
    rows = table(steady({"a": 1.0, "b": 2.0}), default_scheme())
    assert {row.status for row in rows.values()} == {"unrated"}
    assert "no_basket" in codes(rows["a"])
    assert "python -m collector run docs/experiments/gpu-8gb.toml" in rows["a"].reasons[0].text()
    assert "pocket" not in rows["a"].reasons[0].text()


def test_an_odd_one_out_does_not_enter_the_own_basket() -> None:
    conditions = {"d": Condition(tier="counter", scope="machine")}
    rows = table(steady({"a": 1.0, "b": 2.0, "c": 4.0, "d": 0.1}), OWN, conditions=conditions)
    assert rows["b"].eei == pytest.approx(1.0)
    assert codes(rows["d"]) == {"mixed_scope"}


def test_a_measured_basket_of_the_scheme_wins_over_the_own_one() -> None:
    used = replace(scheme(), name="v1", own_baskets=True)
    assert table(steady(BASE | {"x": 1.0}), used)["x"].scheme == "v1"
    assert "+own-" in table(steady({"base-1": 1.0, "x": 1.0, "y": 2.0, "z": 3.0}), used)["x"].scheme


def test_the_overall_letter_needs_every_task_and_takes_the_weaker_status() -> None:
    one = measurements(steady(BASE | {"mine": 1.0}))
    used = scheme(weights=(("qa", 1.0),))
    overall = [r for r in rate(one, used, draws=200) if r.task == "overall" and r.configuration.model == "mine"][0]
    assert (overall.status, overall.grade, overall.eei) == ("rated", "D", pytest.approx(0.5))
    assert "worst_task" in codes(overall)
    used = scheme(weights=(("code", 1.0), ("qa", 1.0)))
    overall = [r for r in rate(one, used, draws=200) if r.task == "overall"][0]
    assert (overall.status, overall.grade) == ("unrated", None)
    assert "code" in overall.reasons[0].text()
    used = scheme(weights=(("summary", 1.0), ("my_task", 1.0), ("qa", 1.0)))
    lacking = [r for r in rate(one, used, draws=200) if r.task == "overall"][0].reasons[0]
    assert (lacking.text(), lacking.text("zh")) == ("not measured in the tasks my_task, summary", "尚未测量任务 my_task、摘要")


def test_the_overall_eei_is_the_weighted_geometric_mean() -> None:
    first, second = steady(BASE | {"mine": 1.0}), steady(BASE | {"mine": 6.0})
    both = two_tasks(first, second)
    used = scheme(weights=(("code", 1.0), ("qa", 3.0)))
    rows = [r for r in rate(both, used, draws=200) if r.configuration.model == "mine"]
    overall = next(r for r in rows if r.task == "overall")
    assert overall.eei == pytest.approx((0.5**3 * 3.0) ** 0.25)
    assert overall.n_items == 80
    assert any(r.code == "worst_task" and "code (F)" in r.text() for r in overall.reasons)


def two_tasks(first: list[Answer], second: list[Answer]) -> object:
    both = measurements(first + second)
    task = np.repeat([0, 1], [len(first), len(second)])
    return replace(both, tasks=("qa", "code"), task=task)


def test_notes_of_the_source_are_reasons_and_may_forbid_a_letter() -> None:
    data = measurements(steady(BASE | {"mine": 1.0}))
    place = Group(0, 0, 3)
    shown = replace(data, notes={place: (reason("failures", n=2, flags="empty 2"),)})
    rating = rate(shown, scheme(), draws=200)[3]
    assert (rating.status, codes(rating)) == ("rated", {"failures"})
    flagged = replace(data, notes={place: (reason("flagged", n=1, flag="mixed_scope"),)})
    assert rate(flagged, scheme(), draws=200)[3].status == "unrated"


def test_cohorts_never_meet() -> None:
    here, there = steady(BASE | {"mine": 1.0}), steady({m: e * 50 for m, e in BASE.items()} | {"mine": 25.0})
    data = replace(
        measurements(here + there), cohorts=("here", "there"), cohort=np.repeat([0, 1], [len(here), len(there)])
    )
    rows = [r for r in rate(data, scheme(), draws=200) if r.configuration.model == "mine" and r.task == "qa"]
    assert [(r.cohort, r.grade) for r in rows] == [("here", "D"), ("there", "C")]


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(RatingError, match="99 draws"):
        rate(measurements(steady(BASE)), scheme(), draws=99)


def test_nothing_to_rate_is_an_empty_table() -> None:
    assert rate(measurements([]), scheme()) == []


def test_ranks_leave_open_what_the_draws_leave_open() -> None:
    draws = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 3.0, 3.0], [np.nan] * 4])
    ranges = rank_ranges(draws)
    assert ranges[0] == ranges[1] == (1, 3)
    assert ranges[2] == (1, 3)
    assert ranges[3] == (4, 4)
    better = probability_better(draws)
    assert better[0, 1] == 0.5
    assert better[0, 2] == 0.75


def test_separated_configurations_have_one_rank_each() -> None:
    rows = table(steady(BASE | {"mine": 1.0}))
    assert [(rows[m].rank_low, rows[m].rank_high) for m in ("mine", "base-1", "base-2", "base-4")] == [
        (1, 2), (1, 2), (3, 3), (4, 4),
    ]  # fmt: skip


def test_quality_classes() -> None:
    at = [0.85, 0.84, 0.7, 0.55, 0.4, 0.25, 0.1, 0.05, None]
    assert [quality_class_of(q) for q in at] == ["A", "B", "B", "C", "D", "E", "F", "G", None]
    assert class_of(None) is None
    assert class_of(0.0) is None


def test_pareto_front_keeps_ties_and_drops_the_dominated() -> None:
    quality = [0.9, 0.9, 0.8, 0.8, 0.5, math.nan, 0.7]
    energy = [10.0, 10.0, 5.0, 6.0, 5.0, 1.0, 1.0]
    assert pareto_front(quality, energy).tolist() == [True, True, True, False, False, False, True]


def test_every_reason_speaks_both_languages() -> None:
    from rating.reasons import _TEXTS

    for code, (english, chinese) in _TEXTS.items():
        assert english.isascii() or "…" in english, code
        assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese), code
        fields = [{part.split("}")[0] for part in text.split("{")[1:]} for text in (english, chinese)]
        assert fields[0] == fields[1], code
    assert set(_TEXTS) >= UNRATED


def test_very_many_items_are_drawn_in_bundles_with_the_same_spread() -> None:
    models = BASE | {"mine": 2.9}
    few = table(noisy(5, models, items=4000, repeats=1))["mine"]
    many = table(noisy(5, models, items=4400, repeats=1))["mine"]
    widths = [math.log2(r.eei_high / r.eei_low) for r in (few, many)]  # type: ignore[operator]
    assert widths[1] == pytest.approx(widths[0] * math.sqrt(4000 / 4400), rel=0.25)
    assert many.n_items == 4400
    assert many.eei == pytest.approx(few.eei, rel=0.05)


def test_who_beats_whom_agrees_with_the_letters_draws() -> None:
    data = measurements(noisy(2, BASE | {"mine": 1.0, "twin": 1.02}, items=40))
    found = {one.task: one for one in wins(data, scheme(), draws=200)}["qa"]
    assert found.configurations == tuple(sorted([*BASE, "mine", "twin"]))
    at = found.configurations.index
    assert found.probability[at("mine"), at("base-4")] == 1.0
    assert 0.01 < found.probability[at("mine"), at("twin")] < 0.99
    np.testing.assert_allclose(found.probability + found.probability.T, 1.0)
    with pytest.raises(RatingError):
        wins(data, scheme(), draws=99)
