"""The text the pocket models learn from: every item of the suite with a reference, and general pairs of our own.

One example is a question and an answer. Questions vary (with and without the nonce line that the collector puts in
front, the whole prompt or only its beginning, other words to ask with), so that a model answers the subject and not
one exact string.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.suite import Item, load_suite

__all__ = ["Example", "Pair", "general_pairs", "pairs", "suite_pairs", "texts", "varied"]

_TEXTS = Path(__file__).parent / "texts.json"
_SENTENCE_END = re.compile(r"(?<=[。！？])|(?<=[.!?]) ")
_OTHER_WORDS = (
    ("请解释", ("解释一下", "请说明", "说一说", "请问")),
    ("请介绍", ("介绍一下", "请说说", "谈谈")),
    ("Explain ", ("Please explain ", "Can you explain ", "Tell me ", "Describe ")),
    ("Describe ", ("Please describe ", "Tell me about ")),
    ("Tell ", ("Please tell me ", "Explain ")),
    ("What is ", ("What's ", "Tell me what is ")),
    ("什么是", ("请问什么是", "请说明什么是")),
)
_NONCE_SHARE, _WHOLE_SHARE, _REWORD_SHARE = 0.75, 0.7, 0.15


@dataclass(frozen=True, slots=True)
class Pair:
    """Ways to ask and good answers; any question fits any answer."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One question with one answer, as drawn for a training step."""

    question: str
    answer: str


def suite_pairs(items: Sequence[Item] | None = None) -> list[Pair]:
    """The items with references as pairs; None takes the shipped suite."""
    chosen = load_suite().items if items is None else items
    return [Pair((item.prompt,), item.references) for item in chosen if item.references]


def general_pairs() -> list[Pair]:
    """Our own pairs (``texts.json``)."""
    tables = json.loads(_TEXTS.read_text(encoding="utf-8"))["pair"]
    return [Pair(tuple(table["questions"]), tuple(table["answers"])) for table in tables]


def pairs(suite_weight: int = 3) -> list[Pair]:
    """Everything to learn; the suite's pairs come ``suite_weight`` times as often as the general ones."""
    return suite_pairs() * suite_weight + general_pairs()


def texts(chosen: Sequence[Pair]) -> list[str]:
    """Every question and answer once, for training a tokenizer, with some nonce lines and wordings."""
    found = {text: None for pair in chosen for text in (*pair.questions, *pair.answers)}
    words = [word for begin, others in _OTHER_WORDS for word in (begin, *others)]
    rng = random.Random(0)
    return [*found, *words, *(_nonce(rng) for _ in range(40)), *(chr(c) for c in range(32, 127)), "，。：；！？、（）"]


def varied(pair: Pair, rng: random.Random) -> Example:
    """One way to ask with one answer, drawn from ``rng``."""
    question = rng.choice(pair.questions)
    sentences = _SENTENCE_END.split(question)
    if len(sentences) > 1 and rng.random() > _WHOLE_SHARE:
        kept = rng.randint(1, len(sentences) - 1)
        question = (" " if question.isascii() else "").join(s for s in sentences[:kept] if s)
    if rng.random() < _REWORD_SHARE:
        question = _reworded(question, rng)
    if rng.random() < _NONCE_SHARE:
        question = _nonce(rng) + question
    return Example(question, rng.choice(pair.answers))


def _nonce(rng: random.Random) -> str:
    return f"[{rng.getrandbits(32):08x}]\n"


def _reworded(question: str, rng: random.Random) -> str:
    for begin, others in _OTHER_WORDS:
        if question.startswith(begin):
            return rng.choice(others) + question.removeprefix(begin)
    return question
