"""Texts as tokens and in normal form, for Chinese and for languages with spaces."""

from __future__ import annotations

import re
import unicodedata

from collector.quality.numbers import joined_thousands

__all__ = ["has_han", "normalised", "sentence_spans", "sentences", "tokens"]

_HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+(?:\.\d+)?")
_HAN_GAP = re.compile(r"(?<=[\u3400-\u9fff]) | (?=[\u3400-\u9fff])")
# Where a sentence ends: its mark, closing quotes, the gap behind. A full stop needs a gap and must not end a title
# or an initial ("Dr. J. Smith").
_SENTENCE_END = re.compile(
    r"[。！？!?…]+[”’」』）\"')]*\s*"
    r"|(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bvs)(?<!\bMrs)(?<!\bProf)(?<!\b[A-Z])\.[”’\"')]*(?:\s+|$)"
    r"|\s*\n\s*"
)


def has_han(text: str) -> bool:
    """Whether most of the text's tokens are Chinese (or kana) characters, so that no space stands between words."""
    found = tokens(text)
    return 2 * sum("\u3040" <= token[0] <= "\u9fff" for token in found) > len(found)


def tokens(text: str) -> list[str]:
    """Chinese characters one by one, other words in lower case; punctuation is left out."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def normalised(text: str) -> str:
    """Words and characters in one spelling, separated so that a phrase can be looked for.

    NFKC, lower case, digits without thousands separators, punctuation as one space, no space beside a Chinese
    character. A space stands at both ends: ``" ice floats "``.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    spaced = " ".join(_TOKEN.findall(joined_thousands(plain)))
    return _HAN_GAP.sub("", f" {spaced} ")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a Chinese or English text stand, end to end: gaps belong to the sentence before."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    borders = [0, *ends, len(text)]
    return [(start, end) for start, end in zip(borders, borders[1:], strict=False) if text[start:end].strip()]


def sentences(text: str) -> list[str]:
    """The sentences of a Chinese or English text, without empty ones."""
    return [text[start:end].strip() for start, end in sentence_spans(text)]
