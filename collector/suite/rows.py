"""Reads other people's files as rows: CSV, JSON, JSON lines, and a Python file with a list of literals."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from collector.errors import ItemError
from collector.suite.asserts import parsed

__all__ = ["Row", "Rows", "read_rows"]

_LIST = "test_cases"
"""Name of the list in the guide's script."""

_LONGEST_FIELD = 1 << 24
_SEPARATOR = re.compile(r"sep=([^\w\s\"]|\t)\r?\n")  # a first line of spreadsheets
_ENCODINGS = ("utf-8-sig", "gb18030")  # what spreadsheets write, the second in Chinese Windows


class Row(NamedTuple):
    """One row: the line of the file where it begins (in a JSON or Python list: its number), and its values."""

    line: int
    values: dict[str, Any]


class Rows(NamedTuple):
    """The rows of a file.

    Attributes:
        rows: those that can be read.
        odd: those that cannot be rows: their line, and why in English and Chinese.
        lines: whether rows are named by their line, else by their number.
    """

    rows: list[Row]
    odd: list[tuple[int, str, str]]
    lines: bool = True


def read_rows(path: Path) -> Rows:
    """The rows of a ``.csv`` or ``.tsv``, ``.json``, ``.jsonl`` or ``.py`` file.

    Raises:
        ItemError: it cannot be read, or holds no row; says in which line and what to do.
    """
    text = _text(path)
    kind = path.suffix.lower()
    if not text.strip():
        raise _error(path, "is empty", "是空文件")
    if kind in (".csv", ".tsv"):
        found = _csv(path, text)
    elif kind == ".jsonl":
        found = _json_lines(path, text)
    elif kind == ".json":
        found = _tables(path, _json(path, text))
    elif kind == ".py":
        found = _tables(path, _python(path, text))
    else:
        raise _error(
            path,
            f"the ending {path.suffix or '(none)'} is not known; use .csv, .tsv, .json, .jsonl or .py",
            f"不支持的扩展名 {path.suffix or '（无）'}，请使用 .csv、.tsv、.json、.jsonl 或 .py",
        )
    if not found.rows and not found.odd:
        raise _error(path, "holds no row", "没有任何数据行")
    return found


def _error(path: Path, en: str, zh: str) -> ItemError:
    return ItemError(f"{path}: {en}.", f"{path}：{zh}。")


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise _error(path, "there is no such file", "没有这个文件") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise _error(path, f"cannot be read ({error})", f"无法读取（{error}）") from error
    encodings = ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else _ENCODINGS
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        nul = text.find("\0")
        if nul >= 0:
            line = text.count("\n", 0, nul) + 1
            raise _error(
                path,
                f"holds a NUL byte in line {line}; it is no text file, save it as CSV or JSON in UTF-8",
                f"第 {line} 行含有 NUL 字节，不是文本文件；请另存为 UTF-8 编码的 CSV 或 JSON",
            )
        return text
    raise _error(path, "is neither UTF-8 nor GB18030; save it as UTF-8", "既不是 UTF-8 也不是 GB18030 编码，请另存为 UTF-8")


def _csv(path: Path, text: str) -> Rows:
    marked = _SEPARATOR.match(text)
    if marked:
        text = "\n" + text[marked.end() :]  # lines keep their numbers
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = marked[1] if marked else max((",", ";", "\t"), key=first.count)
    before = csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    odd: list[tuple[int, str, str]] = []
    header: list[str] | None = None
    begins = 1
    try:
        for cells in reader:
            line, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) != len(header):
                en, zh = f"{len(cells)} cells, but {len(header)} columns", f"有 {len(cells)} 个单元格，表头却有 {len(header)} 列"
                odd.append((line, en, zh))
            else:
                rows.append(Row(line, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise _error(path, f"line {begins} is no CSV ({error})", f"第 {begins} 行不是有效的 CSV（{error}）") from error
    finally:
        csv.field_size_limit(before)
    twice = sorted({name for name in header or () if (header or []).count(name) > 1})
    if twice:
        raise _error(path, f"has the column {twice[0]!r} twice", f"列 {twice[0]!r} 重复")
    return Rows(rows, odd)


def _json_lines(path: Path, text: str) -> Rows:
    rows: list[Row] = []
    odd: list[tuple[int, str, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        value = _json(path, line, number)
        if isinstance(value, dict):
            rows.append(Row(number, value))
        else:
            odd.append((number, "is no JSON object", "不是 JSON 对象"))
    return Rows(rows, odd)


def _json(path: Path, text: str, line: int = 0) -> Any:
    """The value of a JSON text; ``line`` is its place in the file when it is one line of it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = line or error.lineno
        raise _error(path, f"line {at} is no JSON ({error.msg})", f"第 {at} 行不是有效的 JSON（{error.msg}）") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits; nested too deeply
        at = line or 1
        raise _error(path, f"line {at} cannot be read ({error})", f"第 {at} 行无法读取（{error}）") from error


def _python(path: Path, text: str) -> Any:
    """The list ``test_cases`` of a script, read as a literal; the script is not run."""
    tree = parsed(text)
    if tree is None:
        raise _error(path, "is no Python that can be parsed", "不是可解析的 Python 文件")
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == _LIST for t in node.targets):
            try:
                return ast.literal_eval(node.value)
            except (ValueError, TypeError, RecursionError, MemoryError) as error:
                en = f"{_LIST} in line {node.lineno} must be a list of plain values"
                raise _error(path, en, f"第 {node.lineno} 行的 {_LIST} 必须是由普通值组成的列表") from error
    raise _error(path, f"holds no list {_LIST} = [...]", f"没有列表 {_LIST} = [...]")


def _tables(path: Path, value: Any) -> Rows:
    """The tables of a list, or of the one list that an object holds."""
    if isinstance(value, dict):
        if "item" in value:
            raise _error(
                path,
                'is an item file already; name it in the experiment: suite = ["..."]',
                '已是题目文件，请直接写入实验文件：suite = ["..."]',
            )
        lists = [entry for entry in value.values() if isinstance(entry, list)]
        value = value[_LIST] if _LIST in value else lists[0] if len(lists) == 1 else None
    if not isinstance(value, list):
        raise _error(path, f"must be a list of objects, or an object with a list {_LIST!r}", f"必须是对象列表，或含列表 {_LIST!r} 的对象")
    rows: list[Row] = []
    odd: list[tuple[int, str, str]] = []
    for number, table in enumerate(value, 1):
        if isinstance(table, dict):
            rows.append(Row(number, table))
        else:
            odd.append((number, "is no object", "不是对象"))
    return Rows(rows, odd, lines=False)
