"""Gates: what makes an answer a failed one, whatever else it says. The quality is then 0 and the energy counts.

Names are those of the flag table (db/flags.py). A gate is the model's fault; what we cannot judge is never a gate but
a quality NULL with a reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from collector.quality.text import tokens

__all__ = ["GATES", "VERSION", "Answer", "detected_language", "failed_gates"]

VERSION = 1


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


def _empty(answer: Answer) -> bool:
    """No letter, digit or character: nothing, blanks, punctuation or emoji only."""
    return not tokens(answer.text)


def _cut_off(answer: Answer) -> bool:
    return answer.done_reason == "length"


# A refusal stands at the beginning and is about the speaker; the same words later belong to the subject.
_REFUSALS = re.compile(
    r"(?:i['’]?m|i am|we['’]?re|my apologies|i apologi[sz]e|sorry)[^.!?\n]{0,40}?"
    r"\b(?:can(?:no|['’])?t|unable to|not able to|won['’]?t)\b"
    r"|\b(?:i|we) (?:can(?:no|['’])?t|cannot|won['’]?t|am unable to|am not able to|must decline to|refuse to)"
    r" (?:\w+ )?(?:help|assist|answer|provide|discuss|fulfil|fulfill|comply|complete|do that|do this|explain|write)"
    r"|\bas an ai\b[^.!?\n]{0,60}\b(?:can(?:no|['’])?t|cannot|unable|not able|don['’]?t have)\b"
    r"|(?:抱歉|对不起|很遗憾|不好意思)[^。！？\n]{0,20}(?:无法|不能|没有办法|不会|不便)"
    r"|我(?:无法|不能|没有办法|不便|拒绝)(?:为您|为你|给您|给你|直接)?(?:回答|提供|帮助|协助|完成|解释|讨论|满足|处理|执行)"
    r"|作为(?:一个|一名)?(?:人工智能|AI|ai|语言模型|大模型|大语言模型|助手)[^。！？\n]{0,30}(?:无法|不能|没有能力)"
)
_REFUSAL_AT_CHARACTERS = 80


def _refused(answer: Answer) -> bool:
    found = _REFUSALS.search(answer.text.strip().lower())
    return found is not None and found.start() < _REFUSAL_AT_CHARACTERS


_LOOP_LONGEST_UNIT, _LOOP_REPEATS, _LOOP_TOKENS = 80, 4, 24
_LOOP_GRAM, _LOOP_SHARE, _LOOP_MIN_TOKENS = 6, 0.5, 60


def _looping(answer: Answer) -> bool:
    """The end is one unit again and again, or more than half of all 6-grams were there before.

    The end counts from 4 repeats and 24 tokens on (a character in Chinese, else a word), the share from 60 tokens on.
    Code repeats itself by nature, so only its end is looked at.
    """
    words = tokens(answer.text)
    if _repeats_at_end(words):
        return True
    if answer.task == "code" or len(words) < _LOOP_MIN_TOKENS:
        return False
    grams = Counter(tuple(words[i : i + _LOOP_GRAM]) for i in range(len(words) - _LOOP_GRAM + 1))
    return 1 - len(grams) / grams.total() > _LOOP_SHARE


def _repeats_at_end(words: list[str]) -> bool:
    for unit in range(1, min(_LOOP_LONGEST_UNIT, len(words) // _LOOP_REPEATS) + 1):
        same = 0
        while same + unit < len(words) and words[-1 - same] == words[-1 - same - unit]:
            same += 1
        if same >= (_LOOP_REPEATS - 1) * unit and same + unit >= _LOOP_TOKENS:
            return True
    return False


_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7a3]")
_LATIN_WORD = re.compile(r"[a-z\u00c0-\u024f]+(?:['’][a-z]+)?")
_OTHER_SCRIPT = re.compile(r"[\u0370-\u03ff\u0400-\u052f\u0590-\u06ff\u0900-\u0e7f\u1100-\u11ff]+")
# Words that English cannot do without and other languages in Latin letters do not have.
_ENGLISH = frozenset(
    re.findall(r"\w+", "the and of to is are was that it with for this from which by they be when because you not")
)
_ENGLISH_SHARE, _ENGLISH_MIN_WORDS = 0.04, 20
_DOMINANT = 0.7


def detected_language(text: str) -> str | None:
    """``zh``, ``en``, ``other``, or None when the text is mixed or too short to tell.

    By script, a Chinese character weighing as much as half a word; a longer text in Latin letters with next to none of
    the commonest English words is ``other``, as is one with kana, Hangul, Cyrillic, Arabic and the like.
    """
    lowered = text.lower()
    latin = _LATIN_WORD.findall(lowered)
    han = len(_HAN.findall(lowered)) / 2
    kana_hangul = len(_KANA_HANGUL.findall(lowered)) / 2
    other = kana_hangul + len(_OTHER_SCRIPT.findall(lowered))
    if kana_hangul > 0.1 * (han + kana_hangul) and kana_hangul > len(latin):
        return "other"  # Japanese mixes Chinese characters with kana
    total = len(latin) + han + other
    if not total:
        return None
    if han / total >= _DOMINANT:
        return "zh"
    if other / total >= _DOMINANT:
        return "other"
    if len(latin) / total < _DOMINANT:
        return None
    english = sum(word in _ENGLISH for word in latin)
    return "other" if len(latin) >= _ENGLISH_MIN_WORDS and english < _ENGLISH_SHARE * len(latin) else "en"


def _wrong_language(answer: Answer) -> bool:
    if answer.task == "code" or answer.language not in ("zh", "en"):
        return False
    found = detected_language(answer.text)
    return found is not None and found != answer.language


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
