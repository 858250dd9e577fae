"""Gates: what makes an answer a failed one, whatever else it says. The quality is then 0 and the energy counts.

Names are those of the flag table (db/flags.py). A gate is the model's fault; what we cannot judge is never a gate but
a quality NULL with a reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from collector.quality.language import Prose
from collector.quality.refusal import refuses
from collector.quality.text import tokens

__all__ = ["GATES", "VERSION", "Answer", "failed_gates"]

VERSION = 2
"""Part of the scorer version: raise it when the same answer could fail another gate."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gates look at.

    Attributes:
        text: the answer.
        done_reason: why the engine stopped, ``length`` means the output cap; None when it did not say.
        language: the language that was asked for.
        task: code answers have no language.
    """

    text: str
    done_reason: str | None
    language: str
    task: str


# Signs shown as pictures (keycaps, a circled 祝), some of which are letters or digits without their mark.
_EMOJI = re.compile(r".\ufe0f\u20e3?|[0-9#*]\u20e3")


def _empty(answer: Answer) -> bool:
    """No letter, digit or character: nothing, blanks, punctuation or emoji only."""
    plain = _EMOJI.sub("", answer.text)
    return not any(map(str.isalnum, plain)) or not tokens(plain)


def _cut_off(answer: Answer) -> bool:
    return answer.done_reason == "length"


def _refused(answer: Answer) -> bool:
    return refuses(answer.text, answer.task)


_LOOP_LONGEST_UNIT, _LOOP_REPEATS, _LOOP_TOKENS = 80, 4, 24
_LIST_NUMBER = re.compile(r"^\s*\d{1,4}(?:[.)]\s|、)", re.MULTILINE)
_STUTTER_CHARACTERS, _STUTTER_UNITS = 400, range(1, 17)
_LOOP_GRAM, _LOOP_SHARE, _LOOP_MIN_TOKENS = 6, 0.5, 60


def _looping(answer: Answer) -> bool:
    """The end is one unit again and again, or more than half of all 6-grams were there before.

    The end counts from 4 repeats and 24 tokens on (a character in Chinese, else a word), the share from 60 tokens on.
    Code repeats itself by nature, so only its end is looked at. Signs without a word between them ("=====", "aaaa") count
    from 400 of them on.
    """
    words = tokens(_LIST_NUMBER.sub("", answer.text))
    if _repeats_at_end(words) or _stutters(answer.text.rstrip()):
        return True
    if answer.task == "code" or len(words) < _LOOP_MIN_TOKENS:
        return False
    grams = Counter(tuple(words[i : i + _LOOP_GRAM]) for i in range(len(words) - _LOOP_GRAM + 1))
    return 1 - len(grams) / grams.total() > _LOOP_SHARE


def _stutters(text: str) -> bool:
    """Whether the text ends in a few characters again and again."""
    tail = text[-_STUTTER_CHARACTERS:]
    return len(tail) == _STUTTER_CHARACTERS and any(tail[unit:] == tail[:-unit] for unit in _STUTTER_UNITS)


def _repeats_at_end(words: list[str]) -> bool:
    for unit in range(1, min(_LOOP_LONGEST_UNIT, len(words) // _LOOP_REPEATS) + 1):
        same = 0
        while same + unit < len(words) and words[-1 - same] == words[-1 - same - unit]:
            same += 1
        if same >= (_LOOP_REPEATS - 1) * unit and same + unit >= _LOOP_TOKENS:
            return True
    return False


def _wrong_language(answer: Answer) -> bool:
    if answer.task == "code" or answer.language not in ("zh", "en"):
        return False
    return Prose.of(answer.text).speaks_another(answer.language)


GATES: dict[str, Callable[[Answer], bool]] = {
    "empty": _empty,
    "cut_off": _cut_off,
    "refused": _refused,
    "looping": _looping,
    "wrong_language": _wrong_language,
}
"""Flag name of each gate and its test."""


def failed_gates(answer: Answer) -> list[str]:
    """Names of the gates that the answer fails, the first of them its reason; empty when it passes all."""
    return [name for name, holds in GATES.items() if holds(answer)]
