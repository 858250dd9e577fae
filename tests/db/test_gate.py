"""The gate between processes: nobody starves, foreign programs are waited for and named."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

import db
from db.gate import gate
from tests.db.db_rows import note

Child = Callable[..., subprocess.Popen[str]]

READER = """
import sys, time
from pathlib import Path
from db.gate import gate
print("up", flush=True)
count = 0
while not Path(sys.argv[2]).exists():
    with gate(Path(sys.argv[1]), exclusive=False, timeout_s=30):
        time.sleep(0.05)
    count += 1
print(count)
"""

FOREIGN = """
import sys, time, duckdb
con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "ro")
print("held", flush=True)
sys.stdin.readline()
"""


def test_writer_is_not_starved_by_overlapping_readers(tmp_path: Path, child: Child) -> None:
    database, stop = tmp_path / "x.duckdb", tmp_path / "stop"
    readers = [child(READER, database, stop) for _ in range(3)]
    for reader in readers:
        assert reader.stdout is not None
        reader.stdout.readline()
    # Without the turnstile three readers, each inside nearly all of the time, leave no gap for ten writers in a row.
    for _ in range(10):
        with gate(database, exclusive=True, timeout_s=30):
            pass
    stop.touch()
    counts = [int(reader.communicate()[0]) for reader in readers]
    assert min(counts) >= 1  # and the readers were not starved by the writer


def test_alone_means_alone(tmp_path: Path, child: Child) -> None:
    code = """
import sys
from pathlib import Path
from db.gate import gate
counter = Path(sys.argv[2])
for _ in range(60):
    with gate(Path(sys.argv[1]), exclusive=True, timeout_s=30):
        counter.write_text(str(int(counter.read_text()) + 1))
"""
    counter = tmp_path / "counter"
    counter.write_text("0")
    for process in [child(code, tmp_path / "x.duckdb", counter) for _ in range(2)]:
        assert process.communicate()[1] == ""
    assert counter.read_text() == "120"


def free(database: Path, *, exclusive: bool) -> bool:
    try:
        with gate(database, exclusive=exclusive, timeout_s=0.05):
            return True
    except db.StoreLocked as error:
        assert str(database) in str(error)
        return False


def test_readers_share_and_keep_a_writer_out(tmp_path: Path) -> None:
    database = tmp_path / "x.duckdb"
    with gate(database, exclusive=False, timeout_s=0), gate(database, exclusive=False, timeout_s=0):
        assert not free(database, exclusive=True)
        assert free(database, exclusive=False)
    with gate(database, exclusive=True, timeout_s=0):
        assert not free(database, exclusive=False)
        assert not free(database, exclusive=True)
    assert free(database, exclusive=True)  # everything was given back, after errors too


@pytest.mark.parametrize("mode", ["rw", "ro"])
def test_foreign_program_is_named(store: db.Store, child: Child, mode: str) -> None:
    process = child(FOREIGN, store.path, mode)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    with pytest.raises(db.StoreLocked, match=rf"PID {process.pid}") as caught, store.write(timeout_s=0.2):
        pass
    assert f"PID {process.pid}" in caught.value.zh
    if mode == "rw":
        with pytest.raises(db.StoreLocked, match=rf"PID {process.pid}"), store.read(timeout_s=0.2):
            pass
    else:
        with store.read(timeout_s=5):
            pass
    process.stdin.write("\n")  # it goes away while we wait
    process.stdin.flush()
    with store.write(timeout_s=30) as writer:
        writer.insert("events", [note("a")])
    assert store.data_version() == 1


def test_foreign_connection_in_this_process(store: db.Store) -> None:
    with duckdb.connect(str(store.path)):
        for attempt in (store.read(timeout_s=0.05), store.write(timeout_s=0.05)):
            with pytest.raises(db.StoreLocked), attempt:
                pass
    assert store.data_version() == 0


def test_file_is_free_after_a_read_even_if_its_result_lives(store: db.Store, child: Child) -> None:
    frame = store.query("SELECT * FROM flag_effects")
    with store.read() as con:
        cursor = con.execute("SELECT * FROM flag_effects")
        cursor.fetchone()
    process = child(FOREIGN, store.path, "rw")
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held", process.communicate()
    assert len(frame) == len(db.FLAGS)


def test_reader_passes_where_no_gate_can_be_made(store: db.Store) -> None:
    store.path.with_name(store.path.name + ".turn").mkdir()  # as good as a read-only folder
    assert store.data_version() == 0
    with pytest.raises(db.StoreUnusable, match="cannot be written"), store.write():
        pass


READ_ONLY = """
import os, sys
import db
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
store = db.Store(sys.argv[1])
store.ensure()  # current: nothing to write
print(store.state(), store.data_version())
try:
    with store.write(timeout_s=1):
        pass
except db.StoreUnusable as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("sidecars", [True, False])
def test_read_only_folder(child: Child, sidecars: bool) -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, which is closed to other users
        folder = Path(name)
        store = db.Store(folder / "store.duckdb")
        store.ensure()
        if not sidecars:
            for suffix in (".turn", ".lk"):
                (folder / f"store.duckdb{suffix}").unlink()
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        try:
            out, err = child(READ_ONLY, store.path).communicate()
        finally:
            folder.chmod(0o755)
        lines = out.splitlines()
        assert lines[:1] == ["current 0"], err
        assert "permission" in lines[1] or "cannot be written" in lines[1]


def test_gate_survives_a_killed_holder(tmp_path: Path, child: Child) -> None:
    code = """
import sys, time
from pathlib import Path
from db.gate import gate
with gate(Path(sys.argv[1]), exclusive=True, timeout_s=5):
    print("in", flush=True)
    time.sleep(60)
"""
    process = child(code, tmp_path / "x.duckdb")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    with gate(tmp_path / "x.duckdb", exclusive=True, timeout_s=5):
        pass


def test_sidecars_stay_empty(store: db.Store) -> None:
    with store.write() as writer:
        writer.insert("events", [note(json.dumps("x"))])
    names = sorted(file.name for file in store.path.parent.iterdir())
    assert names == ["store.duckdb", "store.duckdb.lk", "store.duckdb.turn"]
    assert store.path.with_name("store.duckdb.lk").stat().st_size == 0
