"""The pages on large stores: server time of Ratings and of one run's trace, and the memory of the process.

For every size a store is written (``generate``: 20 configurations, 240 items, 300 samples a run), rated by the command
and opened in a process of its own, as a visitor does: *cold* with nothing cached, *warm* as a second visitor. The reference
makes the same table of figures from the columns that it needs of ``v_runs``, loaded into pandas.
Prints one JSON line. Run: ``python -m benchmarks.pages [--runs 10000 100000 1000000] [--samples-per-run 300]``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

import db
from db import Store

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATIONS, ITEMS = 20, 240
SAMPLED_RUNS = 100_000
"""Most runs that get samples: a million runs keep those of the newest ones."""

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_CONFIGURATIONS = """
INSERT INTO configurations (configuration_id, model, model_base, digest, family, parameter_count, quantization,
    context_length, options, engine, engine_version, demo, first_seen_at)
SELECT 'model-' || i || '#0', 'model-' || i, 'model-' || i // 2, 'digest-' || i, 'family-' || i % 5, (1 + i) * 1000000000,
    CASE WHEN i % 2 = 0 THEN 'Q4_K_M' ELSE 'Q8_0' END, 4096, '{"temperature": 0.7}', 'ollama', '0.32.15', false, ?
FROM range(?) t(i)
"""
_RUNS = """
INSERT INTO runs (run_id, cell_id, campaign_id, configuration_id, machine_id, cohort, task, load, language, item,
    item_hash, repeat, attempt, seed, temperature, max_output_tokens, started_at, status, done_reason, flags, prompt,
    has_reference, output_text, ttft_s, total_s, decode_tokens_per_s, prompt_tokens, output_tokens, energy_j, energy_low_j,
    energy_high_j, energy_tier, energy_scope, sample_count, sample_coverage)
SELECT 'run-' || md5(n::VARCHAR), 'cell-' || n, 'night', 'model-' || model || '#0', 'machine', 'bench cohort', task, load,
    language, 'item-' || item, 'item-' || item, repeat, 1, 42 + repeat, 0.7, 640, ?::TIMESTAMP + to_seconds(n * 3),
    'ok', 'stop', CASE WHEN n % 50 = 0 THEN ['throttled'] WHEN n % 7 = 0 THEN ['client_lag'] ELSE [] END,
    repeat('Explain the matter of item ' || item || ' in your own words. ', 8), true, repeat('An answer of some words. ', 20),
    0.1 + 0.01 * model, 2 + 0.1 * model, 200.0 / (1 + model), 120, 150,
    joules, 0.95 * joules, 1.05 * joules, 'counter', 'gpu+cpu', 30, 1.0
