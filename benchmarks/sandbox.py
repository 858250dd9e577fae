"""What the sandbox costs per run, beside the same interpreter without any: median and 95th percentile.

``python -m benchmarks.sandbox [--runs 40]`` prints one JSON line. Every backend that holds here runs an empty program
and eight cases of a small function; the reference starts the same Python with the program on its command line. They
take turns, so that other load meets all of them. Goal: at most 150 ms median overhead.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import time
from collections.abc import Callable

from collector.quality.sandbox import Case, prove
from collector.quality.sandbox.backends import BACKENDS, Backend, interpreter
from collector.quality.sandbox.cases import call_cases
from collector.quality.sandbox.supervise import limits_of, supervise

_FUNCTION = "def double(x):\n    return 2 * x"
_CASES = [Case([n], 2 * n) for n in range(8)]


def _bare() -> None:
    subprocess.run([interpreter(), "-S", "-c", "pass"], check=True, stdin=subprocess.DEVNULL)


def _empty(backend: Backend) -> None:
    job = {"nonce": secrets.token_hex(16), "code": "pass", "entry_point": None}
    assert supervise(backend, job, "", limits_of(10)).status == "ok"


def _cases(backend: Backend) -> None:
    assert call_cases(backend, _FUNCTION, "double", _CASES, 10.0).passed


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    holding = {report.backend for report in prove() if report.holds}
    work: dict[str, Callable[[], None]] = {"bare": _bare}
    for backend in BACKENDS:
        if backend.name in holding:
            work[backend.name] = lambda b=backend: _empty(b)  # type: ignore[misc]
            work[backend.name + "_cases"] = lambda b=backend: _cases(b)  # type: ignore[misc]
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, step in work.items():
            start = time.perf_counter()
            step()
            taken[name].append((time.perf_counter() - start) * 1e3)
    bare_ms = statistics.median(taken.pop("bare"))
    found: dict[str, object] = {"benchmark": "sandbox", "runs": runs, "bare_python_ms": round(bare_ms, 1)}
    for name, times in taken.items():
        found[name] = {
            "median_overhead_ms": round(statistics.median(times) - bare_ms, 1),
            "p95_overhead_ms": round(statistics.quantiles(times, n=20)[-1] - bare_ms, 1),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
