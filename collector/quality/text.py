"""Texts as tokens and in normal form, for Chinese and for languages with spaces."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["normalised", "sentences", "tokens"]

_HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+(?:\.\d+)?")
_HAN_GAP = re.compile(r"(?<=[\u3400-\u9fff]) | (?=[\u3400-\u9fff])")
_THOUSANDS = re.compile(r"(?<=\d)[,\u2009\u202f ](?=\d{3}(?!\d))")
_SENTENCE = re.compile(r"(?<=[。！？!?])\s*|(?<=\.)\s+|\n+")


def tokens(text: str) -> list[str]:
    """Chinese characters one by one, other words in lower case; punctuation is left out."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def normalised(text: str) -> str:
    """Words and characters in one spelling, separated so that a phrase can be looked for.

    NFKC, lower case, digits without thousands separators, punctuation as one space, no space beside a Chinese
    character. A space stands at both ends: ``" ice floats "``.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    spaced = " ".join(_TOKEN.findall(_THOUSANDS.sub("", plain)))
    return _HAN_GAP.sub("", f" {spaced} ")


def sentences(text: str) -> list[str]:
    """The sentences of a Chinese or English text, without empty ones."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]
