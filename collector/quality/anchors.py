"""From a log-probability to 0..1: between a text that has nothing to do with the item and the item's own reference.

BARTScore has no absolute scale, so each item, direction and checkpoint gets two anchors, computed once and stored:

* ``hi``: median over the item's references of the score that the reference itself would get as an answer;
* ``lo``: median over up to five references of other items of the same language and of similar length (same task where
  there are enough), given as answers to this item; for fluency, which does not ask what is said, over the item's own
  references with shuffled words; for coherence over its own sentences, each but the first behind sentences of such another item.

``value = clip((raw - lo) / (hi - lo), 0, 1)``. Where hi is not at least 0.1 above lo, the checkpoint cannot tell a good
answer from a wrong one and there is no value (reason ``anchors``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from collector.quality.corrupt import shuffled_words
from collector.quality.directions import (
    DIRECTIONS,
    Formula,
    Pair,
    Scored,
    Subject,
    coherence_pairs,
    evaluated,
    formulas,
)
from collector.suite.tokens import token_estimate

__all__ = ["VERSION", "Anchor", "anchors_of", "mapped", "wrong_answers"]

VERSION = 3
"""Part of the scorer version, and stored with every anchor."""

_OTHERS, _FEWEST, _LENGTH_RATIO, _SHUFFLES = 5, 3, 2.0, 3
_SMALLEST_SPAN = 0.1


@dataclass(frozen=True, slots=True)
class Anchor:
    """Ends of the scale of one item, direction and checkpoint, as raw scores; None when it could not be computed."""

    lo: float | None
    hi: float | None

    @property
    def usable(self) -> bool:
        """Whether the scale is long enough to mean something."""
        return self.lo is not None and self.hi is not None and self.hi - self.lo >= _SMALLEST_SPAN


def mapped(raw: float, anchor: Anchor) -> float | None:
    """``raw`` on the scale of the anchor, 0..1; None where the anchor is not usable."""
    if anchor.lo is None or anchor.hi is None or not anchor.usable:
        return None
    return min(1.0, max(0.0, (raw - anchor.lo) / (anchor.hi - anchor.lo)))


def anchors_of(
    subjects: Sequence[Subject],
    pools: Sequence[Sequence[Subject]],
    scores: Callable[[set[Pair]], Mapping[Pair, Scored]],
) -> dict[tuple[str, str], Anchor]:
    """Anchors of every direction of every subject.

    Args:
        subjects: the items.
        pools: items whose references may serve as wrong answers; the first pool with enough of them is taken, so
            that the shipped suite, the same everywhere, comes before a user's own items.
        scores: scores a set of pairs with the checkpoint.

    Returns:
        By (item hash, direction).
    """
    plans: dict[tuple[str, str], tuple[list[Formula], list[Formula]]] = {}
    for subject in subjects:
        others = next(filter(None, (wrong_answers(subject, pool) for pool in pools)), [])
        for direction in DIRECTIONS.get(subject.task, ()):
            high = _as_answers(subject, direction, subject.references)
            if not high and subject.references:
                continue  # the item has no text for it, or its references are single sentences
            plans[subject.item_hash, direction] = (high, _wrong(subject, direction, others))
    pairs = {pair for plan in plans.values() for side in plan for formula in side for pair in formula.pairs()}
    known = scores(pairs)
    return {key: Anchor(lo=_median(low, known), hi=_median(high, known)) for key, (high, low) in plans.items()}


def _as_answers(subject: Subject, direction: str, texts: Sequence[str]) -> list[Formula]:
    found = (formulas(subject, text).get(direction) for text in texts)
    return [formula for formula in found if formula is not None]


def _wrong(subject: Subject, direction: str, others: Sequence[str]) -> list[Formula]:
    if direction == "fluency":
        return _as_answers(subject, direction, _shuffled(subject))
    if direction == "coherence":
        mixed = (coherence_pairs(text, other) for text in subject.references for other in others)
        return [Formula((pairs,), "mean") for pairs in mixed if pairs]
    return _as_answers(subject, direction, others)


def _median(side: list[Formula], known: Mapping[Pair, Scored]) -> float | None:
    return median(evaluated(formula, known).raw for formula in side) if side else None


def wrong_answers(subject: Subject, pool: Sequence[Subject]) -> list[str]:
    """References of other items of the language, nearest in length; empty when fewer than three are near."""
    if not subject.references:
        return []
    alike = _alike(subject, [other for other in pool if other.task == subject.task])
    if len(alike) < _FEWEST:  # a program is no wrong answer to a question
        alike = _alike(subject, [other for other in pool if other.task != "code"])
    return alike[:_OTHERS] if len(alike) >= _FEWEST else []


def _alike(subject: Subject, pool: Sequence[Subject]) -> list[str]:
    """First references of the same language and of at most twice or half the length, the nearest first."""
    own = max(1, token_estimate(subject.references[0]))
    near: list[tuple[int, str, str]] = []
    for other in pool:
        if other.language != subject.language or other.item_hash == subject.item_hash or not other.references:
            continue
        text = other.references[0]
        length = max(1, token_estimate(text))
        if text not in subject.references and max(own / length, length / own) <= _LENGTH_RATIO:
            near.append((abs(length - own), other.item_hash, text))
    return [text for *_, text in sorted(near)]


def _shuffled(subject: Subject) -> list[str]:
    """The references with their words in random order, fixed by the item."""
    texts = (
        shuffled_words(reference, f"{subject.item_hash}|{number}|{turn}")
        for number, reference in enumerate(subject.references)
        for turn in range(_SHUFFLES)
    )
    return [text for text in texts if text is not None]
