"""The shipped summaries: enough of them, answerable from their source, with references that are no copies of it."""

import difflib
import re
from collections import Counter

import pytest

from collector.quality.gates import Answer, failed_gates
from collector.quality.language import detected_language
from collector.suite import LOAD_TOKENS, SHIPPED, Item, load_file, range_problems, token_estimate

ITEMS = load_file(SHIPPED / "summary.json", need_references=True)
PER_CELL = 10
COPIED_SHARE = 0.6


def _units(text: str, language: str) -> list[str]:
    """Characters of a Chinese text, words of another."""
    return re.findall(r"\w" if language == "zh" else r"\w+", text.lower())


def _copied_share(reference: str, source: str, language: str) -> float:
    """Share of the reference that its longest run found in the source makes up."""
    ours, theirs = _units(reference, language), _units(source, language)
    return difflib.SequenceMatcher(None, ours, theirs, autojunk=False).find_longest_match().size / len(ours)


def _numbers(text: str) -> set[str]:
    """Numbers in digits, and Chinese ones of three characters or more (shorter ones may be rounded or rephrased)."""
    digits = {number.rstrip(".,:") for number in re.findall(r"\d[\d.,:]*", text)}
    return digits | set(re.findall(r"[一二三四五六七八九十百千万]{3,}", text))


def test_every_load_and_language_has_its_items() -> None:
    cells = Counter((item.load, item.language) for item in ITEMS)
    assert cells == {(load, language): PER_CELL for load in LOAD_TOKENS for language in ("zh", "en")}
    assert {item.task for item in ITEMS} == {"summary"}
    assert range_problems(ITEMS) == []


def test_ids_tell_language_and_load() -> None:
    assert len({item.id for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert re.fullmatch(rf"sum-{item.language}-{item.load[0]}(0[1-9]|10)", item.id), item.id


def test_every_source_is_another() -> None:
    sources = [item.payload["source"] for item in ITEMS]
    assert len(set(sources)) == len(sources)


@pytest.mark.parametrize("item", ITEMS, ids=[item.id for item in ITEMS])
def test_item(item: Item) -> None:
    source, length = item.payload["source"], item.payload["length"]
    assert item.prompt.endswith(source)
    instruction = item.prompt.removesuffix(source)
    assert {"zh": "中文", "en": "English"}[item.language] in instruction
    assert re.search(r"约\d+字" if item.language == "zh" else r"about \d+ words", instruction)
    assert len(set(item.references)) == len(item.references) >= 2
    for reference in item.references:
        assert length["min_tokens"] <= token_estimate(reference) <= length["max_tokens"]
        assert token_estimate(reference) < token_estimate(source)
        assert _copied_share(reference, source, item.language) <= COPIED_SHARE
        assert _numbers(reference) <= _numbers(source), "a number that the source does not hold"
        assert detected_language(reference) == item.language
        assert failed_gates(Answer(reference, "stop", item.language, "summary")) == []
    first, second = item.references[:2]
    assert _copied_share(first, second, item.language) <= COPIED_SHARE


def test_the_length_asked_for_lies_inside_the_range() -> None:
    for item in ITEMS:
        found = re.search(r"约(\d+)字|about (\d+) words", item.prompt)
        assert found, item.id
        words = int(found[1] or found[2])
        tokens = 0.7 * words if item.language == "zh" else 1.3 * words
        low, high = item.payload["length"]["min_tokens"], item.payload["length"]["max_tokens"]
        assert 1.25 * low < tokens < high / 1.25, item.id


def test_a_copied_sentence_is_told_from_a_summary() -> None:
    source = ITEMS[0].payload["source"]
    copied = re.split(r"(?<=。)", source)[0]
    assert _copied_share(copied, source, "zh") == 1
    assert _numbers("On 3 June 1,340 of 2.5, at 10:05.") == {"3", "1,340", "2.5", "10:05"}
    assert _numbers("四百一十二人中有3人，二十人") == {"四百一十二", "3"}
