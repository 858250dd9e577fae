"""Reads anyone's measurements: CSV, Parquet or JSON lines, one row per measured answer.

Every fault of a file is a :class:`rating.errors.FileRefused` with one sentence that names the file.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from rating.coding import Coded, combined, constant
from rating.errors import FileRefused
from rating.model import Condition, Configuration, FloatArray, IntArray, Measurements
from rating.scheme import OVERALL

__all__ = ["read_measurements"]

_REQUIRED: Final = ("model", "task", "item", "energy_j")
_QUALITY: Final = ("quality", "passed")
_OPTIONAL: Final = (
    "repeat", "load", "language", "cohort", "energy_tier", "energy_scope", "cpu_energy_j", "gpu_energy_j", "duration_s",
)  # fmt: skip
_KNOWN: Final = (*_REQUIRED, *_QUALITY, *_OPTIONAL)
_ALLOWED: Final = {
    "energy_tier": ("estimated", "counter", "calibrated", "wall"),
    "energy_scope": ("process", "cpu", "gpu", "gpu+cpu", "machine"),
}
_TRUTH: Final = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "yes": 1.0, "no": 0.0, "1.0": 1.0, "0.0": 0.0}
_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_PARQUET: Final = (".parquet", ".pq")
_JSON_LINES: Final = (".jsonl", ".ndjson", ".json")
_MOST_GROUPS: Final = 20_000
_MOST_REPEAT: Final = 2.0**53
"""Beyond it a float no longer tells one whole number from the next."""
_ALIKE: Final = 0.85
_MARK: Final = "\x1f"


def read_measurements(path: Path) -> Measurements:
    """The measurements in a file.

    ``quality`` wins over ``passed`` where a row has both. Without ``repeat`` rows with equal keys are repeats; an empty
    cell is missing.

    Raises:
        FileRefused: unreadable, not what its name says, wrong columns or wrong cells.
    """
    table = _Table(path, _read(path))
    table.check_columns()
    if table.rows == 0:
        raise _refused(path, "has no rows", "没有数据行")
    models, tasks = table.labels("model", needed=True), table.labels("task", needed=True)
    cohorts = table.labels("cohort")
    if OVERALL in tasks.labels:
        raise _refused(path, "uses the reserved task name 'overall'", "使用了保留的任务名 'overall'")
    groups = len(cohorts.labels) * len(np.unique(models.codes * len(tasks.labels) + tasks.codes))
    if groups > _MOST_GROUPS:
        raise _refused(
            path,
            f"has {groups} combinations of model, task and cohort, at most {_MOST_GROUPS} are rated; is the column "
            "model right?",
            f"中模型、任务与设备组的组合有 {groups} 个，最多评 {_MOST_GROUPS} 个；model 列是否正确？",
        )
    items, loads, languages = table.labels("item", needed=True), table.labels("load"), table.labels("language")
    tiers, scopes = table.labels("energy_tier"), table.labels("energy_scope")
    item, item_keys = combined([items, loads, languages])
    condition, conditions = combined([loads, languages, tiers, scopes])
    repeat = table.repeats()
    if table.has("repeat"):
        table.check_duplicates([models, tasks, Coded(item, tuple(map(str, item_keys))), cohorts], repeat)
    return Measurements(
        configurations=tuple(Configuration(label or "", model=label) for label in models.labels),
        cohorts=cohorts.labels,
        tasks=tuple(label or "" for label in tasks.labels),
        items=tuple(_item_name(key) for key in item_keys),
        bare_items=tuple(str(key[0]) for key in item_keys),
        conditions=tuple(Condition(*key) for key in conditions),
        configuration=models.codes,
        cohort=cohorts.codes,
        task=tasks.codes,
        item=item,
        condition=condition,
        repeat=repeat,
        energy_j=table.numbers("energy_j"),
        quality=table.quality(),
        cpu_energy_j=table.numbers("cpu_energy_j") if table.has("cpu_energy_j") else None,
        gpu_energy_j=table.numbers("gpu_energy_j") if table.has("gpu_energy_j") else None,
        duration_s=table.numbers("duration_s") if table.has("duration_s") else None,
    )


def _item_name(key: tuple[str | None, ...]) -> str:
    where = ", ".join(part for part in key[1:] if part)
    return f"{key[0]} [{where}]" if where else str(key[0])


def _refused(path: Path, en: str, zh: str) -> FileRefused:
    return FileRefused(f"{path.name} {en}", f"{path.name} {zh}")


def _read(path: Path) -> Any:
    """The file as an arrow table of the known columns."""
    kind = path.suffix.lower()
    known = (*_DELIMITERS, *_PARQUET, *_JSON_LINES)
    if kind not in known:
        raise _refused(path, f"must end in one of {', '.join(known)}", f"的扩展名必须是 {'、'.join(known)} 之一")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}", f"无法读取：{error.strerror}") from error
    if not data.strip():
        raise _refused(path, "is empty", "是空文件")
    try:
        if kind in _PARQUET:
            return pq.read_table(io.BytesIO(data))
        text = _utf8(path, data)
        if kind in _JSON_LINES and text.lstrip().startswith(b"["):
            raise _refused(path, "is one JSON list; write one object per line", "是一个 JSON 列表；请每行写一个对象")
        return _csv(path, text, _DELIMITERS[kind]) if kind in _DELIMITERS else pa_json.read_json(io.BytesIO(text))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        first = str(error).splitlines()[0][:200]
        raise _refused(path, f"is not a readable {kind} file: {first}", f"不是可读的 {kind} 文件：{first}") from error


def _utf8(path: Path, data: bytes) -> bytes:
    """The text as UTF-8 without a byte order mark; UTF-16 with its mark is accepted too."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", errors="replace").encode()
    if b"\x00" in data[:65536] or data.startswith((b"PAR1", b"PK\x03\x04", b"\x1f\x8b")):
        raise _refused(path, "is not text, although its name says so", "不是文本文件，与其扩展名不符")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(
            path,
            f"is not UTF-8 from line {line} on; save it as UTF-8",
            f"从第 {line} 行起不是 UTF-8 编码；请另存为 UTF-8",
        ) from error
    return data.removeprefix(b"\xef\xbb\xbf")


