"""Whether an answer to a knowledge question holds what it should: by looking for phrases, in Chinese and English.

Weak where words do not decide: a denied fact ("is not made of silicon") is found as well, and a right answer in words
that nobody listed is not. That is why it is one part of the quality beside BARTScore.
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.quality.text import normalised

__all__ = ["VERSION", "holds_phrase", "informativeness", "match"]

VERSION = 1

_STEM_LETTERS = 4


def holds_phrase(text: str, phrase: str) -> bool:
    """Whether the normalised ``text`` (of :func:`normalised`) holds ``phrase``.

    A Chinese phrase may stand anywhere. A phrase in letters begins at a word; it may go on (``antibod`` finds
    *antibodies*) when its last word has four letters or more. A phrase that ends in a digit ends with that number.
    """
    wanted = normalised(phrase).strip()
    if not wanted:
        return False
    start = wanted if _is_han(wanted[0]) or wanted[0].isdigit() else f" {wanted}"
    last = wanted.rsplit(" ", 1)[-1]
    at = text.find(start)
    while at >= 0:
        before = text[at - 1 : at] if start == wanted else ""
        after = text[at + len(start) : at + len(start) + 1]
        number_goes_on = (wanted[0].isdigit() and before.isdecimal()) or (wanted[-1].isdigit() and after.isdecimal())
        word_goes_on = wanted[-1].isalpha() and not _is_han(wanted[-1]) and after.isalpha() and not _is_han(after)
        short = len(last) < _STEM_LETTERS
        if not number_goes_on and not (word_goes_on and short):
            return True
        at = text.find(start, at + 1)
    return False


def match(answer: str, accepted: Sequence[str]) -> bool | None:
    """Whether the answer holds one of the accepted short answers; None when the item lists none."""
    if not accepted:
        return None
    text = normalised(answer)
    return any(holds_phrase(text, phrase) for phrase in accepted)


def informativeness(answer: str, key_facts: Sequence[Sequence[str]]) -> float | None:
    """Share of the key facts of which the answer holds a phrasing, 0..1; None when the item lists none."""
    if not key_facts:
        return None
    text = normalised(answer)
    return sum(any(holds_phrase(text, phrase) for phrase in fact) for fact in key_facts) / len(key_facts)


def _is_han(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff"
