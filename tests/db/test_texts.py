"""Sentences in both languages in one column."""

from hypothesis import given
from hypothesis import strategies as st

from db.texts import both, joined, pick

_WORDS = st.text().filter(lambda text: "‖" not in text)


@given(_WORDS, _WORDS)
def test_each_language_is_found_again(en: str, zh: str) -> None:
    assert (pick(both(en, zh), "en"), pick(both(en, zh), "zh")) == (en, zh)


@given(_WORDS)
def test_a_text_in_one_language_is_shown_as_it_is(text: str) -> None:
    assert pick(text, "en") == pick(text, "zh") == text


def test_a_text_that_holds_the_sign_itself() -> None:
    text = both("a ‖ b", "甲 ‖ 乙")
    assert (pick(text, "en"), pick(text, "zh")) == ("a | b", "甲 | 乙")


def test_several_become_one() -> None:
    assert joined([]) is None
    text = joined([both("one", "一"), "two"])
    assert text is not None
    assert (pick(text, "en"), pick(text, "zh")) == ("one; two", "一；two")
