"""``python -m collector import-items``: what it writes, says and refuses."""

from __future__ import annotations

import json

import pytest

from collector import __main__ as command_line
from collector.suite import load_suite

CSV = "frage,antwort\nWhy is the sky blue?,Air scatters blue light most.\n,no question\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


@pytest.fixture
def run(capsys):
    def call(*words, language="en"):
        ended = command_line.main(["--lang", language, "import-items", *map(str, words)])
        told = capsys.readouterr()
        return ended, told.out, told.err

    return call


COLUMNS = ("--columns", "prompt=frage,reference=antwort")


def test_it_writes_a_file_that_an_experiment_takes(run, source):
    ended, said, _ = run(source, *COLUMNS)
    target = source.parent / "mine.items.json"
    assert ended == 1
    assert "line 3: skipped: the prompt is empty" in said
    assert f"Written to {target}: items 1 (qa short en: 1), rows skipped 1." in said
    item = load_suite([target]).items[-1]
    assert (item.id, item.suite, item.references) == ("mine-2", "mine", ("Air scatters blue light most.",))
    assert sorted(path.name for path in source.parent.iterdir()) == ["mine.csv", "mine.items.json"]


def test_what_it_writes_passes_the_check_that_it_names(run, source, capsys):
    _, said, _ = run(source, *COLUMNS)
    command = said.partition("Check it with: python -m collector ")[2].split()
    assert command_line.main(["--lang", "en", *command]) == 0
    assert "No problem; items: 1" in capsys.readouterr().out


def test_it_ends_well_when_every_row_is_an_item(run, source, tmp_path):
    source.write_text(CSV.rsplit("\n", 2)[0], encoding="utf-8")
    out = tmp_path / "out.json"
    ended, said, _ = run(source, *COLUMNS, "--out", out, "--task", "creative", "--load", "medium", "--language", "de", language="zh")
    assert ended == 0
    assert "题目 1 道（creative medium de: 1），跳过 0 行" in said
    assert json.loads(out.read_text(encoding="utf-8"))["item"][0]["language"] == "de"


def test_what_is_there_is_overwritten_on_demand_only(run, source):
    assert run(source, *COLUMNS)[0] == 1
    target = source.parent / "mine.items.json"
    target.write_text("kept")
    ended, _, said = run(source, *COLUMNS)
    assert (ended, target.read_text()) == (2, "kept")
    assert "--force" in said
    assert run(source, *COLUMNS, "--force")[0] == 1
    assert json.loads(target.read_text(encoding="utf-8"))["suite"] == "mine"


def test_nothing_is_written_when_nothing_can_be(run, source, tmp_path):
    source.write_text("prompt\n1234\n")
    for words, told in (
        ([source], "no row became an item"),
        ([tmp_path / "none.csv"], "there is no such file"),
        ([source, "--out", tmp_path / "x" / "out.json"], "no folder"),
        ([source, "--out", tmp_path / "out.toml"], "end in .json"),
        ([source, "--out", tmp_path], "is there already"),
        ([source, "--out", source, "--force"], "is the file to read"),
        ([source, "--columns", "prompt=question"], "no column for prompt=question"),
    ):
        ended, _, said = run(*words)
        assert ended == 2, words
        if words[-1] != tmp_path:
            assert told in said
            assert len(said.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_asserts_that_were_left_out_are_told(run, tmp_path):
    row = {
        "text": "Write a function to double a number that is given to the function.",
        "code": "def double(n):\n    return 2 * n",
        "test_list": ["assert double(2) == 4", "assert sorted([double(1)]) == [2]"],
    }
    path = tmp_path / "mbpp.jsonl"
    path.write_text(json.dumps(row))
    ended, said, _ = run(path, language="zh")
    assert ended == 0
    assert "第 1 行：说明：2 个断言中有 1 个不是简单相等，已略去" in said