def _csv(path: Path, data: bytes, delimiter: str) -> Any:
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    names = [name.strip() for name in next(csv.reader(lines, delimiter=delimiter), [])]
    for sign, en, zh in ((";", "semicolons", "分号"), ("\t", "tabs", "制表符")):
        if len(names) == 1 and names[0].count(sign) > 1:
            raise _refused(path, f"separates its cells by {en}; save it with commas", f"用{zh}分隔单元格；请用逗号另存")
    twice = sorted({name for name in names if names.count(name) > 1 and name in _KNOWN})
    if twice:
        raise _refused(path, f"has the column {twice[0]!r} twice", f"有两列 {twice[0]!r}")
    # Unknown columns are numbered, for their names may repeat; of their cells nothing is read.
    places = [name if name in _KNOWN else f"{name}{_MARK}{index}" for index, name in enumerate(names)]
    present = [name for name in places if name in _KNOWN]
    table = pa_csv.read_csv(
        io.BytesIO(data),
        read_options=pa_csv.ReadOptions(column_names=places, skip_rows=1),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()), include_columns=present or places[:1]
        ),
    )
    return table.replace_schema_metadata({"names": json.dumps(names)})


class _Table:
    """The columns of a file, checked and turned into arrays."""

    def __init__(self, path: Path, table: Any) -> None:
        self._path, self._table, self.rows = path, table, int(table.num_rows)
        stated = (table.schema.metadata or {}).get(b"names")
        self._names: list[str] = json.loads(stated) if stated else list(table.column_names)

    def has(self, name: str) -> bool:
        return name in self._table.column_names

    def check_columns(self) -> None:
        """Every required column is there, and no other name looks like a misspelt known one."""
        others = [name for name in self._names if name not in _KNOWN]
        for name in (*_REQUIRED, "quality"):
            if self.has(name) or (name == "quality" and self.has("passed")):
                continue
            near = difflib.get_close_matches(name, others, n=1, cutoff=0.5)
            hint = f"; rename {near[0]!r}?" if near else f"; it has {', '.join(self._names[:12])}"
            hint_zh = f"；是否应重命名 {near[0]!r}？" if near else f"；现有列：{'、'.join(self._names[:12])}"
            wanted = "quality or passed" if name == "quality" else name
            raise _refused(self._path, f"has no column {wanted}{hint}", f"缺少列 {wanted}{hint_zh}")
        for name in others:
            near = [n for n in difflib.get_close_matches(name, _KNOWN, n=1, cutoff=_ALIKE) if not self.has(n)]
            if near:
                raise _refused(
                    self._path,
                    f"has a column {name!r} that is not known; if {near[0]!r} is meant, rename it, else remove it",
                    f"有未知列 {name!r}；如果是指 {near[0]!r} 请重命名，否则请删除",
                )

    def labels(self, name: str, *, needed: bool = False) -> Coded:
        """A column of texts; a column that is not there is one of empty cells."""
        if not self.has(name):
            return constant(None, self.rows)
        column = self._text(name)
        code = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
        merged = (
            code if isinstance(code, pa.DictionaryArray) else pa.chunked_array([code]).unify_dictionaries().chunk(0)
        )
        found = Coded(np.asarray(merged.indices, dtype=np.int64), tuple(merged.dictionary.to_pylist()))
        if needed and None in found.labels:
            row = int(np.flatnonzero(found.codes == found.labels.index(None))[0]) + 1
            raise self._wrong_cell(row, name, "is empty", "为空")
        allowed = _ALLOWED.get(name)
        for index, label in enumerate(found.labels):
            if allowed and label is not None and label not in allowed:
                row = int(np.flatnonzero(found.codes == index)[0]) + 1
                must = ", ".join(allowed)
                raise self._wrong_cell(
                    row, name, f"is {label!r}, must be one of {must}", f"为 {label!r}，必须是 {must} 之一"
                )
        return found

    def numbers(self, name: str) -> FloatArray:
        """A column of numbers at least 0; NaN where the cell is empty."""
        column = self._table.column(name)
        if pa.types.is_boolean(column.type) and name != "quality":  # true is no joule
            raise _refused(self._path, f"column {name} does not hold numbers", f"列 {name} 不是数字")
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = self._text(name)
        try:
            values = np.array(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise self._not_a_number(name, column) from error
        for wrong, en, zh in (
            (np.isinf(values), "is infinite", "为无穷大"),
            (values < 0, "is negative", "为负数"),
        ):
            if wrong.any():
                raise self._wrong_cell(int(np.flatnonzero(wrong)[0]) + 1, name, en, zh)
        return values

    def quality(self) -> FloatArray:
        """Quality in [0, 1], where there is none 1 or 0 from ``passed``, else NaN."""
        values = np.full(self.rows, np.nan)
        if self.has("quality"):
            values = self.numbers("quality")
            if (values > 1).any():
                row = int(np.flatnonzero(values > 1)[0]) + 1
                shown = f"{values[row - 1]:g}"
                raise self._wrong_cell(
                    row, "quality", f"is {shown}, must lie in 0 to 1", f"为 {shown}，必须在 0 到 1 之间"
                )
        if self.has("passed"):
            passed = self.labels("passed")
            known = [np.nan if label is None else _TRUTH.get(label.lower(), -1.0) for label in passed.labels]
            if -1.0 in known:
                index = known.index(-1.0)
                row = int(np.flatnonzero(passed.codes == index)[0]) + 1
                raise self._wrong_cell(
                    row, "passed", f"is {passed.labels[index]!r}, must be true or false", "必须是 true 或 false"
                )
            values = np.where(np.isnan(values), np.asarray(known)[passed.codes], values)
        return values

    def repeats(self) -> IntArray:
        """Numbers of the repeats, all 0 without that column."""
        if not self.has("repeat"):
            return np.zeros(self.rows, dtype=np.int64)
        values = self.numbers("repeat")
        wrong = np.isnan(values) | (values != np.floor(values)) | (values > _MOST_REPEAT)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0]) + 1
            raise self._wrong_cell(row, "repeat", "must be a whole number", "必须是整数")
        return values.astype(np.int64)

    def check_duplicates(self, keys: Sequence[Coded], repeat: IntArray) -> None:
        """No two rows are the same repeat of the same item."""
        code, _ = combined(keys)
        order = np.lexsort((repeat, code))
        same = (np.diff(code[order]) == 0) & (np.diff(repeat[order]) == 0)
        if same.any():
            at = int(np.flatnonzero(same)[0])
            first, second = sorted((int(order[at]) + 1, int(order[at + 1]) + 1))
            raise _refused(
                self._path,
                f"has the same repeat twice, in rows {first} and {second}: model, task, item, load, language, cohort and "
                "repeat are equal",
                f"第 {first} 行与第 {second} 行是同一次重复：模型、任务、题目、负载、语言、设备组与 repeat 都相同",
            )

    def _text(self, name: str) -> Any:
        """The column as texts without blanks around, empty cells null."""
        column = self._table.column(name)
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            raise _refused(self._path, f"column {name} does not hold plain values", f"列 {name} 不是普通值")
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)

    def _not_a_number(self, name: str, column: Any) -> FileRefused:
        for row, cell in enumerate(column.to_pylist(), start=1):
            try:
                float("nan" if cell is None else cell)
            except (TypeError, ValueError):
                return self._wrong_cell(
                    row, name, f"is {str(cell)[:40]!r}, not a number", f"为 {str(cell)[:40]!r}，不是数字"
                )
        return _refused(self._path, f"column {name} does not hold numbers", f"列 {name} 不是数字")

    def _wrong_cell(self, row: int, name: str, en: str, zh: str) -> FileRefused:
        return _refused(self._path, f"row {row}: {name} {en}", f"第 {row} 行：{name} {zh}")
