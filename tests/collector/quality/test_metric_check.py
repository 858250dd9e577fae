"""What a metric can tell is measured by texts spoilt by rule, with a score that counts shared words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli import check_metrics as command
from collector.errors import ScorerError, UsageError
from collector.quality.corrupt import dropped_sentences, shuffled_sentences, shuffled_words, swapped_facts
from collector.quality.directions import Subject
from collector.quality.metric_check import METRICS, check_metrics
from collector.suite import load_suite
from db import Store
from tests.collector.quality.test_anchors import scored, subject

SUITE = [Subject.of(item) for item in load_suite().items]


@pytest.mark.parametrize(
    ("text", "spoilt"),
    [
        ("It has 3 legs and 12 eyes.", "It has 12 legs and 3 eyes."),
        ("It weighs 400 kg.", "It weighs 500 kg."),
        ("There Ann Lee met Bob, and later Ann Lee left.", None),
        ("He said that Ann met Bob.", "He said that Bob met Ann."),
        ("Ice is light.", "Ice is not light."),
        ("Ice does not sink.", "Ice does sink."),
        ("全程12公里，用了3天。", "全程3公里，用了12天。"),
        ("共有三个人和十二只羊。", "共有十二个人和三只羊。"),
        ("冰是轻的。", "冰不是轻的。"),
        ("冰不会沉。", "冰会沉。"),
        ("他读《红楼》，她读《西游》。", "他读《西游》，她读《红楼》。"),
        ("Only words.", None),
        ("", None),
    ],
)
def test_swapped_facts(text: str, spoilt: str | None) -> None:
    if text.startswith("There"):
        spoilt = "There Bob met Ann Lee, and later Bob left."
        text = text.replace("There Ann", "there Ann")
        spoilt = spoilt.replace("There", "there")
    assert swapped_facts(text) == spoilt


@given(st.text(max_size=80))
def test_spoiling_is_repeatable_and_changes_something(text: str) -> None:
    for spoil in (swapped_facts, dropped_sentences):
        assert spoil(text) == spoil(text) != text
    for mix in (shuffled_words, shuffled_sentences):
        found = mix(text, "k")
        assert found == mix(text, "k")
        assert found is None or sorted("".join(found.split())) == sorted("".join(text.split()))


def test_most_references_of_the_suite_can_be_spoilt_in_every_way() -> None:
    texts = [text for one in SUITE if one.task in ("qa", "summary") for text in one.references]
    assert sum(swapped_facts(text) is not None for text in texts) / len(texts) > 0.9
    assert all(dropped_sentences(text) for text in texts)
    assert all(shuffled_words(text, "k") for text in texts)


def test_halves() -> None:
    assert dropped_sentences("One. Two. Three.") == "One. Two."
    assert dropped_sentences("one two three") == "one two"
    assert dropped_sentences("甲乙。丙丁。") == "甲乙。"
    assert dropped_sentences("甲乙丙丁") == "甲乙"
    assert shuffled_sentences("Only one.", "k") is None
    assert shuffled_sentences("One. Two.", "k") == "Two. One."
    assert shuffled_words("word", "k") is None


def test_counting_words_tells_content_but_not_order() -> None:
    some = [one for one in SUITE if one.task == "qa" and one.load == "short"][:6]
    found = {(c.metric, c.language, c.task): c for c in check_metrics(some, SUITE, scored)}
    assert found
    for (metric, _, task), check in found.items():
        assert metric in METRICS
        assert task in (None, "qa")
        assert check.couples > 0
        expected = {"relevance": 1.0, "coverage": 1.0, "fluency": 0.5}.get(metric)
        assert expected is None or check.auc == pytest.approx(expected)
        assert check.weak == (check.auc < 0.8)
        assert (check.held_out is None) == (metric == "fluency")


def test_held_out_reference_does_not_judge_itself() -> None:
    one = subject(references=("Ice is light. It floats.", "Wood was hard. Then smoke."))
    found = {c.metric: c for c in check_metrics([one], [one], scored) if c.task is None}
    assert found["coverage"].auc == 1.0
    assert found["coverage"].held_out == 0.5  # what was dropped stands in no other reference
    assert "relevance" not in found  # nothing to take another answer from


@pytest.mark.parametrize("zh", [False, True])
def test_command_prints_figures_and_what_is_weak(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, zh: bool
) -> None:
    monkeypatch.setenv("ENERGY_RATING_LANG", "zh" if zh else "en")
    found = check_metrics([one for one in SUITE if one.task == "qa"][:2], SUITE, scored)
    text = "\n".join(command._lines("some@1", 0.8, found))
    assert "some@1" in text
    assert "fluency" in text
    assert "0.50" in text


def test_command_refuses_what_is_not_there(byte_checkpoint: object) -> None:
    from collector.__main__ import build_parser

    options = build_parser().parse_args(["check-metrics", "--limit", "0"])
    with pytest.raises(UsageError, match="--limit"):
        options.func(options)
    options = build_parser().parse_args(["check-metrics", "--checkpoint", "nobody/has-this"])
    with pytest.raises(ScorerError, match="not on this machine"):
        options.func(options)


def test_stability_of_an_empty_store_is_said(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    from collector.__main__ import build_parser

    options = build_parser().parse_args(["check-metrics", "--stability", "--db", str(store.path), "--json"])
    assert options.func(options) == 0
    assert json.loads(capfd.readouterr().out) == []
