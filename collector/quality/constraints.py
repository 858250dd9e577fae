"""Whether a creative answer keeps the form it was asked for: length, lines, words, title, speech.

Looked at is what a reader sees: without code fences, markdown marks and a difference between full-width and
half-width signs. A title stands apart from the text: it is no line, no paragraph and no beginning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.quality.match import holds_phrase
from collector.quality.text import normalised, tokens
from collector.suite.constraints import problem
from collector.suite.tokens import token_estimate

__all__ = ["CHECKS", "VERSION", "check", "share_held"]

VERSION = 2

Constraint = Mapping[str, Any]

_FENCE = re.compile(r"^\s*(?:```|~~~)")
_RULE = re.compile(r"^\s*[-*_](?:\s*[-*_]){2,}\s*$")
_LEAD = re.compile(r"^\s*(?:>\s?|[-*+]\s+|\d{1,2}(?:[.)]\s+|、))*")
_HEADING = re.compile(r"^\s*(?:#{1,6}\s+\S|(?P<bold>\*\*|__)(?:(?!(?P=bold)).)+(?P=bold)\s*$|《[^》]+》\s*$)")
_MARKS = re.compile(r"^#{1,6}\s+|[*`]|(?<!\w)_+|_+(?!\w)")
_QUOTES = str.maketrans("“”„‟«»「」『』‘’‚", '""' * 5 + "'''")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_TITLE_END = tuple("。.,;:、;…\"'")
_TITLE_LONGEST = {"zh": 20}
_TITLE_LONGEST_WORDS = 12


@dataclass(frozen=True, slots=True)
class _Text:
    """An answer as a reader sees it.

    Attributes:
        raw: the answer as it came.
        lines: of the body, those without a word left out.
        blocks: of the body, parted by empty lines.
        titled: whether the first line is a title; it belongs to neither lines nor blocks.
        language: of the item.
    """

    raw: str
    lines: list[str]
    blocks: list[str]
    titled: bool
    language: str

    @property
    def body(self) -> str:
        return "\n".join(self.lines)


def _read(answer: str, language: str, wants_title: bool) -> _Text:
    """The answer without its marks; a first line marked as a heading is a title, any other only where one is wanted."""
    shown = unicodedata.normalize("NFKC", answer).translate(_QUOTES)
    rows = [row for row in shown.splitlines() if not _FENCE.match(row) and not _RULE.match(row)]
    plain = [_MARKS.sub("", _LEAD.sub("", row)).strip() for row in rows]
    first = next((n for n, row in enumerate(plain) if tokens(row)), len(plain))
    more = any(tokens(row) for row in plain[first + 1 :])
    titled = more and (
        _HEADING.match(rows[first]) is not None or (wants_title and _is_title(plain[first], language))
    )
    body = plain[first + titled :]
    blocks = [block for block in re.split(r"\n\n+", "\n".join(body)) if tokens(block)]
    return _Text(answer, [row for row in body if tokens(row)], blocks, titled, language)


def _is_title(row: str, language: str) -> bool:
    longest = _TITLE_LONGEST.get(language, _TITLE_LONGEST_WORDS)
    return not row.endswith(_TITLE_END) and _size(row, "words", language) <= longest


def _size(text: str, unit: str, language: str) -> int:
    """Length of a text in words (Chinese: every character one) or characters without punctuation."""
    if unit == "characters":
        return sum(map(str.isalnum, text))
    return len(tokens(text)) if language == "zh" else len(_WORD.findall(text))


def _within(number: int, constraint: Constraint) -> bool:
    return bool(constraint.get("min", 0) <= number <= constraint.get("max", number))


def _length(text: _Text, constraint: Constraint) -> bool:
    if constraint["unit"] == "tokens":
        return _within(token_estimate(text.raw), constraint)
    return _within(_size(text.body, constraint["unit"], text.language), constraint)


def _lines(text: _Text, constraint: Constraint) -> bool:
    return _within(len(text.lines), constraint)


def _line_length(text: _Text, constraint: Constraint) -> bool:
    sizes = [_size(line, constraint["unit"], text.language) for line in text.lines]
    return bool(sizes) and all(_within(size, constraint) for size in sizes)


def _paragraphs(text: _Text, constraint: Constraint) -> bool:
    """Blocks parted by empty lines; where there is no empty line, every line is a paragraph."""
    return _within(len(text.blocks) if len(text.blocks) > 1 else len(text.lines), constraint)


def _must(text: _Text, constraint: Constraint) -> bool:
    """All of them, each also with another ending (``lantern`` finds *lanterns*)."""
    body = normalised(text.body)
    return all(holds_phrase(body, word) for word in constraint["words"])


def _must_not(text: _Text, constraint: Constraint) -> bool:
    """None of them, as whole words."""
    body = normalised(text.body)
    return not any(_whole(word).search(body) for word in constraint["words"])


def _whole(phrase: str, before: str = "", after: str = "") -> re.Pattern[str]:
    """A pattern for a phrase in a normalised text: letters and digits as whole words, Chinese anywhere."""
    wanted = normalised(phrase).strip()
    letter = r"[^\W\u3040-\u9fff]"
    return re.compile(
        before
        + (f"(?<!{letter})" if re.match(letter, wanted) else "")
        + re.escape(wanted)
        + (f"(?!{letter})" if re.match(letter, wanted[-1:]) else "")
        + after
    )


def _begins_with(text: _Text, constraint: Constraint) -> bool:
    return _whole(constraint["text"], before=r"\A\s*").search(normalised(text.body)) is not None


def _ends_with(text: _Text, constraint: Constraint) -> bool:
    return _whole(constraint["text"], after=r"\s*\Z").search(normalised(text.body)) is not None


def _count(text: _Text, constraint: Constraint) -> bool:
    return _within(len(_whole(constraint["text"]).findall(normalised(text.body))), constraint)


def _title(text: _Text, constraint: Constraint) -> bool:
    return text.titled


# A pair of double quotes; a pair of single ones closes behind a punctuation mark, an apostrophe does not.
_QUOTED = re.compile(r""""[^"]*\w[^"]*"|(?<!\w)'(?=\w)[^"]{1,400}?(?<=[.,!?。])'(?!\w)""")
# A script's speech: NAME (aside): words
_SPEECH = re.compile(r"([^\W\d][^:\d\"(]{0,23})(?:\([^):]{0,60}\)\s*)?:\s*\S")
_NAME_LONGEST = 6


def _dialogue(text: _Text, constraint: Constraint) -> bool:
    """Lines in which somebody speaks: with words in quotes, or behind a name and a colon as in a script."""
    return _within(sum(map(_speaks, text.lines)), constraint)


def _speaks(line: str) -> bool:
    if _QUOTED.search(line):
        return True
    name = _SPEECH.match(line)
    return name is not None and len(tokens(name[1])) <= _NAME_LONGEST


def _acrostic(text: _Text, constraint: Constraint) -> bool:
    wanted = "".join(tokens(constraint["text"]))
    return "".join(tokens(line)[0][0] for line in text.lines)[: len(wanted)] == wanted


CHECKS: dict[str, Callable[[_Text, Constraint], bool]] = {
    "length": _length,
    "lines": _lines,
    "line_length": _line_length,
    "paragraphs": _paragraphs,
    "must": _must,
    "must_not": _must_not,
    "begins_with": _begins_with,
    "ends_with": _ends_with,
    "count": _count,
    "title": _title,
    "dialogue": _dialogue,
    "acrostic": _acrostic,
}
"""The check of each kind of constraint."""


def check(constraints: Sequence[Constraint], answer: str, language: str) -> list[tuple[Constraint, bool]]:
    """Each constraint, and whether the answer keeps it.

    Args:
        constraints: tables as ``collector/suite/constraints.py`` describes them. One that this version cannot read
            (an item stored by another version) is left out.
        answer: what the model wrote.
        language: of the item, e.g. ``zh`` or ``en``: where words are counted, each Chinese character is one.
    """
    known = [constraint for constraint in constraints if problem(constraint) is None]
    text = _read(answer, language, any(constraint["kind"] == "title" for constraint in known))
    return [(constraint, CHECKS[constraint["kind"]](text, constraint)) for constraint in known]


def share_held(constraints: Sequence[Constraint], answer: str, language: str) -> float | None:
    """Share of the constraints that the answer keeps, 0..1; None when the item has none."""
    held = [kept for _, kept in check(constraints, answer, language)]
    return sum(held) / len(held) if held else None
