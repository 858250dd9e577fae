"""Diversity: the formulas by hand and in their limits, and the table that keeps them."""

from __future__ import annotations

import math
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.diversity import (
    adjusted_distinct,
    compression_ratio,
    distinct,
    diversity,
    self_bleu,
    summarise,
    vendi,
)
from collector.quality.diversity_store import store_diversity
from collector.quality.score import score_campaign
from collector.suite import Item
from db import Store

A, B, C = map(str.split, ("the cat sat on the mat", "the dog sat on the log", "a bird flew over"))
START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def test_distinct_by_hand() -> None:
    # 16 words, the different ones: the cat sat on mat dog log a bird flew over
    assert distinct([A, B, C], 1) == pytest.approx(11 / 16)
    # 5 + 5 + 3 pairs; "sat on" and "on the" stand in both
    assert distinct([A, B, C], 2) == pytest.approx(11 / 13)
    assert distinct([["a"], ["b"]], 2) is None
    assert distinct([["a", "b"], ["b", "a"]], 2) == 1.0  # no pair across two texts


def test_adjusted_distinct_by_hand() -> None:
    # 2 different of 3 words, V = 4: expected 4 (1 - (3/4)^3) = 2.3125
    assert adjusted_distinct([["a", "b"], ["a"]], 4) == pytest.approx(2 / 2.3125)
    # As many different ones as random words would have is 1, whatever the length
    for count in (10, 100, 1000):
        expected = 50 * (1 - (49 / 50) ** count)
        words = [str(n % round(expected)) for n in range(count)]
        assert adjusted_distinct([words], 50) == pytest.approx(1, abs=0.05)


def test_self_bleu_by_hand() -> None:
    # A against B: 4 of 6 words (the, sat, on, the), 2 of 5 pairs, 1 of 4 triples, none of 3: 0.1 counts instead
    alone = math.exp((math.log(4 / 6) + math.log(2 / 5) + math.log(1 / 4) + math.log(0.1 / 3)) / 4)
    assert self_bleu([A, B]) == pytest.approx(alone)
    # The shorter of two is penalised by exp(1 - 4/2); its only pair is found. The longer: 2 of 4, 1 of 3, 0.1 of 2, 0.1 of 1
    longer = math.exp((math.log(2 / 4) + math.log(1 / 3) + math.log(0.1 / 2) + math.log(0.1 / 1)) / 4)
    assert self_bleu([["a", "b", "c", "d"], ["a", "b"]]) == pytest.approx((longer + math.exp(1 - 4 / 2)) / 2)
    # Matches are clipped: of "the the the" A holds 2, of A it holds 2 of 6; a text of three words has three orders
    short = math.exp((math.log(2 / 3) + math.log(0.1 / 2) + math.log(0.1 / 1)) / 3 + 1 - 6 / 3)
    long = math.exp((math.log(2 / 6) + math.log(0.1 / 5) + math.log(0.1 / 4) + math.log(0.1 / 3)) / 4)
    assert self_bleu([["the"] * 3, A]) == pytest.approx((short + long) / 2)


def test_compression_by_hand() -> None:
    texts = ["abcabcabc", "abcabcabc", "xyz"]
    joined = ["abcabc\nabcabc\nxyz", "abcabc\nxyz\nabcabc", "xyz\nabcabc\nabcabc"]
    expected = sum(len(text) / len(zlib.compress(text.encode(), 9)) for text in joined) / 3
    assert compression_ratio(texts, 6) == pytest.approx(expected)


def test_compressed_texts_are_cut_to_the_same_length() -> None:
    texts = [" ".join(words) for words in (A * 9, B * 9, C * 9)]
    assert compression_ratio(texts, 40) == compression_ratio([text[:40] for text in texts], 99)
    assert compression_ratio([texts[0]] * 3, 40) > compression_ratio(texts, 40)
    assert compression_ratio([texts[0]] * 5, 40) == compression_ratio([texts[0]] * 3, 40)  # not more for more answers


def test_vendi_by_hand() -> None:
    assert vendi(["ab", "cd", "ef"], 2) == pytest.approx(3)
    assert vendi(["ab", "ab", "cd"], 2) == pytest.approx(math.exp(-(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))))
    # "abc" and "abd" share one of two pairs: cosine 1/2, eigenvalues 3/4 and 1/4
    assert vendi(["abc", "abd"], 2) == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
    assert vendi(["Ab!", "ＡＢ", "a b"], 9) == pytest.approx(vendi(["ab", "ab", "a b"], 9))


def test_two_answers_say_nothing() -> None:
    assert diversity(["one text", "two texts"], "en") is None
    assert diversity(["one text", "two texts", "  ", "😀"], "en") is None
    assert diversity(["one text", "two texts", "three"], "en") is not None


def test_chinese_is_counted_in_characters() -> None:
    found = diversity(["好好好", "好", "好"], "zh")
    assert found is not None
    assert found.distinct_1 == pytest.approx(1 / 5)
    assert found.distinct_2 == pytest.approx(1 / 2)
    assert found.adjusted_distinct == pytest.approx(1 / (8105 * (1 - (8104 / 8105) ** 5)))


def test_equal_answers() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs away"
    found = diversity([text] * 4, "en")
    assert found is not None
    assert (found.self_bleu, found.vendi) == (pytest.approx(1), pytest.approx(1))
    assert found.distinct_1 == pytest.approx(11 / 48)
    assert found.compression_ratio > 2


