"""Looking for answers and key facts, and the lexical floors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.lexical import chrf, copied_bigrams, unigram_recall
from collector.quality.match import holds_phrase, informativeness, match
from collector.quality.text import normalised, sentences, tokens
from collector.suite import load_suite


def test_every_reference_holds_its_answer_and_all_key_facts() -> None:
    for item in load_suite().select(["qa"]).items:
        for reference in item.references:
            assert match(reference, item.payload["answers"]) is True, item.id
            assert informativeness(reference, item.payload["key_facts"]) == 1.0, item.id


def test_another_items_reference_does_not_hold_the_answer() -> None:
    items = load_suite().select(["qa"], ["short"]).items
    wrong = [
        match(b.references[0], a.payload["answers"])
        for a in items
        for b in items
        if a.id != b.id and a.language == b.language
    ]
    assert sum(map(bool, wrong)) / len(wrong) < 0.1


@pytest.mark.parametrize(
    ("text", "phrase", "held"),
    [
        ("It has 300,000 parts", "300000", True),
        ("It has 300 000 parts", "300,000", True),
        ("１２３", "123", True),
        ("about 3400 meters", "340", False),
        ("about 340 meters", "340", True),
        ("1340", "340", False),
        ("每秒340米", "340米", True),
        ("The programs", "ram", False),
        ("The RAM.", "ram", True),
        ("many antibodies", "antibod", True),
        ("overheat", "heat", False),
        ("东 海", "东海", True),
        ("流进「东海」。", "东海", True),
        ("也叫I帧。", "I帧", True),
        ("内存（RAM）很快", "ram", True),
        ("程序program", "ram", False),
        ("CO₂ and water", "co2", True),
        ("on-or-off", "on or off", True),
        ("anything", "!!!", False),
        ("0 和 1", "0和1", True),
        ("3.6 million", "3.6 Million", True),
        ("13.6 million", "3.6 million", False),
        ("每分钟75次", "75次", True),
        ("it said no, no", "no", True),
    ],
)
def test_phrases(text: str, phrase: str, held: bool) -> None:
    assert holds_phrase(normalised(text), phrase) is held


def test_no_list_no_figure() -> None:
    assert match("x", []) is None
    assert informativeness("x", []) is None
    assert informativeness("the moon", [["moon"], ["sun"]]) == 0.5


@given(st.text(max_size=60), st.text(alphabet="ab东海12 ,.", min_size=1, max_size=8))
def test_a_text_between_marks_is_found(text: str, phrase: str) -> None:
    if normalised(phrase).strip():
        assert holds_phrase(normalised(f"{text} | {phrase} | {text}"), phrase)


@given(st.text(max_size=80))
def test_normal_form_is_stable(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_tokens_and_sentences() -> None:
    assert tokens("CPU有2个核, 3.5 GHz!") == ["cpu", "有", "2", "个", "核", "3.5", "ghz"]
    assert sentences("一。二！Three. Four 4.5 five?\n六") == ["一。", "二！", "Three.", "Four 4.5 five?", "六"]


def test_lexical_floors_by_hand() -> None:
    assert unigram_recall("the cat", "the cat sat down") == 0.5
    assert unigram_recall("猫在", "猫坐在垫") == 0.5
    assert copied_bigrams("a b c x", ["a b c", "z"]) == pytest.approx(2 / 3)
    assert chrf("abc", "abc") == 1.0
    assert chrf("abc", "xyz") == 0.0
    # orders 1 and 2: precision (3/3 + 2/2) / 2 = 1, recall (3/4 + 2/3 + 1/2) over three orders of the longer text
    p, r = 1.0, (3 / 4 + 2 / 3 + 1 / 2) / 3
    assert chrf("abc", "abcd") == pytest.approx(5 * p * r / (4 * p + r))


@pytest.mark.parametrize("text", ["", "😀", "  "])
def test_no_words_no_floor(text: str) -> None:
    assert unigram_recall("x", text) is None
    assert copied_bigrams(text, ["x y"]) is None


@given(st.text(max_size=50), st.text(max_size=50))
def test_floors_are_shares(answer: str, reference: str) -> None:
    for value in (unigram_recall(answer, reference), copied_bigrams(answer, [reference]), chrf(answer, reference)):
        assert value is None or 0 <= value <= 1
