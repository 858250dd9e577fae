"""Turns other people's rows into items: HumanEval and HumanEval-XL, MBPP, the guide's test cases, and plain tables.

Nothing of a file is executed. A row that cannot become an item is left out with its reason; no value is made up.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from collector.errors import ItemError
from collector.quality.language import Prose
from collector.suite.benchmarks import SHAPES
from collector.suite.fields import TASKS
from collector.suite.item import Item
from collector.suite.rows import Row, read_rows
from collector.suite.tokens import nearest_load

__all__ = ["COLUMNS", "Imported", "Remark", "Wishes", "import_items", "table_of_columns"]

COLUMNS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "input", "提示", "提示词", "问题", "题目"),
    "reference": ("reference", "reference_text", "references", "answer", "output", "参考", "参考答案", "参考文本", "答案"),
    "id": ("id", "task_id", "编号"),
    "task": ("task", "task_type", "任务", "任务类型"),
    "load": ("load", "负载"),
    "language": ("language", "lang", "语言"),
    "source": ("source", "原文"),
}
"""What a plain table may hold, and the names by which its columns are known without being told."""

_TASK_NAMES = {
    "knowledge_qa": "qa",
    "question_answering": "qa",
    "知识问答": "qa",
    "summarization": "summary",
    "summarisation": "summary",
    "text_summarization": "summary",
    "文本摘要": "summary",
    "摘要": "summary",
    "code_generation": "code",
    "代码生成": "code",
    "creative_writing": "creative",
    "创意写作": "creative",
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says about the rows; a row that says it itself is followed.

    Attributes:
        task: of rows without one.
        load: of rows without one; None takes the load whose range is nearest to the prompt's length.
        language: of rows without one; None detects it.
        columns: field to its columns in the file, over :data:`COLUMNS`; several for ``reference``.
    """

    task: str = "qa"
    load: str | None = None
    language: str | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Remark(NamedTuple):
    """Something about one row: its line or number in the file, and the sentence in English and Chinese."""

    row: int
    en: str
    zh: str


@dataclass
class Imported:
    """What became of a file.

    Attributes:
        tables: the items as an item file holds them.
        skipped: rows that did not become an item, and why.
        remarks: items of which a part was left out.
        lines: whether ``skipped`` and ``remarks`` name lines, else the number of the row.
    """

    tables: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Remark] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    lines: bool = True

    def file(self, suite: str) -> dict[str, Any]:
        """The item file; its version is the hash of its items."""
        digest = hashlib.sha256(json.dumps(self.tables, sort_keys=True).encode()).hexdigest()
        return {"schema": 1, "suite": suite, "version": digest[:8], "item": self.tables}


def table_of_columns(words: Iterable[str]) -> dict[str, list[str]]:
    """``prompt=question,reference=answer`` as a table; ``reference`` may come more than once.

    Raises:
        ItemError: a word is not of this form, or names a field that there is not.
    """
    chosen: dict[str, list[str]] = {}
    for word in (part for text in words for part in text.split(",") if part.strip()):
        name, equals, column = (part.strip() for part in word.partition("="))
        if name not in COLUMNS or not equals or not column or (name in chosen and name != "reference"):
            known = ", ".join(COLUMNS)
            raise ItemError(
                f"--columns {word}: write FIELD=COLUMN, each field once (reference also more often); fields: {known}.",
                f"--columns {word}：请写成 字段=列名，每个字段一次（reference 可多次）；字段：{known}。",
            )
        chosen.setdefault(name, []).append(column)
    return chosen


def import_items(path: Path, wishes: Wishes) -> Imported:
    """Reads a file and turns its rows into items.

    Raises:
        ItemError: the file cannot be read, or lacks a column.
    """
    read = read_rows(path)
    found = Imported(lines=read.lines, skipped=[Remark(*odd) for odd in read.odd])
    plain = [row for row in read.rows if not any(shape.fits(row.values) for shape in SHAPES)]
    columns = _columns(path, plain, wishes) if plain else {}
    seen: dict[str, int] = {}
    names: set[str] = set()
    for row in read.rows:
        try:
            table, remark = _benchmark(row, wishes) or (_plain(row, columns, wishes), None)
            table = {"id": _id(table.pop("id", None) or f"{path.stem}-{row.line}", names), **table}
            item = Item.from_table(table, "")
        except ItemError as error:
            found.skipped.append(Remark(row.line, _bare(error.en), _bare(error.zh)))
            continue
        if item.hash in seen:
            # the guide lists an item once for every model; a campaign asks every model every item
            doubles = found.remarks if "model" in row.values else found.skipped
            doubles.append(_double(row.line, seen[item.hash], found.lines))
            continue
        seen[item.hash] = row.line
        names.add(item.id)
        found.tables.append(table)
        if remark:
            found.remarks.append(Remark(row.line, *remark))
    found.skipped.sort(key=lambda remark: remark.row)
    return found


def _bare(sentence: str) -> str:
    """The sentence of an error without the name of a file, which is empty here."""
    return sentence.removeprefix(": ").removeprefix("：").rstrip(".。")


