"""The store: one DuckDB file behind the gate. Connections live as long as one read or one transaction."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from db import schema
from db.connection import connect, is_locked, translated, unusable_error
from db.errors import StoreMissing, StoreNewer, StoreOlder, StoreUnusable
from db.gate import gate
from db.writer import Writer

if TYPE_CHECKING:  # pandas is loaded by the first query, not before
    import pandas as pd

__all__ = ["Store", "data_version", "frame_of", "store_path"]

_log = logging.getLogger(__name__)
_ROOT: Final = Path(__file__).resolve().parent.parent
_READ_TIMEOUT_S: Final = 10.0
_WRITE_TIMEOUT_S: Final = 30.0

Params = Sequence[object] | Mapping[str, object]


def store_path(explicit: str | Path | None = None) -> Path:
    """Where the database lies: ``explicit``, else ENERGY_RATING_DB, else the project's data folder."""
    chosen = explicit or os.environ.get("ENERGY_RATING_DB")
    return Path(chosen).expanduser() if chosen else _ROOT / "data" / "energy-rating.duckdb"


class Store:
    """The door to one database file. Cheap to make, holds nothing open, may be shared by threads."""

    def __init__(self, path: Path | str) -> None:
        # One spelling for one file: within a process DuckDB tells databases apart by their path.
        self._path = Path(path).expanduser().resolve()
        self._columns: dict[str, dict[str, str]] = {}  # of the newest schema, which every writing requires

    def __repr__(self) -> str:
        return f"Store({str(self._path)!r})"

    @property
    def path(self) -> Path:
        """The database file, absolute."""
        return self._path

    def state(self) -> schema.State:
        """How the file stands: missing, empty, older, current, newer than this program's schema.

        Raises:
            StoreUnusable: not a database, or not ours, or not readable.
            StoreLocked: another program holds it.
        """
        if self._size() is None:
            return "missing"
        if self._size() == 0:  # a creation that died at its first step
            return "empty"
        with self._open(read_only=True, timeout_s=_READ_TIMEOUT_S) as con:
            return self._state(con)

    def ensure(self) -> None:
        """Makes the database and its folder, or brings it to the newest schema; nothing when it is current.

        Raises:
            StoreNewer: the file has migrations that this program does not know.
            StoreUnusable: not a database, no permission, full disk; a file made here is removed again.
            StoreLocked: another program holds it.
        """
        if self._size():
            with self._open(read_only=True, timeout_s=_READ_TIMEOUT_S) as con:
                if self._state(con) == "newer":
                    raise self._newer()
                if schema.up_to_date(con):
                    return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable_error(self._path, error.strerror or str(error)) from error
        with gate(self._path, exclusive=True, timeout_s=_WRITE_TIMEOUT_S):
            fresh = not self._size()
            if fresh:
                self._remove()
            try:
                with self._connection(read_only=False, timeout_s=_WRITE_TIMEOUT_S) as con:
                    if self._state(con) == "newer":
                        raise self._newer()
                    schema.migrate(con)
            except BaseException:
                if fresh:
                    self._remove()
                raise
        _log.info("database %s is at the newest schema", self._path)

    @contextmanager
    def write(self, timeout_s: float = _WRITE_TIMEOUT_S) -> Iterator[Writer]:
        """One transaction, alone: stored as a whole when the block ends, not at all when it raises.

        Keep it short and outside energy windows.

        Raises:
            StoreError: missing, older, newer, locked for longer than ``timeout_s``, or unusable.
        """
        with self._open(read_only=False, timeout_s=timeout_s) as con:
            self._require_current(con)
            with schema.transaction(con):
                yield Writer(con, self._columns)
                con.execute("UPDATE meta SET value = CAST(value AS BIGINT) + 1 WHERE key = 'data_version'")

    @contextmanager
    def read(self, timeout_s: float = _READ_TIMEOUT_S) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection, closed at the end; fetch inside, and do not hand it to another thread.

        Raises:
            StoreError: missing, older, newer, locked for longer than ``timeout_s``, or unusable.
        """
        with self._open(read_only=True, timeout_s=timeout_s) as con:
            self._require_current(con)
            yield con

    def query(self, sql: str, params: Params | None = None) -> pd.DataFrame:
        """Result of one SELECT; NULL becomes NaN, NaT or None, times are UTC without zone, lists are arrays.

        Args:
            sql: a constant text, values only as ``?`` or ``$name``.
            params: the values, a sequence or a mapping.
        """
        with self.read() as con:
            return frame_of(con, sql, params)

    def data_version(self) -> int:
        """Number of transactions written so far: equal numbers mean equal data."""
        with self.read() as con:
            row = con.execute("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'data_version'").fetchone()
        return int(row[0]) if row else 0

    def _size(self) -> int | None:
        """Bytes of the file, None when there is none."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable_error(self._path, error.strerror or str(error)) from error

    def _remove(self) -> None:
        for file in (self._path, self._path.with_name(self._path.name + ".wal")):
            with suppress(OSError):  # the error that brought us here is the one to tell
                file.unlink(missing_ok=True)

    @contextmanager
    def _open(self, *, read_only: bool, timeout_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """Gate and connection; the connection is closed inside the gate."""
        if not self._size():
            raise StoreMissing(
                f"There is no database at {self._path}; measure something first or name another file with --db.",
                f"{self._path} 处没有数据库；请先进行测量，或用 --db 指定其他文件。",
            )
        with (
            gate(self._path, exclusive=not read_only, timeout_s=timeout_s),
            self._connection(read_only=read_only, timeout_s=timeout_s) as con,
        ):
            yield con

    @contextmanager
    def _connection(self, *, read_only: bool, timeout_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection; waits for programs that hold the file without passing the gate."""
        deadline = time.monotonic() + timeout_s
        with translated(self._path, timeout_s):
            while True:
                try:
                    con = connect(self._path, read_only=read_only)
                    break
                except duckdb.Error as error:
                    if not is_locked(error) or time.monotonic() >= deadline:
                        raise
                time.sleep(random.uniform(0.01, 0.05))
            try:
                yield con
            finally:
                con.close()

    def _state(self, con: duckdb.DuckDBPyConnection) -> schema.State:
        found = schema.state(con)
        if found is None:
            raise StoreUnusable(
                f"The database {self._path} belongs to another program; name another file with --db.",
                f"数据库 {self._path} 属于其他程序；请用 --db 指定其他文件。",
            )
        return found

    def _newer(self) -> StoreNewer:
        return StoreNewer(
            f"The database {self._path} was written by a newer version of this program; "
            "update the program or name another file with --db.",
            f"数据库 {self._path} 由本程序的更新版本写入；请更新程序，或用 --db 指定其他文件。",
        )

    def _require_current(self, con: duckdb.DuckDBPyConnection) -> None:
        found = self._state(con)
        if found == "newer":
            raise self._newer()
        if found != "current":
            raise StoreOlder(
                f"The database {self._path} is of an older version; "
                "any command that measures, scores or rates updates it.",
                f"数据库 {self._path} 版本较旧；任何测量、评分或评级命令都会更新它。",
            )


def frame_of(con: duckdb.DuckDBPyConnection, sql: str, params: Params | None) -> pd.DataFrame:
    """Result of one SELECT on an open connection, as :meth:`Store.query` gives it."""
    # Through Arrow: plain numpy types in every DuckDB version. In a function of its own, so that the
    # relation, which keeps the file open, is gone before the connection closes.
    values = dict(params) if isinstance(params, Mapping) else list(params or ())
    relation: Any = con.sql(sql, params=values or None)
    frame: pd.DataFrame = relation.to_arrow_table().to_pandas()
    return frame


def data_version(store: Store) -> int:
    """Number of transactions written to ``store`` so far: equal numbers mean equal data."""
    return store.data_version()
