"""Other people's files become items, or each row says why not."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ItemError
from collector.quality.sandbox.cases import Case
from collector.suite import Item, load_file
from collector.suite.importer import Imported, Wishes, import_items, table_of_columns
from collector.suite.tokens import nearest_load

HUMAN_EVAL = {
    "task_id": "HumanEval/7",
    "prompt": 'from typing import List\n\n\ndef total(prices: List[int], tax: float = 0) -> float:\n    """ Give the sum of '
    'the prices and of the tax on it. The list may be empty, and then the sum is zero.\n    >>> total([1, 2])\n    3\n    """\n',
    "entry_point": "total",
    "canonical_solution": "    return sum(prices) * (1 + tax)\n",
    "test": "\n\ndef check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n"
    "    assert abs(candidate([2], tax=0.5) - 3.0) < 1e-9\n    for n in range(3):\n        assert candidate([n]) == n\n",
}
MBPP = {
    "task_id": 12,
    "text": "Write a function to find the longest word in a text that has no punctuation at all.",
    "code": "def helper(x):\r\n  return len(x)\r\ndef longest(text):\r\n  return max(text.split(), key=helper)",
    "test_list": ["assert longest('a bb') == 'bb'", "assert set(longest('a b')) == {'a'}", "assert longest('x') == 'x'"],
    "test_setup_code": "",
    "challenge_test_list": ["assert longest('dog horse') == 'horse'"],
}


def jsonl(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def only(found: Imported) -> dict[str, object]:
    assert found.skipped == []
    (table,) = found.tables
    Item.from_table(table, "s")
    return table


def test_human_eval(tmp_path) -> None:
    found = import_items(jsonl(tmp_path, HUMAN_EVAL), Wishes())
    table = only(found)
    assert (table["id"], table["task"], table["language"], table["load"]) == ("HumanEval-7", "code", "en", "short")
    assert table["prompt"].startswith("Complete the following Python function.")
    assert "```python\nfrom typing import List" in table["prompt"]
    assert table["references"][0].endswith('3\n    """\n    return sum(prices) * (1 + tax)\n```')
    assert table["entry_point"] == "total"
    assert [Case.from_table(case).kwargs for case in table["cases"]] == [{}, {}, {"tax": 0.5}]
    (remark,) = found.remarks
    assert (remark.row, remark.en) == (1, "1 of 4 asserts are no plain equality and were left out")


def test_human_eval_xl(tmp_path) -> None:
    more = {"language": "python", "natural_language": "Chinese", "description": "求和", "task_id": "python/0"}
    french = more | {"natural_language": "French", "task_id": "python/1"}
    java = more | {"language": "java", "task_id": "java/0"}
    found = import_items(jsonl(tmp_path, *(HUMAN_EVAL | row for row in (more, french, java))), Wishes())
    assert [(table["id"], table["language"]) for table in found.tables] == [("python-0", "zh"), ("python-1", "fr")]
    assert found.tables[0]["prompt"].startswith("请补全下面的 Python 函数")
    assert found.tables[1]["prompt"].startswith("Complete the following")
    assert [(remark.row, remark.en) for remark in found.skipped] == [(3, "its program is in java; only Python is run")]


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_mbpp(tmp_path, form: str) -> None:
    row = MBPP if form == "jsonl" else {**{k: v for k, v in MBPP.items() if k != "text"}, "prompt": MBPP["text"]}
    path = jsonl(tmp_path, row) if form == "jsonl" else written(tmp_path / "rows.json", json.dumps([row]))
    table = only(import_items(path, Wishes()))
    assert (table["id"], table["task"], table["entry_point"]) == ("MBPP-12", "code", "longest")
    assert "named longest" in table["prompt"]
    assert table["prompt"].endswith("assert longest('a bb') == 'bb'")
    assert [case["expected"] for case in table["cases"]] == ["bb", "x", "horse"]
    assert "\r" not in table["references"][0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (HUMAN_EVAL | {"test": "def check(candidate):\n    assert sorted(candidate([1])) == [1]\n"}, "none of its 1 asserts"),
        (HUMAN_EVAL | {"entry_point": "sum_up"}, "does not define 'sum_up'"),
        (HUMAN_EVAL | {"canonical_solution": " "}, "canonical_solution must be text"),
        (HUMAN_EVAL | {"canonical_solution": "    return ("}, "does not define 'total'"),
        (MBPP | {"test_list": [3]}, "test_list must be a list"),
        (MBPP | {"test_list": ["assert other(1) == 1"], "challenge_test_list": []}, "no function that its code defines"),
        (MBPP | {"text": "12 + 30"}, "its language cannot be told"),
        (MBPP | {"text": "a\0b Write a function to find it in the text"}, "NUL"),
        ([1, 2], "is no JSON object"),
    ],
)
def test_rows_that_cannot_become_items_say_why(tmp_path, row: object, words: str) -> None:
    found = import_items(jsonl(tmp_path, MBPP, row), Wishes())
    assert len(found.tables) == 1
    (remark,) = found.skipped
    assert remark.row == 2
    assert words in remark.en
    assert remark.zh


