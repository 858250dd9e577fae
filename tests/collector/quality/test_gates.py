"""Gates: what fails, and what must not fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.gates import GATES, Answer, failed_gates
from collector.suite import load_suite
from db.flags import effect_of

EN = "Ice floats because it is less dense than water, and the lake below stays liquid for the fish."
ZH = "冰的密度比水小，所以会浮在水面上，湖里的鱼可以在冰下面过冬。"


def answer(text: str, language: str = "en", done_reason: str | None = "stop", task: str = "qa") -> Answer:
    return Answer(text, done_reason, language, task)


def test_every_gate_is_a_failure_flag() -> None:
    assert [effect_of(name) for name in GATES] == ["failure"] * len(GATES)


def test_every_reference_of_the_suite_passes() -> None:
    for item in load_suite().items:
        for reference in item.references:
            assert failed_gates(answer(reference, item.language, task=item.task)) == [], item.id


@pytest.mark.parametrize("text", ["", "  \n", "...", "😀😀😀", "。。。！", "\u200b", "1️⃣2️⃣", "㊗️🎉", "👩‍👩‍👧", "\0\0", "```\n```"])
def test_nothing_said_is_empty(text: str) -> None:
    assert failed_gates(answer(text)) == ["empty"]


def test_output_cap_is_a_failure() -> None:
    assert failed_gates(answer(EN, done_reason="length")) == ["cut_off"]
    assert failed_gates(answer(EN, done_reason=None)) == []


def test_a_refusal_is_a_failure() -> None:
    assert failed_gates(answer("I'm sorry, but I can't help with that.")) == ["refused"]
    assert failed_gates(answer("抱歉，我无法回答这个问题。", "zh")) == ["refused"]
    assert failed_gates(answer("I'm sorry, but I can't help with that.", "zh")) == ["refused", "wrong_language"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It is so. " + "the wind turns the blades and " * 12, "en"),
        ("word " * 40, "en"),
        ("水从高处流下，" * 10, "zh"),
        ("哈" * 50, "zh"),
        ("1" * 500, "en"),
        ("".join(f"{n}. Water boils at 100 degrees.\n" for n in range(1, 8)), "en"),
        ("It is so. " + "=" * 400 + "\n", "en"),
        ("好" + "😀🎉" * 300, "zh"),
        (" ".join(f"{n} the wind turns the big blades of it and so on and so forth" for n in "abcdefghij"), "en"),
    ],
)
def test_endless_repetition(text: str, language: str) -> None:
    assert "looping" in failed_gates(answer(text, language))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Very, very, very cold.", "en"),
        ("哈哈哈哈，真好。", "zh"),
        (EN + " " + EN, "en"),
        ("A googol is 1" + "0" * 100, "en"),
        ("".join(f"| {n} | {n * n} | yes |\n" for n in range(80)), "en"),
        ("".join(f"{n}. The city of C{n} has {n}000 people.\n" for n in range(40)), "en"),
        ("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 3, "en"),
        (
            "One bit is 0 or 1, two bits are 00, 01, 10 or 11, and three bits are 000, 001, 010, 011, 100, 101, 110 or 111.",
            "en",
        ),
    ],
)
def test_a_little_repetition_passes(text: str, language: str) -> None:
    assert "looping" not in failed_gates(answer(text, language))


def test_code_may_repeat_itself_but_not_for_ever() -> None:
    table = "\n".join(f"x{n} = f(a, b, c, d, e, g, h)" for n in range(30))
    assert failed_gates(answer(table, "zh", task="code")) == []
    assert failed_gates(answer("x = 1\n" * 50, "zh", task="code")) == ["looping"]


@pytest.mark.parametrize(
    ("text", "asked", "failed"),
    [
        (EN, "zh", ["wrong_language"]),
        (ZH, "en", ["wrong_language"]),
        (EN, "en", []),
        ("42", "zh", []),
        (EN, "fr", []),
    ],
)
def test_answer_in_another_language(text: str, asked: str, failed: list[str]) -> None:
    assert failed_gates(answer(text, asked)) == failed
    assert failed_gates(answer(text, asked, task="code")) == []


def test_long_answers_are_judged_quickly() -> None:
    assert failed_gates(answer(EN * 1100)) == ["looping"]
    text = " ".join(f"w{n} the" for n in range(15_000))
    assert len(text) > 100_000
    assert failed_gates(answer(text)) == []


@given(st.text(max_size=200), st.sampled_from(["zh", "en"]))
def test_any_text_gets_known_gates(text: str, language: str) -> None:
    assert set(failed_gates(answer(text, language))) <= set(GATES)