def test_figures_are_means_over_items() -> None:
    one, two = ["a b", "a c", "a d"], ["x", "x", "x", "x"]
    found = summarise([one, two, ["too", "few"]], "en")
    assert (found.n_items, found.n_answers, found.reason) == (2, 7, None)
    assert found.mean_length == pytest.approx((6 + 4) / 7)
    first, second = diversity(one, "en"), diversity(two, "en")
    assert found.figures is not None
    assert first is not None
    assert second is not None
    assert found.figures.distinct_1 == pytest.approx((first.distinct_1 + second.distinct_1) / 2)
    assert found.figures.distinct_2 == first.distinct_2  # the other item has no pair
    assert found.figures.vendi == pytest.approx((first.vendi + second.vendi) / 2)


def test_without_enough_answers_there_is_a_reason() -> None:
    for items in ([], [["a", "b"]], [["", "", ""]]):
        found = summarise(items, "zh")
        assert (found.n_items, found.n_answers, found.mean_length, found.figures) == (0, 0, None, None)
        assert found.reason == "few_answers"


_TEXTS = st.lists(st.text(st.sampled_from("ab cd 好的"), max_size=30), min_size=3, max_size=5)


@given(_TEXTS, st.sampled_from(["zh", "en"]))
def test_bounds_hold_and_order_does_not_matter(texts: list[str], language: str) -> None:
    found, turned = diversity(texts, language), diversity(texts[::-1], language)
    if found is None or turned is None:
        assert found is turned
        return
    said = sum(any(map(str.isalnum, text)) for text in texts)
    assert 0 < found.distinct_1 <= 1
    assert found.distinct_2 is None or 0 < found.distinct_2 <= 1
    assert found.adjusted_distinct >= found.distinct_1
    assert 0 < found.self_bleu <= 1 + 1e-9
    assert 1 <= found.vendi <= said
    assert found.compression_ratio > 0
    assert turned.self_bleu == pytest.approx(found.self_bleu)
    assert turned.vendi == pytest.approx(found.vendi)


@given(_TEXTS)
def test_one_more_equal_answer_is_less_diverse(texts: list[str]) -> None:
    before, after = diversity(texts, "en"), diversity([*texts, *texts], "en")
    if before is not None and after is not None:
        assert after.distinct_1 <= before.distinct_1
        assert after.vendi == pytest.approx(before.vendi)
        assert after.self_bleu == pytest.approx(1)


@pytest.fixture
def answers(store: Store):
    """Stores an answer to an item of a campaign."""
    count = 0

    def add(item: str, repeat: int, text: str, *, campaign: str = "c", temperature: float | None = 0.7, attempt: int = 1, flags=()) -> str:
        nonlocal count
        count += 1
        run = f"r{count}"
        with store.write() as writer:
            writer.insert("runs", [{
                "run_id": run, "cell_id": run, "campaign_id": campaign, "configuration_id": "m#1", "machine_id": "m", "cohort": "k",
                "task": "creative", "load": "short", "language": "en", "item": item, "item_hash": item, "repeat": repeat,
                "attempt": attempt, "temperature": temperature, "started_at": START + timedelta(seconds=count), "status": "ok",
                "flags": list(flags), "prompt": "Write.", "has_reference": False, "output_text": text,
            }])  # fmt: skip
        return run

    return add


def rows(store: Store) -> list[dict[str, object]]:
    frame = store.query("SELECT * FROM v_diversity ORDER BY campaign").astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def test_the_table_follows_the_valid_answers(store: Store, answers) -> None:
    for repeat, text in enumerate(["a red fox", "a blue fox", "one green frog"]):
        answers("x", repeat, text)
    assert store_diversity(store, "c") == 1
    (row,) = rows(store)
    assert (row["configuration"], row["task"], row["load"], row["language"]) == ("m#1", "creative", "short", "en")
    assert (row["n_items"], row["n_answers"], row["reason"], row["deterministic"]) == (1, 3, None, False)
    assert row["mean_length"] == pytest.approx(3)
    assert row["distinct_1"] == pytest.approx(7 / 9)
    assert store_diversity(store) == 0  # nothing changed
    answers("x", 3, "a fox", flags=["throttled"])  # left out
    assert store_diversity(store, "c") == 0
    answers("x", 2, "a red fox", attempt=2)  # the last attempt that counts
    assert store_diversity(store, "c") == 1
    assert rows(store)[0]["distinct_1"] == pytest.approx(4 / 9)
    assert store_diversity(store, "another") == 0
    with store.write() as writer:
        writer.update("runs", {"campaign_id": "c"}, {"status": "aborted"})
    assert store_diversity(store, "another") == 0
    assert store_diversity(store) == 1
    assert rows(store) == []


def test_few_answers_and_temperature_zero_are_told(store: Store, answers) -> None:
    for repeat in range(3):
        answers("x", repeat, "the same words", campaign="zero", temperature=0.0)
        answers("x", repeat, "the same words", campaign="unknown", temperature=None)
    answers("x", 0, "alone", campaign="few")
    answers("x", 1, "", campaign="few")
    assert store_diversity(store) == 3
    few, unknown, zero = rows(store)
    assert (few["n_items"], few["n_answers"], few["vendi"], few["reason"]) == (0, 0, None, "few_answers")
    assert (unknown["deterministic"], zero["deterministic"]) == (False, True)
    assert zero["vendi"] == pytest.approx(1)


def test_scoring_keeps_it_up_to_date(store: Store, answered) -> None:
    answered(Item.from_table({"task": "creative", "load": "short", "language": "en", "prompt": "Write."}, "s"), "A text.")
    score_campaign(store, None, checkpoints={"en": None})
    (row,) = rows(store)
    assert (row["task"], row["reason"], row["model"]) == ("creative", "few_answers", "a")