GUIDE = """
# settings of the script
runner = ExperimentRunner()
test_cases = [
    {"model": "a:1b", "prompt": "请解释牛顿第一定律。", "task_type": "knowledge_qa", "reference_text": "又称惯性定律。"},
    {"model": "b:1b", "prompt": "请解释牛顿第一定律。", "task_type": "knowledge_qa", "reference_text": "又称惯性定律。"},
    {"model": "b:1b", "prompt": "写一首关于月亮的短诗。", "task_type": "creative_writing"},
    {"model": "b:1b", "prompt": "写一个排序函数。", "task_type": "code_generation"},
    {"model": "b:1b", "prompt": "写一首诗。", "task_type": "poetry"},
]
runner.run(test_cases)
"""


def test_the_guides_script_is_read_and_not_run(tmp_path) -> None:
    found = import_items(written(tmp_path / "guide.py", GUIDE), Wishes())
    assert [(table["id"], table["task"], table["language"]) for table in found.tables] == [
        ("guide-1", "qa", "zh"),
        ("guide-3", "creative", "zh"),
    ]
    assert found.tables[0]["references"] == ["又称惯性定律。"]
    assert not found.lines
    # the guide lists an item once per model: that is no loss
    assert [(remark.row, remark.en) for remark in found.remarks] == [(2, "is the same item as row 1")]
    said = {remark.row: remark.en for remark in found.skipped}
    assert sorted(said) == [4, 5]
    assert "needs cases" in said[4]
    assert "'poetry'" in said[5]


def test_the_guides_cases_as_json(tmp_path) -> None:
    row = {"prompt": "Why is the sky blue?", "task_type": "knowledge_qa", "reference_text": "It scatters."}
    for number, value in enumerate(([row], {"test_cases": [row]}, {"rows": [row], "n": 1})):
        table = only(import_items(written(tmp_path / f"{number}.json", json.dumps(value)), Wishes()))
        assert (table["prompt"], table["references"]) == (row["prompt"], ["It scatters."])


def test_chinese_about_english_terms_is_chinese(tmp_path) -> None:
    row = {"prompt": "请解释 Transformer 的 self-attention", "reference": "注意力"}
    assert only(import_items(written(tmp_path / "a.json", json.dumps([row])), Wishes()))["language"] == "zh"


CSV = "提示,参考答案,备注\n请解释什么是惯性。,物体保持原来运动状态的性质。,x\n\n\"请说明\n月亮为什么发光。\",反射太阳光。,\n,没有提示,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_csv_in_the_encodings_of_spreadsheets(tmp_path, encoding: str) -> None:
    found = import_items(written(tmp_path / "t.csv", CSV, encoding), Wishes(task="creative", load="long"))
    assert [(table["id"], table["prompt"]) for table in found.tables] == [
        ("t-2", "请解释什么是惯性。"),
        ("t-4", "请说明\n月亮为什么发光。"),
    ]
    assert {(table["task"], table["load"], table["language"]) for table in found.tables} == {("creative", "long", "zh")}
    assert [(remark.row, remark.en) for remark in found.skipped] == [(6, "the prompt is empty")]


def test_a_spreadsheets_line_about_its_separator(tmp_path) -> None:
    path = written(tmp_path / "t.csv", "sep=|\r\nprompt|reference\r\nWhat is ice, and why?|water\r\n|x\r\n")
    found = import_items(path, Wishes())
    assert [table["prompt"] for table in found.tables] == ["What is ice, and why?"]
    assert [remark.row for remark in found.skipped] == [4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_by_name(tmp_path, delimiter: str) -> None:
    rows = [["Frage", "A", "B", "Sprache"], ["Was ist Eis?", "Wasser.", "Gefrorenes Wasser.", "de"], ["What is ice?", "Water.", "", ""]]
    path = written(tmp_path / "t.csv", "\n".join(delimiter.join(row) for row in rows) + "\n")
    columns = table_of_columns(["prompt=Frage,reference=A", "reference=B", "language=Sprache"])
    found = import_items(path, Wishes(columns=columns))
    assert [(t["language"], t["references"]) for t in found.tables] == [("de", ["Wasser.", "Gefrorenes Wasser."]), ("en", ["Water."])]
    assert import_items(path, Wishes(columns=columns, language="fr")).tables[1]["language"] == "fr"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "no column for prompt; the nearest is 'promt'"),
        ({"prompt": ["promt"], "reference": ["referense"]}, "no column for reference=referense; the nearest is 'reference'"),
        ({"prompt": ["zzz"]}, "no column for prompt=zzz; columns: promt, reference"),
    ],
)
def test_a_missing_column_names_the_nearest(tmp_path, columns: dict[str, list[str]], words: str) -> None:
    path = written(tmp_path / "t.csv", "promt,reference\nWhy?,So.\n")
    with pytest.raises(ItemError) as caught:
        import_items(path, Wishes(columns=columns))
    assert words in caught.value.en


