"""One task item: what is asked, in which language and load, and what a good answer holds.

The same rules hold for the shipped files, the user's own files and items written into an experiment:
``Item.from_table`` reads one TOML table and names source, item and field when something is wrong.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from collector.errors import ItemError
from collector.suite.fields import COMMON, TASKS, Kind
from collector.suite.tokens import LOAD_TOKENS

__all__ = ["Item", "item_error"]

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Item:
    """One task item.

    Attributes:
        id: name of the item, unique in a suite.
        task: qa, summary, code or creative.
        load: short, medium or long.
        language: of prompt and expected answer, e.g. ``zh`` or ``en``.
        prompt: what the model is asked.
        references: good answers; empty when the user gave none, the answer then has no reference-based score.
        payload: the task's own fields, e.g. accepted ``answers`` and ``key_facts``.
        suite: name of the suite it belongs to, ``own`` for an item written into an experiment.
        suite_version: version of that suite, None when it has none.
        hash: 16 hex digits of the content; another word in any field is another item.
    """

    id: str
    task: str
    load: str
    language: str
    prompt: str
    references: tuple[str, ...] = ()
    payload: dict[str, Any] = field(default_factory=dict, hash=False)
    suite: str = "own"
    suite_version: str | None = None
    hash: str = ""

    @classmethod
    def from_table(
        cls, table: Mapping[str, Any], source: str, *, suite: str = "own", suite_version: str | None = None
    ) -> Self:
        """Reads one table.

        Args:
            table: as ``tomllib`` gives it; ``prompt``, ``task``, ``load`` and ``language`` are required.
            source: what a message names, usually the file.
            suite: name of the suite.
            suite_version: its version, None when it has none.

        Raises:
            ItemError: naming source, item and field.
        """
        if not isinstance(table, Mapping):
            raise item_error(
                source, None, "an item must be a table, written as [[item]]", "题目必须是表，写作 [[item]]"
            )
        name = table["id"] if COMMON["id"].holds(table.get("id")) else _shorten(table.get("prompt"))
        _check(table, source, name)
        references = tuple(table.get("references") or ([table["reference"]] if "reference" in table else []))
        payload = {key: table[key] for key in TASKS[table["task"]] if key in table}
        content = {
            "task": table["task"],
            "load": table["load"],
            "language": table["language"],
            "prompt": table["prompt"],
            "references": references,
            "payload": payload,
        }
        digest = _digest(content, source, name)
        return cls(
            id=table.get("id", f"own-{digest[:8]}"),
            task=table["task"],
            load=table["load"],
            language=table["language"],
            prompt=table["prompt"],
            references=references,
            payload=payload,
            suite=suite,
            suite_version=suite_version,
            hash=digest,
        )

    def row(self) -> dict[str, Any]:
        """The item as a row of the table ``items``; ``payload`` holds every reference, the column one."""
        return {
            "item_hash": self.hash,
            "item": self.id,
            "task": self.task,
            "load": self.load,
            "language": self.language,
            "prompt": self.prompt,
            "reference": self.references[0] if self.references else None,
            "payload": {**self.payload, "references": list(self.references)},
            "suite": self.suite,
            "suite_version": self.suite_version,
        }


def item_error(source: str, item: str | None, en: str, zh: str) -> ItemError:
    """An error that names source and item; ``item`` None: it concerns the whole file."""
    if item is None:
        return ItemError(f"{source}: {en}.", f"{source}：{zh}。")
    return ItemError(f"{source}: item {item!r}: {en}.", f"{source}：题目 {item!r}：{zh}。")


def _shorten(prompt: object) -> str:
    text = " ".join(str(prompt or "without id").split())
    return text if len(text) <= 30 else text[:29] + "…"


def _digest(content: dict[str, Any], source: str, name: str) -> str:
    try:
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]
    except (TypeError, ValueError, RecursionError) as error:
        raise item_error(
            source, name, f"holds a value that cannot be stored ({error})", f"含有无法保存的值（{error}）"
        ) from error


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(map(_has_nul, value)) or any(map(_has_nul, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_nul, value))


def _fault(kind: Kind, value: object) -> tuple[str, str, str] | None:
    """Where a value is wrong and what is wrong there, in English and Chinese; None when nothing is."""
    try:
        return kind.fault(value) or (("", "holds a NUL byte; remove it", "含有 NUL 字节，请删除") if _has_nul(value) else None)
    except RecursionError:
        return "", "is nested too deeply", "嵌套过深"


def _check(table: Mapping[str, Any], source: str, name: str) -> None:
    """Refuses a table that is not an item."""
    for key in ("prompt", "task", "load", "language"):
        if key not in table:
            raise item_error(source, name, f"the field {key!r} is missing", f"缺少字段 {key!r}")
    _check_choice(table, "task", list(TASKS), source, name)
    known = COMMON | TASKS[table["task"]]
    for key, value in table.items():
        if key not in known:
            raise item_error(source, name, *_unknown(key, list(known)))
        fault = _fault(known[key], value)
        if fault:
            where, en, zh = fault
            raise item_error(source, name, f"{key}{where} {en}", f"{key}{where} {zh}")
    _check_choice(table, "load", list(LOAD_TOKENS), source, name)
    if not _LANGUAGE.fullmatch(table["language"]):
        raise item_error(source, name, "language must be a code such as zh or en", "language 必须是 zh、en 这样的代码")
    if "id" in table and not _ID.fullmatch(table["id"]):
        raise item_error(
            source,
            name,
            "id may hold letters, digits, '.', '_' and '-' only, 100 at most",
            "id 只能包含字母、数字、“.”、“_”和“-”，最多 100 个",
        )
    if "reference" in table and "references" in table:
        raise item_error(source, name, "give either reference or references", "reference 与 references 只能写一个")


def _check_choice(table: Mapping[str, Any], key: str, choices: list[str], source: str, name: str) -> None:
    if table[key] not in choices:
        raise item_error(
            source,
            name,
            f"{key} is {table[key]!r}, but must be one of {', '.join(choices)}",
            f"{key} 为 {table[key]!r}，只能是 {'、'.join(choices)}",
        )


def _unknown(key: object, known: list[str]) -> tuple[str, str]:
    near = difflib.get_close_matches(str(key), known, n=1)
    if near:
        return f"the field {key!r} is not known, {near[0]!r} is", f"未知字段 {key!r}，正确的是 {near[0]!r}"
    return (
        f"the field {key!r} is not known; known here: {', '.join(known)}",
        f"未知字段 {key!r}；可用：{'、'.join(known)}",
    )
