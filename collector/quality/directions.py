"""What is asked of BARTScore about an answer, and which texts stand on which side.

* factuality, does it say what the source says: source → answer, for QA reference → answer;
* relevance, does it say what the reference says and nothing else: F, the mean of reference → answer and
  answer → reference; for creative writing prompt → answer;
* coverage, is all of the reference in it: answer → reference;
* fluency, is it well-formed whatever it says: empty text → answer.

Several references: the best one counts for QA (one of them is enough), the mean for summaries (each is one view).
Code answers are not scored by BARTScore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, Protocol

from collector.quality.lexical import chrf, copied_bigrams, unigram_recall

__all__ = ["DIRECTIONS", "Evaluated", "Formula", "Pair", "Scored", "Subject", "evaluated", "floor", "formulas"]

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
        truncated: whether a text of any pair was cut.
    """

    raw: float
    sum_logprob: float | None
    token_count: int | None
    truncated: bool


DIRECTIONS: dict[str, tuple[str, ...]] = {
    "qa": ("factuality", "relevance", "coverage", "fluency"),
    "summary": ("factuality", "relevance", "coverage", "fluency"),
    "creative": ("relevance", "fluency"),
}
"""Directions of each task that BARTScore judges."""


def formulas(subject: Subject, answer: str) -> dict[str, Formula]:
    """The formula of each direction of the subject's task; a direction whose texts the item lacks is left out."""
    join: Literal["max", "mean"] = "max" if subject.task == "qa" else "mean"
    to_answer = [(reference, answer) for reference in subject.references]
    from_answer = [(answer, reference) for reference in subject.references]
    found = {"fluency": Formula(((("", answer),),), join)}
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
    )


def floor(direction: str, subject: Subject, answer: str) -> float | None:
    """Lexical floor of a direction, 0..1; None where the item or the answer has no words for it."""
    references = list(subject.references)
    if direction == "factuality":
        return copied_bigrams(answer, [subject.source] if subject.source else references)
    if direction == "fluency" or subject.task == "creative":
        return copied_bigrams(answer, [subject.prompt, *references])
    count = unigram_recall if direction == "coverage" else chrf
    values = [value for reference in references if (value := count(answer, reference)) is not None]
    if not values:
        return None
    return max(values) if subject.task == "qa" else fmean(values)
