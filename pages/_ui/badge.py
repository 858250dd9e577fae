"""Badges of the energy grade (an arrow) and the quality class (a tile): SVG pictures of our own making.

This is the energy rating of this project. It is no EU energy label and does not copy its layout.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from pages._ui.theme import GRADE_COLOURS, GRADES, NEUTRAL, ink_on

__all__ = ["data_uri", "grade_svg", "quality_svg"]

_HEIGHT = 40
_NONE = "–"


def grade_svg(grade: str | None, *, provisional: bool = False) -> str:
    """An arrow with the letter, the longer the better; a dashed rim when provisional, grey without a letter."""
    known = grade in GRADE_COLOURS
    letter = str(grade) if known else _NONE
    fill = GRADE_COLOURS[letter] if known else "none"
    tip = 84 - 4 * GRADES.index(letter) if known else 56
    rim = f'stroke="{NEUTRAL}" stroke-width="2"' + (' stroke-dasharray="5 3"' if provisional or not known else "")
    shape = f'<path d="M3 3H{tip - 16}L{tip} {_HEIGHT // 2}L{tip - 16} {_HEIGHT - 3}H3Z" fill="{fill}" {rim}/>'
    return _svg(88, shape, letter, (tip - 8) // 2, ink_on(fill) if known else NEUTRAL)


def quality_svg(quality_class: str | None, *, too_few: bool = False) -> str:
    """A tile with the letter of the quality class; empty with a dashed rim where too few items stand behind it."""
    known = quality_class in GRADE_COLOURS
    letter = str(quality_class) if known else _NONE
    fill = GRADE_COLOURS[letter] if known and not too_few else "none"
    rim = f'stroke="{NEUTRAL}" stroke-width="2"' + (' stroke-dasharray="5 3"' if too_few else "")
    shape = f'<rect x="2" y="2" width="40" height="{_HEIGHT - 4}" rx="8" fill="{fill}" {rim}/>'
    return _svg(44, shape, letter, 22, NEUTRAL if fill == "none" else ink_on(fill))


def data_uri(svg: str) -> str:
    """``svg`` as an address that a table's picture column shows."""
    return "data:image/svg+xml;utf8," + quote(svg)


def _svg(width: int, shape: str, letter: str, x: int, ink: str) -> str:
    text = (
        f'<text x="{x}" y="29" font-family="sans-serif" font-size="25" font-weight="700" text-anchor="middle" '
        f'fill="{ink}">{escape(letter)}</text>'
    )
    size = f'width="{width}" height="{_HEIGHT}" viewBox="0 0 {width} {_HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{shape}{text}</svg>'
