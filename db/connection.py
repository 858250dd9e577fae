"""Opening DuckDB: fixed settings, and its messages turned into the store's errors.

The file format is pinned, so that every supported DuckDB opens a file that another one wrote. SQL cannot
reach files, the network or variables of this process. Source of the lock texts: DuckDB's own messages
(1.5.6, 2.0.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from db.errors import StoreLocked, StoreUnusable

__all__ = ["STORAGE_VERSION", "connect", "is_locked", "locked_error", "translated", "unusable_error"]

STORAGE_VERSION: Final = "v1.5.0"  # the oldest DuckDB that must open our files
_HOLDER = re.compile(r"(?:held in|opened in|open in)\s+(?P<program>.+?)\s*\(PID (?P<pid>\d+)\)")
_LOCK_TEXTS = (
    "could not set lock", "used by another process", "file is already open", "different configuration",
)  # fmt: skip
_BROKEN = (duckdb.IOException, duckdb.FatalException, duckdb.SerializationException, duckdb.InternalException)
# Said by errors of other classes: of the SQLite opener, of a damaged block, of a commit on a full disk.
_BROKEN_TEXTS = ("external extensions is disabled", "corrupt database", "failed to commit: could not write")
_COMMON: Final[dict[str, str | bool | int | float | list[str]]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "storage_compatibility_version": STORAGE_VERSION,
}
# One thread writes, beside an engine that may be idling for its baseline; readers get room to aggregate.
_WRITER: Final = _COMMON | {"threads": "1", "memory_limit": "1GB"}
_READER: Final = _COMMON | {"threads": "2", "memory_limit": "2GB"}


def connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Opens the database file at once or raises DuckDB's own error; the caller holds the gate and closes it.

    All readers of a process share one DuckDB instance and so must have equal settings.
    """
    return duckdb.connect(str(path), read_only=read_only, config=_READER if read_only else _WRITER)


def is_locked(error: duckdb.Error) -> bool:
    """Whether somebody else holds the file, so that waiting may help."""
    if not isinstance(error, duckdb.IOException | duckdb.ConnectionException):
        return False
    return any(text in str(error).lower() for text in _LOCK_TEXTS)


def locked_error(path: Path, error: duckdb.Error | None, timeout_s: float) -> StoreLocked:
    """The sentence about a file that stayed locked; names the other program where DuckDB does."""
    found = _HOLDER.search(str(error)) if error is not None else None
    who_en, who_zh = "another program", "另一个程序"
    if found:
        who_en = f"{found['program']} (PID {found['pid']})"
        who_zh = f"{found['program']}（PID {found['pid']}）"
    return StoreLocked(
        f"The database {path} is in use by {who_en}, waited {timeout_s:g} s; close that program and try again.",
        f"数据库 {path} 正被{who_zh}占用，已等待 {timeout_s:g} 秒；请关闭该程序后重试。",
    )


def unusable_error(path: Path, text: str) -> StoreUnusable:
    """The sentence about a file that cannot be used; ``text`` is what DuckDB or the system says."""
    lower = text.lower()
    if "with version number" in lower:
        return StoreUnusable(
            f"The database {path} was written by a newer DuckDB; run: pip install --upgrade duckdb",
            f"数据库 {path} 由更新版本的 DuckDB 写入；请运行：pip install --upgrade duckdb",
        )
    if "not a valid duckdb database" in lower or "external extensions is disabled" in lower:
        return StoreUnusable(
            f"The file {path} is not a DuckDB database; name another file with --db or move this one away.",
            f"文件 {path} 不是 DuckDB 数据库；请用 --db 指定其他文件，或移走该文件。",
        )
    if "no space left" in lower or "file too large" in lower or "could not write" in lower:
        return StoreUnusable(
            f"The database {path} could not be written, the disk is full; free some space and try again.",
            f"无法写入数据库 {path}，磁盘已满；请释放空间后重试。",
        )
    if "read-only file system" in lower or "permission denied" in lower or "access is denied" in lower:
        return StoreUnusable(
            f"The database {path} may not be opened, no permission or a read-only disk; "
            "change its permissions or name another file with --db.",
            f"无法打开数据库 {path}，没有权限或磁盘只读；请修改权限，或用 --db 指定其他文件。",
        )
    first = text.strip().splitlines()[0] if text.strip() else "unknown error"
    return StoreUnusable(
        f"The database {path} cannot be used ({first}); name another file with --db or restore a copy.",
        f"数据库 {path} 无法使用（{first}）；请用 --db 指定其他文件，或恢复备份。",
    )


@contextmanager
def translated(path: Path, timeout_s: float = 0.0) -> Iterator[None]:
    """Turns what DuckDB says about file and disk into the store's errors; errors of the SQL itself pass.

    Raises:
        StoreLocked: another program holds the file.
        StoreUnusable: not a database, not permitted, read-only, disk full, damaged.
    """
    try:
        yield
    except duckdb.Error as error:
        if is_locked(error):
            raise locked_error(path, error, timeout_s) from error
        text = str(error).lower()
        if isinstance(error, _BROKEN) or any(part in text for part in _BROKEN_TEXTS):
            raise unusable_error(path, str(error)) from error
        raise
