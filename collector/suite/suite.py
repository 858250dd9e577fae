"""The task suite: the shipped items, the user's own files, and the choice an experiment makes among them."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from collector.errors import ItemError
from collector.suite.item import Item, item_error

__all__ = ["SHIPPED", "Suite", "load_file", "load_suite", "read_tables"]

SHIPPED = Path(__file__).parent / "tasks"
"""Folder of the shipped task files, one per task."""

_SCHEMA = 1
_HEADER = {"schema": int, "suite": str, "version": str, "item": list}


@dataclass(frozen=True, slots=True)
class Suite:
    """Items in a fixed order, no id and no content twice."""

    items: tuple[Item, ...] = ()

    @property
    def version(self) -> str:
        """Names and versions of the suites the items come from and the hash of all their contents.

        E.g. ``qa 1.0.0, summary 1.1.0 #3f2a9c41``: the names say what was meant, the hash what was there. Suites of
        the same items in another order have the same version.
        """
        names = {f"{i.suite} {i.suite_version}" if i.suite_version else i.suite for i in self.items}
        digest = hashlib.sha256("\n".join(sorted(i.hash for i in self.items)).encode()).hexdigest()[:8]
        return f"{', '.join(sorted(names))} #{digest}"

    def with_items(self, items: Iterable[Item], source: str = "experiment") -> Self:
        """This suite and more items behind it.

        Raises:
            ItemError: an id or a content is there twice.
        """
        by_id, by_hash = {i.id: i for i in self.items}, {i.hash: i for i in self.items}
        joined = list(self.items)
        for item in items:
            if item.id in by_id:
                raise item_error(
                    source,
                    item.id,
                    "the id is there twice; give every item its own",
                    "id 重复，请为每个题目取不同的 id",
                )
            if item.hash in by_hash:
                twin = by_hash[item.hash].id
                raise item_error(
                    source,
                    item.id,
                    f"has the same content as item {twin!r}; remove one",
                    f"与题目 {twin!r} 内容相同，请删除一个",
                )
            by_id[item.id] = by_hash[item.hash] = item
            joined.append(item)
        return type(self)(tuple(joined))

    def select(
        self,
        tasks: Collection[str] | None = None,
        loads: Collection[str] | None = None,
        languages: Collection[str] | None = None,
        per_cell: int | None = None,
    ) -> Self:
        """The items of these tasks, loads and languages (None: all), in order, ``per_cell`` of each cell."""
        seen: Counter[tuple[str, str, str]] = Counter()
        chosen: list[Item] = []
        for item in self.items:
            cell = (item.task, item.load, item.language)
            allowed = zip(cell, (tasks, loads, languages), strict=True)
            wanted = all(values is None or value in values for value, values in allowed)
            if wanted and (per_cell is None or seen[cell] < per_cell):
                seen[cell] += 1
                chosen.append(item)
        return type(self)(tuple(chosen))


def load_suite(paths: Sequence[Path] | None = None) -> Suite:
    """The shipped suite, followed by the items of the given files.

    Raises:
        ItemError: a file cannot be read or an item is wrong; the sentence names file, item and field.
    """
    suite = Suite()
    for path in sorted(SHIPPED.glob("*.json")):
        suite = suite.with_items(load_file(path, need_references=True), path.name)
    for path in paths or ():
        suite = suite.with_items(load_file(path), str(path))
    return suite


def load_file(path: Path, *, need_references: bool = False) -> list[Item]:
    """The items of one TOML or JSON file (the same tables): an optional header (``schema``, ``suite``, ``version``) and ``[[item]]``.

    Args:
        path: the file.
        need_references: whether an item without a reference is refused, as in the shipped suite.

    Raises:
        ItemError: naming file, item and field.
    """
    tables = read_tables(path)
    source = str(path)
    items = [
        Item.from_table(table, source, suite=tables.get("suite", path.stem), suite_version=tables.get("version"))
        for table in tables["item"]
    ]
    for item in items:
        if need_references and not item.references:
            raise item_error(source, item.id, "references is missing", "缺少 references")
    return items


def read_tables(path: Path) -> dict[str, Any]:
    """The header and the item tables of a file, the tables themselves not checked yet.

    Raises:
        ItemError: the file cannot be read, a key or its type is wrong, or there is no item.
    """
    tables = _read(path)
    source = str(path)
    for key, value in tables.items():
        if key not in _HEADER:
            raise item_error(
                source,
                None,
                f"the key {key!r} is not known; known here: {', '.join(_HEADER)}",
                f"未知的键 {key!r}；可用：{'、'.join(_HEADER)}",
            )
        if type(value) is not _HEADER[key]:
            raise item_error(
                source,
                None,
                f"{key} must be of type {_HEADER[key].__name__}",
                f"{key} 的类型必须是 {_HEADER[key].__name__}",
            )
    if tables.get("schema", _SCHEMA) != _SCHEMA:
        raise item_error(
            source,
            None,
            f"schema {tables['schema']} is not known, this version reads {_SCHEMA}",
            f"未知的 schema {tables['schema']}，此版本只能读取 {_SCHEMA}",
        )
    if not tables.get("item"):
        raise item_error(source, None, "holds no [[item]]", "没有任何 [[item]]")
    return tables


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        tables: Any = json.loads(text) if _is_json(path) else tomllib.loads(text)
    except FileNotFoundError as error:
        raise ItemError(f"{path}: there is no such item file.", f"{path}：没有这个题目文件。") from error
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        # ValueError: the parsers' own errors, and a NUL byte in the path; RecursionError: nested too deeply
        kind = "JSON" if _is_json(path) else "TOML"
        raise ItemError(
            f"{path}: cannot be read as {kind} ({error}).", f"{path}：无法作为 {kind} 读取（{error}）。"
        ) from error
    if not isinstance(tables, dict):
        raise item_error(str(path), None, "must be one JSON object", "必须是一个 JSON 对象")
    return tables


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"
