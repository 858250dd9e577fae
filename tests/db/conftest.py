"""A fresh store, rows that fill it, and child processes that use it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import db
from tests.db.db_rows import START, campaign, configuration, quality, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = db.Store(tmp_path_factory.mktemp("empty") / "store.duckdb")
    store.ensure()
    return store.path


@pytest.fixture(scope="session")
def filled_file(tmp_path_factory: pytest.TempPathFactory, empty_file: Path) -> Path:
    store = db.Store(shutil.copy(empty_file, tmp_path_factory.mktemp("filled")))
    fill(store)
    return store.path


@pytest.fixture
def store(tmp_path: Path, empty_file: Path) -> db.Store:
    return db.Store(shutil.copy(empty_file, tmp_path))


@pytest.fixture
def filled(tmp_path: Path, filled_file: Path) -> db.Store:
    return db.Store(shutil.copy(filled_file, tmp_path))


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python code in a process of its own; its arguments are ``sys.argv[1:]``."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def fill(store: db.Store) -> None:
    """One campaign with answers of every kind: scored, unscored, unscorable, flagged, failed."""
    with store.write() as writer:
        writer.insert("machines", [{
            "machine_id": "m1", "cpu_model": "cpu", "os_family": "linux", "fingerprint": {"ram": 1},
            "first_seen_at": START,
        }])  # fmt: skip
        writer.insert("campaigns", [campaign("c1"), campaign("c0", started_at=START - timedelta(days=1))])
        writer.insert("configurations", [configuration("k1"), configuration("k2", parameter_count=None)])
        writer.insert("runs", [
            run(1),
            run(2, flags=["cut_off", "client_lag"]),
            run(3, flags=["throttled"], configuration_id="k2"),
            run(4, status="fault", fault="http_500", flags=["http_500"], energy_j=None, energy_tier=None,
                energy_scope=None, output_text=None),
            run(5, task="code", language="zh", output_text="答案"),
            run(6, flags=["of_a_newer_version"]),
        ])  # fmt: skip
        writer.insert("qualities", [
            quality("r1"),
            quality("r2", quality=0.0, flags=["cut_off", "looping"]),
            quality("r5", quality=None, quality_reason="no_checkpoint"),
        ])  # fmt: skip
        writer.insert("scores", [
            {"run_id": "r1", "metric": "bartscore", "direction": "s_h", "raw": -2.0, "scored_at": START},
        ])  # fmt: skip
        writer.insert("samples", [
            {"run_id": "r1", "t_s": t_s, "power_w": 10.0 if t_s else None} for t_s in (0.2, 0.0, 0.1)
        ])  # fmt: skip
        writer.insert("cells", [
            {"cell_id": f"cell{i}", "campaign_id": "c1", "position": i, "model": "m", "task": "qa",
             "load": "short", "language": "en", "item": "i", "item_hash": "h", "repeat": 1, "seed": 7,
             "state": state} for i, state in enumerate(["done", "done", "failed", "planned"])
        ])  # fmt: skip
