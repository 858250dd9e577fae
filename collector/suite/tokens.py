"""How long a text is, without a tokenizer."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["LOAD_RANGES", "LOAD_TOKENS", "LoadRange", "han_characters", "nearest_load", "token_estimate"]

# Ideographs, their punctuation and full-width forms: written without spaces, so they are counted one by one.
_HAN = re.compile(r"[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")

Range = tuple[int, int | None]

LOAD_TOKENS: dict[str, Range] = {
    "short": (50, 100),
    "medium": (200, 500),
    "long": (1000, None),
}
"""Estimated tokens of the prompt of an item of each load, ends included; None has no upper end."""


class LoadRange(NamedTuple):
    """Estimated tokens of an item, ends included; an upper end of None is open."""

    prompt: Range
    references: Range


# A question and a story are answered at the length they are asked at. A summary is shorter than its source, which
# stands in the prompt. The load of a program is its task text; what solves it may be three lines or a hundred.
_REFERENCES: dict[str, dict[str, Range]] = {
    "qa": LOAD_TOKENS,
    "creative": LOAD_TOKENS,
    "summary": {"short": (15, 50), "medium": (50, 150), "long": (120, 350)},
    "code": {"short": (15, 150), "medium": (40, 400), "long": (100, None)},
}

LOAD_RANGES: dict[tuple[str, str], LoadRange] = {
    (task, load): LoadRange(LOAD_TOKENS[load], ranges[load])
    for task, ranges in _REFERENCES.items()
    for load in LOAD_TOKENS
}
"""Task and load to the lengths of prompt and references; docs/tasks.md prints this table."""


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


def nearest_load(text: str) -> str:
    """The load in whose range a prompt is, or the nearest one; between two the shorter."""
    tokens = token_estimate(text)

    def distance(load: str) -> int:
        low, high = LOAD_TOKENS[load]
        return max(low - tokens, tokens - (tokens if high is None else high), 0)

    return min(LOAD_TOKENS, key=distance)
