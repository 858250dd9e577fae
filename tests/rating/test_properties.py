"""What must hold of the rating whatever the data: removal, scaling, order, monotony, repeats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating import LETTERS, Rating, class_of, rate
from tests.rating.rating_data import BASKET, Answer, measurements, noisy, scheme

BASE = {"base-1": 1.0, "base-2": 2.0, "base-4": 4.0}
DRAWS = 100
few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 10_000)
energies = st.floats(0.05, 40.0)


def table(answers: list[Answer], **changes: object) -> dict[str, Rating]:
    ratings = rate(measurements(answers, **changes), scheme(), draws=DRAWS, seed=3)  # type: ignore[arg-type]
    return {rating.configuration.configuration: rating for rating in ratings if rating.task == "qa"}


def without_rank(rating: Rating) -> Rating:
    return replace(rating, rank_low=None, rank_high=None)


def order_of(rating: Rating) -> int:
    """A to G as 0 to 6; no letter is worse than any."""
    return len(LETTERS) if rating.grade is None else LETTERS.index(rating.grade)


@few
@given(seeds, st.lists(energies, min_size=1, max_size=4), st.integers(1, 5), st.booleans())
def test_another_model_changes_nothing_but_ranks(seed: int, others: list[float], repeats: int, partial: bool) -> None:
    answers = noisy(seed, BASE | {"mine": 1.3})
    more = noisy(seed, {f"other-{n}": joules for n, joules in enumerate(others)}, items=50, repeats=repeats)
    if partial:
        more = [answer for answer in more if answer[1] >= "i005"]
    alone, together = table(answers), table(answers + more)
    assert set(together) == set(alone) | {f"other-{n}" for n in range(len(others))}
    for name, rating in alone.items():
        assert without_rank(together[name]) == without_rank(rating)


@few
@given(seeds, st.sampled_from((1 / 3600, 1000.0, 0.1, 7.3)))
def test_the_unit_of_energy_moves_no_letter(seed: int, factor: float) -> None:
    # Exact class borders on purpose: base-1, base-2 and base-4 have an EEI of 1/2, 1 and 2.
    answers = (
        noisy(seed, BASE | {"mine": 3.1})
        if seed % 2
        else [(model, f"i{item:03}", 0, joules, 1.0) for model, joules in BASE.items() for item in range(40)]
    )
    scaled = [(m, i, r, joules * factor, q) for m, i, r, joules, q in answers]
    first, second = table(answers), table(scaled)
    for name, rating in first.items():
        assert second[name].grade == rating.grade
        assert second[name].grade_probability == rating.grade_probability
        assert (second[name].grade_low, second[name].grade_high) == (rating.grade_low, rating.grade_high)


@few
@given(seeds, st.booleans())
def test_the_order_of_rows_does_not_matter(seed: int, numbered: bool) -> None:
    answers = noisy(seed, BASE | {"mine": 0.7})
    if not numbered:  # repeats without numbers, in the order of the file
        answers = [(model, item, 0, joules, quality) for model, item, _, joules, quality in answers]
    shuffled = [answers[index] for index in np.random.default_rng(seed).permutation(len(answers))]
    assert table(answers) == table(shuffled)


@few
@given(seeds, st.floats(0.1, 20.0), st.lists(st.floats(0, 3), min_size=96, max_size=96))
def test_more_energy_never_improves_a_letter(seed: int, joules: float, more: list[float]) -> None:
    answers = noisy(seed, BASE | {"mine": joules})
    extra = iter(more)
    raised = [(m, i, r, e + next(extra) if m == "mine" else e, q) for m, i, r, e, q in answers]
    before, after = table(answers)["mine"], table(raised)["mine"]
    assert order_of(after) >= order_of(before)
    assert after.eei is not None
    assert before.eei is not None
    assert after.eei >= before.eei * (1 - 1e-12)


@few
@given(seeds, st.floats(0.1, 20.0), st.lists(st.floats(0, 1), min_size=96, max_size=96))
def test_more_quality_never_worsens_a_letter(seed: int, joules: float, more: list[float]) -> None:
    answers = noisy(seed, BASE | {"mine": joules})
    extra = iter(more)
    raised = [(m, i, r, e, min(1.0, q + next(extra)) if m == "mine" else q) for m, i, r, e, q in answers]
    assert order_of(table(raised)["mine"]) <= order_of(table(answers)["mine"])


@few
@given(seeds, st.sets(st.integers(0, 95), min_size=1, max_size=90), st.sampled_from((0.0, float("nan"))))
def test_missing_or_zero_energy_never_improves_a_letter(seed: int, rows: set[int], instead: float) -> None:
    answers = noisy(seed, BASE | {"mine": 5.0})
    own = [index for index, answer in enumerate(answers) if answer[0] == "mine"]
    spoilt = list(answers)
    for row in rows:
        model, item, repeat, _, quality = answers[own[row]]
        spoilt[own[row]] = (model, item, repeat, instead, quality)
    before, after = table(answers)["mine"], table(spoilt)["mine"]
    assert order_of(after) >= order_of(before)
    assert after.status == "unrated"
    assert {"energy_missing", "energy_zero"} & {reason.code for reason in after.reasons}


@few
@given(seeds, st.integers(2, 8))
def test_repeating_a_deterministic_item_does_not_narrow_the_interval(seed: int, times: int) -> None:
    once = noisy(seed, BASE | {"mine": 1.7}, repeats=1)
    often = [(m, i, repeat, e, q) for m, i, _, e, q in once for repeat in range(times)]
    first, second = table(once)["mine"], table(often)["mine"]
    for name in ("eei", "joules_per_success", "quality"):
        for end in ("low", "high"):
            assert getattr(second, f"{name}_{end}") == pytest.approx(getattr(first, f"{name}_{end}"), rel=1e-9)
    assert second.grade_probability == first.grade_probability
    assert second.n_items == first.n_items


@few
@given(seeds, st.permutations(["base-1", "base-2", "base-4", "mine"]))
def test_the_order_of_models_does_not_depend_on_the_basket(seed: int, names: list[str]) -> None:
    data = measurements(noisy(seed, BASE | {"mine": 2.6}))
    orders = []
    for basket in (BASKET, tuple(names[:3])):
        ratings = [r for r in rate(data, scheme(basket), draws=DRAWS) if r.task == "qa"]
        orders.append([r.configuration.configuration for r in sorted(ratings, key=lambda r: r.eei or 0)])
    assert orders[0] == orders[1]


@given(st.floats(1e-6, 1e6))
def test_a_class_holds_its_own_bounds(eei: float) -> None:
    letter = class_of(eei)
    assert letter is not None
    bounds = [0.0, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, float("inf")]
    index = LETTERS.index(letter)
    assert bounds[index] * (1 - 1e-8) <= eei <= bounds[index + 1] * (1 + 1e-8)
