"""The matrix: every cell once, in an order that the seed fixes, with nonces that defeat the prompt cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ExperimentError
from collector.experiment import parse_experiment
from collector.plan import build_cases, check_context, experiment_suite, nonce

ITEM = {"id": "own-1", "task": "qa", "load": "short", "language": "en", "prompt": "Why is the sky blue?"}


def _experiment(**more: object):
    return parse_experiment({"models": ["a", "b"], "repeats": 2, **more}, "x.toml")


def test_every_item_and_repeat_of_every_model_is_there_once() -> None:
    experiment = _experiment()
    suite = experiment_suite(experiment)
    cases = build_cases(experiment, suite)
    assert [c.model.tag for c in cases] == ["a", "b"]
    for case in cases:
        assert {(c.item.hash, c.repeat) for c in case.cells} == {(i.hash, r) for i in suite.items for r in (0, 1)}
        assert len(case.cells) == 2 * len(suite.items)
        assert all(c.seed == experiment.generation.seed + c.repeat for c in case.cells)


def test_the_shipped_questions_are_enough_for_a_letter() -> None:
    assert len({i.hash for i in experiment_suite(_experiment()).items}) >= 30


def test_the_order_is_random_but_fixed_by_the_seed() -> None:
    suite = experiment_suite(_experiment())
    one, two = (build_cases(_experiment(), suite) for _ in range(2))
    other = build_cases(_experiment(generation={"seed": 43}), suite)
    plain = build_cases(_experiment(order="sequential"), suite)
    assert one == two
    assert [c.item.id for c in one[0].cells] != [c.item.id for c in other[0].cells]
    assert [c.item.id for c in plain[0].cells][: len(suite.items)] == [i.id for i in suite.items]


def test_own_items_join_the_suite() -> None:
    suite = experiment_suite(_experiment(item=[ITEM], languages=["en"]))
    assert any(i.id == "own-1" and not i.references for i in suite.items)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"tasks": ["chess"]}, "chess"),
        ({"loads": ["long"], "languages": ["en"], "tasks": ["qa"], "items_per_cell": 1}, None),
    ],
)
def test_what_no_item_fits_is_refused(more: dict[str, object], word: str | None) -> None:
    experiment = _experiment(**more)
    try:
        suite = experiment_suite(experiment, "x.toml")
    except ExperimentError as error:
        assert "x.toml" in error.en
        assert word is None or word in error.en
    else:
        assert word is None
        assert suite.items


def test_cells_of_one_campaign_have_distinct_stable_ids() -> None:
    cells = build_cases(_experiment(), experiment_suite(_experiment()))[0].cells
    ids = [c.cell_id("c1", "a") for c in cells]
    assert len(set(ids)) == len(ids)
    assert ids == [c.cell_id("c1", "a") for c in cells]
    assert set(ids).isdisjoint(c.cell_id("c2", "a") for c in cells)


def test_an_item_that_does_not_fit_the_context_is_refused_with_the_size_that_would_do() -> None:
    experiment = _experiment()
    items = experiment_suite(experiment).items
    check_context(experiment, items, 4096, "x.toml")
    with pytest.raises(ExperimentError, match="num_ctx = 128 is too small for item"):
        check_context(experiment, items, 128, "x.toml")


@given(st.integers(0, 50), st.integers(1, 9))
def test_a_nonce_is_the_same_for_every_model_and_another_for_every_repeat_and_attempt(
    repeat: int, attempt: int
) -> None:
    item = experiment_suite(_experiment()).items[0]
    assert nonce(item, repeat, attempt) == nonce(item, repeat, attempt)
    assert len({nonce(item, repeat, attempt), nonce(item, repeat + 1, attempt), nonce(item, repeat, attempt + 1)}) == 3
    assert len(nonce(item, repeat, attempt)) == 8
