"""From answers to cells: the valid rows of one configuration and item, with their means.

x of a set of items is the sum of the cells' mean energies over the sum of their mean qualities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rating.model import FloatArray, Group, IntArray, Measurements

__all__ = ["Cells", "valid_rows"]


def valid_rows(measurements: Measurements) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows that enter the sums: energy above 0 and a quality; everything else is named by the validity gate."""
    with np.errstate(invalid="ignore"):
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
            np.isfinite(measurements.energy_j) & (measurements.energy_j > 0) & np.isfinite(measurements.quality)
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Valid rows in a canonical order, and one cell per group and item.

    Rows are ordered by group, item name, repeat, energy and quality, so that the order of the input cannot matter.

    Attributes:
        row_energy_j: energy of every valid row; likewise row_quality.
        item: rank of each cell's item among all item names; ``start`` its first row, ``repeats`` its number of rows.
        energy_j: mean energy of the cell; ``quality`` its mean quality.
        slices: place of each group's cells.
        item_names: item names in the order of their ranks.
    """

    row_energy_j: FloatArray
    row_quality: FloatArray
    item: IntArray
    start: IntArray
    repeats: IntArray
    energy_j: FloatArray
    quality: FloatArray
    slices: dict[Group, slice]
    item_names: tuple[str, ...]

    @staticmethod
    def of(measurements: Measurements) -> Cells:
        """Sorts and averages the valid rows."""
        names = sorted(range(len(measurements.items)), key=measurements.items.__getitem__)
        rank = np.empty(len(names), dtype=np.int64)
        rank[names] = np.arange(len(names))
        rows = np.flatnonzero(valid_rows(measurements))
        tasks, configurations = max(len(measurements.tasks), 1), max(len(measurements.configurations), 1)
        group = measurements.cohort[rows].astype(np.int64) * tasks + measurements.task[rows]
        group = group * configurations + measurements.configuration[rows]
        item = rank[measurements.item[rows]]
        energy, quality = measurements.energy_j[rows], measurements.quality[rows]
        order = np.lexsort((quality, energy, measurements.repeat[rows], item, group))
        group, item, energy, quality = group[order], item[order], energy[order], quality[order]
        start = _starts(group, item)
        repeats = np.diff(np.append(start, len(rows)))
        cell_group = group[start]
        group_start = _starts(cell_group)
        slices = {}
        for first, last in zip(group_start, [*group_start[1:], len(start)], strict=False):
            code = int(cell_group[first])
            place = Group(code // configurations // tasks, code // configurations % tasks, code % configurations)
            slices[place] = slice(int(first), int(last))
        return Cells(
            energy,
            quality,
            item[start],
            start,
            repeats,
            np.add.reduceat(energy, start) / repeats if len(rows) else energy,
            np.add.reduceat(quality, start) / repeats if len(rows) else quality,
            slices,
            tuple(measurements.items[code] for code in names),
        )


def _starts(*keys: IntArray) -> IntArray:
    """First index of every run of equal keys."""
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64)
    changed = np.zeros(len(keys[0]), dtype=bool)
    changed[0] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)
