"""The shipped code items: their reference solutions pass every case, typical mistakes do not."""

import ast
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collector.quality.code import code_verdict
from collector.quality.extract import extract
from collector.quality.sandbox import Case, CaseOutcome, available, run_cases
from collector.quality.sandbox.cases import same
from collector.suite import SHIPPED, Item, load_file, range_problems

ITEMS = load_file(SHIPPED / "code.json", need_references=True)
EDITS: dict[str, list[tuple[str, str]]] = json.loads(
    (Path(__file__).parent / "wrong_code.json").read_text(encoding="utf-8")
)
"""Five mistakes per item: the part of the reference solution, there once, and what stands wrongly in its place."""

CELLS = [(language, load) for language in ("zh", "en") for load in ("short", "medium", "long")]

# Calls a function of one of many programs, so that a single sandbox serves them all.
MANY = """
PROGRAMS = {programs!r}
LOADED = {{}}

def call(number, args, kwargs):
    if number not in LOADED:
        code, name = PROGRAMS[number]
        space = {{"__name__": "program"}}
        exec(code, space)
        LOADED[number] = space[name]
    return LOADED[number](*args, **kwargs)
"""


def _cell(language: str, load: str) -> list[Item]:
    return [item for item in ITEMS if (item.language, item.load) == (language, load)]


def _cases(item: Item) -> list[Case]:
    return [Case.from_table(table) for table in item.payload["cases"]]


def _reference(item: Item) -> str:
    program = extract(item.references[0], item.payload["entry_point"], item.prompt)
    assert program is not None
    assert program.method == "block"
    return program.code


def _wrong(item: Item) -> list[str]:
    """The reference solution with one mistake each."""
    reference = _reference(item)
    assert all(reference.count(part) == 1 for part, _ in EDITS[item.id]), item.id
    return [reference.replace(part, mistake) for part, mistake in EDITS[item.id]]


def _outcomes(programs: list[tuple[str, Item]]) -> list[list[CaseOutcome]]:
    """How the cases of its item went, for every program."""
    code = MANY.format(programs=[(program, item.payload["entry_point"]) for program, item in programs])
    calls = [
        Case([number, list(case.args), dict(case.kwargs)], case.expected, {}, case.tolerance, case.raises)
        for number, (_, item) in enumerate(programs)
        for case in _cases(item)
    ]
    outcomes = iter(run_cases(code, "call", calls, timeout_s=60.0).outcomes)
    return [[next(outcomes) for _ in _cases(item)] for _, item in programs]


def _examples(item: Item) -> list[tuple[list[Any], dict[str, Any], Any]]:
    """Arguments and value of each example that the prompt gives as `name(...) == value`."""
    found = []
    for text in re.findall(rf"`({item.payload['entry_point']}\([^`]*\) == [^`]*)`", item.prompt):
        comparison = ast.parse(text, mode="eval").body
        assert isinstance(comparison, ast.Compare)
        call = comparison.left
        assert isinstance(call, ast.Call)
        kwargs = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        found.append(([*map(ast.literal_eval, call.args)], kwargs, ast.literal_eval(comparison.comparators[0])))
    return found


@pytest.fixture(scope="module")
def sandbox() -> None:
    if available() is None:
        pytest.skip("no sandbox holds on this machine")


def test_every_load_and_language_has_ten_items_in_range() -> None:
    assert Counter((item.language, item.load) for item in ITEMS) == dict.fromkeys(CELLS, 10)
    assert {item.task for item in ITEMS} == {"code"}
    assert range_problems(ITEMS) == []


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_the_prompt_names_the_function_and_agrees_with_the_cases(item: Item) -> None:
    assert item.payload["entry_point"] + "(" in item.prompt
    cases = _cases(item)
    assert sum(case.raises is None for case in cases) >= 8
    examples = _examples(item)
    assert examples
    for args, kwargs, value in examples:
        given = [case for case in cases if same([args, kwargs], [case.args, case.kwargs])]
        assert [same(case.expected, value, case.tolerance) for case in given] == [True], (args, kwargs)


def test_no_case_is_there_twice() -> None:
    for item in ITEMS:
        calls = [json.dumps([case.args, case.kwargs]) for case in _cases(item)]
        assert len(set(calls)) == len(calls), item.id


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_the_reference_solution_passes(item: Item) -> None:
    verdict = code_verdict(item.references[0], item.prompt, item.payload)
    assert (verdict.passed, verdict.share, verdict.reason) == (True, 1.0, None), verdict.detail


def test_every_item_has_five_wrong_solutions() -> None:
    assert list(EDITS) == [item.id for item in ITEMS]
    for item in ITEMS:
        assert len({*_wrong(item), _reference(item)}) == 6, item.id


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("language", "load"), CELLS)
def test_every_wrong_solution_fails(language: str, load: str) -> None:
    items = _cell(language, load)
    programs = [(code, item) for item in items for code in (*_wrong(item), _reference(item))]
    passed = [all(outcome.status == "pass" for outcome in outcomes) for outcomes in _outcomes(programs)]
    assert passed == [False, False, False, False, False, True] * len(items)
