"""Texts spoilt in one way each, by fixed rules: what a metric must be able to tell from the original.

Everything is decided by the text and a key, so that two runs spoil alike. ``None`` says that the rule finds nothing to
spoil in the text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from collector.quality.text import has_han, sentences

__all__ = ["dropped_sentences", "shuffled_sentences", "shuffled_words", "swapped_facts"]

_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_NUMBER = re.compile(
    r"\d+(?:[.,]\d+)*|[一二两三四五六七八九十百千万亿]+(?=[年月日天个只条名位次倍米元岁度点时分秒公千吨克升])"
)
# Names: words with a capital inside a sentence; in Chinese what stands in title marks or quotes.
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+(?: [A-Z][a-z]+)*|(?<=《)[^》]+(?=》)|(?<=“)[^”]{1,12}(?=”)")
_NEGATIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(is|are|was|were|can|could|will|would|must|should|do|does|did|has|have) not\b ?"), r"\1 "),
    (re.compile(r"\b(is|are|was|were|can|could|will|would|must|should)\b(?! not)"), r"\1 not"),
    (re.compile(r"不(?=[是会能可需要应])|没(?=有)"), ""),
    (re.compile(r"(?<![不但还就只总可若要正凡])(?=是(?!否))|(?<![不可])(?=[会能](?:[^议员计]))"), "不"),
)


def swapped_facts(text: str) -> str | None:
    """Numbers and names each take the place of the next one, and one statement is turned into its contrary.

    A single number is changed; names are left alone unless there are two. None when nothing of this could be done.
    """
    changed = _rotated(_rotated(text, _NUMBER, _other_number), _NAME, None)
    for pattern, replacement in _NEGATIONS:
        found = pattern.search(changed)
        if found:
            changed = changed[: found.start()] + found.expand(replacement) + changed[found.end() :]
            break
    return changed if changed != text else None


def _rotated(text: str, pattern: re.Pattern[str], alone: Callable[[str], str] | None) -> str:
    found = list(dict.fromkeys(pattern.findall(text)))
    if len(found) > 1:
        after = dict(zip(found, [*found[1:], found[0]], strict=True))
    elif found and alone:
        after = {found[0]: alone(found[0])}
    else:
        return text
    return pattern.sub(lambda match: after[match[0]], text)


def _other_number(number: str) -> str:
    figures = "0123456789" if number[0].isdecimal() and number[0].isascii() else "一二三四五六七八九"
    place = figures.find(number[0])
    return (figures[place % (len(figures) - 1) + 1] if place >= 0 else figures[4]) + number[1:]


def dropped_sentences(text: str) -> str | None:
    """The first half of the sentences; of a single sentence the first half of its words."""
    found = sentences(text)
    if len(found) > 1:
        return ("" if has_han(text) else " ").join(found[: (len(found) + 1) // 2])
    units = _UNIT.findall(text)
    return _joined(units[: (len(units) + 1) // 2], text) if len(units) > 1 else None


def shuffled_sentences(text: str, key: str) -> str | None:
    """The sentences in another order; None for a single sentence."""
    return _shuffled(sentences(text), text, key)


def shuffled_words(text: str, key: str) -> str | None:
    """The words (characters in Chinese) in another order, marks going with the word before them; None for one word."""
    return _shuffled(_UNIT.findall(text), text, key)


def _shuffled(units: list[str], text: str, key: str) -> str | None:
    if len(set(units)) < 2:
        return None
    draw = random.Random(key)
    mixed = list(units)
    while mixed == units:
        draw.shuffle(mixed)
    return _joined(mixed, text)


def _joined(units: list[str], text: str) -> str:
    return ("" if has_han(text) else " ").join(units)
