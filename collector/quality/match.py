"""Whether an answer to a knowledge question holds what it should: by looking for phrases, in Chinese and English.

Numbers are compared by value, however they are written (``collector.quality.numbers``). Weak where words do not decide: a
denied fact ("is not made of silicon") is found as well, and a right answer in words that nobody listed is not. That is why
it is one part of the quality beside BARTScore.
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.quality.numbers import in_digits
from collector.quality.text import normalised

__all__ = ["VERSION", "holds_phrase", "informativeness", "match"]

VERSION = 3

_STEM_LETTERS = 4


def holds_phrase(text: str, phrase: str) -> bool:
    """Whether the normalised ``text`` (of :func:`normalised`) holds ``phrase``.

    A Chinese phrase may stand anywhere. A phrase in letters begins at a word; it may go on (``antibod`` finds
    *antibodies*) when its last word has four letters or more. A phrase that ends in a digit ends with that number.
    """
    wanted = normalised(phrase).strip()
    if not wanted:
        return False
    last = wanted.rsplit(" ", 1)[-1]
    at = text.find(wanted)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(wanted) : at + len(wanted) + 1]
        # no space stands between a Chinese character and a word in letters, which begins there all the same
        inside_a_word = _is_letter(wanted[0]) and before != " " and not _is_han(before)
        number_goes_on = (wanted[0].isdigit() and before.isdecimal()) or (wanted[-1].isdigit() and after.isdecimal())
        word_goes_on = _is_letter(wanted[-1]) and _is_letter(after) and len(last) < _STEM_LETTERS
        if not (inside_a_word or number_goes_on or word_goes_on):
            return True
        at = text.find(wanted, at + 1)
    return False


def match(answer: str, accepted: Sequence[str]) -> bool | None:
    """Whether the answer holds one of the accepted short answers; None when the item lists none."""
    if not accepted:
        return None
    return _Held(answer).any_of(accepted)


def informativeness(answer: str, key_facts: Sequence[Sequence[str]]) -> float | None:
    """Share of the key facts of which the answer holds a phrasing, 0..1; None when the item lists none."""
    if not key_facts:
        return None
    held = _Held(answer)
    return sum(map(held.any_of, key_facts)) / len(key_facts)


class _Held:
    """What an answer holds: phrases as they are written, and those with a number also by its value."""

    def __init__(self, answer: str) -> None:
        self._text, self._digits = normalised(answer), normalised(in_digits(answer))

    def any_of(self, phrases: Sequence[str]) -> bool:
        return any(map(self._holds, phrases))

    def _holds(self, phrase: str) -> bool:
        written = in_digits(phrase)
        # a word's normal form has no sign, so that -40 would be found in 40
        as_words = "minus " not in written and holds_phrase(self._text, phrase)
        return as_words or (any(map(str.isdigit, written)) and holds_phrase(self._digits, written))


def _is_letter(character: str) -> bool:
    return character.isalpha() and not _is_han(character)


def _is_han(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff"
