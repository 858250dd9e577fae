"""Errors of the rating.

RatingError               exit code 2: the user's input cannot be rated as it is
├── FileRefused           a measurement or scheme file is unreadable or wrong; names file, row or column, and cure
├── SchemeError           a scheme's definition is wrong, or there is none of that name
└── BasketMissing         a basket model is not among the measurements at all

Every error carries its sentence in English (``en``) and Chinese (``zh``); ``str(error)`` is the English one.
"""

from __future__ import annotations

__all__ = ["BasketMissing", "FileRefused", "RatingError", "SchemeError"]


class RatingError(Exception):
    """Root of the rating's errors; ``exit_code`` is what a command ends with."""

    exit_code = 2

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh

    def text(self, language: str) -> str:
        """The sentence in ``language`` (``zh`` or anything else for English)."""
        return self.zh if language == "zh" else self.en


class FileRefused(RatingError):
    """A measurement or scheme file is unreadable or wrong."""


class SchemeError(RatingError):
    """A scheme's definition is wrong, or there is no scheme of that name."""


class BasketMissing(RatingError):
    """A basket model is not among the measurements at all."""
