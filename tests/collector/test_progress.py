"""What a person sees of a campaign that runs."""

import io

import pytest
from rich.console import Console

from collector import i18n, progress
from collector.progress import Progress


def test_an_answer_that_is_made_again_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", -1.0)
    monkeypatch.setattr(i18n, "_language", "en")
    out = io.StringIO()
    with Progress(2, Console(file=out, width=100)) as shown:
        shown.answer(None, again=True)
        shown.answer("error_line", again=True)
        shown.answer(None)
        shown.answer(None)
    told = out.getvalue()
    assert "fault: error_line" in told
    assert [line.split(" ")[0] for line in told.splitlines() if "answers" in line] == ["0/2", "1/2", "2/2"]
