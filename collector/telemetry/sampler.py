"""The collector's side of the sampler: a process of its own that reads every sensor at absolute deadlines.

It is started with ``subprocess`` and not with ``multiprocessing``: a spawned worker of the latter imports the
parent's main module again, and with it everything heavy that a command imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from collector.errors import SensorError
from collector.telemetry.meter import POLL_S, parse_meter
from collector.telemetry.types import Capability, Factor, Sample
from collector.telemetry.wire import decode

__all__ = ["GPU_RATE_HZ", "RATE_HZ", "Quality", "Sampler", "probe", "quality", "require_meter"]

RATE_HZ = 10.0
GPU_RATE_HZ = 20.0  # NVML's safe floor of 50 ms; faster is not offered
_ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 3.0
_METER_ANSWER_S = 0.3  # what a meter on a wireless network usually takes at most
_ENOUGH, _TELLING = 0.99, 2.0
_MARGIN_S = 0.5  # around a window: driver stamps lag behind the sample that carries them


class Quality(NamedTuple):
    """How well a window was sampled.

    Attributes:
        sample_count: scheduled samples in the window.
        coverage: share of the planned ticks that came, 0..1.
        jitter_p99_s: 99th percentile of the absolute error of the interval, None with fewer than two samples.
    """

    sample_count: int
    coverage: float
    jitter_p99_s: float | None

    def poor(self, seconds: float, rate_hz: float) -> bool:
        """Less than 99 % of the planned samples came, and two or more are missing: one alone says little of a short window."""
        return self.coverage < _ENOUGH and (1.0 - self.coverage) * seconds * rate_hz >= _TELLING


class Sampler:
    """Starts, feeds and drains the sampler process.

    Args:
        rate_hz: rate of everything but the GPUs.
        gpu_rate_hz: rate of the GPU fields, at most 20.
        sysfs: root of sysfs (another one only in tests).
        nvml_library: path of the NVML library, None for the driver's own.
        watts_per_core: assumption of the energy estimate, None for its default.
        meter: a wall meter, e.g. ``shelly:192.168.1.20``; None without one.
        calibrations: factors by sensor; they are added to the capability rows of its energy.
        history_s: how far back samples are kept; must exceed the longest request.
    """

    def __init__(
        self, *, rate_hz: float = RATE_HZ, gpu_rate_hz: float = GPU_RATE_HZ, sysfs: Path = Path("/sys"),
        nvml_library: str | None = None, watts_per_core: float | None = None, meter: str | None = None,
        calibrations: Mapping[str, Sequence[Factor]] | None = None, history_s: float = 3600.0,
    ) -> None:  # fmt: skip
        if not 0.1 <= rate_hz <= 1000 or not 0.1 <= gpu_rate_hz <= GPU_RATE_HZ:
            raise SensorError(
                f"Sampling rates must be 0.1..1000 Hz and, for GPUs, 0.1..20 Hz, not {rate_hz}, {gpu_rate_hz}.",
                f"采样频率须在 0.1..1000 Hz（GPU 为 0.1..20 Hz）之间，而不是 {rate_hz} 和 {gpu_rate_hz}。",
            )
        self.rate_hz, self.gpu_rate_hz, self.history_s = rate_hz, gpu_rate_hz, history_s
        self.capabilities: list[Capability] = []
        config = {"rate_hz": rate_hz, "gpu_rate_hz": gpu_rate_hz, "sysfs": str(sysfs)}
        config |= {"nvml_library": nvml_library, "watts_per_core": watts_per_core}
        config["meter"] = meter
        if meter is not None:
            parse_meter(meter)  # a wrong one is refused here and not in the process
        self._config = json.dumps(config)
        self._calibrations = calibrations or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._pids: list[int] = []
        self._arrived = threading.Condition()
        self._history: list[Sample] = []
        self._drained = 0  # how many of the history were handed out by drain()
        self._since_start = 0
        self._heard = False  # the process has not hung up

    def start(self) -> list[Capability]:
        """Starts the process and waits for its first samples; one that runs already is kept.

        Returns:
            What every sensor can do on this machine.

        Raises:
            SensorError: no sample came; the sentence says where to look.
        """
        if self.alive:
            return list(self.capabilities)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_python_path())}
        with self._arrived:
            self._since_start, self.capabilities, self._heard = 0, [], True
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-m", "collector.telemetry.child", self._config],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
            start_new_session=True,  # Ctrl-C reaches the collector alone, and priority counts (priority.py)
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True, name="sampler")
        self._reader.start()
        with self._arrived:
            self._arrived.wait_for(lambda: self._since_start >= 2 or not self._heard, _START_LIMIT_S)
            started = self._since_start >= 2
        if not started:
            self.stop()
            raise SensorError(
                "The sampler process gave no samples; what it said is on standard error.",
                "采样进程没有给出样本；其输出见标准错误。",
            )
        if self._pids:
            self.watch(self._pids)
        return list(self.capabilities)

    def watch(self, pids: Sequence[int]) -> None:
        """Changes the watched root processes and has their trees scanned at once."""
        self._pids = list(pids)
        self._send({"watch": self._pids})

    def edge(self) -> None:
        """Asks for one extra reading of the cheap counters now, to sharpen the edge of a window."""
        self._send({"edge": True})

    def drain(self) -> list[Sample]:
        """Everything received since the last call, oldest first."""
        with self._arrived:
            fresh = self._history[self._drained :]
            self._drained = len(self._history)
            return fresh

    def between(self, t0_ns: int, t1_ns: int, margin_s: float = _MARGIN_S) -> list[Sample]:
        """Samples of the window and ``margin_s`` around it (more for a slow meter), and at least one either side."""
        margin_ns = round(max(margin_s, self._meter_lag_s() * 2 if margin_s else 0.0) * 1e9)
        with self._arrived:
            kept = self._history
            first = min(bisect_left(kept, t0_ns - margin_ns, key=_stamp), bisect_right(kept, t0_ns, key=_stamp) - 1)
            last = max(bisect_right(kept, t1_ns + margin_ns, key=_stamp), bisect_left(kept, t1_ns, key=_stamp) + 1)
            return kept[max(first, 0) : last]

    def wait_until(self, t_ns: int, timeout_s: float = 2.0) -> bool:
        """Waits for the samples that a window ending at ``t_ns`` needs; False when they do not come."""
        counters = [row for row in self.capabilities if row.status == "ok" and row.field.endswith("energy_j")]
        lag_s = max((min(row.update_period_s or 0.0, _MARGIN_S) for row in counters), default=0.0)
        if any(row.field == "gpu_energy_j" for row in counters):
            lag_s += 1.0 / self.gpu_rate_hz  # the tick that we wait for may have gone without its GPU reading
        needed_ns = t_ns + round(max(lag_s, self._meter_lag_s()) * 1e9)
        with self._arrived:
            self._arrived.wait_for(lambda: self._last_full_ns() >= needed_ns or not self._heard, timeout_s)
            return self._last_full_ns() >= needed_ns

    def _meter_lag_s(self) -> float:
        """How far the answer of a wall meter may lag behind the moment that it is needed for; 0 without one."""
        works = any(row.status == "ok" and row.field.startswith("machine_") for row in self.capabilities)
        return POLL_S + 1.0 / self.rate_hz + _METER_ANSWER_S if works else 0.0

    @staticmethod
    def quality(samples: Sequence[Sample], t0_ns: int, t1_ns: int, rate_hz: float = RATE_HZ) -> Quality:
        """See :func:`quality`."""
        return quality(samples, t0_ns, t1_ns, rate_hz)

    @property
    def alive(self) -> bool:
        """Whether the process runs and is heard."""
        return self._process is not None and self._process.poll() is None and self._heard

    def own_cpu(self) -> tuple[float, float] | None:
        """CPU seconds that the process used from its first sample on, as far as is kept, and over how long; None before two."""
        with self._arrived:
            own = self._history[-self._since_start :] if self._since_start else []
        used = [(s.t_ns, s.sampler_cpu_s) for s in own if s.sampler_cpu_s is not None]
        if len(used) < 2:
            return None
        return used[-1][1] - used[0][1], (used[-1][0] - used[0][0]) / 1e9

    def restart(self) -> list[Capability]:
        """Ends what is left of the process and starts another; received samples and watched pids are kept.

        Cumulative fields start again: a window across the restart has no energy. A sensor that worked and does not answer
        now keeps its row, so that answers are left without an energy and never get one of another scope.
        """
        before = {(row.sensor, row.field): row for row in self.capabilities if row.status == "ok" and row.tier is not None}
        self.stop()
        self.start()
        self.capabilities = [
            row if row.status == "ok" else before.get((row.sensor, row.field), row) for row in self.capabilities
        ]
        return list(self.capabilities)

    def stop(self) -> None:
        """Ends the process; what it had sent stays readable."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):  # it may have ended before us
            if process.stdin is not None:
                process.stdin.close()  # its sign to end
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(_STOP_LIMIT_S)
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _last_full_ns(self) -> int:
        full = (sample.t_ns for sample in reversed(self._history) if sample.sampler_cpu_s is not None)
        return next(full, 0)

    def _send(self, command: object) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            process.stdin.write(json.dumps(command).encode("ascii") + b"\n")
            process.stdin.flush()
        except OSError:
            return  # it died: `alive` tells, and a restart sends the pids again

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout or ():
            try:
                message = decode(line)
            except ValueError:
                continue  # cut short by its death
            with self._arrived:
                if isinstance(message, Sample):
                    self._history.append(message)
                    self._since_start += 1
                    self._forget(message.t_ns)
                else:
                    self.capabilities = [_calibrated(row, self._calibrations) for row in message]
                self._arrived.notify_all()
        with self._arrived:
            self._heard = False
            self._arrived.notify_all()

    def _forget(self, now_ns: int) -> None:
        """Drops what is older than the history, in big steps so that it costs nothing on average."""
        limit_ns = now_ns - round(self.history_s * 1e9)
        old = bisect_left(self._history, limit_ns, key=_stamp)
        if old > 1000 and old * 4 > len(self._history):
            del self._history[:old]
            self._drained = max(0, self._drained - old)


