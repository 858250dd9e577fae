"""Gates: what fails, and what must not fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.gates import GATES, Answer, detected_language, failed_gates
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


@pytest.mark.parametrize("text", ["", "  \n", "...", "😀😀😀", "。。。！", "\u200b"])
def test_nothing_said_is_empty(text: str) -> None:
    assert failed_gates(answer(text)) == ["empty"]


def test_output_cap_is_a_failure() -> None:
    assert failed_gates(answer(EN, done_reason="length")) == ["cut_off"]
    assert failed_gates(answer(EN, done_reason=None)) == []


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot answer this question.",
        "I cannot provide an explanation of that topic.",
        "As an AI language model, I am not able to explain this.",
        "We are unable to do so. I am unable to assist here.",
    ],
)
def test_english_refusals(text: str) -> None:
    assert "refused" in failed_gates(answer(text))


@pytest.mark.parametrize(
    "text",
    [
        "很抱歉，我无法回答这个问题。",
        "对不起，我不能提供这方面的内容。",
        "作为一个人工智能语言模型，我无法解释这个问题。",
        "我不能帮助你完成这个要求。",
    ],
)
def test_chinese_refusals(text: str) -> None:
    assert "refused" in failed_gates(answer(text, "zh"))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("At night a solar cell cannot provide power, and people are unable to use it.", "en"),
        ("We cannot see the far side of the Moon from the Earth because it always shows us the same face.", "en"),
        ("晚上没有太阳光，太阳能电池不能发电，我们无法直接使用它。", "zh"),
        ("The scientist said that the wind is not steady. " * 2 + "I cannot help but think so.", "en"),
    ],
)
def test_words_of_the_subject_are_no_refusal(text: str, language: str) -> None:
    assert "refused" not in failed_gates(answer(text, language))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It is so. " + "the wind turns the blades and " * 12, "en"),
        ("word " * 40, "en"),
        ("水从高处流下，" * 10, "zh"),
        ("哈" * 50, "zh"),
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
    ("text", "language"),
    [
        (EN, "en"),
        (ZH, "zh"),
        ("42", None),
        ("", None),
        ("内存也叫 RAM，速度很快，关机以后数据会丢失，程序运行时使用。", "zh"),
        ("Лёд плавает, потому что он легче воды.", "other"),
        ("氷は水より軽いので水に浮かびます。", "other"),
        ("얼음은 물보다 가벼워서 뜹니다.", "other"),
        (
            "Das Eis schwimmt auf dem Wasser, weil es leichter ist, und die Fische leben im Winter unter dem Eis im See weiter.",
            "other",
        ),
        ("牛顿定律 first law says 物体运动 keeps 静止 moving", None),
    ],
)
def test_language_by_script_and_words(text: str, language: str | None) -> None:
    assert detected_language(text) == language


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
