"""What waits lies on the disk, and what a killed collector left there is found again."""

from pathlib import Path

import pytest

from collector.journal import Journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gathered.jsonl"


def test_lines_lie_in_the_file_until_they_are_cleared(file: Path) -> None:
    journal = Journal(file)
    assert journal.append("one")
    assert journal.append("two")
    assert Journal(file).left() == ["one", "two"]
    assert journal.left() == [], "they are its own, and still in memory"
    journal.clear()
    assert not file.exists()
    assert Journal(file).left() == []


def test_a_line_that_was_cut_short_is_passed_over(file: Path) -> None:
    Journal(file).append("whole")
    file.write_text(file.read_text() + "ha", encoding="ascii")
    assert Journal(file).left() == ["whole"]


def test_nothing_is_added_to_what_an_earlier_call_left(file: Path) -> None:
    Journal(file).append("old")
    later = Journal(file)
    assert not later.append("new")
    later.clear()
    assert later.append("new")
    assert Journal(file).left() == ["new"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    journal = Journal(tmp_path / "state" / "gathered.jsonl")
    assert not journal.append("one")
    assert journal.left() == []
