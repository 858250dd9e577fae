"""The fields of an item: which each task knows, and what a value of each must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.quality.sandbox.cases import Case
from collector.suite.constraints import problem

__all__ = ["COMMON", "TASKS", "Kind"]

Fault = tuple[str, str, str]
"""Where in the value (``""`` or ``[3]``), and what is wrong there in English and Chinese."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: how it is checked and how it is called in a sentence.

    Attributes:
        holds: whether a value is of the kind.
        en: what it must be, after "must be".
        zh: the same, after "必须是".
        entry: for a list, says what is wrong with one entry (English, Chinese); None when the entry is right.
    """

    holds: Callable[[object], bool]
    en: str
    zh: str
    entry: Callable[[object], tuple[str, str] | None] | None = None

    def fault(self, value: object) -> Fault | None:
        """What is wrong with a value, None when it is of the kind."""
        if not self.holds(value):
            return "", f"must be {self.en}", f"必须是{self.zh}"
        for number, entry in enumerate(value) if self.entry and isinstance(value, list) else ():
            found = self.entry(entry) if self.entry else None
            if found:
                return f"[{number}]", *found
        return None


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _text_lists(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_texts, value))


def _tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _length(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"min_tokens", "max_tokens"}:
        return False
    low, high = value["min_tokens"], value["max_tokens"]
    return type(low) is int and type(high) is int and 0 < low <= high


def _case(value: object) -> tuple[str, str] | None:
    try:
        Case.from_table(value if isinstance(value, dict) else {})
    except ValueError as error:
        return (
            "must be a table with expected (or raises) and, where needed, args (a list), kwargs (a table) and tolerance "
            f"(a number): {error}",
            f"必须是含 expected（或 raises）的表，可另含 args（列表）、kwargs（表）和 tolerance（数字）：{error}",
        )
    return None


_TEXT = Kind(_text, "text that is not empty", "非空文本")
_TEXTS = Kind(_texts, "a list of texts, at least one", "至少一个文本的列表")
_TEXT_LISTS = Kind(_text_lists, "a list of lists of texts", "由文本列表组成的列表")
_CASES = Kind(_tables, "a list of tables", "表的列表", _case)
_CONSTRAINTS = Kind(_tables, "a list of tables", "表的列表", problem)
_LENGTH = Kind(
    _length,
    "a table of two whole numbers, min_tokens and max_tokens, the first not above the second",
    "含 min_tokens 和 max_tokens 两个整数的表，前者不大于后者",
)

COMMON: dict[str, Kind] = {
    "id": _TEXT,
    "task": _TEXT,
    "load": _TEXT,
    "language": _TEXT,
    "prompt": _TEXT,
    "reference": _TEXT,
    "references": _TEXTS,
}
"""Fields of every item."""

TASKS: dict[str, dict[str, Kind]] = {
    "qa": {"answers": _TEXTS, "key_facts": _TEXT_LISTS},
    "summary": {"source": _TEXT, "length": _LENGTH},
    "code": {"entry_point": _TEXT, "cases": _CASES},
    "creative": {"constraints": _CONSTRAINTS},
}
"""Every task that is known, and the fields its items may carry beside the common ones (docs/tasks.md)."""
