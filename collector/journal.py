"""Writes that wait to go into the database together, safe on the disk meanwhile.

Opening and closing the database costs more than an answer's rows. Small models answer several times a second; their rows
are gathered for a moment and go into one transaction. Until then each lies in this file, so that a killed collector loses
nothing: the next call that measures into the same database begins with it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

__all__ = ["Journal"]

log = logging.getLogger(__name__)


class Journal:
    """Lines of text in a file that is there only while something waits.

    Attributes:
        ours: whether nothing of an earlier call lies there; what does is not added to until it is cleared.
    """

    def __init__(self, file: Path) -> None:
        """``file`` is where they lie."""
        self._file = file
        self.ours = not file.exists()
        self._filled = False

    def append(self, line: str) -> bool:
        """Adds a line, on the disk when this returns; False when it could not be done, so that it must not wait."""
        if not self.ours:
            return False
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._filled = True
            with self._file.open("a", encoding="ascii") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.warning("%s cannot be written (%s), nothing is gathered", self._file, error)
            return False
        return True

    def left(self) -> list[str]:
        """Lines that an earlier call left; one that was cut short by its end is passed over."""
        if self.ours or not self._file.is_file():
            return []
        return self._file.read_text(encoding="ascii").split("\n")[:-1]

    def clear(self) -> None:
        """Forgets everything: it is in the database, or in another file."""
        if self._filled or not self.ours:
            self._file.unlink(missing_ok=True)
        self.ours, self._filled = True, False
