"""Letters: energy classes of the EEI and quality classes of the mean quality.

Thresholds are compared after rounding to 9 decimals (log2 EEI, quality): a unit change from J to Wh moves the last
bits of a quotient, and those must not move a letter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "EEI_BOUNDS", "LETTERS", "QUALITY_BOUNDS", "class_indices", "class_of", "quality_class_of", "rounded_log2",
]  # fmt: skip

LETTERS: Final = "ABCDEFG"
EEI_BOUNDS: Final = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""Upper ends of A to F (exclusive); G has none. Ratio 2 from class to class."""
QUALITY_BOUNDS: Final = (0.85, 0.70, 0.55, 0.40, 0.25, 0.10)
"""Lower ends of A to F (inclusive); G has none."""
_DECIMALS: Final = 9

Array = npt.NDArray[np.float64]


def rounded_log2(eei: npt.ArrayLike) -> Array:
    """log2 of EEI rounded to 9 decimals; 0 gives -inf, NaN stays NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.round(np.log2(np.asarray(eei, dtype=np.float64)), _DECIMALS))


def class_indices(log2_eei: npt.ArrayLike, bounds: Sequence[float] = EEI_BOUNDS) -> npt.NDArray[np.int8]:
    """Class of each log2 EEI, 0 for A to 6 for G; NaN must be left out by the caller."""
    edges = rounded_log2(np.asarray(bounds))
    rounded = np.round(np.asarray(log2_eei, dtype=np.float64), _DECIMALS)
    return np.searchsorted(edges, rounded, side="right").astype(np.int8)


def class_of(eei: float | None, bounds: Sequence[float] = EEI_BOUNDS) -> str | None:
    """Letter of an EEI; None where the EEI is None, NaN or not above 0."""
    if eei is None or math.isnan(eei) or eei <= 0:
        return None
    return LETTERS[int(class_indices(np.log2(eei), bounds))]


def quality_class_of(quality: float | None, bounds: Sequence[float] = QUALITY_BOUNDS) -> str | None:
    """Letter of a mean quality in [0, 1]; None where it is unknown."""
    if quality is None or math.isnan(quality):
        return None
    rounded = round(quality, _DECIMALS)
    return LETTERS[sum(rounded < bound for bound in bounds)]
