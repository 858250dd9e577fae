"""Whether items are what a rating may rest on: lengths, references, doubles, and whether the references are right.

Stricter than reading them: a campaign takes own items of any length and without a reference, the shipped suite must
pass this (``python -m collector check-suite``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.quality import constraints
from collector.quality.code import CodeVerdict
from collector.quality.gates import Answer, failed_gates
from collector.quality.language import detected_language
from collector.quality.match import informativeness, match
from collector.quality.text import normalised
from collector.suite.fields import TASKS
from collector.suite.item import Item
from collector.suite.ranges import Problem, out_of, range_problems, texts
from collector.suite.tokens import LOAD_TOKENS, token_estimate

__all__ = ["LANGUAGES", "PLAUSIBLE", "CodeRunner", "Findings", "TokenCounter", "examine", "problems"]

LANGUAGES = ("zh", "en")
"""The languages of the shipped suite."""

PLAUSIBLE = {"code": (0.4, 10.0)} | dict.fromkeys(("qa", "summary", "creative"), (0.4, 5.0))
"""Least and most tokens of the shipped tokenizer per estimated one, by task.

That tokenizer knows the words of its own training text and spells others in bytes: up to three per Chinese character
(3 / 0.7 = 4.3), up to one per letter elsewhere; in code a "word" between two spaces is long. Beyond it a text is no
Chinese or English prose, and its estimate says nothing.
"""

_NEEDED = {"summary": ("source",), "code": ("entry_point", "cases")}
"""Fields without which an answer has no quality; those of ``TASKS`` beyond them make it a better one."""

_PER_CELL, _PER_LANGUAGE = 10, 30
_REFERENCES = {"summary": 2}
_CASES = 8

TokenCounter = Callable[[str], int]
CodeRunner = Callable[[str, str, Mapping[str, Any]], CodeVerdict]
"""As ``collector.quality.code.code_verdict``: answer, prompt and payload to a verdict."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found.

    Attributes:
        problems: what must be mended.
        unchecked: what could not be looked at, with the reason; not a fault of the item.
    """

    problems: list[Problem]
    unchecked: list[Problem]


def problems(items: Sequence[Item], *, shipped: bool = False) -> list[Problem]:
    """What is wrong with the items, without running code and without a tokenizer."""
    return examine(items, shipped=shipped).problems


def examine(
    items: Sequence[Item],
    *,
    beside: Sequence[Item] = (),
    shipped: bool = False,
    own: bool = False,
    count_tokens: TokenCounter | None = None,
    run_code: CodeRunner | None = None,
) -> Findings:
    """Checks the items.

    Args:
        items: what is checked.
        beside: other items that are used together with them, for doubles.
        shipped: whether they are to fill every task, load and language.
        own: whether they come from elsewhere and need only what a quality rests on: lengths, fields that may be left out
            and the numbers of references and cases are not looked at.
        count_tokens: the shipped tokenizer's count; None leaves the estimate alone.
        run_code: runs the reference solutions of code items; None leaves them unchecked.
    """
    found = [*([] if own else range_problems(items)), *_doubles(items, beside)]
    if shipped:
        found += _counts(items)
    if count_tokens is not None and not own:
        found += (problem for item in items for problem in _implausible(item, count_tokens))
    unchecked: list[Problem] = []
    for item in items:
        found += _references(item, 1 if own else _REFERENCES.get(item.task, 1))
        found += _missing(item, _NEEDED.get(item.task, ()) if own else TASKS[item.task])
        found += _RULES[item.task](item)
        if item.task == "code" and not own:
            found += _few_cases(item)
        if item.task == "code" and item.payload.keys() >= TASKS["code"].keys():
            wrong, open_ = _solutions(item, run_code)
            found += wrong
            unchecked += open_
    return Findings(found, unchecked)


def _doubles(items: Sequence[Item], beside: Sequence[Item]) -> Iterator[Problem]:
    """Two items of one id, or that ask the same in other blanks, case or punctuation."""
    ids = {item.id for item in beside}
    asked = {normalised(item.prompt): item.id for item in beside}
    for item in items:
        if item.id in ids:
            yield Problem(item.id, "id", "is there twice; give every item its own", "重复，请为每个题目取不同的 id")
        ids.add(item.id)
        twin = asked.setdefault(normalised(item.prompt), item.id)
        if twin != item.id:
            yield Problem(item.id, "prompt", f"asks the same as {twin!r}", f"与题目 {twin!r} 的提问相同")


def _counts(items: Sequence[Item]) -> Iterator[Problem]:
    cells = Counter((i.task, i.load, i.language) for i in items)
    for task in TASKS:
        for language in LANGUAGES:
            counts = {load: cells[task, load, language] for load in LOAD_TOKENS}
            for load, count in counts.items():
                if count < _PER_CELL:
                    yield _too_few(f"{task} {load} {language}", count, _PER_CELL)
            if sum(counts.values()) < _PER_LANGUAGE:
                yield _too_few(f"{task} {language}", sum(counts.values()), _PER_LANGUAGE)


def _too_few(cell: str, count: int, wanted: int) -> Problem:
    return Problem(None, "", f"{cell}: {count} items, at least {wanted} are needed", f"{cell}：{count} 题，至少需要 {wanted} 题")


def _implausible(item: Item, count_tokens: TokenCounter) -> Iterator[Problem]:
    low, high = PLAUSIBLE[item.task]
    for field, text in texts(item).items():
        estimate, count = token_estimate(text), count_tokens(text)
        if not low * estimate <= count <= high * estimate:
            yield Problem(
                item.id,
                field,
                f"has {count} tokens by the shipped tokenizer and about {estimate} by the estimate; {low} to {high} times as many is plausible",
                f"用自带分词器计得 {count} 个 token，估算约 {estimate} 个；合理倍数为 {low}–{high}",
            )


def _references(item: Item, wanted: int) -> Iterator[Problem]:
    """Enough of them, none twice, and none that would fail as an answer."""
    if len(item.references) < wanted:
        yield Problem(
            item.id,
            "references",
            f"has {len(item.references)}, at least {wanted} needed",
            f"有 {len(item.references)} 个，至少需要 {wanted} 个",
        )
    if len({normalised(text) for text in item.references}) < len(item.references):
        yield Problem(item.id, "references", "holds the same text twice", "含有重复的文本")
    for number, text in enumerate(item.references):
        for gate in failed_gates(Answer(text, "stop", item.language, item.task)):
            en, zh = f"would fail as an answer: {gate}", f"作为回答会不合格：{gate}"
            yield Problem(item.id, f"references[{number}]", en, zh)
    spoken = None if item.task == "code" else detected_language(item.prompt)
    if spoken is not None and item.language in LANGUAGES and spoken != item.language:
        yield Problem(item.id, "prompt", f"is written in {spoken}, not in {item.language}", f"的语言是 {spoken}，不是 {item.language}")


def _missing(item: Item, fields: Iterable[str]) -> Iterator[Problem]:
    """The fields that the item lacks."""
    for field in fields:
        if field not in item.payload:
            yield Problem(item.id, field, "is missing", "缺失")


def _qa(item: Item) -> Iterator[Problem]:
    if match(item.prompt, item.payload.get("answers", ())):
        en, zh = "holds an accepted answer, so that repeating it would do", "含有可接受的答案，复述提示即可答对"
        yield Problem(item.id, "prompt", en, zh)
    for number, text in enumerate(item.references):
        field = f"references[{number}]"
        if match(text, item.payload.get("answers", ())) is False:
            yield Problem(item.id, field, "holds none of the accepted answers", "不含任何可接受的答案")
        for fact, phrases in enumerate(item.payload.get("key_facts", ())):
            if informativeness(text, [phrases]) == 0:
                yield Problem(item.id, field, f"holds no phrasing of key_facts[{fact}]", f"不含 key_facts[{fact}] 的任何表述")


def _summary(item: Item) -> Iterator[Problem]:
    source, length = item.payload.get("source", ""), item.payload.get("length", {})
    if " ".join(source.split()) not in " ".join(item.prompt.split()):
        yield Problem(item.id, "source", "does not stand in the prompt", "不在 prompt 中")
    for number, text in enumerate(item.references if length else ()):
        tokens = token_estimate(text)
        low, high = length["min_tokens"], length["max_tokens"]
        if out_of(tokens, (low, high)):
            en = f"allows {low} to {high} tokens, references[{number}] has about {tokens}"
            zh = f"允许 {low}–{high} 个 token，references[{number}] 约有 {tokens} 个"
            yield Problem(item.id, "length", en, zh)


def _code(item: Item) -> Iterator[Problem]:
    entry_point = item.payload.get("entry_point", "")
    if entry_point not in item.prompt:
        yield Problem(item.id, "prompt", f"does not name the entry point {entry_point!r}", f"没有写出入口函数 {entry_point!r}")


def _few_cases(item: Item) -> Iterator[Problem]:
    cases = item.payload.get("cases")
    if cases is not None and len(cases) < _CASES:
        yield Problem(item.id, "cases", f"has {len(cases)}, at least {_CASES} needed", f"有 {len(cases)} 个，至少需要 {_CASES} 个")


def _creative(item: Item) -> Iterator[Problem]:
    for number, text in enumerate(item.references):
        for constraint, kept in constraints.check(item.payload.get("constraints", ()), text, item.language):
            if not kept:
                said = ", ".join(f"{key} {value}" for key, value in constraint.items())
                yield Problem(item.id, f"references[{number}]", f"breaks the constraint {said}", f"违反约束 {said}")


_RULES: dict[str, Callable[[Item], Iterator[Problem]]] = {
    "qa": _qa,
    "summary": _summary,
    "code": _code,
    "creative": _creative,
}


def _solutions(item: Item, run_code: CodeRunner | None) -> tuple[list[Problem], list[Problem]]:
    """Reference solutions that fail, and those that nobody could run."""
    wrong: list[Problem] = []
    unchecked: list[Problem] = []
    for number, text in enumerate(item.references):
        field = f"references[{number}]"
        if run_code is None:
            unchecked.append(Problem(item.id, field, "was not run (--run-code runs it)", "未运行（--run-code 可运行）"))
            continue
        verdict = run_code(text, item.prompt, item.payload)
        if verdict.passed is None:
            unchecked.append(Problem(item.id, field, f"was not run: {verdict.reason}", f"未运行：{verdict.reason}"))
        elif not verdict.passed:
            why = (verdict.detail or {}).get("first_failure")
            wrong.append(Problem(item.id, field, f"fails its own cases ({why})", f"未通过本题用例（{why}）"))
    return wrong, unchecked