@pytest.mark.parametrize("words", [["prompt"], ["prompt="], ["promt=x"], ["prompt=x", "prompt=y"], ["=x"]])
def test_wrong_words_for_columns(words: list[str]) -> None:
    with pytest.raises(ItemError, match="--columns"):
        table_of_columns(words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b" \n\n", "is empty"),
        ("a.csv", b"prompt,reference\n", "holds no row"),
        ("a.csv", b"prompt\nWhy?\n\0\n", "NUL byte in line 3"),
        ("a.csv", b"PK\x03\x04\x00\x00", "NUL byte in line 1"),
        ("a.csv", b"prompt\n\xff\xff\xff", "neither UTF-8 nor GB18030"),
        ("a.csv", b'prompt\n"Why?\n', "line 2 is no CSV"),
        ("a.csv", b"prompt,prompt\nWhy?,Who?\n", "column 'prompt' twice"),
        ("a.jsonl", b'{"prompt": "x"}\n\n{"prompt": \n', "line 3 is no JSON"),
        ("a.json", b'[\n{"prompt": "x"},\n]', "line 3 is no JSON"),
        ("a.json", b"[" * 100_000, "line 1 cannot be read"),
        ("a.json", b'{"a": 1}', "must be a list of objects"),
        ("a.json", b'{"item": []}', "is an item file already"),
        ("a.json", b"[]", "holds no row"),
        ("a.py", b"cases = []", "holds no list test_cases"),
        ("a.py", b"test_cases = [open('x')]", "plain values"),
        ("a.py", b"test_cases = [", "no Python"),
        ("a.xlsx", b"x", "ending .xlsx is not known"),
        ("a", b"x", "(none)"),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_one_sentence(tmp_path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ItemError) as caught:
        import_items(path, Wishes())
    assert words in caught.value.en
    assert str(path) in caught.value.en
    assert str(path) in caught.value.zh
    assert caught.value.exit_code == 2


def test_missing_files_and_folders(tmp_path) -> None:
    for path in (tmp_path / "none.csv", tmp_path, Path("a\0b.csv")):
        with pytest.raises(ItemError):
            import_items(path, Wishes())


def test_cells_that_do_not_fit_the_header_are_skipped(tmp_path) -> None:
    found = import_items(written(tmp_path / "t.csv", "prompt,reference\nWhy is it so?,a,b\nWho is the one?,x\n"), Wishes())
    assert [(remark.row, remark.en) for remark in found.skipped] == [(2, "3 cells, but 2 columns")]
    assert len(found.tables) == 1


def test_ids_are_made_fit_and_unique(tmp_path) -> None:
    path = written(tmp_path / "t.csv", "id,prompt\na/1,What is this?\na 1,What is that?\n!!,What is it?\n")
    assert [table["id"] for table in import_items(path, Wishes()).tables] == ["a-1", "a-1-2", "item"]


def test_the_file_is_one_that_an_experiment_takes(tmp_path) -> None:
    found = import_items(jsonl(tmp_path, HUMAN_EVAL, MBPP), Wishes())
    path = tmp_path / "out.json"
    path.write_text(json.dumps(found.file("mine")))
    items = load_file(path)
    assert [item.id for item in items] == ["HumanEval-7", "MBPP-12"]
    assert {(item.suite, item.suite_version) for item in items} == {("mine", found.file("mine")["version"])}


@pytest.mark.parametrize(
    ("words", "load"),
    [(1, "short"), (60, "short"), (110, "short"), (120, "medium"), (380, "medium"), (560, "medium"), (590, "long"), (5000, "long")],
)
def test_the_nearest_load(words: int, load: str) -> None:
    assert nearest_load("word " * words) == load


@given(st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".py"]), st.binary(max_size=80) | st.text(st.characters(codec="utf-8"), max_size=80).map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory, ending: str, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz{ending}"
    path.write_bytes(content)
    try:
        found = import_items(path, Wishes(columns={}))
    except ItemError as error:
        assert error.en.startswith(str(path))
        return
    for table in found.tables:
        Item.from_table(table, "s")
