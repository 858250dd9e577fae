"""Errors of the store.

StoreError                 something about the database, exit code 3
├── StoreLocked            another process holds it longer than we wait
├── StoreNewer             written by a newer version of this program
├── StoreOlder             needs a migration before it can be read
├── StoreMissing           no database at that place
└── StoreUnusable          not a database, unreadable, or the disk is full or read-only

Every error carries its sentence in English (``en``) and Chinese (``zh``); ``str(error)`` is the English one.
"""

from __future__ import annotations

__all__ = ["StoreError", "StoreLocked", "StoreMissing", "StoreNewer", "StoreOlder", "StoreUnusable"]


class StoreError(Exception):
    """Root of the store's errors; ``exit_code`` is what a command ends with."""

    exit_code = 3

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh

    def text(self, language: str) -> str:
        """The sentence in ``language`` (``zh`` or anything else for English)."""
        return self.zh if language == "zh" else self.en


class StoreLocked(StoreError):
    """Another process holds the database longer than we wait."""


class StoreNewer(StoreError):
    """The database was written by a newer version of this program."""


class StoreOlder(StoreError):
    """The database needs a migration before it can be read."""


class StoreMissing(StoreError):
    """There is no database at that place."""


class StoreUnusable(StoreError):
    """The file is not a database, cannot be read, or the disk is full or read-only."""
