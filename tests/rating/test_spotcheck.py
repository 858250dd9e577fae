"""The sample for people: even over strata, half random, unbiased by its weights, the same every time."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rating.spotcheck import DOUBLE_SHARE, Candidate, choose, disagreement, order_for


def answers(per_stratum: int, strata: int = 3) -> list[Candidate]:
    return [Candidate(f"{s}-{n}", s, (n * 7 % 10) / 10) for s in range(strata) for n in range(per_stratum)]


def test_strata_get_even_shares_half_at_random_half_where_metrics_disagree() -> None:
    picks = choose(answers(40), 60, "seed")
    assert Counter(pick.stratum for pick in picks) == {0: 20, 1: 20, 2: 20}
    assert Counter(pick.why for pick in picks) == {"random": 30, "disagree": 30}
    least = min(next(a.disagreement or 0 for a in answers(40) if a.key == p.key) for p in picks if p.why == "disagree")
    assert least >= 0.6


def test_odd_shares_are_halved_in_turn() -> None:
    picks = choose(answers(40, 8), 24, "seed")
    assert set(Counter(pick.stratum for pick in picks).values()) == {3}
    assert Counter(pick.why for pick in picks) == {"random": 12, "disagree": 12}
    assert {pick.stratum for pick in picks if pick.why == "random"} == set(range(8))


def test_a_small_stratum_gives_all_it_has() -> None:
    few = [Candidate("only", "small", None)]
    picks = choose([*few, *answers(40, 1)], 11, "seed")
    assert Counter(pick.stratum for pick in picks) == {"small": 1, 0: 10}


@settings(deadline=None, max_examples=40)
@given(some.integers(0, 60), some.integers(0, 40), some.text(max_size=5))
def test_weights_add_up_to_the_answers_they_stand_for(per_stratum: int, size: int, seed: str) -> None:
    everything = answers(per_stratum)
    picks = choose(everything, size, seed)
    assert len(picks) == min(size, len(everything))
    assert len({pick.key for pick in picks}) == len(picks)
    assert picks == choose(list(reversed(everything)), size, seed)
    for stratum in {pick.stratum for pick in picks}:
        assert sum(pick.weight for pick in picks if pick.stratum == stratum) == pytest.approx(per_stratum)


def test_every_rater_has_an_order_of_their_own_and_sees_a_fifth_twice() -> None:
    picks = choose(answers(200), 500, "seed")
    one, other = order_for(picks, "Ann"), order_for(picks, "Ben")
    assert one != other
    assert {pick.key for pick, turn in one if turn == 1} == {pick.key for pick in picks}
    assert [turn for _, turn in one] == sorted(turn for _, turn in one)
    assert sum(turn == 2 for _, turn in one) == DOUBLE_SHARE * len(picks)
    few = choose(answers(4), 6, "seed")
    assert sum(turn == 2 for _, turn in order_for(few, "Ann")) == 2


def test_disagreement_is_the_range_of_ranks() -> None:
    found = disagreement([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1], [0.2, math.nan]])
    assert found[:3] == pytest.approx([1.0, abs(2 / 3 - 0.5), 1.0])
    assert np.isnan(found[3])
