"""The knowledge questions that are shipped: enough of each, each answered by its own reference and by no other one."""

import pytest

from collector.quality.match import informativeness, match
from collector.suite import SHIPPED, Item, load_file, range_problems

ITEMS = load_file(SHIPPED / "qa.json", need_references=True)
LOADS = ("short", "medium", "long")


def _cell(load: str, language: str) -> list[Item]:
    return [item for item in ITEMS if (item.load, item.language) == (load, language)]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("load", LOADS)
def test_every_load_and_language_has_ten_items_of_its_length(load: str, language: str) -> None:
    cell = _cell(load, language)
    assert len(cell) >= 10
    assert range_problems(cell) == []
    assert [item.id for item in cell] == [f"qa-{load}-{language}-{n:02d}" for n in range(1, len(cell) + 1)]


def test_every_item_can_be_judged() -> None:
    for item in ITEMS:
        assert item.payload["answers"], item.id
        assert 4 <= len(item.payload["key_facts"]) <= 8, item.id
        for reference in item.references:
            assert match(reference, item.payload["answers"]) is True, item.id
            assert informativeness(reference, item.payload["key_facts"]) == 1.0, item.id


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("load", LOADS[1:])
def test_another_question_of_the_load_is_not_answered(load: str, language: str) -> None:
    cell = _cell(load, language)
    pairs = [(own, other.references[0]) for own in cell for other in cell if own is not other]
    held = [own.id for own, wrong in pairs if match(wrong, own.payload["answers"])]
    assert len(held) <= 0.02 * len(pairs), held
    facts = [informativeness(wrong, own.payload["key_facts"]) or 0.0 for own, wrong in pairs]
    assert sum(facts) / len(facts) < 0.15


@pytest.mark.parametrize("load", LOADS[1:])
def test_the_longer_questions_do_not_give_the_answer_away(load: str) -> None:
    given = [item.id for item in ITEMS if item.load == load and match(item.prompt, item.payload["answers"])]
    assert given == []


def test_the_prompt_names_the_language_of_the_answer() -> None:
    for item in ITEMS:
        assert ("用中文" if item.language == "zh" else "in English") in item.prompt, item.id
