"""Sentences for people that are stored in both languages, in one column: the English one ‖ the Chinese one.

Why there is no energy, what happened to the engine, what a campaign has to tell: the sentence is made where the fact is
known, and read by somebody whose language is not known then. Whoever shows it picks one; whoever reads the column itself
can read it as it is. Rows of older versions, and what servers say, are English only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["both", "joined", "pick"]

_BETWEEN: Final = " ‖ "


def both(en: str, zh: str) -> str:
    """The text to be stored."""
    return _BETWEEN.join(part.replace("‖", "|") for part in (en, zh))


def pick(text: str, language: str) -> str:
    """The sentence in ``language`` (``zh``, or anything else for English); a text in one language as it is."""
    en, between, zh = text.partition(_BETWEEN)
    return zh if between and language == "zh" else en


def joined(texts: Iterable[str]) -> str | None:
    """Several texts as one, in both languages; None without any."""
    found = list(texts)
    if not found:
        return None
    return both("; ".join(pick(text, "en") for text in found), "；".join(pick(text, "zh") for text in found))
