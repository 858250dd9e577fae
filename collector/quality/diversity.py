"""How much the answers to one item differ when it is asked again: pure functions over texts.

A token is a character in Chinese and a word elsewhere (``collector.quality.text.tokens``). No figure is a quality: equal
answers to a question of fact are good ones. Few repeats are the rule here, so the number of answers and their mean
length are always told with the figures, and none of them ranks alone.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import numpy as np

from collector.quality.text import normalised, tokens

__all__ = [
    "LEAST_ANSWERS", "VERSION", "Diversity", "Summary", "adjusted_distinct", "compression_ratio", "diversity", "distinct",
    "self_bleu", "summarise", "vendi",
]  # fmt: skip

VERSION = 1
"""Raised when the same answers could get other figures; stored with them."""

LEAST_ANSWERS = 3
"""Fewer answers than that say nothing about a spread."""

_VOCABULARY = {"zh": 8105}
_VOCABULARY_ELSE = 30_522
_SAMPLE_CHARACTERS = {"zh": 100}
_SAMPLE_CHARACTERS_ELSE = 300
_BLEU_ORDER = 4
_BLEU_EPSILON = 0.1
_GRAM = {"zh": 2}
_GRAM_ELSE = 3

Tokens = Sequence[str]


@dataclass(frozen=True, slots=True)
class Diversity:
    """Figures of the answers to one item, or their means over items.

    Attributes:
        distinct_1: share of different tokens among all, 0..1.
        distinct_2: the same of pairs of neighbouring tokens; None when every answer is one token.
        adjusted_distinct: different tokens per number expected of random ones, see :func:`adjusted_distinct`.
        self_bleu: 0..1, 1 for equal answers.
        compression_ratio: how many times smaller the answers are together when compressed.
        vendi: effective number of different answers, 1 to their number.
    """

    distinct_1: float
    distinct_2: float | None
    adjusted_distinct: float
    self_bleu: float
    compression_ratio: float
    vendi: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Diversity over the items of a task and load.

    Attributes:
        n_items: items with enough answers, over which the figures are averaged, each item counting once.
        n_answers: their answers.
        mean_length: tokens (in Chinese: characters) of an answer; None without such an item.
        figures: None without such an item.
        reason: ``few_answers`` when figures is None, else None.
    """

    n_items: int
    n_answers: int
    mean_length: float | None
    figures: Diversity | None
    reason: str | None


def summarise(items: Iterable[Sequence[str]], language: str) -> Summary:
    """Averages over items.

    Args:
        items: of each item its answers, one per repeat. Answers without a word are left out.
        language: ``zh`` or another.
    """
    found: list[Diversity] = []
    lengths: list[int] = []
    for answers in items:
        said = [answer for answer in answers if tokens(answer)]
        figures = diversity(said, language)
        if figures is not None:
            found.append(figures)
            lengths += (len(tokens(answer)) for answer in said)
    if not found:
        return Summary(0, 0, None, None, "few_answers")
    return Summary(len(found), len(lengths), fmean(lengths), _mean(found), None)


def _mean(figures: Sequence[Diversity]) -> Diversity:
    means: dict[str, float | None] = {}
    for field in fields(Diversity):
        values = [value for one in figures if (value := getattr(one, field.name)) is not None]
        means[field.name] = fmean(values) if values else None
    return Diversity(**means)  # type: ignore[arg-type]  # only distinct_2 can be None


def diversity(answers: Sequence[str], language: str) -> Diversity | None:
    """Figures of the answers to one item; None for fewer than three answers that hold a word."""
    texts = [text for text in answers if tokens(text)]
    if len(texts) < LEAST_ANSWERS:
        return None
    words = [tokens(text) for text in texts]
    one = distinct(words, 1)
    if one is None:
        return None
    return Diversity(
        distinct_1=one,
        distinct_2=distinct(words, 2),
        adjusted_distinct=adjusted_distinct(words, _VOCABULARY.get(language, _VOCABULARY_ELSE)),
        self_bleu=self_bleu(words),
        compression_ratio=compression_ratio(texts, _SAMPLE_CHARACTERS.get(language, _SAMPLE_CHARACTERS_ELSE)),
        vendi=vendi(texts, _GRAM.get(language, _GRAM_ELSE)),
    )


def _grams(text: Tokens, n: int) -> list[tuple[str, ...]]:
    return [tuple(text[at : at + n]) for at in range(len(text) - n + 1)]


