"""The shipped creative items: each sample answer keeps what its prompt asks for, another item's answer mostly does not."""

from statistics import fmean

import pytest

from collector.errors import ItemError
from collector.quality.constraints import check, share_held
from collector.quality.gates import Answer, failed_gates
from collector.suite import Item, load_suite, range_problems

ITEMS = load_suite().select(["creative"]).items
CELLS = [(load, language) for load in ("short", "medium", "long") for language in ("zh", "en")]


def cell(load: str, language: str) -> list[Item]:
    return [item for item in ITEMS if (item.load, item.language) == (load, language)]


@pytest.mark.parametrize(("load", "language"), CELLS)
def test_ten_items_of_each_load_and_language(load: str, language: str) -> None:
    assert len(cell(load, language)) == 10


def test_prompts_and_answers_have_the_length_of_their_load() -> None:
    assert range_problems(ITEMS) == []


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_the_sample_answer_keeps_every_constraint(item: Item) -> None:
    (answer,) = item.references
    held = check(item.payload["constraints"], answer, item.language)
    assert 3 <= len(held) <= 6
    assert [constraint for constraint, kept in held if not kept] == []
    assert failed_gates(Answer(answer, "stop", item.language, item.task)) == []


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_the_prompt_says_which_words_are_wanted(item: Item) -> None:
    for constraint in item.payload["constraints"]:
        for word in [*constraint.get("words", []), *([constraint["text"]] if "text" in constraint else [])]:
            assert word.casefold() in item.prompt.casefold(), constraint


@pytest.mark.parametrize(("load", "language"), CELLS)
def test_the_answer_to_another_item_keeps_fewer(load: str, language: str) -> None:
    items = cell(load, language)
    for item in items:
        shares = [
            share_held(item.payload["constraints"], other.references[0], language) for other in items if other is not item
        ]
        assert fmean(share for share in shares if share is not None) < 0.6, item.id


def test_no_text_serves_twice() -> None:
    texts = [text for item in ITEMS for text in (item.prompt, *item.references)]
    assert len(set(texts)) == 2 * len(ITEMS)
    names = [item.references[0].splitlines()[0] for item in ITEMS]
    assert len(set(names)) == len(ITEMS)


def test_a_wrong_constraint_is_refused_by_place_and_name() -> None:
    table = {"task": "creative", "load": "short", "language": "en", "prompt": "Write a poem."}
    good = {"kind": "lines", "min": 4}
    assert Item.from_table(table | {"constraints": [good]}, "own.toml").payload == {"constraints": [good]}
    with pytest.raises(ItemError, match=r"own\.toml.*constraints\[1\].*'rhyme'"):
        Item.from_table(table | {"constraints": [good, {"kind": "rhyme"}]}, "own.toml")
