"""The command line: languages, usage errors with exit code 2, nothing left behind."""

import json
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.cli import COMMANDS
from collector.i18n import system_language


@pytest.fixture
def store_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "data" / "store.duckdb"
    monkeypatch.setenv("ENERGY_RATING_DB", str(path))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_in_both_languages(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for language in ("en", "zh"):
        with pytest.raises(SystemExit) as ended:
            main([command.replace("_", "-"), "--help", "--lang", language])
        assert ended.value.code == 0
        said[language] = capsys.readouterr().out
    assert said["en"] != said["zh"]
    assert any("\u4e00" <= c <= "\u9fff" for c in said["zh"])


@pytest.mark.parametrize(
    ("text", "words"),
    [("modles = ['a']\n", "modles"), ("repeats = 'five'\n", "repeats"), ("= = =\n", "TOML"), ("", "models")],
)
def test_a_wrong_file_ends_with_2_and_one_sentence(
    tmp_path: Path, store_file: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    for command in ("plan", "run", "serve"):
        assert main([command, str(path)]) == 2
        said = capsys.readouterr().err
        assert "bad.toml" in said
        assert words in said
        assert len(said.strip().splitlines()) == 1
    assert not store_file.parent.exists()


def test_a_missing_file_is_named(tmp_path: Path, store_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "zh", "run", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in (said := capsys.readouterr().err)
    assert "没有" in said
    assert not store_file.exists()


def test_run_needs_a_file_or_models(store_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "--models" in capsys.readouterr().err


def test_status_of_an_empty_place_says_what_to_run(store_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert "quickstart" in capsys.readouterr().out
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not store_file.exists()


def test_show_names_a_campaign_that_is_not_there(store_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "night"]) in (2, 3)
    said = capsys.readouterr().err
    assert "night" in said or str(store_file) in said
    assert "Traceback" not in said


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.duckdb"
    path.write_text("these are notes")
    assert main(["status", "--db", str(path)]) == 3
    assert "notes.duckdb" in capsys.readouterr().err
    assert path.read_text() == "these are notes"


@pytest.mark.parametrize(
    ("value", "language"), [("zh_CN.UTF-8", "zh"), ("en_US.UTF-8", "en"), ("C.UTF-8", "en"), ("de_DE", "en")]
)
def test_the_language_follows_the_locale(monkeypatch: pytest.MonkeyPatch, value: str, language: str) -> None:
    monkeypatch.setenv("LC_ALL", value)
    assert system_language() == language
