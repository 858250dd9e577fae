"""Whether prompts and references are as long as their load says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from collector.suite.item import Item
from collector.suite.tokens import LOAD_RANGES, Range, token_estimate

__all__ = ["Problem", "out_of", "range_problems", "texts"]


class Problem(NamedTuple):
    """Something that an item of the suite must not have.

    Attributes:
        item: its id; None when it concerns the file or the suite.
        field: of the item, e.g. ``references[1]``; empty when none is to blame.
        en: what is wrong.
        zh: the same in Chinese.
    """

    item: str | None
    field: str
    en: str
    zh: str

    def __str__(self) -> str:
        return self.text("en")

    def text(self, language: str) -> str:
        """One line: item, field and what is wrong, in ``zh`` or else in English."""
        chinese = language == "zh"
        place = "" if self.item is None else self.item + ("：" if chinese else ": ")
        return place + f"{self.field} {self.zh if chinese else self.en}".strip()


def texts(item: Item) -> dict[str, str]:
    """The texts of an item that have a length to keep, by field."""
    return {"prompt": item.prompt} | {f"references[{n}]": text for n, text in enumerate(item.references)}


def out_of(tokens: int, wanted: Range) -> bool:
    """Whether a number of tokens is outside a range."""
    low, high = wanted
    return tokens < low or (high is not None and tokens > high)


def range_problems(items: Iterable[Item]) -> list[Problem]:
    """One problem for each prompt or reference whose estimated length is outside the range of its task and load."""
    problems: list[Problem] = []
    for item in items:
        ranges = LOAD_RANGES[item.task, item.load]
        for field, text in texts(item).items():
            wanted = ranges.prompt if field == "prompt" else ranges.references
            tokens = token_estimate(text)
            if out_of(tokens, wanted):
                low, high = wanted
                en = f"{low} to {high}" if high is not None else f"{low} or more"
                zh = f"{low}–{high}" if high is not None else f"至少 {low}"
                problems.append(
                    Problem(
                        item.id,
                        field,
                        f"has about {tokens} tokens, {item.task} {item.load} wants {en}",
                        f"约有 {tokens} 个 token，{item.task} {item.load} 要求 {zh}",
                    )
                )
    return problems
