"""Items and suites: what is read, what is refused and how it is said."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ItemError
from collector.suite import (
    LOAD_RANGES,
    LOAD_TOKENS,
    TASKS,
    Item,
    Suite,
    load_file,
    load_suite,
    range_problems,
    token_estimate,
)

GOOD = {"id": "a", "task": "qa", "load": "short", "language": "en", "prompt": "Why?", "reference": "Because."}


def test_shipped_suite_is_complete_and_in_range() -> None:
    suite = load_suite()
    for language in ("zh", "en"):
        chosen = suite.select(["qa"], ["short"], [language])
        assert len(chosen.items) >= 15
        assert all(item.payload["answers"] and item.payload["key_facts"] for item in chosen.items)
    assert range_problems(suite.items) == []
    assert "qa 1" in suite.version
    assert "牛顿第一定律" in next(i for i in suite.items if i.id == "qa-short-zh-01").prompt


def test_shipped_chinese_keeps_a_small_vocabulary() -> None:
    items = load_suite().select(["qa"], ["short"], ["zh"]).items
    texts = [text for item in items for text in (item.prompt, *item.references)]
    assert len(set(re.findall(r"[\u4e00-\u9fff]", "".join(texts)))) <= 700


def test_own_item_gets_an_id_and_keeps_its_reference() -> None:
    table = {k: v for k, v in GOOD.items() if k != "id"}
    item = Item.from_table(table, "exp.toml")
    assert item.id == f"own-{item.hash[:8]}"
    assert item.references == ("Because.",)
    assert item.suite == "own"
    assert item.row()["payload"] == {"references": ["Because."]}
    assert re.fullmatch(r"[0-9a-f]{16}", item.hash)


def test_no_reference_is_allowed_for_own_items() -> None:
    item = Item.from_table({k: v for k, v in GOOD.items() if k != "reference"}, "exp.toml")
    assert item.references == ()
    assert item.row()["reference"] is None


@pytest.mark.parametrize(
    "change",
    [{"prompt": "Why so?"}, {"load": "long"}, {"language": "zh"}, {"reference": "So."}, {"answers": ["so"]}],
)
def test_any_change_of_content_changes_the_hash(change: dict[str, object]) -> None:
    assert Item.from_table(GOOD | change, "s").hash != Item.from_table(GOOD, "s").hash


def test_id_and_suite_do_not_change_the_hash() -> None:
    assert Item.from_table(GOOD | {"id": "b"}, "s", suite="x").hash == Item.from_table(GOOD, "s").hash


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"promt": "x"}, ["promt", "prompt"]),
        ({"zzz": 1}, ["zzz", "known"]),
        ({"prompt": "  "}, ["prompt", "empty"]),
        ({"prompt": 3}, ["prompt", "text"]),
        ({"prompt": "a\0b"}, ["prompt", "NUL"]),
        ({"answers": ["a", "b\0"]}, ["answers", "NUL"]),
        ({"answers": "x"}, ["answers", "list"]),
        ({"key_facts": ["x"]}, ["key_facts", "lists"]),
        ({"references": []}, ["references", "list"]),
        ({"references": ["x"]}, ["reference", "references"]),
        ({"task": "poetry"}, ["task", "poetry", "creative"]),
        ({"task": 5}, ["task", "5"]),
        ({"task": ["qa"]}, ["task"]),
        ({"load": "huge"}, ["load", "huge", "short"]),
        ({"language": "English"}, ["language", "en"]),
        ({"id": "a b"}, ["id", "letters"]),
        ({"source": "x"}, ["source", "known"]),
    ],
)
def test_wrong_items_are_refused_by_name(change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ItemError) as caught:
        Item.from_table(GOOD | change, "mine.toml")
    assert "mine.toml" in caught.value.en
    assert "mine.toml" in caught.value.zh
    assert caught.value.exit_code == 2
    for word in words:
        assert word in caught.value.en


@pytest.mark.parametrize(
    ("task", "change", "words"),
    [
        ("summary", {"length": {"min_tokens": 60, "max_tokens": 50}}, ["length", "max_tokens"]),
        ("summary", {"length": {"min_tokens": 6}}, ["length", "max_tokens"]),
        ("summary", {"length": {"min_tokens": 6.0, "max_tokens": 9}}, ["length", "whole"]),
        ("summary", {"length": {"min_tokens": True, "max_tokens": 9}}, ["length", "whole"]),
        ("summary", {"length": {"min_tokens": 0, "max_tokens": 9, "max": 1}}, ["length"]),
        ("summary", {"length": 50}, ["length", "table"]),
        ("creative", {"constraints": []}, ["constraints", "tables"]),
        ("creative", {"constraints": ["short"]}, ["constraints", "tables"]),
        ("code", {"cases": [3]}, ["cases", "tables"]),
        ("code", {"cases": [{"args": [1]}]}, ["cases[0]", "expected"]),
        ("code", {"cases": [{"expected": 1}, {"args": 1, "expected": 1}]}, ["cases[1]", "args must be a list"]),
        ("code", {"cases": [{"kwargs": [], "expected": 1}]}, ["cases[0]", "kwargs must be a table"]),
        ("code", {"cases": [{"tolerance": "1", "expected": 1}]}, ["cases[0]", "tolerance must be a number"]),
        ("code", {"cases": [{"expect": 1, "expected": 1}]}, ["cases[0]", "'expect'"]),
    ],
)
def test_the_fields_of_a_task_are_checked(task: str, change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ItemError) as caught:
        Item.from_table(GOOD | {"task": task} | change, "mine.json")
    for word in words:
        assert word in caught.value.en
    assert words[0] in caught.value.zh


def test_the_fields_of_a_task_are_kept() -> None:
    length = {"min_tokens": 15, "max_tokens": 50}
    assert Item.from_table(GOOD | {"task": "summary", "length": length}, "s").payload == {"length": length}
    cases = [{"args": [{"python": "(1, 2)"}], "expected": 3}, {"raises": "ValueError"}]
    assert Item.from_table(GOOD | {"task": "code", "cases": cases}, "s").payload == {"cases": cases}


@pytest.mark.parametrize("key", ["prompt", "task", "load", "language"])
def test_missing_fields_are_named(key: str) -> None:
    with pytest.raises(ItemError, match=key):
        Item.from_table({k: v for k, v in GOOD.items() if k != key}, "s")


def _file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "own.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


ITEM = '[[item]]\nid = "{}"\ntask = "qa"\nload = "short"\nlanguage = "en"\nprompt = "{}"\n'


def test_own_file_follows_the_shipped_suite(tmp_path: Path) -> None:
    suite = load_suite([_file(tmp_path, 'suite = "mine"\nversion = "2"\n' + ITEM.format("x", "Why?"))])
    assert suite.items[-1].suite == "mine"
    assert "mine 2, qa " in suite.version


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= =", "TOML"),
        (b"\x00\x01", "TOML"),
        (b"\xff\xfe", "TOML"),
        ("", "item"),
        ("item = 3", "item"),
        ("items = []", "items"),
        ("item = [1]", "table"),
        ("schema = 99\n" + ITEM.format("x", "Why?"), "schema"),
        ("schema = true\n", "schema"),
        (ITEM.format("x", "Why?") + ITEM.format("x", "Who?"), "twice"),
        (ITEM.format("x", "Why?") + ITEM.format("y", "Why?"), "same content"),
        (ITEM.format("qa-short-en-01", "Why?"), "twice"),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(ItemError, match=words) as caught:
        load_suite([_file(tmp_path, text)])
    assert "own.toml" in caught.value.en


@pytest.mark.parametrize(("text", "words"), [("{", "JSON"), ("[]", "JSON object"), ('{"item": 3}', "item")])
def test_json_files_hold_the_same_tables(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "own.json"
    path.write_text('{"suite": "mine", "item": [{"id": "x", "task": "qa", "load": "short", "language": "en", "prompt": "Why?"}]}')
    assert [item.id for item in load_file(path)] == ["x"]
    path.write_text(text)
    with pytest.raises(ItemError, match=words) as caught:
        load_file(path)
    assert "own.json" in caught.value.en


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    for name, text in (("own.json", '{"item": ' + deep + "}"), ("own.toml", f"item = {deep}")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ItemError, match=name):
            load_file(tmp_path / name)
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    for field in ({"cases": [{"args": nested, "expected": 1}]}, {"cases": [{"expected": nested}]}, {"entry_point": nested}):
        with pytest.raises(ItemError, match="item 'a'"):
            Item.from_table(GOOD | {"task": "code"} | field, "s")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    assert len(load_file(_file(tmp_path, b"\xef\xbb\xbf" + ITEM.format("x", "Why?").encode()))) == 1


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, Path("a\0b")):
        with pytest.raises(ItemError):
            load_suite([path])


def test_shipped_items_need_references(tmp_path: Path) -> None:
    path = _file(tmp_path, ITEM.format("x", "Why?"))
    assert len(load_file(path)) == 1
    with pytest.raises(ItemError, match="references"):
        load_file(path, need_references=True)


def test_select_caps_every_combination() -> None:
    chosen = load_suite().select(["qa"], None, ["zh", "en"], per_cell=2)
    cells = [(i.load, i.language) for i in chosen.items]
    assert max(cells.count(c) for c in cells) == 2
    assert load_suite().select(["none"]).items == ()


def test_every_task_is_accepted() -> None:
    for task in TASKS:
        assert Item.from_table(GOOD | {"task": task}, "s").task == task


def test_version_names_suites_and_contents() -> None:
    one, two = (Item.from_table(GOOD | {"id": n, "prompt": n}, "s", suite="x", suite_version=n) for n in "ab")
    version = Suite((one, two)).version
    assert re.fullmatch(r"x a, x b #[0-9a-f]{8}", version)
    assert Suite((two, one)).version == version
    changed = Item.from_table(GOOD | {"id": "b", "prompt": "c"}, "s", suite="x", suite_version="b")
    assert Suite((one, changed)).version != version


def test_every_task_and_load_has_ranges() -> None:
    assert set(LOAD_RANGES) == {(task, load) for task in TASKS for load in LOAD_TOKENS}
    for ranges in LOAD_RANGES.values():
        assert all(low > 0 and (high is None or low < high) for low, high in ranges)


def test_range_problems_know_the_task() -> None:
    text = "word " * 60
    item = {"prompt": text, "load": "short", "reference": "word " * 20}
    assert range_problems([Item.from_table(GOOD | item | {"task": "summary"}, "s")]) == []
    (problem,) = range_problems([Item.from_table(GOOD | item | {"task": "creative"}, "s")])
    assert problem.field == "references[0]"
    assert "26 tokens" in problem.en
    assert "50 to 100" in problem.en


def test_range_problems_name_item_and_field() -> None:
    (line, *_rest) = range_problems([Item.from_table(GOOD, "s")])
    assert str(line).startswith("a: prompt has about 1 tokens")
    assert line.text("zh").startswith("a：prompt 约有 1 个")


def test_token_estimate_by_rule() -> None:
    assert token_estimate("one two three four five six seven eight nine ten") == 13
    assert token_estimate("一二三四五六七八九。") == 7
    assert token_estimate("") == 0


_VALUES = st.one_of(st.text(max_size=9), st.integers(), st.none(), st.lists(st.text(max_size=3), max_size=2))


@given(
    st.dictionaries(
        st.sampled_from(["id", "prompt", "task", "load", "language", "answers", "extra"]), _VALUES
    )
)
def test_any_table_is_read_or_refused_clearly(change: dict[str, object]) -> None:
    try:
        item = Item.from_table(GOOD | change, "s")
    except ItemError as error:
        said = error
    else:
        assert Suite().with_items([item]).items == (item,)
        return
    assert said.en.startswith("s: item ")
    assert said.zh.startswith("s：题目 ")


def test_the_suite_loads_no_heavy_library() -> None:
    program = (
        "import sys, collector.suite.check, collector.suite.importer;"
        "print(sorted({'torch', 'transformers', 'tokenizers', 'pandas', 'numpy', 'duckdb'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
