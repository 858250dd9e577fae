"""The label card of one configuration: an SVG of our own design to put beside a model, with what the letter rests on.

This is the energy rating of this project. It is no EU energy label and does not copy its layout.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from pages._ui.theme import GRADE_COLOURS, GRADES, NEUTRAL, ink_on

__all__ = ["Card", "card_svg", "wrapped"]

_WIDTH, _EDGE = 480, 28
_INK, _PALE, _HEAD = "#0d141b", "#4a5a68", "#12263a"
_NONE = "–"


@dataclass(frozen=True, slots=True)
class Card:
    """What the card says, already in the words of one language.

    Attributes:
        title: name of the rating; ``foot`` what it is not; ``energy`` and ``quality`` head the two classes.
        model: name of the model; ``what`` its quantization, size and digest.
        grade: letter of the energy class, None where there is none; ``grade_low`` and ``grade_high`` its range.
        certainty: probability, range and status in words.
        quality_class: letter of the quality class, None where there is none; ``quality_sure`` whether enough items stand behind it.
        figures: name and value of every figure; conditions likewise.
        notes: what must stand beside the letter: a demonstration model, estimated energy, a provisional letter.
    """

    title: str
    foot: str
    energy: str
    quality: str
    model: str
    what: str
    grade: str | None
    grade_low: str | None
    grade_high: str | None
    certainty: Sequence[str]
    quality_class: str | None
    figures: Mapping[str, str]
    conditions: Mapping[str, str]
    notes: Sequence[str] = field(default_factory=tuple)
    quality_sure: bool = True


def wrapped(text: str, width: int, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` half-width characters; the rest becomes an ellipsis.

    Breaks anywhere: names of models have no blanks and Chinese needs none.
    """
    lines, line, room = [], "", width
    for character in " ".join(text.split()):
        size = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if size > room:
            cut = line.rfind(" ")
            keep = cut if cut > width * 0.6 and not character.isspace() else len(line)
            lines.append(line[:keep])
            line = line[keep:].lstrip()
            room = width - sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
        line += character
        room -= size
    lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: max(1, len(lines[most - 1]) - 1)] + "…"]
    return [entry.strip() for entry in lines]