def _stamp(sample: Sample) -> int:
    return sample.t_ns


def _calibrated(row: Capability, calibrations: Mapping[str, Sequence[Factor]]) -> Capability:
    """The row of a counter with its calibration; other rows as they are."""
    of_gpus = row.field.startswith("gpu_")
    factors = tuple(factor for factor in calibrations.get(row.sensor, ()) if (factor.device is not None) == of_gpus)
    if row.status != "ok" or row.tier != "counter" or not factors:
        return row
    return replace(row, tier="calibrated", calibrations=factors)


def _python_path() -> list[str]:
    return [str(_ROOT), *(entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry)]


def probe(meter: str | None = None, calibrations: Mapping[str, Sequence[Factor]] | None = None) -> list[Capability]:
    """What the sensors of this machine can do, found by starting the sampler and ending it again.

    Raises:
        SensorError: the sampler gave no samples.
        UsageError: ``meter`` is no address of a wall meter.
    """
    with Sampler(meter=meter, calibrations=calibrations) as sampler:
        return list(sampler.capabilities)


def require_meter(capabilities: Sequence[Capability]) -> None:
    """Raises SensorError, with the cure, where the wall meter that was asked for does not work."""
    rows = [row for row in capabilities if row.field.startswith("machine_") and row.scope == "machine"]
    if any(row.status == "ok" for row in rows):
        return
    row = rows[0]  # there are rows of every meter that is asked for
    raise SensorError(f"{row.reason}; {row.cure}." if row.cure else f"{row.reason}.",
                      f"{row.reason_zh}；{row.cure_zh}。" if row.cure_zh else f"{row.reason_zh}。")  # fmt: skip


