"""Logs are kept within bounds, and what was noted is told once."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.engines.notes import Incident, Notes, kept_text


def test_a_short_log_is_kept_whole_and_an_absent_one_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    assert kept_text(file) == ("", 0)
    file.write_bytes(b"before\nstart\n\xff end\n")
    assert kept_text(file, 7) == ("start\n� end\n", 12)
    assert kept_text(file, 1000) == ("", 0)


@given(st.integers(0, 5000), st.integers(8, 400))
def test_a_long_log_loses_its_middle_and_says_so(size: int, most: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.log"
        whole = "".join(chr(97 + n % 26) for n in range(size))
        file.write_text(whole)
        text, length = kept_text(file, 0, most)
    assert length == size
    if size <= most:
        assert text == whole
    else:
        head, note, tail = text.split("\n")
        assert len(head) + len(tail) == most
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert note == f"[... {size - most} bytes left out ...]"


def test_what_was_noted_is_told_once() -> None:
    notes = Notes()
    notes.incident("port_taken", "x")
    assert notes.take() == ([Incident("port_taken", "x", "fault")], [])
    assert notes.take() == ([], [])
