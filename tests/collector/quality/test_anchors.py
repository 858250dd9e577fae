"""Directions, anchors and the composite, with a score that counts shared words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.anchors import Anchor, anchors_of, mapped
from collector.quality.cache import PairResult
from collector.quality.composite import SCORER_VERSION, WEIGHTS, composite
from collector.quality.directions import DIRECTIONS, Pair, Subject, coherence_pairs, evaluated, floor, formulas
from collector.quality.text import tokens
from collector.suite import load_suite


def overlap(pair: Pair) -> PairResult:
    """-1 per token where the source holds it, else -3."""
    source, target = (tokens(text) for text in pair)
    known = set(source)
    total = sum(-1.0 if word in known else -3.0 for word in target) - 1.0
    return PairResult(total, len(target) + 1, "CUT" in pair[0])


def scored(pairs: set[Pair]) -> dict[Pair, PairResult]:
    return {pair: overlap(pair) for pair in pairs}


def subject(**changes: object) -> Subject:
    fields = {
        "item_hash": "h",
        "task": "qa",
        "load": "short",
        "language": "en",
        "prompt": "Why?",
        "references": ("ice floats on water", "it is less dense"),
        "source": None,
    }
    return Subject(**(fields | changes))  # type: ignore[arg-type]


SHIPPED = [
    Subject(i.hash, i.task, i.load, i.language, i.prompt, i.references) for i in load_suite().select(["qa"]).items
]


def raw(item: Subject, answer: str, direction: str) -> float:
    formula = formulas(item, answer)[direction]
    return evaluated(formula, scored(formula.pairs())).raw


def test_directions_take_the_right_side() -> None:
    item, answer = subject(), "less dense ice"
    found = formulas(item, answer)
    assert found["factuality"].pairs() == {(r, answer) for r in item.references}
    assert found["coverage"].pairs() == {(answer, r) for r in item.references}
    assert found["relevance"].pairs() == found["factuality"].pairs() | found["coverage"].pairs()
    assert found["fluency"].pairs() == {("", answer)}
    summary = formulas(subject(task="summary", source="The text."), answer)
    assert summary["factuality"].pairs() == {("The text.", answer)}
    assert "factuality" not in formulas(subject(task="summary"), answer)
    creative = formulas(subject(task="creative", references=()), answer)
    assert creative["relevance"].pairs() == {("Why?", answer)}
    assert formulas(subject(task="code"), answer) == {}
    assert set(found) == set(DIRECTIONS["qa"])


def test_every_sentence_counts_for_coherence_the_first_given_nothing() -> None:
    assert coherence_pairs("One. Two. Three.") == (("", "One."), ("One.", "Two."), ("One. Two.", "Three."))
    assert coherence_pairs("甲。乙。") == (("", "甲。"), ("甲。", "乙。"))
    assert coherence_pairs("Only one.") == ()
    assert coherence_pairs("One. Two. Three.", "Far. Away.") == (
        ("", "One."),
        ("Far.", "Two."),
        ("Far. Away.", "Three."),
    )
    many = " ".join(f"S{n}." for n in range(12))
    assert coherence_pairs(many)[-1] == ("S3. S4. S5. S6. S7. S8. S9. S10.", "S11.")
    mixed = coherence_pairs("Three. One. Two.")
    assert {text for _, text in mixed} == {text for _, text in coherence_pairs("One. Two. Three.")}


def test_best_reference_for_qa_mean_for_summaries() -> None:
    answer = "ice floats on water"
    one, other = (overlap((r, answer)) for r in subject().references)
    means = [one.sum_logprob / one.token_count, other.sum_logprob / other.token_count]
    assert raw(subject(), answer, "factuality") == max(means)
    back = [overlap((answer, r)).sum_logprob / overlap((answer, r)).token_count for r in subject().references]
    summary = subject(task="summary", source="s")
    assert raw(summary, answer, "coverage") == pytest.approx(sum(back) / 2)
    assert raw(summary, answer, "relevance") == pytest.approx(sum(means + back) / 4)
    best = evaluated(
        formulas(subject(), answer)["factuality"], scored(formulas(subject(), answer)["factuality"].pairs())
    )
    assert (best.sum_logprob, best.token_count) == (one.sum_logprob, one.token_count)


def test_joined_scores_have_no_sum_and_any_cut_is_told() -> None:
    formula = formulas(subject(references=("CUT a", "b")), "a")["relevance"]
    found = evaluated(formula, scored(formula.pairs()))
    assert found.sum_logprob is None
    assert found.token_count is None
    assert found.truncated


def test_anchors_put_references_high_and_other_items_low() -> None:
    found = anchors_of(SHIPPED, [SHIPPED], scored)
    assert len(found) == len(SHIPPED) * len(DIRECTIONS["qa"])
    for item in SHIPPED:
        anchor = found[item.item_hash, "factuality"]
        assert anchor.usable
        assert mapped(raw(item, item.references[0], "factuality"), anchor) == pytest.approx(1.0, abs=0.05)
        # counting words sees no difference between a text and its shuffled words
        assert not found[item.item_hash, "fluency"].usable
        assert mapped(-1.0, found[item.item_hash, "fluency"]) is None


def test_anchors_do_not_depend_on_the_company() -> None:
    alone = anchors_of(SHIPPED[:1], [SHIPPED], scored)
    together = anchors_of(SHIPPED[::-1], [SHIPPED[::-1]], scored)
    assert all(together[key] == anchor for key, anchor in alone.items())


def test_second_pool_helps_where_the_first_has_nothing_alike() -> None:
    long = [subject(item_hash=f"h{n}", references=(f"w{n} " * 4000,)) for n in range(5)]
    assert anchors_of(long[:1], [SHIPPED], scored)["h0", "factuality"].lo is None
    assert anchors_of(long[:1], [SHIPPED, long], scored)["h0", "factuality"].lo is not None


def test_no_reference_no_anchor() -> None:
    found = anchors_of([subject(task="creative", references=())], [SHIPPED], scored)
    assert found["h", "relevance"] == Anchor(None, None)


@pytest.mark.parametrize(("value", "expected"), [(-4.0, 0.0), (-3.0, 0.0), (-2.0, 0.5), (-1.0, 1.0), (-0.5, 1.0)])
def test_mapping_is_linear_and_clipped(value: float, expected: float) -> None:
    assert mapped(value, Anchor(lo=-3.0, hi=-1.0)) == expected


@pytest.mark.parametrize("anchor", [Anchor(-1.0, -1.05), Anchor(-1.05, -1.0), Anchor(None, -1.0), Anchor(-1.0, None)])
def test_a_scale_too_short_gives_no_value(anchor: Anchor) -> None:
    assert mapped(-1.0, anchor) is None


@pytest.mark.parametrize("task", list(WEIGHTS))
def test_weights_sum_to_one(task: str) -> None:
    assert sum(WEIGHTS[task].values()) == pytest.approx(1.0)


@given(st.dictionaries(st.sampled_from(list(WEIGHTS["qa"])), st.floats(0, 1)))
def test_composite_stays_between_its_parts(parts: dict[str, float]) -> None:
    result = composite("qa", parts)
    if not parts:
        assert result is None
        return
    assert result is not None
    quality, weights = result
    assert min(parts.values()) - 1e-9 <= quality <= max(parts.values()) + 1e-9
    assert sum(weights.values()) == pytest.approx(1.0)


def test_composite_by_hand() -> None:
    result = composite("qa", {"match": 1.0, "informativeness": 0.5, "factuality": 0.4, "relevance": 0.2})
    assert result is not None
    assert result[0] == pytest.approx(0.3 + 0.1 + 0.12 + 0.04)
    only = composite("qa", {"factuality": 0.4, "relevance": 0.9})
    assert only is not None
    assert only[0] == pytest.approx(0.4 * 0.6 + 0.9 * 0.4)
    assert len(SCORER_VERSION) == 12


def test_floors_by_direction() -> None:
    item = subject(references=("ice floats", "water"))
    assert floor("factuality", item, "ice floats well") == 0.5
    assert floor("coverage", item, "ice") == 0.5
    assert floor("relevance", item, "ice floats") == 1.0
    assert floor("relevance", subject(references=("😀",)), "") is None
    assert floor("fluency", item, "ice floats") == 1.0
    assert floor("factuality", subject(task="summary", source="a b c"), "a b x") == 0.5
