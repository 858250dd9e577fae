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


def test_work_between_cases_takes_a_hundredth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(processes.time, "monotonic", lambda: now_s[0])

    def two_seconds() -> str:
        now_s[0] += 2.0
        return "said"

    pace = processes.Pace()
    assert not pace.due(), "a short call is rated at its end alone"
    now_s[0] += 200.0
    assert pace.due()
    assert pace.timed(two_seconds) == "said"
    now_s[0] += 199.0
    assert not pace.due()
    now_s[0] += 1.0
    assert pace.due()


def test_work_that_fails_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(processes.time, "monotonic", lambda: now_s[0])

    def broken() -> str:
        now_s[0] += 1.0
        raise OSError("disk")

    pace = processes.Pace()
    with pytest.raises(OSError, match="disk"):
        pace.timed(broken)
    assert not pace.due()
