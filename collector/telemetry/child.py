"""The sampler process: ``python -m collector.telemetry.child CONFIG_JSON``; the collector's side is sampler.py.

Commands come as JSON lines on standard input, whose end also ends this process, so that none is ever left
behind. Capabilities and samples leave as JSON lines on standard output, by a thread with a queue of its own:
a collector too busy to read never delays a sample.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, Any

from collector.telemetry import SENSORS
from collector.telemetry.priority import be_prompt
from collector.telemetry.sensor import Sensor, SensorOptions
from collector.telemetry.types import Capability, Sample
from collector.telemetry.wire import encode_capabilities, encode_sample

__all__ = ["Grid", "Loop", "main"]

GPU_FLOOR_NS = 50_000_000  # polled faster, NVML may answer "not supported" or 0 (Zeus)
_GPU_WAIT_NS = 5_000_000  # a late GPU reading pushes the next one by this much at most, then one is skipped
_HOUSEKEEPING_NS = 1_000_000_000
_QUEUE = 500_000  # messages: hours of a stopped collector
_CLOSE_S = 1.0


@dataclass(slots=True)
class Grid:
    """Absolute deadlines: a late tick does not shift the next one; missed ones are skipped for good."""

    period_ns: int
    next_ns: int

    def due(self, now_ns: int) -> bool:
        """Whether the next deadline has come; if so, moves on to the first one that lies ahead."""
        if now_ns < self.next_ns:
            return False
        self.next_ns += ((now_ns - self.next_ns) // self.period_ns + 1) * self.period_ns
        return True


class Outbox:
    """Writes lines from a thread; ``put`` never blocks.

    Takes a raw stream: a buffered one holds a lock that a blocked thread would keep beyond the end of the
    process.
    """

    def __init__(self, stream: FileIO) -> None:
        self._stream = stream
        self._lines: deque[bytes] = deque(maxlen=_QUEUE)
        self._filled = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, line: bytes, *, hurry: bool = True) -> None:
        """Queues one line; one that is in no hurry leaves with the next that is, which halves what both sides spend."""
        self._lines.append(line)
        if hurry:
            self._filled.set()

    def close(self) -> None:
        """Gives what is queued a moment to leave."""
        self._closing = True
        self._filled.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing:
            self._filled.wait()
            self._filled.clear()
            try:
                while self._lines:
                    self._write(b"".join(self._lines.popleft() for _ in range(len(self._lines))))
            except OSError:
                return  # the collector is gone; the end of standard input stops the loop

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[self._stream.write(rest) :]


class Loop:
    """Reads the sensors on two grids and on request."""

    def __init__(self, sensors: Sequence[Sensor], rate_hz: float, gpu_rate_hz: float, outbox: Outbox) -> None:
        self._machine = [sensor for sensor in sensors if sensor.group == "machine"]
        self._gpu = [sensor for sensor in sensors if sensor.group == "gpu" and sensor.read(0)]
        self._outbox = outbox
        start_ns = time.monotonic_ns()
        period_ns = round(1e9 / rate_hz)
        gpu_period_ns = max(round(1e9 / gpu_rate_hz), GPU_FLOOR_NS)
        self._base_grid = Grid(period_ns, start_ns + gpu_period_ns)
        self._gpu_grid = Grid(gpu_period_ns, start_ns + gpu_period_ns) if self._gpu else None
        self._gpu_read_ns = start_ns
        self._housekeeping = Grid(_HOUSEKEEPING_NS, start_ns + _HOUSEKEEPING_NS)

    def wait_s(self) -> float:
        """Seconds to the next deadline."""
        next_ns = self._base_grid.next_ns
        if self._gpu_grid is not None:
            next_ns = min(next_ns, self._gpu_grid.next_ns)
        return max(0.0, (next_ns - time.monotonic_ns()) / 1e9)

    def tick(self) -> None:
        """Takes the samples that are due."""
        now_ns = time.monotonic_ns()
        base = self._base_grid.due(now_ns)
        gpu = self._gpu_grid is not None and self._gpu_grid.due(now_ns)
        values: dict[str, Any] = {}
        if base:
            for sensor in self._machine:
                values |= sensor.read(now_ns)
        if gpu:
            values |= self._read_gpus()
        if base:
            values["sampler_cpu_s"] = time.process_time()
        if values:
            stamp_ns = now_ns if base else self._gpu_read_ns
            self._outbox.put(encode_sample(Sample(stamp_ns, **values)), hurry=base)
        if base and self._housekeeping.due(now_ns):
            for sensor in self._machine:
                sensor.maintain()

    def _read_gpus(self) -> dict[str, Any]:
        early_ns = self._gpu_read_ns + GPU_FLOOR_NS - time.monotonic_ns()
        if early_ns > _GPU_WAIT_NS:
            return {}
        while early_ns > 0:
            time.sleep(early_ns / 1e9)
            early_ns = self._gpu_read_ns + GPU_FLOOR_NS - time.monotonic_ns()
        self._gpu_read_ns = time.monotonic_ns()
        values: dict[str, Any] = {}
        for sensor in self._gpu:
            values |= sensor.read(self._gpu_read_ns)
        return values

    def edge(self) -> None:
        """One extra reading of the cheap counters, at the edge of a request; carries no ``sampler_cpu_s``."""
        now_ns = time.monotonic_ns()
        values: dict[str, Any] = {}
        for sensor in self._machine:
            values |= sensor.counters()
        if values:
            self._outbox.put(encode_sample(Sample(now_ns, **values)))

    def watch(self, pids: Sequence[int]) -> None:
        """Passes new root pids on."""
        for sensor in self._machine:
            sensor.watch(pids)


class Inbox:
    """Reads commands in a thread and wakes the loop; ``ended`` is set when the collector hung up."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.commands: deque[dict[str, Any]] = deque()
        self.ended = False
        self.woken = threading.Event()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self.commands.append(json.loads(line))
            self.woken.set()
        self.ended = True
        self.woken.set()


def _serve(loop: Loop, inbox: Inbox) -> None:
    while not inbox.ended:
        if inbox.woken.wait(loop.wait_s()):
            inbox.woken.clear()
            while inbox.commands:
                command = inbox.commands.popleft()
                if "watch" in command:
                    loop.watch(command["watch"])
                if "edge" in command:
                    loop.edge()
        loop.tick()


def _probe(sensors: Sequence[Sensor]) -> list[Capability]:
    """Every sensor's rows; each is told what the ones before it read."""
    rows: list[Capability] = []
    for sensor in sensors:
        sensor.taken = frozenset(row.field for row in rows if row.status == "ok")
        rows += sensor.probe()
    return rows


def main() -> None:
    """Runs until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the collector's to handle
    config = json.loads(sys.argv[1])
    granted = be_prompt(config["rate_hz"])
    options = SensorOptions(
        Path(config["sysfs"]), config["nvml_library"], config["watts_per_core"], config["meter"]
    )
    sensors = [kind(options) for kind in SENSORS]
    outbox = Outbox(FileIO(sys.stdout.fileno(), "w", closefd=False))
    own = Capability(
        "sampler", "sampler_cpu_s", f"time.process_time (the scheduler granted {granted})", "s", "process", None, "ok"
    )
    outbox.put(encode_capabilities([own, *_probe(sensors)]))
    gc.freeze()  # what is here stays: a collection looks only at what comes later
    try:
        _serve(Loop(sensors, config["rate_hz"], config["gpu_rate_hz"], outbox), Inbox(sys.stdin.buffer))
    finally:
        for sensor in sensors:
            sensor.close()
        outbox.close()


if __name__ == "__main__":
    main()