def quality(samples: Sequence[Sample], t0_ns: int, t1_ns: int, rate_hz: float = RATE_HZ) -> Quality:
    """How well ``samples`` (with at least one either side of the window) cover it at ``rate_hz``.

    Only scheduled samples of the base rate count. A tick is missing for every whole period by which an
    interval overlapping the window is too long; a window without a sample before or after it misses what lies
    between.
    """
    period_ns = 1e9 / rate_hz
    stamps = [sample.t_ns for sample in samples if sample.sampler_cpu_s is not None]
    count = sum(t0_ns <= stamp <= t1_ns for stamp in stamps)
    gaps = [(a, b) for a, b in zip(stamps, stamps[1:], strict=False) if b > t0_ns and a < t1_ns]
    if not gaps:
        return Quality(count, 0.0, None)
    errors_s = sorted(abs(b - a - period_ns) / 1e9 for a, b in gaps)
    missing_ns = sum(max(0.0, b - a - 1.5 * period_ns) for a, b in gaps)
    missing_ns += max(0, gaps[0][0] - t0_ns) + max(0, t1_ns - gaps[-1][1])
    span_ns = max(t1_ns, gaps[-1][1]) - min(t0_ns, gaps[0][0])
    rank = max(0, -(-99 * len(errors_s) // 100) - 1)
    return Quality(count, max(0.0, 1.0 - missing_ns / span_ns), errors_s[rank])
