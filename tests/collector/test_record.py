"""The record lives through a full disk, a locked database and Ctrl-C, and loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector import record as record_module
from collector.record import Record, event, insert, unsaved_file, update, upsert
from db import Store, StoreError, StoreLocked, StoreUnusable
from db.texts import both, pick
from tests.db.db_rows import START, campaign, configuration, run

FULL = StoreUnusable("the disk is full", "磁盘已满")
LOCKED = StoreLocked("in use by another program", "被另一个程序占用")


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("record") / "store.duckdb")
    store.ensure()
    return store.path


class Failing(Store):
    """A store whose next writes fail: before anything was written, or after the commit."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []

    @contextmanager
    def write(self, timeout_s: float = 30.0) -> Iterator[Any]:
        if self.before:
            raise self.before.pop(0)
        with super().write(timeout_s) as writer:
            yield writer
        if self.after:
            raise self.after.pop(0)


@pytest.fixture
def store(tmp_path: Path, empty_file: Path, monkeypatch: pytest.MonkeyPatch) -> Failing:
    monkeypatch.setattr(record_module, "_PAUSE_S", 0.0)
    return Failing(Path(shutil.copy(empty_file, tmp_path)))


@pytest.fixture
def record(store: Failing, tmp_path: Path) -> Record:
    return Record(store, tmp_path / "state", campaign_id="c1")


def _ids(store: Store) -> list[str]:
    return list(store.query("SELECT run_id FROM runs ORDER BY started_at").run_id)


def test_what_is_put_is_written(record: Record, store: Failing) -> None:
    record.put(upsert("configurations", configuration("k1")), insert("campaigns", campaign("c1")))
    record.put(insert("runs", run(1)), update("campaigns", {"campaign_id": "c1"}, {"status": "stopped"}))
    record.put()
    record.put(record_module.Op("flag", "runs", [{"flag": "baseline_drift", "run_ids": ["r1", "r9"]}]))
    assert store.query("SELECT flags, (SELECT status FROM campaigns) AS s FROM v_runs").values.tolist() == [["baseline_drift", "stopped"]]
    assert record.waiting == 0


@pytest.mark.parametrize("error", [FULL, LOCKED])
def test_what_cannot_be_written_waits_in_its_order(record: Record, store: Failing, error: StoreError) -> None:
    told: list[str] = []
    record._on_trouble = told.append
    store.before = [error, error]
    record.put(insert("runs", run(1)))
    record.put(insert("runs", run(2)))
    assert record.waiting == 3, "two answers and the event that tells of it"
    assert _ids(store) == []
    record.put(insert("runs", run(3)))
    assert record.waiting == 0
    assert _ids(store) == ["r1", "r2", "r3"]
    assert told == [both(error.en, error.zh)], "once"
    events = store.query('SELECT name, detail FROM events ORDER BY "at"')
    assert list(events.name) == ["store_failed", "store_restored"]
    assert (pick(events.detail[0], "en"), pick(events.detail[0], "zh")) == (error.en, error.zh)


def test_a_commit_that_landed_is_not_repeated(record: Record, store: Failing) -> None:
    """A full disk may refuse the checkpoint that follows the commit."""
    store.after = [FULL]
    record.put(insert("runs", run(1)), insert("samples", {"run_id": "r1", "t_s": 0.0}))
    assert record.waiting == 2
    record.put(insert("runs", run(2)))
    assert _ids(store) == ["r1", "r2"]
    assert store.query("SELECT count(*) AS n FROM samples").n[0] == 1


