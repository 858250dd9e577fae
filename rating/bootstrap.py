"""Hierarchical bootstrap of sums over items: items first, shared by all configurations, then repeats within an item.

An item's multiplicity in a draw is Poisson(1), the item-by-item form of sampling items with replacement (Chamandy et
al. 2012, "Estimating uncertainty for massive data streams"): every figure here is a quotient of two sums, so that the
varying number of items cancels. Its random stream is keyed by seed, cohort, task and item name. Two things follow:
configurations are paired on every item they share, and nobody's draws depend on which other configurations or items
are present. A drawn item with r repeats contributes the mean of r repeats drawn with replacement, anew for each copy.
The repeats' counts are shared too, but each configuration deals its repeats to them in its own random order, so that
its repeat noise is independent of the others'.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rating.model import FloatArray, IntArray

__all__ = ["Series", "Sums", "resample", "shuffled_repeats"]

_BLOCK_ITEMS: Final = 32
_BLOCK_COLUMNS: Final = 256
_CHUNK_ENTRIES: Final = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Cells to be summed, several series (a configuration on a set of items) at once.

    Attributes:
        series: series of each cell; ``item`` the place of its item in the list of names; sorted by item.
        start: first row of the cell; ``repeats`` its number of rows.
        energy_j: rows, their repeats already shuffled; likewise quality.
        count: number of series.
        items: how many items each cell stands for; None is one each.
    """

    series: IntArray
    item: IntArray
    start: IntArray
    repeats: IntArray
    energy_j: FloatArray
    quality: FloatArray
    count: int
    items: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums per series and draw, arrays of shape (series, draws): energy (J), quality, number of items drawn."""

    energy_j: FloatArray
    quality: FloatArray
    items: FloatArray


def _generator(*key: object) -> np.random.Generator:
    text = "\x1f".join(map(str, key)).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))


def shuffled_repeats(cell: IntArray, *key: object) -> IntArray:
    """Order of rows that shuffles the repeats within each cell (``cell`` sorted), keyed by ``key``."""
    return np.lexsort((_generator("repeats", *key).random(len(cell)), cell))


def resample(cells: Series, names: Sequence[str], key: tuple[object, ...], draws: int) -> Sums:
    """Draws the sums of every series.

    Args:
        cells: what to sum.
        names: names of the items in a canonical order; their blocks of 32 fix the order of summation.
        key: seed, cohort and task.
        draws: number of draws.
    """
    # Last axis: draws. One matrix product per series, always of the same shape, so that its last bits do not depend on
    # how many other series there are.
    sums = np.zeros((cells.count, 2, draws))
    items = np.zeros((cells.count, draws))
    edges = np.searchsorted(cells.item, np.arange(0, len(names) + _BLOCK_ITEMS, _BLOCK_ITEMS))
    for block, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        first = block * _BLOCK_ITEMS
        block_names = names[first : first + _BLOCK_ITEMS]
        weights = np.stack([_generator("items", *key, name).poisson(1.0, draws) for name in block_names])
        here = slice(low, high)
        present = np.zeros((cells.count, len(block_names)))
        present[cells.series[here], cells.item[here] - first] = 1.0 if cells.items is None else cells.items[here]
        items += present @ weights.astype(np.float64)  # whole numbers, exact in any order
        for repeats in np.unique(cells.repeats[here]):
            chosen = low + np.flatnonzero(cells.repeats[here] == repeats)
            _add_block(sums, cells, chosen, first, block_names, weights, int(repeats), key)
    return Sums(sums[:, 0], sums[:, 1], items)


def _add_block(
    sums: FloatArray,
    cells: Series,
    chosen: IntArray,
    first: int,
    names: Sequence[str],
    weights: IntArray,
    repeats: int,
    key: tuple[object, ...],
) -> None:
    """Adds the cells of one block of items that have ``repeats`` repeats."""
    width = max(1, min(_BLOCK_ITEMS, _BLOCK_COLUMNS // repeats))
    local = cells.item[chosen] - first
    for low in range(0, len(names), width):
        part = chosen[(local >= low) & (local < low + width)]
        if not len(part):
            continue
        active, series = np.unique(cells.series[part], return_inverse=True)
        rows = cells.start[part][:, None] + np.arange(repeats)
        columns = (cells.item[part] - first - low)[:, None] * repeats + np.arange(repeats)
        size = min(width, len(names) - low) * repeats
        values = np.zeros((len(active), 2, size))
        values[series[:, None], 0, columns] = cells.energy_j[rows] / repeats
        values[series[:, None], 1, columns] = cells.quality[rows] / repeats
        used = np.unique(cells.item[part]) - first
        for at, counts in _counts(used, low, size, names, weights, repeats, key):
            sums[active, :, at] += values @ counts


def _counts(
    used: IntArray,
    low: int,
    size: int,
    names: Sequence[str],
    weights: IntArray,
    repeats: int,
    key: tuple[object, ...],
) -> Iterator[tuple[slice, FloatArray]]:
    """How often each repeat of the items is drawn, shape (size, draws), in slices of draws that fit in memory."""
    draws = weights.shape[1]
    step = min(draws, max(1, _CHUNK_ENTRIES // size))
    streams = {int(item): _generator("copies", *key, names[item], repeats) for item in used}
    for at in range(0, draws, step):
        chunk = slice(at, min(at + step, draws))
        counts = np.zeros((size, chunk.stop - chunk.start))
        for item, stream in streams.items():
            own = counts[(item - low) * repeats : (item - low + 1) * repeats]
            copies = weights[item, chunk] * repeats
            if repeats == 1:
                own[0] = copies
                continue
            draw = np.repeat(np.arange(len(copies)), copies)
            repeat = stream.integers(0, repeats, size=len(draw))
            own[:] = np.bincount(repeat * len(copies) + draw, minlength=own.size).reshape(own.shape)
        yield chunk, counts
