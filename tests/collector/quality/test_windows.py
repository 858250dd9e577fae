"""Texts longer than the model: nothing is lost, nothing is too long, and neighbours stay together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.text import sentence_spans, sentences
from collector.quality.windows import MOST, parts, split_pair, windows


def words(text: str) -> int:
    """Tokens of a toy tokenizer: one per word, two marks."""
    return len(text.split()) + 2


TEXTS = st.lists(st.sampled_from(["one two. ", "three four five! ", "six ", "七八。", "\n", "nine " * 12]), max_size=20)


@given(TEXTS, st.integers(5, 30))
def test_parts_hold_the_whole_text_and_fit(pieces: list[str], limit: int) -> None:
    text = "".join(pieces)
    found = list(parts(text, words, limit))
    assert "".join(found).split() == text.split()
    assert all(words(part) <= limit for part in found)


@given(TEXTS, st.integers(8, 30))
def test_every_sentence_stands_in_a_window_that_fits(pieces: list[str], limit: int) -> None:
    text = "".join(pieces)
    found = list(windows(text, words, limit))
    assert all(words(window) <= limit for window in found)
    for sentence in sentences(text):
        if words(sentence) <= limit:
            assert any(sentence in window for window in found)


def test_each_sentence_meets_its_neighbours_on_both_sides() -> None:
    text = " ".join(f"Sentence number {n} ends here." for n in range(12))
    found = list(windows(text, words, 5 * 7))
    assert len(found) > 2
    for n in range(1, 11):
        assert any(all(f"number {m} " in window for m in (n - 1, n, n + 1)) for window in found)


def test_long_source_asks_every_sentence_of_every_window() -> None:
    source = " ".join(f"Sentence number {n} ends here." for n in range(6))
    plan, *cut = split_pair(source, "First one. Second one.", words, 3 * 7)
    assert cut == [False, False]
    assert [sorted({target for _, target in choice}) for choice in plan] == [["First one. "], ["Second one."]]
    assert len(plan[0]) == len(list(windows(source, words, 3 * 7))) > 1


def test_long_target_is_split_for_the_one_source() -> None:
    target = " ".join(f"Sentence number {n} ends here." for n in range(6))
    plan, *cut = split_pair("short", target, words, 14)
    assert cut == [False, False]
    assert all(len(choice) == 1 and choice[0][0] == "short" for choice in plan)
    assert "".join(choice[0][1] for choice in plan) == target


def test_a_text_without_sentences_is_halved() -> None:
    found = list(parts("x" * 100_000, len, 1000))
    assert "".join(found) == "x" * 100_000
    assert max(map(len, found)) <= 1000


def test_endless_texts_are_cut_and_it_is_told() -> None:
    endless = "One two three. " * 500
    plan, *cut = split_pair(endless, endless, words, 50)
    assert cut == [True, True]
    assert {len(choice) for choice in plan} == {MOST}
    assert len(plan) < 500
    assert split_pair("short", endless, words, 50)[1:] == (False, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 3.5 km. Dr. Smith and J. Doe went.", ["It is 3.5 km.", "Dr. Smith and J. Doe went."]),
        ("他说：“走吧。”然后走了！真的？\n是", ["他说：“走吧。”", "然后走了！", "真的？", "是"]),
        ('"Stop!" she said. (Really.) End', ['"Stop!"', "she said.", "(Really.)", "End"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(alphabet="a.。!? \n”1", max_size=60))
def test_spans_follow_each_other(text: str) -> None:
    spans = sentence_spans(text)
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
