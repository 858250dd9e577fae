"""What an engine has to tell the record: things that happened to it, and the logs of its processes.

An engine notes them as they come; the campaign takes them whenever it writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

__all__ = ["Incident", "Life", "Notes", "kept_text"]

_KEPT_BYTES: Final = 256 << 10  # of a log, per life of a process
_KEPT_HEAD: Final = 1 / 4  # how the server was configured stands first, why it ended stands last


class Incident(NamedTuple):
    """Something that happened: its name in the events, what was seen, and of which kind it is."""

    name: str
    detail: str
    kind: Literal["fault", "note"]


@dataclass(frozen=True, slots=True)
class Life:
    """One process of an engine, from start to end.

    Attributes:
        started_at: UTC; likewise ended_at, which is when the end was seen.
        exit_code: as the system gives it (negative: the number of a signal); None when it is not known.
        ended_by: ``us``, or ``itself`` where nobody asked it to.
        log_bytes: length of all it wrote.
        text: what it wrote, cut in the middle where it is long.
    """

    way: str
    started_at: datetime
    ended_at: datetime
    exit_code: int | None
    ended_by: Literal["us", "itself"]
    log_bytes: int
    text: str


@dataclass
class Notes:
    """What was noted and not taken yet."""

    incidents: list[Incident] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

    def incident(self, name: str, detail: str, kind: Literal["fault", "note"] = "fault") -> None:
        """Notes something that happened."""
        self.incidents.append(Incident(name, detail, kind))

    def take(self) -> tuple[list[Incident], list[Life]]:
        """Everything that was noted; it is forgotten here."""
        taken = self.incidents, self.lives
        self.incidents, self.lives = [], []
        return taken


def kept_text(path: Path, start: int = 0, most_bytes: int = _KEPT_BYTES) -> tuple[str, int]:
    """What stands in a log from the byte ``start`` on, a long one without its middle; and how many bytes that was.

    An absent log is empty.
    """
    try:
        with path.open("rb") as file:
            size = max(0, file.seek(0, 2) - start)
            file.seek(start)
            if size <= most_bytes:
                return file.read(size).decode("utf-8", "replace"), size
            head = file.read(int(most_bytes * _KEPT_HEAD))
            file.seek(start + size - (most_bytes - len(head)))
            tail = file.read(most_bytes - len(head))
    except FileNotFoundError:
        return "", 0
    left_out = f"\n[... {size - most_bytes} bytes left out ...]\n"
    return head.decode("utf-8", "replace") + left_out + tail.decode("utf-8", "replace"), size