FROM (SELECT n, n % $configurations AS model, n // $configurations % $items AS item,
        n // ($configurations * $items) AS repeat,
        ['qa', 'summary', 'code', 'creative'][1 + n // $configurations % 4] AS task,
        ['short', 'medium', 'long'][1 + n // $configurations // 4 % 3] AS load,
        ['en', 'zh'][1 + n // $configurations // 12 % 2] AS language,
        pow(2, (n % $configurations) / 8.0) * 20 * (0.5 + hash(n) % 1000 / 1000.0) AS joules
    FROM range($runs) t(n))
"""
_QUALITIES = """
INSERT INTO qualities (run_id, quality, factuality, relevance, fluency, flags, scorer_version, checkpoint, scored_at)
SELECT run_id, q, q, q, q, [], 'bench', 'bench', started_at
FROM (SELECT run_id, started_at, 0.4 + hash(run_id) % 600 / 1000.0 AS q FROM runs)
"""
_SAMPLES = """
INSERT INTO samples (run_id, t_s, cpu_percent, process_cpu_percent, process_cpu_s, memory_percent, memory_bytes,
    disk_read_bytes, disk_write_bytes, gpu_percent, vram_bytes, power_w, power_scope, gpu_energy_j, temperature_c)
SELECT 'run-' || md5(n::VARCHAR), s / 10.0, 20 + s % 5, 110 + s % 7, s / 9.0, 40, 4000000000 + s * 1000, n, n, 90 + s % 9,
    8000000000, 250 + s % 30, 'gpu+cpu', n * 100.0 + s * 25, 60 + s % 10
FROM range(?, ?) r(n), range(?) t(s) ORDER BY n, s
"""
_VISIT = """
import json, sys, time
from pathlib import Path
from streamlit.testing.v1 import AppTest
from pages import _ui
from pages._ui import charts, data, export, table, queries
import rating, psutil
router, empty, full, run, other = sys.argv[1:6]
import os
# AppTest reads the metadata of all installed packages for every new visitor; a server does so once
import streamlit.components.v2.manifest_scanner as scanner
scanner.scan_component_manifests = list
def visit(path, page=None, **query):
    os.environ["ENERGY_RATING_DB"] = path
    at = AppTest.from_file(router, default_timeout=300)
    at.query_params["lang"] = "en"
    if page:
        at.run(); at.switch_page(page)
    for name, value in query.items():
        at.query_params[name] = value
    start = time.perf_counter()
    at.run()
    assert not at.exception, at.exception
    return time.perf_counter() - start
visit(empty)                       # imports and Streamlit's own start are not the store's doing
told = {"ratings_cold_s": visit(full), "ratings_warm_s": visit(full)}
told["runs_page_cold_s"] = visit(full, "runs.py", run=run)
told["trace_s"] = visit(full, "runs.py", run=other)  # a run that nobody looked at yet; the list is cached
told["memory_mb"] = psutil.Process().memory_info().rss / 1e6
print(json.dumps(told))
"""


def generate(path: Path, runs: int, samples_per_run: int) -> Store:
    """Writes a store with ``runs`` answers and ``samples_per_run`` samples for each of the newest ``SAMPLED_RUNS``."""
    store = Store(path)
    store.ensure()
    size = {"configurations": CONFIGURATIONS, "items": ITEMS, "runs": runs}
    stamp = _NOW.replace(tzinfo=None)
    with store.write() as writer:
        writer.insert("machines", [{"machine_id": "machine", "cpu_model": "bench", "os_family": "linux", "fingerprint": {},
                                    "first_seen_at": _NOW}])  # fmt: skip
        writer.insert("campaigns", [{
            "campaign_id": "night", "name": "night", "experiment_hash": "e", "experiment_toml": "", "packages": {},
            "machine_id": "machine", "engine": "ollama", "engine_version": "0.32.15", "suite_version": "1",
            "status": "finished", "started_at": _NOW, "finished_at": _NOW,
        }])  # fmt: skip
        writer.execute(_CONFIGURATIONS, [stamp, CONFIGURATIONS])
        sql = _RUNS.replace("?::TIMESTAMP", "TIMESTAMP '2026-11-01'")
        for name, value in size.items():
            sql = sql.replace(f"${name}", str(value))  # constants of this file
        writer.execute(sql)
        writer.execute(_QUALITIES)
    step = 5_000
    for first in range(max(0, runs - SAMPLED_RUNS), runs, step):
        with store.write() as writer:
            writer.execute(_SAMPLES, [first, min(first + step, runs), samples_per_run])
    return store


def reference(store: Store) -> float:
    """Seconds for the table of figures from the columns it needs, loaded into pandas."""
    start = time.perf_counter()
    frame = store.query(
        "SELECT cohort, configuration, model, quantization, task, demo, energy_tier, energy_j, energy_net_j, quality,"
        " decode_tokens_per_s, ttft_s, total_s, output_tokens, status, flags FROM v_runs"
    )
    left_out = frame["flags"].str.split(",").map(lambda names: "throttled" in names)
    frame = frame[(frame["status"] == "ok") & ~left_out]
    means = ["energy_j", "energy_net_j", "quality", "output_tokens"]
    medians = ["decode_tokens_per_s", "ttft_s", "total_s"]
    for keys in (["cohort", "configuration", "task"], ["cohort", "configuration"]):
        groups = frame.groupby(keys)
        parts = [groups[means].mean(), groups[medians].median(), groups["quality"].count().rename("scored")]
        pd.concat(parts, axis=1)
    return time.perf_counter() - start


def measured(store: Store, runs: int, empty: Path) -> dict[str, Any]:
    """Figures of one store."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "rating", "table", "--db", str(store.path)], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    rated = time.perf_counter() - start
    numbers = [max(0, runs - SAMPLED_RUNS // 2), runs - 1]
    chosen = [str(store.query("SELECT 'run-' || md5(?::BIGINT::VARCHAR) AS run", [n])["run"][0]) for n in numbers]
    call = [sys.executable, "-c", _VISIT, str(ROOT / "pages" / "_router.py"), str(empty), str(store.path),
            *chosen]  # fmt: skip
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    start = time.perf_counter()
    db.figures(store)
    ours = time.perf_counter() - start
    theirs = reference(store)
    return {
        **{name: round(value, 3) for name, value in json.loads(done.stdout.splitlines()[-1]).items()},
        "table_s": round(ours, 3), "pandas_table_s": round(theirs, 3), "ratio": round(theirs / ours, 1),
        "rating_command_s": round(rated, 1), "store_mb": round(store.path.stat().st_size / 1e6),
    }  # fmt: skip


def main() -> None:
    """Runs every size and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--samples-per-run", type=int, default=300)
    asked = parser.parse_args()
    told: dict[str, Any] = {"benchmark": "pages", "samples_per_run": asked.samples_per_run}
    for runs in asked.runs:
        with tempfile.TemporaryDirectory() as folder:
            empty = Path(folder) / "empty.duckdb"
            Store(empty).ensure()
            store = generate(Path(folder) / "large.duckdb", runs, asked.samples_per_run)
            told[str(runs)] = measured(store, runs, empty)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
