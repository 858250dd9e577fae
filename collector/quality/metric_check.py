"""Whether each BARTScore direction can tell the suite's references from texts spoilt in its own way.

Each reference is given as an answer to its own item, whole and spoilt: facts swapped (factuality), another item's answer
(relevance), sentences dropped (coverage), sentences shuffled (coherence), words shuffled (fluency). The AUC is the share of
such couples in which the whole text scores higher, ties counting half: couples are of one item, as answers are compared.
Beside it stand the same share where the reference given as answer is not among the references that judge it (``held
out``), and the share of the lexical floor alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from collector.quality.anchors import wrong_answers
from collector.quality.corrupt import dropped_sentences, shuffled_sentences, shuffled_words, swapped_facts
from collector.quality.directions import DIRECTIONS, Formula, Pair, Scored, Subject, evaluated, floor, formulas

__all__ = ["GOAL", "METRICS", "MetricCheck", "check_metrics"]

GOAL = 0.8
"""AUC to aim at; below it the metric is called weak."""

METRICS = ("factuality", "relevance", "coverage", "coherence", "fluency")


@dataclass(frozen=True, slots=True)
class MetricCheck:
    """What one direction can tell, in one language.

    Attributes:
        task: the task, None for all tasks together.
        couples: number of couples of a reference and its spoilt twin.
        auc: share of couples in which the reference scores higher, 0..1.
        held_out: the same without the reference itself among those that judge; None where nothing else judges.
        floor: the same for the lexical floor; None where there is none.
    """

    metric: str
    language: str
    task: str | None
    couples: int
    auc: float
    held_out: float | None
    floor: float | None

    @property
    def weak(self) -> bool:
        """Whether the AUC misses the goal."""
        return self.auc < GOAL


@dataclass(frozen=True, slots=True)
class _Couple:
    metric: str
    subject: Subject
    whole: str
    spoilt: str
    held_out: bool


def check_metrics(
    subjects: Sequence[Subject], pool: Sequence[Subject], scores: Callable[[set[Pair]], Mapping[Pair, Scored]]
) -> list[MetricCheck]:
    """Checks every direction on the items given.

    Args:
        subjects: the items; code items are passed over.
        pool: items whose references are another item's answers.
        scores: scores a set of pairs with the checkpoint.

    Returns:
        Per metric and language the figure over all tasks, followed by one per task; nothing where there is no couple.
    """
    couples = [couple for subject in subjects for couple in _couples(subject, pool)]
    known = scores({pair for c in couples for text in (c.whole, c.spoilt) for pair in _formula(c, text).pairs()})
    wins = [
        (c, _win(*(evaluated(_formula(c, text), known).raw for text in (c.whole, c.spoilt))), _floor_win(c))
        for c in couples
    ]
    found: list[MetricCheck] = []
    for metric in METRICS:
        for language in sorted({s.language for s in subjects}):
            own = [win for win in wins if (win[0].metric, win[0].subject.language) == (metric, language)]
            tasks = sorted({win[0].subject.task for win in own})
            for task in (None, *tasks) if own else ():
                found.append(_summed(metric, language, task, [w for w in own if task in (None, w[0].subject.task)]))
    return found


def _formula(couple: _Couple, text: str) -> Formula:
    return formulas(couple.subject, text)[couple.metric]


def _summed(
    metric: str, language: str, task: str | None, wins: Sequence[tuple[_Couple, float, float | None]]
) -> MetricCheck:
    with_all = [(win, low) for couple, win, low in wins if not couple.held_out]
    floors = [low for _, low in with_all if low is not None]
    return MetricCheck(
        metric, language, task, len(with_all), _mean([win for win, _ in with_all]) or 0.0,
        _mean([win for couple, win, _ in wins if couple.held_out]), _mean(floors),
    )  # fmt: skip


def _couples(subject: Subject, pool: Sequence[Subject]) -> Iterator[_Couple]:
    for metric in DIRECTIONS.get(subject.task, ()):
        for number, reference in enumerate(subject.references):
            spoilt = _spoilt(metric, subject, number, pool)
            if spoilt is None or metric not in formulas(subject, reference) or metric not in formulas(subject, spoilt):
                continue
            yield _Couple(metric, subject, reference, spoilt, held_out=False)
            others = subject.references[:number] + subject.references[number + 1 :]
            judged_by_references = subject.task == "qa" or metric in ("relevance", "coverage")
            if others and judged_by_references and subject.task != "creative" and metric != "fluency":
                yield _Couple(metric, replace(subject, references=others), reference, spoilt, held_out=True)


def _spoilt(metric: str, subject: Subject, number: int, pool: Sequence[Subject]) -> str | None:
    text, key = subject.references[number], f"{subject.item_hash}|{number}"
    if metric == "factuality":
        return swapped_facts(text)
    if metric == "relevance":
        return next(iter(wrong_answers(subject, pool)), None)
    if metric == "coverage":
        return dropped_sentences(text)
    return shuffled_sentences(text, key) if metric == "coherence" else shuffled_words(text, key)


def _win(whole: float, spoilt: float) -> float:
    return 0.5 if whole == spoilt else float(whole > spoilt)


def _floor_win(couple: _Couple) -> float | None:
    whole, spoilt = (floor(couple.metric, couple.subject, text) for text in (couple.whole, couple.spoilt))
    return None if whole is None or spoilt is None else _win(whole, spoilt)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