def distinct(texts: Sequence[Tokens], n: int) -> float | None:
    """Different n-grams per n-gram over all texts, none across two texts (Li et al. 2016, arXiv 1510.03055).

    Falls as texts get longer or more. None when there is no n-gram.
    """
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else None


def adjusted_distinct(texts: Sequence[Tokens], vocabulary: int) -> float:
    """Different tokens per number of different ones that as many random tokens would have (Liu et al. 2022).

    ``N / (V (1 - ((V - 1) / V)^C))`` with N different tokens, C tokens and a vocabulary of V (arXiv 2202.13587). V is
    one number per language, whatever the model, so that models can be compared: 8 105 characters (the Table of
    General Standard Chinese Characters, 2013), else 30 522 words (the vocabulary of English BERT).

    Args:
        texts: at least one token in all.
        vocabulary: V, above 1.
    """
    words = [word for text in texts for word in text]
    expected = -vocabulary * math.expm1(len(words) * math.log1p(-1 / vocabulary))
    return len(set(words)) / expected


def self_bleu(texts: Sequence[Tokens]) -> float:
    """Mean BLEU-4 of each text against all others as its references (Zhu et al. 2018, arXiv 1802.01886), 0..1.

    BLEU (Papineni et al. 2002): geometric mean of the clipped n-gram precisions, times the brevity penalty for the
    reference of the nearest length. A precision of 0 counts as 0.1 matches (method 1 of Chen and Cherry 2014); a text of
    fewer than four tokens has as many orders as tokens.

    Args:
        texts: at least two, none empty.
    """
    counts = [[Counter(_grams(text, n)) for n in range(1, _BLEU_ORDER + 1)] for text in texts]
    scores = []
    for at, text in enumerate(texts):
        others = [number for number in range(len(texts)) if number != at]
        logs = []
        for order in range(min(_BLEU_ORDER, len(text))):
            allowed: Counter[tuple[str, ...]] = Counter()
            for other in others:
                allowed |= counts[other][order]
            matches = (counts[at][order] & allowed).total()
            logs.append(math.log((matches or _BLEU_EPSILON) / counts[at][order].total()))
        nearest = min((len(texts[other]) for other in others), key=lambda length: (abs(length - len(text)), length))
        scores.append(math.exp(fmean(logs) + min(0.0, 1 - nearest / len(text))))
    return fmean(scores)


def compression_ratio(texts: Sequence[str], characters: int) -> float:
    """Bytes of three texts, one after the other, per byte of their compressed form.

    Compressed once by DEFLATE at level 9 (zlib), as Shaib et al. 2024 (arXiv 2403.00553) with one pass instead of
    two. The ratio grows with length and number, so every text gives its first ``characters`` at most, and three texts
    are taken at a time: the mean over every text with the two that follow it, the last followed by the first.

    Args:
        texts: at least three.
        characters: of each text; a shorter one is taken whole.
    """
    samples = [text[:characters] for text in texts]
    ratios = []
    for at in range(len(samples)):
        joined = "\n".join(samples[(at + step) % len(samples)] for step in range(LEAST_ANSWERS)).encode("utf-8", "replace")
        ratios.append(len(joined) / len(zlib.compress(joined, 9)))
    return fmean(ratios)


def vendi(texts: Sequence[str], n: int) -> float:
    """Effective number of different texts: exp of the entropy of the eigenvalues of K / k (Friedman and Dieng 2023).

    K holds the cosines between the texts' counts of character n-grams (arXiv 2210.02410); k texts give 1 (all the
    same) to k (nothing in common). Case, punctuation and widths of characters are not looked at.

    Args:
        texts: at least one, none without a word.
        n: length of an n-gram; a shorter text is one n-gram.
    """
    plain = [normalised(text).strip() for text in texts]
    counts = [Counter(text[at : at + n] for at in range(max(1, len(text) - n + 1))) for text in plain]
    grams = {gram: place for place, gram in enumerate(sorted(set().union(*counts)))}
    matrix = np.zeros((len(texts), len(grams)))
    for row, count in enumerate(counts):
        for gram, number in count.items():
            matrix[row, grams[gram]] = number
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(matrix @ matrix.T / len(texts))
    positive = eigenvalues[eigenvalues > 0]  # rounding can push a zero below zero
    positive = positive / positive.sum()
    return float(min(len(texts), max(1.0, math.exp(-(positive * np.log(positive)).sum()))))