def _double(row: int, first: int, lines: bool) -> Remark:
    en, zh = ("line", "行") if lines else ("row", "条")
    return Remark(row, f"is the same item as {en} {first}", f"与第 {first} {zh}是同一题目")


def _benchmark(row: Row, wishes: Wishes) -> tuple[dict[str, Any], tuple[str, str] | None] | None:
    """The item of a row of a known shape, and what was left out of it; None when no shape fits."""
    shape = next((shape for shape in SHAPES if shape.fits(row.values)), None)
    if shape is None:
        return None
    draft = shape.convert(row.values)
    language = draft.language or wishes.language or _language(draft.description)
    table: dict[str, Any] = {"id": draft.id, "task": "code", "language": language, "prompt": draft.prompt(language)}
    table["load"] = wishes.load or nearest_load(table["prompt"])
    table |= {"references": [draft.solution], "entry_point": draft.entry_point, "cases": draft.cases}
    if not draft.left_out:
        return table, None
    total = len(draft.cases) + draft.left_out
    return table, (
        f"{draft.left_out} of {total} asserts are no plain equality and were left out",
        f"{total} 个断言中有 {draft.left_out} 个不是简单相等，已略去",
    )


def _columns(path: Path, rows: Sequence[Row], wishes: Wishes) -> dict[str, list[str]]:
    """Field to the columns that hold it.

    Raises:
        ItemError: a column that was named, or any for the prompt, is not there; names the nearest one.
    """
    there = list(dict.fromkeys(str(name) for row in rows for name in row.values))
    chosen: dict[str, list[str]] = {}
    for name, known in COLUMNS.items():
        asked = list(wishes.columns.get(name, ()))
        for column in asked:
            if column not in there:
                raise _no_column(path, f"{name}={column}", column, there)
        found = asked or [column for column in there if column.strip().lower() in known][:1]
        if found:
            chosen[name] = found
    if "prompt" not in chosen:
        raise _no_column(path, "prompt", "prompt", there)
    return chosen


def _no_column(path: Path, what: str, column: str, there: list[str]) -> ItemError:
    near = difflib.get_close_matches(column, there, n=1, cutoff=0.5)
    hint_en = f"; the nearest is {near[0]!r}" if near else ""
    hint_zh = f"；最接近的是 {near[0]!r}" if near else ""
    shown = ", ".join(there[:20])
    return ItemError(
        f"{path}: there is no column for {what}{hint_en}; columns: {shown}. Say which with --columns prompt=COLUMN,reference=COLUMN.",
        f"{path}：没有 {what} 对应的列{hint_zh}；现有列：{shown}。请用 --columns prompt=列名,reference=列名 指定。",
    )


def _plain(row: Row, columns: Mapping[str, Sequence[str]], wishes: Wishes) -> dict[str, Any]:
    """The item of a row of a plain table.

    Raises:
        ItemError: the prompt is empty, the task is not known or cannot come from a table, the language cannot be told.
    """
    values = {name: _values(row.values, there) for name, there in columns.items()}
    said = {name: found[0] for name, found in values.items() if found}
    if "prompt" not in said:
        raise ItemError("the prompt is empty", "提示为空")
    task = said.get("task", wishes.task)
    task = _TASK_NAMES.get(task.strip().lower(), task.strip().lower())
    if task == "code":
        raise ItemError(
            "a code item needs cases, which a plain table does not hold; use the form of HumanEval or MBPP",
            "代码题需要用例，普通表格中没有；请使用 HumanEval 或 MBPP 格式",
        )
    table: dict[str, Any] = {
        "task": task,
        "load": said.get("load") or wishes.load or nearest_load(said["prompt"]),
        "language": said.get("language") or wishes.language or _language(said["prompt"]),
        "prompt": said["prompt"],
    }
    if "id" in said:
        table["id"] = said["id"]
    if values.get("reference"):
        table["references"] = values["reference"]
    if "source" in said and "source" in TASKS.get(task, ()):
        table["source"] = said["source"]
    return table


def _values(row: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    """The texts in these columns that are not empty; a list holds several."""
    found: list[str] = []
    for column in columns:
        value = row.get(column)
        for entry in value if isinstance(value, list) else [value]:
            if entry is not None and str(entry).strip():
                found.append(str(entry).strip())
    return list(dict.fromkeys(found))


def _language(text: str) -> str:
    prose = Prose.of(text)
    found = prose.language
    if found is None and prose.han and not prose.english:
        return "zh"  # Chinese about English terms
    if found in (None, "other"):
        raise ItemError(
            "its language cannot be told; give --language, e.g. --language fr", "无法判断其语言，请用 --language 指定，例如 --language fr"
        )
    return str(found)


def _id(wanted: object, names: set[str]) -> str:
    """An id of letters that ids may have, with a number behind it when it is taken."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", str(wanted)).strip("-._")[:90] or "item"
    number, name = 1, plain
    while name in names:
        number += 1
        name = f"{plain}-{number}"
    return name
