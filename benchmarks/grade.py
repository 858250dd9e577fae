"""``python -m rating grade`` on files of 10^4, 10^5 and 10^6 rows: seconds and peak memory of its own process.

10^6 rows are 50 models x 4 tasks x 1,000 items x 5 repeats; the smaller files have fewer items. The reference is the
same letter from pandas' group means without any bootstrap. Prints one JSON line. Run: ``python benchmarks/grade.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
MODELS, TASKS, REPEATS = 50, 4, 5
PEAK = """
import sys, runpy
sys.argv = ["rating", *sys.argv[1:]]
try:
    runpy.run_module("rating", run_name="__main__")
except SystemExit as end:
    code = end.code
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
except ImportError:  # Windows
    import psutil
    peak = psutil.Process().memory_info().peak_wset
print(peak, file=sys.stderr)
sys.exit(code)
"""


def write(path: Path, rows: int) -> None:
    """A file of ``rows`` answers."""
    items = rows // (MODELS * TASKS * REPEATS)
    index = np.arange(rows)
    repeat, item = index % REPEATS, index // REPEATS % items
    task, model = index // (REPEATS * items) % TASKS, index // (REPEATS * items * TASKS)
    rng = np.random.default_rng(rows)
    frame = pd.DataFrame(
        {
            "model": np.char.add("model-", model.astype(str)),
            "task": np.array(["qa", "summary", "code", "creative"])[task],
            "item": np.char.add("item-", item.astype(str)),
            "repeat": repeat,
            "energy_j": np.round(2.0 ** (model / 10) * np.exp(0.5 * rng.normal(size=rows)), 4),
            "quality": np.round(rng.random(rows), 4),
            "energy_tier": "counter",
        }
    )
    frame.to_csv(path, index=False)


def ours(path: Path) -> tuple[float, float]:
    """Seconds and peak MB of the command."""
    call = [sys.executable, "-c", PEAK, "grade", str(path), "--basket", "model-0,model-20,model-40", "--json"]
    start = time.perf_counter()
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    assert len(json.loads(done.stdout)) == MODELS * (TASKS + 1)
    return seconds, int(done.stderr.split()[-1]) / 1e6


def reference(path: Path) -> float:
    """Seconds for reading the file and the point EEI by pandas."""
    start = time.perf_counter()
    frame = pd.read_csv(path)
    cells = frame.groupby(["task", "model", "item"])[["energy_j", "quality"]].mean()
    sums = cells.groupby(["task", "model"]).sum()
    x = (sums["energy_j"] / sums["quality"]).unstack()
    (x.T / np.exp(np.log(x[["model-0", "model-20", "model-40"]]).mean(axis=1))).to_json()
    return time.perf_counter() - start


def main() -> None:
    """Runs the three sizes and prints the line."""
    result: dict[str, object] = {"benchmark": "grade", "draws": 2000}
    with tempfile.TemporaryDirectory() as folder:
        for power in (4, 5, 6):
            path = Path(folder) / "rows.csv"
            write(path, 10**power)
            seconds, megabytes = ours(path)
            result[f"1e{power}"] = {
                "seconds": round(seconds, 2),
                "peak_mb": round(megabytes),
                "pandas_means_only_s": round(reference(path), 2),
            }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
