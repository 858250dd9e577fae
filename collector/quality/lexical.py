"""Lexical floors: what counting shared words already tells, shown beside every BARTScore figure.

A model metric that does not beat its floor adds nothing (quality notes: copied bigrams alone reach a rank correlation
of .41 with human consistency ratings of summaries).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from collector.quality.text import tokens

__all__ = ["VERSION", "chrf", "copied_bigrams", "unigram_recall", "variety"]

VERSION = 1

_CHRF_ORDER, _CHRF_BETA = 6, 2.0


def _share(found: Counter[Sequence[str]], wanted: Counter[Sequence[str]]) -> float | None:
    """Share of ``wanted`` that is in ``found``, with multiplicity; None when nothing is wanted."""
    return (wanted & found).total() / wanted.total() if wanted else None


def _grams(units: Sequence[str], n: int) -> Counter[Sequence[str]]:
    return Counter(tuple(units[i : i + n]) for i in range(len(units) - n + 1))


def unigram_recall(answer: str, reference: str) -> float | None:
    """Share of the reference's words (characters in Chinese) that the answer holds, 0..1; None without a word."""
    return _share(_grams(tokens(answer), 1), _grams(tokens(reference), 1))


def copied_bigrams(answer: str, sources: Iterable[str]) -> float | None:
    """Share of the answer's word pairs that stand in one of the sources, 0..1; None when it has no pair."""
    known = {gram for source in sources for gram in _grams(tokens(source), 2)}
    grams = _grams(tokens(answer), 2)
    return sum(count for gram, count in grams.items() if gram in known) / grams.total() if grams else None


def chrf(answer: str, reference: str) -> float | None:
    """Character n-gram F score, 0..1 (Popović 2015: n to 6, beta 2, without spaces); None for an empty text.

    Mean precision and mean recall over the orders that both texts are long enough for, as in sacrebleu.
    """
    texts = ["".join(unicodedata.normalize("NFKC", text).split()) for text in (answer, reference)]
    precisions: list[float] = []
    recalls: list[float] = []
    for n in range(1, _CHRF_ORDER + 1):
        mine, theirs = (_grams(text, n) for text in texts)
        precision, recall = _share(theirs, mine), _share(mine, theirs)
        if precision is not None and recall is not None:
            precisions.append(precision)
            recalls.append(recall)
    if not precisions:
        return None
    p, r = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return (1 + _CHRF_BETA**2) * p * r / (_CHRF_BETA**2 * p + r) if p + r else 0.0


def variety(answer: str, n: int = 4) -> float | None:
    """Share of different n-grams among all n-grams, 0..1; 1 when the answer is shorter than that, None without a word."""
    words = tokens(answer)
    grams = _grams(words, n)
    if not words:
        return None
    return len(grams) / grams.total() if grams else 1.0
