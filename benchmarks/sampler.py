"""How regular and how cheap the sampler is on a machine whose every core is busy.

``python -m benchmarks.sampler [--seconds 60]`` prints one JSON line. ``ours`` is the sampler process at 10 Hz with its
samples crossing to the collector, ``ours_with_gpu`` the same with the fields of one GPU at 20 Hz through a fake NVML
library (needs a C compiler). Beside them, at the same rate and under the same load, each in a process that has work of
its own, which is where such monitors live:

* ``thread``: a thread that reads the same psutil figures;
* ``codecarbon``: CodeCarbon's offline tracker with all that it measures here;
* ``zeus``: Zeus's power monitor, which is a process and needs a GPU.

What cannot run is null and ``absent`` says why; they are no dependencies (``pip install codecarbon zeus``).

Targets: p99 interval error <= 2 ms where the scheduler grants a short slice, else <= 5 ms; coverage >= 99.5 %;
<= 2 % of one core, <= 3 % with the GPU fields.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from collector.telemetry import Sampler

RATE_HZ = 10.0
_FAKE_NVML = Path(__file__).resolve().parents[1] / "tests" / "collector" / "telemetry" / "fake_nvml.c"


class Absent(Exception):
    """A reference cannot run here; the text says why."""


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """One process per core that does nothing but use it."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def regularity(stamps_ns: Sequence[int], start_ns: int, end_ns: int) -> dict[str, Any]:
    """Interval error and coverage of a series of readings that was to have ``RATE_HZ``."""
    period_ns = 1e9 / RATE_HZ
    inside = [stamp for stamp in stamps_ns if start_ns <= stamp <= end_ns]
    gaps = [b - a for a, b in zip(inside, inside[1:], strict=False)]
    if not gaps:
        raise Absent(f"it took {len(inside)} samples")
    errors = sorted(abs(gap - period_ns) / 1e6 for gap in gaps)
    planned = (end_ns - start_ns) / period_ns
    missing = sum(max(0, round(gap / period_ns) - 1) for gap in gaps)
    missing += max(0, round((inside[0] - start_ns) / period_ns) - 1) + max(
        0, round((end_ns - inside[-1]) / period_ns) - 1
    )
    return {
        "samples": len(inside),
        "coverage": round(1 - missing / planned, 4),
        "interval_error_p50_ms": round(errors[len(errors) // 2], 3),
        "interval_error_p99_ms": round(errors[min(len(errors) - 1, int(0.99 * len(errors)))], 3),
        "interval_error_max_ms": round(errors[-1], 3),
    }


def ours(seconds: float, nvml_library: str | None = None) -> dict[str, Any]:
    """The sampler process, watching this process, while its collector only receives."""
    with Sampler(rate_hz=RATE_HZ, nvml_library=nvml_library) as sampler:
        sampler.watch([os.getpid()])
        time.sleep(1.0)
        own_s, start_ns = time.process_time(), time.monotonic_ns()
        time.sleep(seconds)
        own_s, end_ns = time.process_time() - own_s, time.monotonic_ns()
        sampler.wait_until(end_ns)
        samples = [s for s in sampler.between(start_ns, end_ns, 0) if s.sampler_cpu_s is not None]
        readings = sum(bool(s.gpus) for s in sampler.between(start_ns, end_ns, 0))
        granted = next(row.source for row in sampler.capabilities if row.field == "sampler_cpu_s")
    first, last = samples[0], samples[-1]
    child_s = (last.sampler_cpu_s or 0.0) - (first.sampler_cpu_s or 0.0)
    span_s = (last.t_ns - first.t_ns) / 1e9
    return regularity([s.t_ns for s in samples], start_ns, end_ns) | {
        "cpu_percent_of_a_core": round(100 * (child_s / span_s + own_s / seconds), 2),
        "gpu_readings_per_s": round(readings / seconds, 2),
        "scheduler": granted,
    }


def ours_with_gpu(seconds: float) -> dict[str, Any]:
    """The same with one GPU, whose NVML costs next to nothing: what is left is our own work on its fields."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Absent("no C compiler for the fake NVML library")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "libfakenvml.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _FAKE_NVML], check=True)
        return ours(seconds, str(library))


def _work_until(end_ns: int) -> None:
    text = json.dumps([{"model": "m", "message": {"content": "x" * 20}, "n": n} for n in range(200)])
    while time.monotonic_ns() < end_ns:
        json.loads(text)


def thread(seconds: float) -> dict[str, Any]:
    """A thread with a sleep, in a process that has work of its own."""
    stamps: list[int] = []
    spent_s = 0.0
    start_ns = time.monotonic_ns()
    end_ns = start_ns + round(seconds * 1e9)

    def sample() -> None:
        nonlocal spent_s
        own = psutil.Process()
        while time.monotonic_ns() < end_ns:
            stamps.append(time.monotonic_ns())
            psutil.cpu_percent()
            psutil.virtual_memory()
            psutil.disk_io_counters()
            own.cpu_times()
            own.memory_info()
            spent_s = time.thread_time()
            time.sleep(1 / RATE_HZ)

    monitor = threading.Thread(target=sample)
    monitor.start()
    _work_until(end_ns)
    monitor.join()
    return regularity(stamps, start_ns, end_ns) | {"cpu_percent_of_a_core": round(100 * spent_s / seconds, 2)}


def codecarbon(seconds: float) -> dict[str, Any]:
    """CodeCarbon's tracker at the same rate, in a process that has work of its own."""
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError as error:
        raise Absent("codecarbon is not installed") from error

    stamps: list[int] = []
    spent_s = 0.0

    class Tracker(OfflineEmissionsTracker):
        def _measure_power_and_energy(self) -> None:
            nonlocal spent_s
            stamps.append(time.monotonic_ns())
            begun_s = time.thread_time()
            super()._measure_power_and_energy()
            spent_s += time.thread_time() - begun_s

    tracker = Tracker(
        country_iso_code="USA", measure_power_secs=1 / RATE_HZ, save_to_file=False, log_level="critical",
        allow_multiple_runs=True,
    )  # fmt: skip
    tracker.start()
    start_ns = time.monotonic_ns()
    end_ns = start_ns + round(seconds * 1e9)
    _work_until(end_ns)
    tracker.stop()
    return regularity(stamps, start_ns, end_ns) | {"cpu_percent_of_a_core": round(100 * spent_s / seconds, 2)}


def zeus(seconds: float) -> dict[str, Any]:
    """Zeus's power monitor at the same rate: its stamps cross a queue, so only its samples are known."""
    try:
        from zeus.monitor.power import PowerMonitor
    except ImportError as error:
        raise Absent("zeus is not installed") from error
    try:
        monitor = PowerMonitor(update_period=1 / RATE_HZ, power_domains=["device_instant"])
    except Exception as error:  # noqa: BLE001  it has no common root for a machine without a GPU
        raise Absent(f"zeus reads no GPU here ({error})") from error
    children = psutil.Process().children(recursive=True)
    time.sleep(1.0)
    offset_s = time.time() - time.monotonic()
    before_s = sum(sum(child.cpu_times()[:2]) for child in children)
    start_ns = time.monotonic_ns()
    end_ns = start_ns + round(seconds * 1e9)
    _work_until(end_ns)
    spent_s = sum(sum(child.cpu_times()[:2]) for child in children) - before_s
    timeline = next(iter(monitor.get_power_timeline("device_instant").values()))
    monitor.stop()
    stamps = [round((at - offset_s) * 1e9) for at, _ in timeline]
    return regularity(stamps, start_ns, end_ns) | {"cpu_percent_of_a_core": round(100 * spent_s / seconds, 2)}


def main() -> None:
    """Prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each measurement")
    seconds = parser.parse_args().seconds
    cores = os.cpu_count() or 1
    figures: dict[str, Any] = {}
    absent: dict[str, str] = {}
    with busy_cores(cores):
        for measure in (ours, ours_with_gpu, thread, codecarbon, zeus):
            name = measure.__name__
            try:
                figures[name] = measure(seconds) | {"load_average": round(psutil.getloadavg()[0], 1)}
            except Absent as why:
                figures[name], absent[name] = None, str(why)
    print(json.dumps({"benchmark": "sampler", "rate_hz": RATE_HZ, "seconds": seconds, "busy_cores": cores, **figures,
                      "absent": absent}))  # fmt: skip


if __name__ == "__main__":
    main()