def test_ctrl_c_in_a_write_loses_nothing(record: Record, store: Failing) -> None:
    for place in ("before", "after"):
        getattr(store, place).append(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            record.put(insert("runs", run(1 if place == "before" else 2)))
    record.flush()
    assert _ids(store) == ["r1", "r2"]


def test_a_row_that_does_not_fit_is_an_error_and_blocks_nothing(record: Record, store: Failing) -> None:
    with pytest.raises(ValueError, match="no column 'wrong'"):
        record.put(insert("runs", run(1, wrong=1)))
    record.put(insert("runs", run(2)))
    assert _ids(store) == ["r2"]


def test_what_never_could_be_written_is_kept_in_a_file_and_stored_by_the_next_run(
    record: Record, store: Failing, tmp_path: Path
) -> None:
    store.before = [FULL] * 4
    record.put(insert("runs", run(1, chunk_t_s=[np.float64(0.5)], server_raw={"done": True})))
    with pytest.raises(StoreUnusable, match=r"the disk is full 2 writes are kept in .*unsaved-.*stored by the next run"):
        record.flush(0.0)
    assert record.waiting == 0
    file = unsaved_file(tmp_path / "state", store)
    later = Record(store, tmp_path / "state", campaign_id="c1")
    assert later.recover() == 2
    assert later.waiting == 4, "the disk is full once more: both, and two events"
    with pytest.raises(StoreUnusable):
        later.flush(0.0)
    assert len(file.read_text().splitlines()) == 4, "nothing twice"
    last = Record(store, tmp_path / "state", campaign_id="c1")
    assert last.recover() == 4
    assert _ids(store) == ["r1"]
    stored = store.query("SELECT started_at FROM runs").started_at[0]
    assert stored.to_pydatetime() == run(1)["started_at"].replace(tzinfo=None)  # type: ignore[attr-defined]
    assert "unsaved_restored" in set(store.query("SELECT name FROM events").name)
    assert not file.exists()
    assert last.recover() == 0


def test_too_much_in_memory_ends_the_call_with_everything_in_the_file(
    record: Record, store: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "_MOST", 3)
    store.before = [FULL] * 9
    record.put(insert("runs", run(1)))
    with pytest.raises(StoreUnusable):
        record.put(insert("runs", run(2)))
    store.before = []
    assert record.recover() == 3
    assert _ids(store) == ["r1", "r2"]


def test_a_file_of_another_database_is_left_alone(tmp_path: Path, store: Failing) -> None:
    assert unsaved_file(tmp_path, store) != unsaved_file(tmp_path, Store(tmp_path / "other.duckdb"))


def test_only_known_values_are_kept() -> None:
    with pytest.raises(TypeError, match="Path cannot be kept"):
        record_module._tagged(Path())
    keep: Callable[[object], object] = record_module._tagged
    assert record_module._untagged(keep(START)) == START  # type: ignore[arg-type]
    assert event("c", "note", "n", None).rows[0]["name"] == "n"


@pytest.fixture
def gathering(store: Failing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Record, list[float]]:
    """A record that gathers for three seconds, and the clock that it reads."""
    now_s = [100.0]
    monkeypatch.setattr(record_module.time, "monotonic", lambda: now_s[0])
    return Record(store, tmp_path / "state", campaign_id="c1", gather_s=3.0), now_s


def test_quick_writes_are_gathered_into_one_transaction(gathering: tuple[Record, list[float]], store: Failing, tmp_path: Path) -> None:
    record, now_s = gathering
    record.put(insert("runs", run(1)))
    assert _ids(store) == ["r1"], "the first one at once"
    before = store.data_version()
    record.put(insert("runs", run(2)), insert("samples", {"run_id": "r2", "t_s": 0.0}))
    record.put()
    record.put(insert("runs", run(3)))
    assert _ids(store) == ["r1"]
    assert record.waiting == 2
    now_s[0] += 3.0
    record.put()
    assert _ids(store) == ["r1", "r2", "r3"]
    assert store.data_version() == before + 1
    assert not unsaved_file(tmp_path / "state", store, "gathered").exists()
    record.put(insert("runs", run(4)))
    assert record.written()
    assert _ids(store)[-1] == "r4"


@pytest.mark.parametrize("committed", [False, True])
def test_what_a_killed_collector_had_gathered_is_stored_by_the_next_run(
    gathering: tuple[Record, list[float]], store: Failing, tmp_path: Path, committed: bool
) -> None:
    record, _ = gathering
    record.put(insert("runs", run(1)))
    record.put(insert("runs", run(2, output_text="a\u2028b\ud800")), insert("samples", {"run_id": "r2", "t_s": 0.0}))
    record.put(record_module.Op("flag", "runs", [{"flag": "baseline_drift", "run_ids": ["r2"]}]))
    file = unsaved_file(tmp_path / "state", store, "gathered")
    left = file.read_text()
    if committed:  # killed after the commit and before the file was removed
        record.flush()
    file.write_text(left + '[["insert", "runs"', encoding="ascii")
    assert Record(store, tmp_path / "state", campaign_id="c1").recover() == 2
    assert _ids(store) == ["r1", "r2"]
    assert store.query("SELECT count(*) AS n FROM samples").n[0] == 1
    assert store.query("SELECT flags FROM runs WHERE run_id = 'r2'")["flags"][0].tolist() == ["baseline_drift"]
    assert not file.exists()


def test_gathered_rows_of_which_one_does_not_fit_are_written_without_it(gathering: tuple[Record, list[float]], store: Failing, tmp_path: Path) -> None:
    record, now_s = gathering
    record.put(insert("runs", run(1)))
    record.put(insert("runs", run(2, wrong=1)))
    file = unsaved_file(tmp_path / "state", store, "gathered")
    left = file.read_text()
    now_s[0] += 3.0
    with pytest.raises(ValueError, match="no column 'wrong'"):
        record.put(insert("runs", run(3)))
    record.flush()
    assert _ids(store) == ["r1", "r3"]
    file.write_text(left, encoding="ascii")
    assert Record(store, tmp_path / "state", campaign_id="c1").recover() == 1
    assert _ids(store) == ["r1", "r3"], "the next call is not ended by it"


def test_gathered_rows_and_a_full_disk(gathering: tuple[Record, list[float]], store: Failing, tmp_path: Path) -> None:
    record, now_s = gathering
    record.put(insert("runs", run(1)))
    record.put(insert("runs", run(2)))
    now_s[0] += 3.0
    store.before = [FULL] * 3
    record.put(insert("runs", run(3)))
    assert record.waiting == 3
    with pytest.raises(StoreUnusable):
        record.flush(0.0)
    assert not unsaved_file(tmp_path / "state", store, "gathered").exists(), "it is all in the other file"
    store.before = []
    assert Record(store, tmp_path / "state", campaign_id="c1").recover() == 3
    assert _ids(store) == ["r1", "r2", "r3"]
