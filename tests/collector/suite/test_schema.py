"""The JSON Schema of item files says what the reader does."""

import json

import pytest
from jsonschema import Draft202012Validator

from collector.errors import ItemError
from collector.suite import LOAD_TOKENS, SHIPPED, TASKS, Item
from collector.suite.constraints import KINDS, UNITS
from collector.suite.fields import COMMON

SCHEMA = json.loads((SHIPPED.parent / "schema.json").read_text(encoding="utf-8"))
FILES = Draft202012Validator(SCHEMA)
ITEMS = Draft202012Validator({"$ref": "#/$defs/item", "$defs": SCHEMA["$defs"]})
GOOD = {"id": "a", "task": "qa", "load": "short", "language": "en", "prompt": "Why?", "reference": "Because."}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.json")), ids=lambda path: path.name)
def test_shipped_files_follow_it(path) -> None:
    errors = FILES.iter_errors(json.loads(path.read_text(encoding="utf-8")))
    assert [f"{error.json_path}: {error.message[:200]}" for error in errors] == []


def test_it_names_every_field_task_load_and_kind() -> None:
    definitions = SCHEMA["$defs"]
    item = definitions["item"]
    assert set(item["properties"]) == set(COMMON)
    assert item["properties"]["task"]["enum"] == list(TASKS)
    assert item["properties"]["load"]["enum"] == list(LOAD_TOKENS)
    assert [part["then"]["$ref"] for part in item["allOf"]] == [f"#/$defs/{task}" for task in TASKS]
    assert {task: set(definitions[task]["properties"]) for task in TASKS} == {t: set(f) for t, f in TASKS.items()}
    kinds = {kind["properties"]["kind"]["const"]: set(kind["properties"]) for kind in definitions["constraint"]["oneOf"]}
    assert kinds == {kind: {"kind", *fields} for kind, fields in KINDS.items()}
    assert definitions["constraint"]["oneOf"][0]["properties"]["unit"]["enum"] == list(UNITS)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"answers": ["x"], "key_facts": [["x", "y"]]},
        {"reference": None},
        {"references": ["x", "y"]},
        {"promt": "x"},
        {"prompt": "  "},
        {"prompt": 3},
        {"answers": []},
        {"answers": ["x", " "]},
        {"key_facts": ["x"]},
        {"task": "poetry"},
        {"task": ["qa"]},
        {"load": "huge"},
        {"language": "English"},
        {"id": "a b"},
        {"source": "a field of another task"},
        {"task": "summary", "source": "x", "length": {"min_tokens": 1, "max_tokens": 2}},
        {"task": "summary", "length": {"min_tokens": 1}},
        {"task": "summary", "length": {"min_tokens": 1, "max_tokens": 2, "unit": "x"}},
        {"task": "code", "entry_point": "f", "cases": [{"expected": None}]},
        {"task": "code", "cases": [{"args": [1], "kwargs": {"a": 1}, "expected": 1, "tolerance": 0.1}]},
        {"task": "code", "cases": [{"args": {"python": "[(1, 2)]"}, "raises": "ValueError"}]},
        {"task": "code", "cases": [{"args": 1, "expected": 1}]},
        {"task": "code", "cases": [{"args": []}]},
        {"task": "code", "cases": [{"expected": 1, "raises": "ValueError"}]},
        {"task": "code", "cases": [{"expected": 1, "tolerance": -1}]},
        {"task": "code", "cases": [{"expected": 1, "more": 1}]},
        {"task": "code", "cases": []},
        {"task": "creative", "constraints": [{"kind": "lines", "min": 4}, {"kind": "title"}]},
        {"task": "creative", "constraints": [{"kind": "length", "unit": "words", "max": 4}]},
        {"task": "creative", "constraints": [{"kind": "length", "unit": "miles", "max": 4}]},
        {"task": "creative", "constraints": [{"kind": "length", "unit": "words"}]},
        {"task": "creative", "constraints": [{"kind": "lines", "min": -1}]},
        {"task": "creative", "constraints": [{"kind": "must", "words": []}]},
        {"task": "creative", "constraints": [{"kind": "must", "words": ["x"], "text": "x"}]},
        {"task": "creative", "constraints": [{"kind": "sonnet"}]},
        {"task": "creative", "constraints": [{"min": 3}]},
        {"task": "creative", "constraints": "x"},
    ],
    ids=lambda change: json.dumps(change)[:70],
)
def test_it_takes_what_the_reader_takes(change) -> None:
    table = {key: value for key, value in (GOOD | change).items() if value is not None}
    if "references" in change:
        both = ITEMS.is_valid(table)
        del table["reference"]
        assert not both
    try:
        Item.from_table(table, "s")
        read = True
    except ItemError:
        read = False
    assert ITEMS.is_valid(table) is read
