"""Colours of grades and data, chosen to be told apart with every common colour vision.

Grades run from blue to orange; the worst neighbours are 15 to 20 CIE76 apart for protan, deutan and tritan vision. The
letter always stands beside the colour.
"""

from __future__ import annotations

__all__ = ["ACCENT", "GRADES", "GRADE_COLOURS", "NEUTRAL", "SERIES", "contrast", "ink_on"]

GRADES = ("A", "B", "C", "D", "E", "F", "G")
GRADE_COLOURS = dict(
    zip(GRADES, ("#08519C", "#3182BD", "#6BAED6", "#BDBDBD", "#FDAE6B", "#E6550D", "#A63603"), strict=True)
)
NEUTRAL = "#7A8794"
ACCENT = "#3182BD"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


def _luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on ``colour``."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))
