"""What a creative item may demand of an answer, as tables: which kinds there are and whether a table is right.

How each kind is checked on an answer stands in ``collector/quality/constraints.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["KINDS", "UNITS", "problem"]

UNITS = ("words", "characters", "tokens")
"""What a length is counted in; in Chinese every character is a word; characters leave out spaces and punctuation, tokens are estimated (of a whole text only)."""

_RANGE = ("min", "max")

KINDS: dict[str, tuple[str, ...]] = {
    "length": ("unit", *_RANGE),
    "lines": _RANGE,
    "line_length": ("unit", *_RANGE),
    "paragraphs": _RANGE,
    "must": ("words",),
    "must_not": ("words",),
    "begins_with": ("text",),
    "ends_with": ("text",),
    "count": ("text", *_RANGE),
    "title": (),
    "dialogue": _RANGE,
    "acrostic": ("text",),
}
"""Every kind of constraint and its fields; of ``min`` and ``max`` one is enough, every other field is required."""


def problem(table: object) -> tuple[str, str] | None:
    """What is wrong with one constraint, in English and Chinese; None when nothing is.

    Args:
        table: as the item file holds it, e.g. ``{"kind": "lines", "min": 4, "max": 4}``.
    """
    if not isinstance(table, Mapping):
        return "must be a table with a kind", "必须是带有 kind 的表"
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return (
            f"must have one of the kinds {', '.join(KINDS)}, not {kind!r}",
            f"的 kind 为 {kind!r}，只能是 {'、'.join(KINDS)}",
        )
    fields = KINDS[kind]
    for key in table:
        if key != "kind" and key not in fields:
            known = ", ".join(fields) or "none"
            return f"({kind}) has the unknown field {key!r}; known: {known}", f"（{kind}）没有字段 {key!r}；可用：{known}"
    for name in fields:
        wrong = None if name in _RANGE else _wrong_field(kind, name, table)
        if wrong is not None:
            return wrong
    return _wrong_range(kind, table) if "min" in fields else None


def _wrong_field(kind: str, name: str, table: Mapping[str, Any]) -> tuple[str, str] | None:
    value = table.get(name)
    if name == "unit":
        units = UNITS if kind == "length" else UNITS[:2]
        if value not in units:
            return f"({kind}) needs a unit, one of {', '.join(units)}", f"（{kind}）的 unit 只能是 {'、'.join(units)}"
    elif name == "words":
        if not (isinstance(value, list) and value and all(map(_has_word, value))):
            return f"({kind}) needs words, a list of at least one word", f"（{kind}）的 words 必须是至少含一个词的列表"
    elif not _has_word(value):
        return f"({kind}) needs a text with a letter, digit or character", f"（{kind}）的 text 必须含有字母、数字或汉字"
    return None


def _wrong_range(kind: str, table: Mapping[str, Any]) -> tuple[str, str] | None:
    ends = [table[end] for end in _RANGE if end in table]
    if not ends:
        return f"({kind}) needs min, max or both", f"（{kind}）需要 min、max 或两者"
    if not all(isinstance(end, int) and not isinstance(end, bool) and end >= 0 for end in ends):
        return f"({kind}) needs whole numbers of 0 or more as min and max", f"（{kind}）的 min 和 max 必须是非负整数"
    if ends != sorted(ends):
        return f"({kind}) has a min above its max", f"（{kind}）的 min 大于 max"
    return None


def _has_word(value: object) -> bool:
    return isinstance(value, str) and any(map(str.isalnum, value))
