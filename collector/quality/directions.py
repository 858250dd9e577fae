"""What is asked of BARTScore about an answer, and which texts stand on which side.

* factuality, does it say what the source says: source → answer, for QA reference → answer;
* relevance, does it say what the reference says and nothing else: F, the mean of reference → answer and
  answer → reference; for creative writing prompt → answer;
* coverage, is all of the reference in it: answer → reference;
* coherence, does each sentence follow from those before it (the last eight; the first from nothing): the mean over sentences;
* fluency, is it well-formed whatever it says: empty text → answer.

Several references: the best one counts for QA (one of them is enough), the mean for summaries (each is one view).
Code answers are not scored by BARTScore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal, Protocol, Self

from collector.quality.lexical import chrf, copied_bigrams, unigram_recall
from collector.quality.text import has_han, sentences

if TYPE_CHECKING:
    from collector.suite import Item

__all__ = [
    "DIRECTIONS", "MAIN", "VERSION", "Evaluated", "Formula", "Pair", "Scored", "Subject", "coherence_pairs", "evaluated",
    "floor", "formulas",
]  # fmt: skip

VERSION = 2
"""Part of the scorer version: raise it when the same texts could get another score."""

_CONTEXT = 8  # sentences: more would make the work grow with the square of the answer's length

Pair = tuple[str, str]
"""(source, target)."""


class Scored(Protocol):
    """Score of one pair."""

    @property
    def sum_logprob(self) -> float:
        """Sum of natural-log probabilities of the target's tokens."""

    @property
    def token_count(self) -> int:
        """Number of those tokens."""

    @property
    def truncated(self) -> bool:
        """Whether source or target was cut."""

    @property
    def windowed(self) -> bool:
        """Whether a text too long for the model was scored in parts."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The item as the scorer sees it.

    Attributes:
        item_hash: content hash of the item.
        source: text of a summary item, else None.
    """

    item_hash: str
    task: str
    load: str
    language: str
    prompt: str
    references: tuple[str, ...]
    source: str | None = None

    @classmethod
    def of(cls, item: Item) -> Self:
        """The item of a suite as the scorer sees it."""
        source = item.payload.get("source")
        return cls(item.hash, item.task, item.load, item.language, item.prompt, item.references, source)


@dataclass(frozen=True, slots=True)
class Formula:
    """Alternatives (one per reference), each the mean over its pairs; joined by the best or the mean of them."""

    alternatives: tuple[tuple[Pair, ...], ...]
    join: Literal["max", "mean"]

    def pairs(self) -> set[Pair]:
        """Every pair that must be scored."""
        return {pair for alternative in self.alternatives for pair in alternative}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Value of a formula.

    Attributes:
        raw: mean natural-log probability per token, below 0.
        sum_logprob: its sum where one single pair decided, else None; likewise token_count.
        truncated: whether a text of any pair was cut; likewise windowed, scored in parts.
        pairs: per alternative, sum and token count of each pair.
    """

    raw: float
    sum_logprob: float | None
    token_count: int | None
    truncated: bool
    windowed: bool
    pairs: list[list[tuple[float, int]]]


DIRECTIONS: dict[str, tuple[str, ...]] = {
    "qa": ("factuality", "relevance", "coverage", "fluency"),
    "summary": ("factuality", "relevance", "coverage", "coherence", "fluency"),
    "creative": ("relevance", "fluency"),
}
"""Directions of each task that BARTScore judges."""

MAIN = {"qa": "factuality", "summary": "factuality", "creative": "relevance"}
"""The direction that is shown as ``bartscore``, and without which there is no quality."""


def formulas(subject: Subject, answer: str) -> dict[str, Formula]:
    """The formula of each direction of the subject's task; a direction whose texts the item lacks is left out."""
    join: Literal["max", "mean"] = "max" if subject.task == "qa" else "mean"
    to_answer = [(reference, answer) for reference in subject.references]
    from_answer = [(answer, reference) for reference in subject.references]
    found = {"fluency": Formula(((("", answer),),), join)}
    if steps := coherence_pairs(answer):
        found["coherence"] = Formula((steps,), join)
    if subject.task == "creative":
        found["relevance"] = Formula((((subject.prompt, answer),),), join)
    elif subject.references:
        found["relevance"] = Formula(tuple(zip(to_answer, from_answer, strict=True)), join)
        found["coverage"] = Formula(tuple((pair,) for pair in from_answer), join)
    if subject.task == "qa" and subject.references:
        found["factuality"] = Formula(tuple((pair,) for pair in to_answer), join)
    elif subject.task == "summary" and subject.source:
        found["factuality"] = Formula((((subject.source, answer),),), join)
    return {name: found[name] for name in DIRECTIONS.get(subject.task, ()) if name in found}


def coherence_pairs(text: str, before: str | None = None) -> tuple[Pair, ...]:
    """Each sentence, as target, given the (eight) sentences before it, the first given nothing; none for a single sentence.

    The first one counts as well: so a text and another order of it are judged by the same sentences, and one that opens in the
    middle of things pays for it.

    Args:
        text: the sentences.
        before: text whose sentences stand before instead of its own, for an anchor; None takes its own.
    """
    own = sentences(text)
    if len(own) < 2:  # noqa: PLR2004  nothing stands before anything
        return ()
    lead = own if before is None else sentences(before)
    joint = "" if has_han(text) else " "
    return tuple(
        (joint.join(lead[max(0, min(place, len(lead)) - _CONTEXT) : place]), sentence)
        for place, sentence in enumerate(own)
    )


def evaluated(formula: Formula, scores: Mapping[Pair, Scored]) -> Evaluated:
    """Value of a formula from the scores of its pairs."""
    values = [
        fmean(scores[pair].sum_logprob / scores[pair].token_count for pair in alternative)
        for alternative in formula.alternatives
    ]
    raw = max(values) if formula.join == "max" else fmean(values)
    deciding = formula.alternatives[values.index(raw)] if formula.join == "max" else formula.alternatives[0]
    single = scores[deciding[0]] if len(deciding) == 1 and (formula.join == "max" or len(values) == 1) else None
    return Evaluated(
        raw=raw,
        sum_logprob=single.sum_logprob if single else None,
        token_count=single.token_count if single else None,
        truncated=any(scores[pair].truncated for pair in formula.pairs()),
        windowed=any(scores[pair].windowed for pair in formula.pairs()),
        pairs=[
            [(scores[pair].sum_logprob, scores[pair].token_count) for pair in alternative]
            for alternative in formula.alternatives
        ],
    )


def floor(direction: str, subject: Subject, answer: str) -> float | None:
    """Lexical floor of a direction, 0..1; None where the item or the answer has no words for it.

    Copied word pairs for factuality and fluency, the recall of the reference's words for coverage, chrF for relevance, and
    for coherence the mean share of a sentence's words that stand in the sentences before it.
    """
    references = list(subject.references)
    if direction == "coherence":
        shares = [
            share
            for before, text in coherence_pairs(answer)
            if before and (share := unigram_recall(before, text)) is not None
        ]
        return fmean(shares) if shares else None
    if direction == "factuality":
        return copied_bigrams(answer, [subject.source] if subject.source else references)
    if direction == "fluency" or subject.task == "creative":
        return copied_bigrams(answer, [subject.prompt, *references])
    count = unigram_recall if direction == "coverage" else chrf
    values = [value for reference in references if (value := count(answer, reference)) is not None]
    if not values:
        return None
    return max(values) if subject.task == "qa" else fmean(values)
