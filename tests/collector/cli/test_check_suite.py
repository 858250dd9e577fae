"""``python -m collector check-suite``: what it prints and how it ends."""

from __future__ import annotations

import json

import pytest

from collector import __main__ as command_line
from collector.quality import code
from collector.suite import SHIPPED, load_file

QA = SHIPPED / "qa.json"


def check(capsys, *words):
    ended = command_line.main(["--lang", "en", "check-suite", *map(str, words)])
    return ended, capsys.readouterr().out


def test_a_shipped_file_is_fit(capsys):
    ended, said = check(capsys, QA)
    assert ended == 0
    assert f"No problem; items: {len(load_file(QA))}; version: qa " in said
    assert "qa" in said.splitlines()[1]


def test_json_shows_the_estimate_beside_the_shipped_tokenizer(capsys):
    ended, said = check(capsys, QA, "--json")
    shown = json.loads(said)
    assert (ended, shown["problems"]) == (0, [])
    assert shown["version"].startswith("qa ")
    first = shown["lengths"][0]
    assert first["field"] == "prompt"
    assert 50 <= first["estimated_tokens"] <= 100
    assert 0.4 < first["shipped_tokenizer_tokens"] / first["estimated_tokens"] < 5


def test_every_broken_item_and_file_is_told(tmp_path, capsys):
    own = tmp_path / "own.toml"
    good = '[[item]]\nid = "{}"\ntask = "qa"\nload = "short"\nlanguage = "en"\nprompt = "Why?"\n'
    own.write_text(good.format("x") + "extra = 1\n" + good.format("qa-short-en-01") + '[[item]]\nid = "z"\n')
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    ended, said = check(capsys, own, broken, tmp_path / "none.toml")
    assert ended == 2
    lines = said.splitlines()
    for words in (
        "own.toml: item 'x': the field 'extra' is not known",
        "own.toml: item 'z': the field 'prompt' is missing",
        "qa-short-en-01: id is there twice",
        "qa-short-en-01: prompt has about 1 tokens",
        "broken.json: cannot be read as JSON",
        "none.toml: there is no such item file",
    ):
        assert any(words in line for line in lines), words
    assert lines[-1].endswith("items: 1.")


@pytest.mark.parametrize(
    ("verdict", "words", "ends"),
    [
        (code.CodeVerdict(True, 1.0, None, None), "No problem", 0),
        (code.CodeVerdict(False, 0.5, {"first_failure": "wrong"}, None), "fails its own cases (wrong)", 2),
        (code.CodeVerdict(None, None, None, "no_sandbox"), "was not run: no_sandbox", 3),
    ],
)
def test_reference_solutions_are_run_on_demand(tmp_path, capsys, monkeypatch, verdict, words, ends):
    monkeypatch.setattr(code, "code_verdict", lambda *_: verdict)
    prompt = "Write a function f(n) that gives back its number. " + "It takes one whole number and gives it back. " * 5
    cases = [{"args": [n], "expected": n} for n in range(8)]
    table = {
        "id": "c", "task": "code", "load": "short", "language": "en", "prompt": prompt, "entry_point": "f", "cases": cases,
        "reference": "def f(n):\n    # a number is given back just as it came, without any change to it\n    return n",
    }  # fmt: skip
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"item": [table]}))
    ended, said = check(capsys, path, "--run-code")
    assert (ended, words in said) == (ends, True), said
    ended, said = check(capsys, path)
    assert ended == 0
    assert "--run-code" in said


def test_chinese(tmp_path, capsys):
    assert command_line.main(["--lang", "zh", "check-suite", str(tmp_path / "none.json")]) == 2
    assert "没有这个题目文件" in capsys.readouterr().out
