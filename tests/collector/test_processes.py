"""Processes of our own: called with whole paths, their last words kept when they fail."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from collector import processes
from collector.experiment import parse_experiment
from db import Store


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    made: list[list[str]] = []

    def run(words: list[str], **_more: object) -> SimpleNamespace:
        made.append(words)
        failed = "rating" in words
        return SimpleNamespace(returncode=int(failed), stdout="30 answers scored\n", stderr="a\nlast words\n" if failed else "")

    monkeypatch.setattr(subprocess, "run", run)
    return made


def test_a_relative_database_is_the_same_file_for_the_process(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = parse_experiment({"models": ["a"], "quality": {"checkpoints": {"en": "x"}, "device": "cpu"}}, "e")
    said = processes.score(Store(Path("s.duckdb")), "c1", experiment)
    assert said == ("30 answers scored", None)
    assert calls[0][:4] == [sys.executable, "-m", "collector", "score"]
    assert str(tmp_path / "s.duckdb") in calls[0]
    assert {"--no-rating", "en=x", "--device", "cpu"} <= set(calls[0])


def test_the_last_words_of_a_failure_are_kept(calls: list[list[str]], tmp_path: Path) -> None:
    assert processes.rate(Store(tmp_path / "s.duckdb")) == "last words"
