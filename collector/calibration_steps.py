"""The steps of a calibration: loads that rise and fall, and what the sensors read meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from collector.calibration import Device, Point
from collector.errors import SensorError
from collector.telemetry.sampler import Sampler
from collector.telemetry.series import Curve, Source, counters, find_sources, powers
from collector.telemetry.types import Capability, Sample

__all__ = [
    "LEVELS", "Load", "ProcessLoad", "Step", "devices", "loads_for", "mean_powers", "measure_steps", "plan", "run_steps",
]  # fmt: skip

LEVELS = (0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25)  # up and down, so that a drift does not look like a gain
_READY_S = 120.0  # PyTorch and its kernels take their time on a cold disk


class Load(Protocol):
    """Something that can be made to work a share of the time."""

    name: str

    def set(self, share: float) -> None:
        """Works ``share`` (0 to 1) of the time from now on."""

    def stop(self) -> None:
        """Ends it."""


class ProcessLoad:
    """Processes of ``collector.calibration_load`` that work alike.

    Raises:
        SensorError: a process did not become ready.
    """

    def __init__(self, name: str, kind: str, count: int, environment: dict[str, str] | None = None) -> None:
        self.name = name
        command = [sys.executable, "-m", "collector.calibration_load", kind]
        self._processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})},
                text=True, creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            for _ in range(count)
        ]  # fmt: skip
        for process in self._processes:
            assert process.stdout is not None  # noqa: S101  a pipe was asked for
            if process.stdout.readline().strip() != "ready":
                self.stop()
                raise SensorError(f"The load on {name} did not start; what it said is on standard error.",
                                  f"{name} 的负载未能启动；其输出见标准错误。")  # fmt: skip

    def set(self, share: float) -> None:
        """Passes the share on to every process."""
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101  a pipe was asked for
            process.stdin.write(f"{share}\n")
            process.stdin.flush()

    def stop(self) -> None:
        """Hangs up and, where that does not help, kills."""
        for process in self._processes:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        for process in self._processes:
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def loads_for(devices: Sequence[Device]) -> Iterator[list[Load]]:
    """One load per device: a matrix product on a GPU, a busy process per core for the CPU."""
    loads: list[Load] = []
    try:
        for device in devices:
            if device.device is None:
                loads.append(ProcessLoad(str(device), "cpu", os.cpu_count() or 1))
            else:
                # by UUID: CUDA numbers GPUs by speed, NVML by bus
                loads.append(ProcessLoad(str(device), "gpu", 1, {"CUDA_VISIBLE_DEVICES": device.device}))
        yield loads
    finally:
        for load in loads:
            load.stop()


@dataclass(frozen=True, slots=True)
class Step:
    """A window in which the load did not change."""

    label: str
    start_ns: int
    end_ns: int
    began_at: datetime
    ended_at: datetime


def plan(loads: int, levels: Sequence[float] = LEVELS) -> list[tuple[int | None, float]]:
    """Which load works how much, step by step; idle before, between and after."""
    steps: list[tuple[int | None, float]] = [(None, 0.0)]
    for which in range(loads):
        steps += [*((which, level) for level in levels), (None, 0.0)]
    return steps


def measure_steps(
    loads: Sequence[Load], step_s: float, settle_s: float, *, on_step: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep, now_ns: Callable[[], int] = time.monotonic_ns,
) -> list[Step]:  # fmt: skip
    """Runs the plan; a step's window begins ``settle_s`` after the load changed (meters lag, supplies settle)."""
    steps = []
    for which, level in plan(len(loads)):
        for place, load in enumerate(loads):
            load.set(level if place == which else 0.0)
        label = "idle" if which is None else f"{loads[which].name} {level:.0%}"
        on_step(label)
        sleep(settle_s)
        start_ns, began_at = now_ns(), datetime.now(UTC)
        sleep(step_s)
        steps.append(Step(label, start_ns, now_ns(), began_at, datetime.now(UTC)))
    return steps


def devices(capabilities: Sequence[Capability], gpus: Sequence[str | None]) -> list[Device]:
    """What can be calibrated here: every GPU with a UUID, and the CPU packages, where their sensors work."""
    found = find_sources(capabilities)
    cards = [Device(found["gpu"].sensor, uuid) for uuid in gpus if uuid] if "gpu" in found else []
    return [*cards, *([Device(found["cpu"].sensor, None)] if "cpu" in found else [])]


@dataclass(frozen=True, slots=True)
class _Trace:
    """The curves of one device: its counter where there is one, and its power readings."""

    counter: Curve | None
    power: Curve | None

    def mean_w(self, step: Step) -> float | None:
        """By the counter, else by the power readings; None where neither covers the step."""
        for curve in (self.counter, self.power):
            joules = None if curve is None else curve.energy_j(step.start_ns, step.end_ns)
            if joules is not None:
                return joules / ((step.end_ns - step.start_ns) / 1e9)
        return None


def _trace(source: Source, samples: Sequence[Sample]) -> _Trace:
    ticks = counters(source, samples, None) if source.counter else []
    instants = powers(source, samples) if source.power else []
    return _Trace(next(iter(ticks), None), next(iter(instants), None))


def mean_powers(samples: Sequence[Sample], capabilities: Sequence[Capability], steps: Sequence[Step]) -> list[Point]:
    """What every sensor read in each step, uncalibrated; the meter's figure is None where it gave none."""
    found = find_sources(capabilities)
    traces: dict[Device, _Trace] = {}
    if "cpu" in found:
        traces[Device(found["cpu"].sensor, None)] = _trace(found["cpu"], samples)
    if "gpu" in found:
        for uuid in sorted({gpu.uuid for sample in samples for gpu in sample.gpus if gpu.uuid}):
            own = [replace(sample, gpus=tuple(gpu for gpu in sample.gpus if gpu.uuid == uuid)) for sample in samples]
            traces[Device(found["gpu"].sensor, uuid)] = _trace(found["gpu"], own)
    wall = _trace(found["machine"], samples) if "machine" in found else _Trace(None, None)
    points = []
    for step in steps:
        means = {device: trace.mean_w(step) for device, trace in traces.items()}
        known = {device: watts for device, watts in means.items() if watts is not None}
        points.append(Point(step.label, step.began_at, step.ended_at, known, wall.mean_w(step)))
    return points


def run_steps(
    sampler: Sampler, loads: Sequence[Load], step_s: float, settle_s: float, on_step: Callable[[str], None]
) -> list[Point]:
    """Runs the plan under a started sampler and gives what its sensors read."""
    steps = measure_steps(loads, step_s, settle_s, on_step=on_step)
    sampler.wait_until(steps[-1].end_ns)
    return mean_powers(sampler.between(steps[0].start_ns, steps[-1].end_ns), sampler.capabilities, steps)
