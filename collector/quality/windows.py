"""Texts that are longer than the checkpoint's positions: scored in parts instead of being cut.

* A long **source** is cut into windows of whole sentences. Each window begins in the middle of the one before, so that
  every sentence stands in some window together with its neighbours. Each sentence of the target is scored against all
  windows and the best one counts; the sums of the sentences are added. That is the way of LongDocFACTScore without its
  embedding search (every window is tried), and without its slice that dropped the following sentence.
* A long **target** with a source that fits is cut into parts of whole sentences; their sums are added.

A sentence that is too long itself is cut in the middle until it fits. A text of more than :data:`MOST` windows or parts
(far beyond any output cap) is cut after them, and that is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from collector.quality.text import sentence_spans

__all__ = ["MOST", "Split", "parts", "split_pair", "windows"]

MOST = 16
"""Windows of a source and parts of a target that are looked at."""

Length = Callable[[str], int]
"""Tokens of a text, marks included."""


class Split(NamedTuple):
    """The pairs to score instead of one that is too long.

    Attributes:
        choices: one list per part of the target: the pairs of which the best (highest mean) counts; their sums are added.
        cut_source: whether the source goes on behind its last window; likewise cut_target.
    """

    choices: list[list[tuple[str, str]]]
    cut_source: bool
    cut_target: bool


def split_pair(source: str, target: str, length: Length, limit: int) -> Split:
    """Cuts a pair whose source or target has more than ``limit`` tokens."""
    wanted = list(islice(parts(target, length, limit), MOST + 1))
    if length(source) <= limit:
        return Split([[(source, part)] for part in wanted[:MOST]], False, len(wanted) > MOST)
    views = list(islice(windows(source, length, limit), MOST + 1))
    sentences = [sentence for part in wanted[:MOST] for sentence, _ in _pieces(part, length, limit)]
    choices = [[(view, sentence) for view in views[:MOST]] for sentence in sentences]
    return Split(choices, len(views) > MOST, len(wanted) > MOST)


def parts(text: str, length: Length, limit: int) -> Iterator[str]:
    """The text as runs of whole sentences, each of at most ``limit`` tokens, end to end."""
    run, tokens = "", 0
    for piece, own in _pieces(text, length, limit):
        if run and tokens + own > limit:
            yield run
            run, tokens = "", 0
        run, tokens = run + piece, tokens + own
    yield run


def windows(text: str, length: Length, limit: int) -> Iterator[str]:
    """Overlapping runs of whole sentences, each of at most ``limit`` tokens, beginning in the middle of the one before."""
    pieces = list(_pieces(text, length, limit))
    first = last = 0
    while last < len(pieces):
        last, tokens = first, 0
        while last < len(pieces) and (last == first or tokens + pieces[last][1] <= limit):
            tokens += pieces[last][1]
            last += 1
        yield "".join(piece for piece, _ in pieces[first:last])
        first += max(1, (last - first) // 2)


def _pieces(text: str, length: Length, limit: int) -> Iterator[tuple[str, int]]:
    """Sentences with their tokens, those too long cut in the middle; the whole text when it has no sentence."""
    for start, end in sentence_spans(text) or [(0, len(text))]:
        yield from _halved(text[start:end], length, limit)


def _halved(text: str, length: Length, limit: int) -> Iterator[tuple[str, int]]:
    tokens = length(text)
    if tokens <= limit or len(text) < 2:
        yield text, tokens
        return
    middle = len(text) // 2
    yield from _halved(text[:middle], length, limit)
    yield from _halved(text[middle:], length, limit)
