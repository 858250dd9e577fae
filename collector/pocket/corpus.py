"""The text the pocket models learn from: every item of the suite with a reference, and general pairs of our own.

One example is a question and an answer. Questions vary (with and without the nonce line that the collector puts in
front, the whole prompt or only its beginning, other words to ask with), so that a model answers the subject and not
one exact string.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.suite import Item, load_suite

__all__ = [
    "GROUPS", "SMALL_GROUPS", "Example", "Pair", "drawn", "general_pairs", "pairs", "shortened", "suite_pairs", "texts", "varied",
]  # fmt: skip

GROUPS = {"general": 0.03, "quiz": 0.27, "short": 0.3, "medium": 0.33, "long": 0.07}
"""What share of the examples comes from our own pairs, short QA, other short, medium and long items.

Short QA is what the quickstart asks, so it comes most often per item; a long example costs as much as four short ones.
"""

SMALL_GROUPS = {"general": 0.03, "quiz": 0.55, "short": 0.25, "medium": 0.13, "long": 0.04}
"""The same for models that have room for little more than short answers."""

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
_PARAGRAPH_END = re.compile(r"(?<=\n\n)")
_LINE_END = re.compile(r"(?<=[。！？\n])|(?<=[.!?] )")
_FENCE = "```"
_PLAIN = ("general", "quiz")
_NONCE_SHARE, _WHOLE_SHARE, _REWORD_SHARE = 0.75, 0.7, 0.15


@dataclass(frozen=True, slots=True)
class Pair:
    """Ways to ask and good answers; any question fits any answer; ``group`` is one of ``GROUPS``."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    group: str = "general"


@dataclass(frozen=True, slots=True)
class Example:
    """One question with one answer, as drawn for a training step."""

    question: str
    answer: str


def suite_pairs(items: Sequence[Item] | None = None) -> list[Pair]:
    """The items with references as pairs; None takes the shipped suite."""
    chosen = load_suite().items if items is None else items
    return [Pair((item.prompt,), item.references, _group(item)) for item in chosen if item.references]


def general_pairs() -> list[Pair]:
    """Our own pairs (``texts.json``)."""
    tables = json.loads(_TEXTS.read_text(encoding="utf-8"))["pair"]
    return [Pair(tuple(table["questions"]), tuple(table["answers"])) for table in tables]


def pairs() -> list[Pair]:
    """Everything to learn."""
    return suite_pairs() + general_pairs()


def drawn(chosen: Sequence[Pair], rng: random.Random, shares: Mapping[str, float] = GROUPS) -> Pair:
    """One pair: first the group by its share of those that are there, then any pair of it."""
    there = [group for group in shares if any(pair.group == group for pair in chosen)]
    group = rng.choices(there, [shares[group] for group in there])[0]
    return rng.choice([pair for pair in chosen if pair.group == group])


def texts(chosen: Sequence[Pair]) -> list[str]:
    """Every question and answer once, for training a tokenizer, with some nonce lines and wordings."""
    found = {text: None for pair in chosen for text in (*pair.questions, *pair.answers)}
    words = [word for begin, others in _OTHER_WORDS for word in (begin, *others)]
    rng = random.Random(0)
    return [*found, *words, *(_nonce(rng) for _ in range(40)), *(chr(c) for c in range(32, 127)), "，。：；！？、（）"]


def varied(pair: Pair, rng: random.Random) -> Example:
    """One way to ask with one answer, drawn from ``rng``; only plain questions lose sentences."""
    question = rng.choice(pair.questions)
    sentences = _SENTENCE_END.split(question)
    if pair.group in _PLAIN and len(sentences) > 1 and rng.random() > _WHOLE_SHARE:
        kept = rng.randint(1, len(sentences) - 1)
        question = (" " if question.isascii() else "").join(s for s in sentences[:kept] if s)
    if rng.random() < _REWORD_SHARE:
        question = _reworded(question, rng)
    if rng.random() < _NONCE_SHARE:
        question = _nonce(rng) + question
    return Example(question, rng.choice(pair.answers))


def shortened(text: str, fits: Callable[[str], bool]) -> str:
    """The beginning of ``text`` that ``fits``, ending with a paragraph, else a sentence or line.

    A code block that is cut open is closed again. Text of which no sentence fits comes back whole.
    """
    if fits(text):
        return text
    for end in (_PARAGRAPH_END, _LINE_END):
        pieces = end.split(text)
        for kept in range(len(pieces) - 1, 0, -1):
            begin = "".join(pieces[:kept]).rstrip()
            begin += "\n" + _FENCE if begin.count(_FENCE) % 2 else ""
            if fits(begin):
                return begin
    return text


def _group(item: Item) -> str:
    return "quiz" if (item.task, item.load) == ("qa", "short") else item.load


def _nonce(rng: random.Random) -> str:
    return f"[{rng.getrandbits(32):08x}]\n"


def _reworded(question: str, rng: random.Random) -> str:
    for begin, others in _OTHER_WORDS:
        if question.startswith(begin):
            return rng.choice(others) + question.removeprefix(begin)
    return question
