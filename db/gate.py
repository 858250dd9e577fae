"""The gate in front of the database file: one writer or many readers, across processes and threads.

DuckDB does not wait for a file that another process holds, it refuses. With plain retries a writer starves
beside busy readers. Here everybody passes a turnstile: take ``<db>.turn`` alone, then ``<db>.lk`` shared or
alone, then give the turnstile back. A waiting writer keeps the turnstile, so later readers queue behind it.
The locks belong to open file handles and vanish with the process; the database file itself is never opened
here, because closing any handle of it would drop DuckDB's own lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Final

import portalocker

from db.connection import locked_error
from db.errors import StoreUnusable

__all__ = ["gate"]

_FIRST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.02


def _open(sidecar: Path) -> IO[bytes]:
    """The sidecar file, made when missing; read-only where another user owns it."""
    try:
        return sidecar.open("ab")
    except PermissionError:
        return sidecar.open("rb")


@contextmanager
def _locked(
    handle: IO[bytes], flags: portalocker.LockFlags, database: Path, deadline: float, timeout_s: float
) -> Iterator[None]:
    """Holds the lock on ``handle``; polls, because a blocking lock has no time limit."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            portalocker.lock(handle, flags | portalocker.LockFlags.NON_BLOCKING)
            break
        except portalocker.AlreadyLocked:
            if time.monotonic() >= deadline:
                raise locked_error(database, None, timeout_s) from None
        except portalocker.LockException as error:
            raise StoreUnusable(
                f"The folder {database.parent} cannot lock files ({error}); keep the database on a local disk (--db).",
                f"文件夹 {database.parent} 不支持文件锁（{error}）；请把数据库放在本地磁盘（--db）。",
            ) from error
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
    try:
        yield
    finally:
        # Said aloud, not left to close(): a forked child may still hold a copy of the handle.
        portalocker.unlock(handle)


@contextmanager
def gate(database: Path, *, exclusive: bool, timeout_s: float) -> Iterator[None]:
    """Holds the gate of ``database``, alone or shared with other readers.

    Where the sidecar files can neither be made nor opened (a read-only disk) a reader passes without it.

    Args:
        database: the database file; its folder must exist.
        exclusive: True for the one writer.
        timeout_s: how long to wait, seconds.

    Raises:
        StoreLocked: the gate stayed closed for ``timeout_s``.
        StoreUnusable: a writer cannot make the sidecar files, or the file system has no locks.
    """
    deadline = time.monotonic() + timeout_s
    with ExitStack() as inside:
        try:
            turn = inside.enter_context(closing(_open(database.with_name(database.name + ".turn"))))
            lock = inside.enter_context(closing(_open(database.with_name(database.name + ".lk"))))
        except OSError as error:
            if exclusive:
                raise StoreUnusable(
                    f"The folder {database.parent} cannot be written ({error.strerror}); "
                    "change its permissions or name another place with --db.",
                    f"无法写入文件夹 {database.parent}（{error.strerror}）；请修改权限，或用 --db 指定其他位置。",
                ) from error
        else:
            kind = portalocker.LockFlags.EXCLUSIVE if exclusive else portalocker.LockFlags.SHARED
            with _locked(turn, portalocker.LockFlags.EXCLUSIVE, database, deadline, timeout_s):
                inside.enter_context(_locked(lock, kind, database, deadline, timeout_s))
        yield
