"""Stability of the order under other weights: by hand, and from rows of a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import reader
from rating import Stack, order_stability, stability_by
from rating.__main__ import main
from rating.stability import weights_of
from tests.fakes import sample_store

EVEN = {"a": 0.5, "b": 0.5}


def one(a: float, b: float) -> list[Stack]:
    return [Stack(1, {"a": a, "b": b}, EVEN)]


def test_clear_winner_keeps_its_place_under_all_weights() -> None:
    found = order_stability({"good": one(0.9, 0.8), "bad": [*one(0.1, 0.2), Stack(1)], "none": []}, draws=50)
    assert found is not None
    assert found.order == ("good", "bad")
    assert (found.same_order, found.same_best, found.tau) == (1.0, 1.0, 1.0)
    assert found.worst_pair is None


def test_a_near_tie_turns_with_the_weights() -> None:
    found = order_stability({"x": one(1.0, 0.0), "y": one(0.0, 0.99)}, draws=400)
    assert found is not None
    assert found.order == ("x", "y")
    assert 0.3 < found.same_order < 0.7
    assert found.worst_pair is not None
    assert found.worst_pair[:2] == ("x", "y")
    assert found.worst_pair[2] == pytest.approx(1 - found.same_order)
    assert found.tau == pytest.approx(2 * found.same_order - 1)


def test_equal_ones_do_not_change_places() -> None:
    found = order_stability({"y": one(0.3, 0.7), "x": one(0.3, 0.7)})
    assert found is not None
    assert found.order == ("x", "y")
    assert (found.same_order, found.tau, found.worst_pair) == (1.0, 0.0, None)


def test_nothing_to_order() -> None:
    assert order_stability({"x": one(1.0, 1.0)}) is None
    assert order_stability({"x": [Stack(3)], "y": [Stack(2)]}) is None


def test_a_part_that_an_answer_lacks_leaves_its_weight_to_the_others() -> None:
    found = order_stability({"x": [Stack(1, {"a": 0.6}, {"a": 1.0})], "y": one(0.5, 0.5)}, draws=20)
    assert found is not None
    assert found.order == ("x", "y")
    assert found.same_order == 1.0


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_a_stack_counts_like_its_answers_one_by_one(own: list[tuple[int, float, float]]) -> None:
    stacked = [Stack(n, {"a": a, "b": b}, EVEN) for n, a, b in own]
    single = [Stack(1, {"a": a, "b": b}, EVEN) for n, a, b in own for _ in range(n)]
    other = one(0.4, 0.6)
    assert order_stability({"x": stacked, "y": other}, draws=30) == order_stability({"x": single, "y": other}, draws=30)


def test_weights_are_put_together_from_those_that_were_used() -> None:
    whole = {"a": 0.5, "b": 0.3, "c": 0.2}
    assert weights_of([Stack(1, {}, {"a": 1.0}), Stack(1, {}, whole), Stack(1)]) == whole
    found = weights_of([Stack(1, {}, {"a": 0.625, "b": 0.375}), Stack(1, {}, {"b": 0.6, "c": 0.4})])
    assert found["c"] / found["b"] == pytest.approx(2 / 3)
    assert found["a"] / found["b"] == pytest.approx(5 / 3)
    assert weights_of([]) == {}


def test_rows_of_cohorts_and_tasks_are_kept_apart() -> None:
    rows = [
        (cohort, task, name, "a", 3, "a", value, 1.0)
        for cohort, task in (("c", "qa"), ("c", "summary"), ("d", "qa"))
        for name, value in (("x", 0.2), ("y", 0.9))
        if (cohort, name) != ("d", "y")
    ]
    found = stability_by([*rows, ("c", "qa", "y", "", 30, None, 0.0, 0.0)])
    assert set(found) == {("c", "qa"), ("c", "summary")}
    assert found["c", "summary"].order == ("y", "x")
    assert found["c", "qa"].order == ("x", "y")  # thirty failed answers


def test_command_reads_the_newest_scores_of_answers_that_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = sample_store.build(tmp_path / "s.duckdb", samples_per_run=1)
    with store.write() as w:
        w.execute("""
            UPDATE qualities SET scorer_version = 'new', scored_at = scored_at + INTERVAL 1 DAY, detail =
                json_object('parts', json_object('match', quality, 'relevance', 1 - quality),
                            'weights', json_object('match', 0.75, 'relevance', 0.25))
            WHERE quality > 0
        """)
    frame = reader.quality_stacks(store)
    assert set(frame["part"].dropna()) == {"match", "relevance"}
    assert "code" not in set(frame["task"])
    assert (
        frame.dropna(subset=["part"]).groupby(["cohort", "task", "configuration", "judged_by"])["weight"].sum() == 1
    ).all()
    assert main(["stability", "--db", str(store.path), "--json", "--lang", "en"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    for row in rows:
        own = frame[(frame["cohort"] == row["cohort"]) & (frame["task"] == row["task"])]
        assert set(row["order"]) == set(own["configuration"])
        assert 0 <= row["same_order"] <= row["same_best"] <= 1
        assert (row["draws"], row["spread"]) == (500, 0.5)
    for language, word in (("en", "weights drawn within ±50%"), ("zh", "权重在 ±50% 内抽取")):
        assert main(["stability", "--db", str(store.path), "--lang", language]) == 0
        assert capsys.readouterr().out.count(word) == len(rows)
