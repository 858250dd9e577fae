"""The door: where the database lies, its states, migrations, bad files, crashes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import db
import db.connection
from db import schema
from tests.db.db_rows import note

Child = Callable[..., subprocess.Popen[str]]


def test_place_of_the_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ENERGY_RATING_DB", raising=False)
    assert db.store_path() == Path(db.__file__).resolve().parents[1] / "data" / "energy-rating.duckdb"
    monkeypatch.setenv("ENERGY_RATING_DB", str(tmp_path / "a.duckdb"))
    assert db.store_path() == tmp_path / "a.duckdb"
    assert db.store_path(tmp_path / "b.duckdb") == tmp_path / "b.duckdb"


def test_ensure_makes_folder_and_file_once(tmp_path: Path) -> None:
    store = db.Store(tmp_path / "deep" / "er" / "store.duckdb")
    assert store.state() == "missing"
    assert not store.path.parent.exists()  # asking makes nothing
    store.ensure()
    assert store.state() == "current"
    before = store.path.stat().st_mtime_ns
    store.ensure()
    assert store.path.stat().st_mtime_ns == before
    assert store.data_version() == db.data_version(store) == 0
    meta = dict(store.query("SELECT key, value FROM meta").itertuples(index=False))
    assert meta["storage_version"] == db.connection.STORAGE_VERSION


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    store = db.Store(tmp_path / "none.duckdb")
    with pytest.raises(db.StoreMissing, match=r"none\.duckdb") as caught:
        store.query("SELECT 1")
    assert "没有数据库" in caught.value.text("zh")
    with pytest.raises(db.StoreMissing), store.write():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_transaction_is_whole_or_nothing(store: db.Store) -> None:
    writing = store.write()
    writing.__enter__().insert("events", [note("lost")])
    assert not writing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)  # it goes on upwards
    assert store.data_version() == 0
    with store.write() as writer:
        writer.insert("events", [note("kept")])
    assert store.query("SELECT name FROM events")["name"].tolist() == ["kept"]
    assert store.data_version() == 1


def test_errors_of_the_caller_pass_as_they_are(store: db.Store) -> None:
    for opened in (store.read(), store.write()):
        with pytest.raises(FileNotFoundError), opened:
            (store.path.parent / "nothing").read_text()
    with pytest.raises(duckdb.CatalogException):
        store.query("SELECT * FROM nothing")


def test_readers_cannot_write_or_reach_files(store: db.Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with store.read() as con:
        with pytest.raises(duckdb.Error, match="read-only"):
            con.execute("DELETE FROM meta")
        with pytest.raises(duckdb.Error, match="disabled"):
            con.execute("SELECT * FROM read_csv(?)", [str(secret)])
        own_variable = pd.DataFrame({"a": [1]})
        assert len(own_variable) == 1
        with pytest.raises(duckdb.Error, match="own_variable"):
            con.execute("SELECT * FROM own_variable")
        with pytest.raises(duckdb.Error):
            con.execute("SET enable_external_access = true")


def test_query_types(filled: db.Store) -> None:
    frame = filled.query(
        "SELECT parameter_count, first_seen_at FROM configurations WHERE configuration_id IN ($a, $b) ORDER BY 1",
        {"a": "k1", "b": "k2"},
    )
    assert frame["parameter_count"].isna().tolist() == [False, True]
    assert str(frame["first_seen_at"].dtype) == "datetime64[us]"


# --- migrations


@pytest.fixture
def two_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A copy of the migrations; the call adds a second one."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder)
    monkeypatch.setattr(schema, "MIGRATIONS", folder)

    def add() -> None:
        (folder / "0099_more.sql").write_text(
            "ALTER TABLE runs ADD COLUMN extra_j DOUBLE; CREATE TABLE extra (a INTEGER PRIMARY KEY);"
            "ALTER TABLE samples ADD COLUMN extra_w DOUBLE;"
        )

    return add


def test_older_store_is_migrated_and_keeps_its_rows(tmp_path: Path, two_migrations: Callable[[], None]) -> None:
    store = db.Store(tmp_path / "s.duckdb")
    store.ensure()
    with store.write() as writer:
        writer.insert("events", [note("old")])
    two_migrations()
    assert store.state() == "older"
    with pytest.raises(db.StoreOlder):
        store.query("SELECT 1")
    with pytest.raises(db.StoreOlder), store.write():
        pass
    store.ensure()
    assert store.state() == "current"
    assert store.query("SELECT name FROM events")["name"].tolist() == ["old"]
    assert "extra_w" in store.query("SELECT * FROM v_samples").columns  # the views are made again
    records = store.query("SELECT name, duckdb_version FROM schema_migrations ORDER BY name")
    assert records["name"].tolist() == [*sorted(file.stem for file in schema.MIGRATIONS.glob("*.sql"))]
    assert set(records["duckdb_version"]) == {duckdb.__version__}


def test_newer_store_is_refused_untouched(
    tmp_path: Path, two_migrations: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = db.Store(tmp_path / "s.duckdb")
    two_migrations()
    store.ensure()
    monkeypatch.undo()
    before = store.path.read_bytes()
    assert store.state() == "newer"
    for attempt in (store.ensure, store.data_version, store.write().__enter__):
        with pytest.raises(db.StoreNewer, match="update the program"):
            attempt()
    assert store.path.read_bytes() == before


def test_broken_migration_leaves_nothing(tmp_path: Path, two_migrations: Callable[[], None]) -> None:
    old = db.Store(tmp_path / "old.duckdb")
    old.ensure()
    two_migrations()
    with (schema.MIGRATIONS / "0099_more.sql").open("a") as file:
        file.write("CREATE TABLE extra (b INTEGER);")  # exists already
    with pytest.raises(duckdb.Error):
        old.ensure()
    assert old.state() == "older"
    with duckdb.connect(str(old.path), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'extra'").fetchone() == (0,)
    fresh = db.Store(tmp_path / "fresh.duckdb")
    with pytest.raises(duckdb.Error):
        fresh.ensure()
    assert fresh.state() == "missing"


def test_changed_flags_and_views_are_brought_up_to_date(
    store: db.Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flags = [*db.FLAGS[1:], db.FLAGS[0]._replace(effect="unrated")]
    monkeypatch.setattr(schema, "FLAGS", tuple(flags))
    views = tmp_path / "views.sql"
    views.write_text(schema.VIEWS.read_text(encoding="utf-8") + "\nCREATE OR REPLACE VIEW v_new AS SELECT 1 AS a;")
    monkeypatch.setattr(schema, "VIEWS", views)
    store.ensure()
    stored = dict(store.query("SELECT flag, effect FROM flag_effects").itertuples(index=False))
    assert stored == {flag.name: flag.effect for flag in flags}
    assert store.query("SELECT a FROM v_new")["a"].tolist() == [1]


def test_many_make_it_at_once(tmp_path: Path, child: Child) -> None:
    code = """
