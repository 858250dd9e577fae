"""How long a text is, without a tokenizer."""

from __future__ import annotations

import re

__all__ = ["LOAD_TOKENS", "han_characters", "token_estimate"]

# Ideographs, their punctuation and full-width forms: written without spaces, so they are counted one by one.
_HAN = re.compile(r"[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")

LOAD_TOKENS: dict[str, tuple[int, int | None]] = {
    "short": (50, 100),
    "medium": (200, 500),
    "long": (1000, None),
}
"""Estimated tokens of prompt and reference of an item of each load, ends included; None has no upper end."""


def han_characters(text: str) -> int:
    """Number of Chinese (and kana) characters, their punctuation included."""
    return len(_HAN.findall(text))


def token_estimate(text: str) -> int:
    """Tokens of a text by rule of thumb: 0.7 per Chinese character, else 1.3 per word, rounded.

    A real tokenizer differs by some ten per cent; the estimate decides only which load an item belongs to and
    whether a prompt fits the context, never a measured figure (those counts come from the engine).
    """
    words = len(_HAN.sub(" ", text).split())
    return round(0.7 * han_characters(text) + 1.3 * words)