def card_svg(card: Card) -> str:
    """The card as SVG; every text is escaped, so a name of a model is never markup."""
    parts: list[str] = []
    y = 88
    for line in wrapped(card.model, 34, 2):
        parts.append(_text(_EDGE, y, line, size=22, bold=True))
        y += 28
    parts.append(_text(_EDGE, y, wrapped(card.what, 58, 1)[0], size=13, ink=_PALE))
    y += 22
    parts.append(_letter(card, y))
    y += 150
    parts.append(_scale(card, y))
    y += 70
    for name, value in card.figures.items():
        parts.append(_row(y, name, value, bold=True))
        y += 28
    y += 4
    parts.append(f'<path d="M{_EDGE} {y - 14}H{_WIDTH - _EDGE}" stroke="#d5dde6"/>')
    y += 8
    for name, value in card.conditions.items():
        for number, line in enumerate(wrapped(value, 40, 3)):
            parts.append(_row(y, name if number == 0 else "", line, size=12))
            y += 19
    for note in card.notes:
        for number, line in enumerate(wrapped(note, 62, 2)):
            mark = "! " if number == 0 else ""
            parts.append(_text(_EDGE, y + 6, mark + line, size=12, ink="#8a3b00", bold=number == 0))
            y += 19
    y += 34
    parts.append(_text(_WIDTH // 2, y - 8, card.foot, size=11, ink=_PALE, anchor="middle"))
    head = (
        f'<rect x="1" y="1" width="{_WIDTH - 2}" height="{y + 8}" rx="18" fill="#ffffff" stroke="{_HEAD}" stroke-width="2"/>'
        f'<path d="M1 50V19a18 18 0 0 1 18-18H{_WIDTH - 19}a18 18 0 0 1 18 18V50Z" fill="{_HEAD}"/>'
        + _text(_EDGE, 33, card.title, size=18, bold=True, ink="#ffffff")
    )
    size = f'width="{_WIDTH}" height="{y + 10}" viewBox="0 0 {_WIDTH} {y + 10}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{head}{"".join(parts)}</svg>'


def _letter(card: Card, y: int) -> str:
    """The energy class as a tile, how sure it is, and the quality class as a smaller tile."""
    shown = card.grade if card.grade in GRADE_COLOURS else None
    parts = [_tile(_EDGE, y, 124, shown, 92)]
    for number, line in enumerate(part for words in card.certainty for part in wrapped(words, 28, 2)):
        parts.append(_text(_EDGE + 146, y + 26 + 22 * number, line, size=15, bold=number == 0))
    quality = card.quality_class if card.quality_class in GRADE_COLOURS else None
    parts.append(_tile(_WIDTH - _EDGE - 58, y + 66, 58, quality, 40, sure=card.quality_sure))
    parts.append(_text(_WIDTH - _EDGE - 68, y + 118, card.quality, size=13, ink=_PALE, anchor="end"))
    parts.append(_text(_EDGE + 146, y + 118, card.energy, size=13, ink=_PALE))
    return "".join(parts)


def _tile(x: int, y: int, side: int, grade: str | None, size: int, *, sure: bool = True) -> str:
    """A letter on its colour; on white with a dashed rim where there is none or too little stands behind it."""
    fill = GRADE_COLOURS[grade] if grade and sure else "#ffffff"
    dashed = "" if grade and sure else ' stroke-dasharray="6 4"'
    box = f'<rect x="{x}" y="{y}" width="{side}" height="{side}" rx="{side // 7}" fill="{fill}" stroke="{NEUTRAL}"{dashed}/>'
    ink = ink_on(fill) if grade and sure else NEUTRAL
    return box + _text(x + side // 2, y + side // 2 + round(size * 0.36), grade or _NONE, size=size, bold=True, ink=ink,
                       anchor="middle")  # fmt: skip


def _scale(card: Card, y: int) -> str:
    """The seven classes in a row; a line under those of the range, a pointer over the letter."""
    step = (_WIDTH - 2 * _EDGE) / len(GRADES)
    parts = []
    for number, grade in enumerate(GRADES):
        x = _EDGE + number * step
        fill = GRADE_COLOURS[grade]
        parts.append(f'<rect x="{x + 1:.1f}" y="{y}" width="{step - 2:.1f}" height="26" rx="5" fill="{fill}"/>')
        parts.append(_text(round(x + step / 2), y + 19, grade, size=15, bold=True, ink=ink_on(fill), anchor="middle"))
        if grade == card.grade:
            middle = x + step / 2
            parts.append(f'<path d="M{middle - 8:.1f} {y - 13}h16l-8 10Z" fill="{_INK}"/>')
    if card.grade_low in GRADES and card.grade_high in GRADES:
        first, last = GRADES.index(str(card.grade_low)), GRADES.index(str(card.grade_high))
        left, right = _EDGE + first * step + 2, _EDGE + (last + 1) * step - 2
        parts.append(f'<path d="M{left:.1f} {y + 33}H{right:.1f}" stroke="{_INK}" stroke-width="4"/>')
    return "".join(parts)


def _row(y: int, name: str, value: str, *, size: int = 15, bold: bool = False) -> str:
    return _text(_EDGE, y, name, size=size, ink=_PALE) + _text(
        _WIDTH - _EDGE, y, value, size=size, bold=bold, anchor="end"
    )


def _text(x: int, y: int, words: str, *, size: int, bold: bool = False, ink: str = _INK, anchor: str = "start") -> str:
    weight = ' font-weight="700"' if bold else ""
    font = "'Noto Sans','Noto Sans CJK SC','Microsoft YaHei','PingFang SC',sans-serif"
    return (
        f'<text x="{x}" y="{y}" font-family="{font}" font-size="{size}"{weight} text-anchor="{anchor}" '
        f'fill="{ink}">{escape(words)}</text>'
    )
