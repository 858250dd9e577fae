"""The campaign's record: writes in order, and keeps what cannot be written until it can.

A full disk or a database that another program holds must not end a night, and must not lose an answer. What cannot be
written waits in memory, in order, and is tried again before everything that comes after it. At the end it is tried for
longer; what even then cannot be written goes into a file in the user's state folder, and the next call that measures
into the same database begins with it. Rows that come in quick succession are gathered (``collector.journal``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from collector.journal import Journal
from db import Store, StoreError, StoreLocked, StoreUnusable
from db.texts import both
from db.writer import Writer

__all__ = ["Op", "Record", "event", "insert", "unsaved_file", "update", "upsert"]

log = logging.getLogger(__name__)

_FIRST_S: Final = 30.0  # how long a write waits for a locked database
_AGAIN_S: Final = 1.0  # and while something waits in memory already, so that a night is not spent waiting
_PAUSE_S: Final = 2.0
_MOST: Final = 2000  # transactions in memory, some 50 kB each
_TROUBLE: Final = (StoreLocked, StoreUnusable)
_KEYS: Final = {  # of the tables whose rows are only ever added
    "runs": "run_id", "events": "event_id", "baselines": "baseline_id", "model_loads": "load_id", "closures": "closure_id",
    "engine_logs": "log_id",
}  # fmt: skip

Row = Mapping[str, Any]


class Op(NamedTuple):
    """One statement of a transaction; ``where`` belongs to an update, ``flag`` adds a flag to runs."""

    verb: Literal["insert", "upsert", "update", "flag"]
    table: str
    rows: list[Row]
    where: Row | None = None


def insert(table: str, *rows: Row) -> Op:
    """Adds rows."""
    return Op("insert", table, list(rows))


def upsert(table: str, *rows: Row) -> Op:
    """Adds rows or replaces those with the same key."""
    return Op("upsert", table, list(rows))


def update(table: str, where: Row, values: Row) -> Op:
    """Changes the rows where every column of ``where`` is equal."""
    return Op("update", table, [values], where)


def event(campaign_id: str | None, kind: str, name: str, detail: str | None, run_id: str | None = None) -> Op:
    """One row of ``events``."""
    return insert("events", {
        "event_id": uuid.uuid4().hex[:20], "at": datetime.now(UTC), "campaign_id": campaign_id, "run_id": run_id,
        "kind": kind, "name": name, "detail": detail,
    })  # fmt: skip


def _tagged(value: object) -> object:
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _untagged(value: dict[str, Any]) -> Any:
    return datetime.fromisoformat(value["$time"]) if value.keys() == {"$time"} else value


def _landed(writer: Writer, ops: Sequence[Op]) -> bool:
    """Whether a transaction that seemed to fail is there: a full disk may refuse the checkpoint after the commit."""
    for op in ops:
        if op.verb == "insert" and op.rows and op.table in _KEYS:
            key = _KEYS[op.table]
            found = writer.execute(f"SELECT 1 FROM {op.table} WHERE {key} = ?", [op.rows[0][key]])  # noqa: S608  constants
            return bool(found)
    return False


def _line(ops: Sequence[Op]) -> str:
    return json.dumps([list(op) for op in ops], default=_tagged)


def _ops(line: str) -> list[Op]:
    return [Op(*part) for part in json.loads(line, object_hook=_untagged)]


def unsaved_file(folder: Path, store: Store, kind: str = "unsaved") -> Path:
    """Where the record of ``store`` lies that could not be written, or waits to be (``kind`` gathered)."""
    return folder / f"{kind}-{hashlib.sha256(str(store.path).encode()).hexdigest()[:12]}.jsonl"


class Record:
    """Writes of one call of the runner.

    Args:
        store: where they go.
        folder: where the file lies that holds what could not be written.
        on_trouble: told once, in a sentence in both languages (db/texts.py), when a write fails.
        campaign_id: of the events that the record itself writes.
        gather_s: for how long after a write what comes next is gathered; 0 writes everything at once.
    """

    def __init__(
        self, store: Store, folder: Path, on_trouble: Callable[[str], None] | None = None, campaign_id: str | None = None,
        gather_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.store, self.campaign_id = store, campaign_id
        self._file = unsaved_file(folder, store)
        self._journal = Journal(unsaved_file(folder, store, "gathered"))
        self._gather_s, self._written_s = gather_s, float("-inf")  # monotonic, of the last write
        self._on_trouble = on_trouble or (lambda _sentence: None)
        self._queue: deque[list[Op]] = deque()
        self._error: StoreError | None = None
        self._since = 0.0  # monotonic, of the first failure
        self._unsure = False  # whether what stands in front may be in the database already
        self._restoring = False  # the file's content is in the queue

    @property
    def waiting(self) -> int:
        """Transactions that are not in the database yet."""
        return len(self._queue)

    def put(self, *ops: Op) -> None:
        """Writes one transaction, at once or with what comes soon, or keeps it until writing works again.

        Raises:
            StoreError: too much waits already; everything is in the file by then.
            ValueError: a row, perhaps a gathered one, does not fit its table.
        """
        if kept := [op for op in ops if op.rows]:
            self._queue.append(kept)
        soon = self._error is None and time.monotonic() - self._written_s < self._gather_s
        if soon and (not kept or self._journal.append(_line(kept))):
            return
        self._drain(_AGAIN_S if self._error else _FIRST_S)
        if len(self._queue) >= _MOST:
            self._give_up()

    def event(self, kind: str, name: str, detail: str | None = None) -> None:
        """Writes one event of the campaign."""
        self.put(event(self.campaign_id, kind, name, detail))

    def flush(self, patience_s: float = 60.0) -> None:
        """Writes what waits.

        Raises:
            StoreError: it did not work for ``patience_s``; everything is in the file by then.
        """
        limit = time.monotonic() + patience_s
        while not self._drain(_AGAIN_S):
            if time.monotonic() >= limit:
                self._give_up()
            time.sleep(_PAUSE_S)

    def written(self) -> bool:
        """Writes what was gathered, before somebody else reads; False when something still waits."""
        return self._drain(_AGAIN_S)

    def recover(self) -> int:
        """Writes what an earlier call could not, or had gathered when it was killed; returns how many transactions."""
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        lines += self._journal.left()
        if not lines:
            self._journal.clear()  # of a line that was cut short
            return 0
        self._queue.extend(map(_ops, lines))
        said = both(f"{len(lines)} writes out of {self._file.parent}", f"从 {self._file.parent} 补写 {len(lines)} 次")
        self._queue.append([event(self.campaign_id, "note", "unsaved_restored", said)])
        self._unsure = self._restoring = True
        while True:
            try:
                self._drain(_FIRST_S)
            except ValueError as error:  # one row that never fits must not keep the others out
                log.error("a row out of %s is left out: %s", self._file.parent, error)
            else:
                return len(lines)

    def _drain(self, timeout_s: float) -> bool:
        """Writes from the front of the queue; False when something stays."""
        together = not self._unsure
        while self._queue:
            batch = list(self._queue) if together else [self._queue[0]]
            try:
                with self.store.write(timeout_s=timeout_s) as writer:
                    for ops in [_merged(batch)] if together else batch:
                        if not self._unsure or not _landed(writer, ops):
                            _apply(writer, ops)
            except _TROUBLE as error:
                self._troubled(error)
                return False
            except ValueError:  # a row that does not fit never will: without it the others do
                if len(batch) > 1:
                    together = False
                    continue
                self._queue.popleft()
                raise
            except KeyboardInterrupt:
                self._unsure = True  # before or after the commit
                raise
            for _ in batch:
                self._queue.popleft()
            self._written_s = time.monotonic()
        self._unsure = False
        if self._restoring or self._journal.ours:
            self._journal.clear()
        if self._restoring:
            self._restoring = False
            self._file.unlink(missing_ok=True)
        if self._error is not None:
            self._error = None
            log.info("the database can be written again")
            seconds = f"{time.monotonic() - self._since:.0f}"
            self.event("fault", "store_restored", both(f"written again after {seconds} s", f"{seconds} 秒后恢复写入"))
        return True

    def _troubled(self, error: StoreError) -> None:
        if self._error is None:
            log.warning("%s", error)
            said = both(error.en, error.zh)
            self._on_trouble(said)
            self._queue.append([event(self.campaign_id, "fault", "store_failed", said)])
            self._since = time.monotonic()
        self._error, self._unsure = error, True

    def _give_up(self) -> None:
        """Puts everything that waits into the file and raises what stood in the way."""
        assert self._error is not None  # noqa: S101  only a failed write leaves something waiting
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("w" if self._restoring else "a", encoding="utf-8") as file:
            file.writelines(_line(ops) + "\n" for ops in self._queue)
        if self._restoring or self._journal.ours:
            self._journal.clear()
        kept = len(self._queue)
        self._queue.clear()
        where_en = f" {kept} writes are kept in {self._file} and stored by the next run into this database."
        where_zh = f"{kept} 次写入已保存在 {self._file}，下次对该数据库测量时会自动写入。"
        raise type(self._error)(self._error.en + where_en, self._error.zh + where_zh) from self._error


def _merged(batch: Sequence[Sequence[Op]]) -> list[Op]:
    """One statement for all new rows of a table, before the changes, which name the rows they mean by their keys."""
    rows: dict[tuple[str, frozenset[str]], list[Row]] = {}
    rest: list[Op] = []
    for op in (op for ops in batch for op in ops):
        if op.verb == "insert":
            rows.setdefault((op.table, frozenset(op.rows[0])), []).extend(op.rows)
        else:
            rest.append(op)
    return [*(insert(table, *found) for (table, _), found in rows.items()), *rest]


def _apply(writer: Writer, ops: Sequence[Op]) -> None:
    for op in ops:
        if op.verb == "insert":
            writer.insert(op.table, op.rows)
        elif op.verb == "upsert":
            writer.upsert(op.table, op.rows)
        elif op.verb == "flag":
            for row in op.rows:
                writer.execute("UPDATE runs SET flags = list_append(flags, ?) WHERE list_contains(?, run_id) "
                               "AND NOT coalesce(list_contains(flags, ?), false)",
                               [row["flag"], row["run_ids"], row["flag"]])  # fmt: skip
        else:
            writer.update(op.table, op.where or {}, op.rows[0])