import sys
import db
store = db.Store(sys.argv[1])
store.ensure()
with store.write() as writer:
    writer.execute("UPDATE meta SET value = value WHERE key = 'data_version'")
"""
    for process in [child(code, tmp_path / "new" / "store.duckdb") for _ in range(3)]:
        assert process.communicate()[1] == ""
    assert db.Store(tmp_path / "new" / "store.duckdb").data_version() == 3


# --- files that are no store


@pytest.mark.parametrize("content", [b"hello", b"x" * 50_000, b"SQLite format 3\0" + b"\0" * 8192])
def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.duckdb"
    path.write_bytes(content)
    store = db.Store(path)
    for attempt in (store.state, store.ensure, store.data_version):
        with pytest.raises(db.StoreUnusable, match=r"notes\.duckdb is not a DuckDB database") as caught:
            attempt()
        assert "不是 DuckDB 数据库" in caught.value.zh
    assert path.read_bytes() == content


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "theirs.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE theirs (a INTEGER)")
    for attempt in (db.Store(path).state, db.Store(path).ensure, db.Store(path).data_version):
        with pytest.raises(db.StoreUnusable, match="another program"):
            attempt()


def test_damaged_database(store: db.Store) -> None:
    content = bytearray(store.path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    content[8192:12288] = os.urandom(4096)
    store.path.write_bytes(content)
    with pytest.raises(db.StoreUnusable, match="cannot be used"):
        store.data_version()


def test_empty_file_is_a_creation_that_died(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    path.touch()
    assert db.Store(path).state() == "empty"
    with pytest.raises(db.StoreMissing):
        db.Store(path).data_version()
    db.Store(path).ensure()
    assert db.Store(path).state() == "current"


def test_place_that_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file / "store.duckdb", file / "deeper" / "store.duckdb"):
        with pytest.raises(db.StoreUnusable) as caught:
            db.Store(path).ensure()
        assert str(path) in str(caught.value) or str(path.parent) in str(caught.value)
    with pytest.raises(db.StoreUnusable):
        db.Store(tmp_path).ensure()  # a folder


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit per process")
def test_full_disk_leaves_no_half_file(tmp_path: Path, child: Child) -> None:
    code = """
import resource, signal, sys
import db
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
store = db.Store(sys.argv[1])
limit(8_000)
try:
    store.ensure()
except db.StoreUnusable as error:
    print(error, store.path.exists())
limit(1_500_000)
store.ensure()
rows = [{"key": f"{i:0200}", "sum_logprob": 1.0, "token_count": 1, "truncated": False} for i in range(20_000)]
try:
    with store.write() as writer:
        writer.insert("score_cache", rows)
except db.StoreUnusable as error:
    print(error)
"""
    path = tmp_path / "store.duckdb"
    out, err = child(code, path).communicate()
    assert err == ""
    made, written = out.splitlines()
    assert "disk is full" in made
    assert made.endswith("False")
    assert "disk is full" in written
    assert db.Store(path).query("SELECT count(*) AS n FROM score_cache")["n"].tolist() == [0]


# --- threads and crashes


def test_threads_read_their_own_rows(store: db.Store) -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(5):
            found = store.query("SELECT ?::INTEGER AS n, value FROM meta WHERE key = 'data_version'", [number])
            if found["n"].tolist() != [number]:
                wrong.append(number)

    def write(number: int) -> None:
        with store.write() as writer:
            writer.insert("events", [note(f"thread {number}")])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    threads += [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store.query("SELECT * FROM events")) == store.data_version() == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_writer_loses_nothing_it_acknowledged(store: db.Store, child: Child) -> None:
    code = """
import sys
from datetime import UTC, datetime
import db
store = db.Store(sys.argv[1])
for number in range(10_000):
    with store.write() as writer:
        for half in "ab":
            writer.insert("events", [{"event_id": f"{number}{half}", "at": datetime.now(UTC), "kind": "note",
                                      "name": str(number)}])
    print(number, flush=True)
"""
    process = child(code, store.path)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(12)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout.read().split()]
    process.wait()
    rows = store.query("SELECT name, count(*) AS n FROM events GROUP BY name")
    assert set(rows["n"]) == {2}  # never half a transaction
    assert {str(number) for number in acknowledged} <= set(rows["name"])
    with store.write() as writer:  # no stale lock
        writer.insert("events", [note("after")])
    assert store.data_version() == len(rows) + 1
