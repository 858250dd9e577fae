"""CPU seconds and memory of the engine's process tree."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil

from collector.telemetry.reasons import why
from collector.telemetry.sensor import Sensor, SensorOptions, update_period_s
from collector.telemetry.types import Capability, Status

__all__ = ["ProcessSensor", "ProcessTree", "process_cpu_s"]

# linux/posix-timers.h: the clock of another process's run time is (~pid << 3) | CPUCLOCK_SCHED
_CPUCLOCK_SCHED = 2


def process_cpu_s(process: psutil.Process) -> float | None:
    """CPU seconds a process has used, its children not counted; None when it is gone or not ours to read.

    On Linux the scheduler's nanosecond run time of the process, elsewhere the system's ticks.
    """
    if sys.platform == "linux":
        try:
            return time.clock_gettime((~process.pid << 3) | _CPUCLOCK_SCHED)
        except OSError:
            return None
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


@dataclass(slots=True)
class _Member:
    process: psutil.Process
    last_s: float
    offset_s: float


class ProcessTree:
    """CPU seconds of watched root processes and all their children, cumulative and never falling.

    What a process used before it was watched is left out; a child that appears later counts from its birth.
    The last value seen of a process that ended stays in the sum. What a child that lived wholly between two
    scans used is lost.
    """

    def __init__(self) -> None:
        self._members: dict[int, _Member] = {}
        self._known: set[int] = set()  # pids that were asked already
        self._ended_s = 0.0

    @property
    def watched(self) -> bool:
        """Whether there is anything to watch at all."""
        return bool(self._members or self._ended_s)

    def watch(self, pids: Sequence[int]) -> None:
        """Replaces the roots; the sum goes on where it was."""
        self.cpu_s()
        for pid in list(self._members):
            self._retire(pid)
        self._known = set(psutil.pids())  # before the scan: what is born in between is found by the next one
        for pid in pids:
            family: list[psutil.Process] = []
            with suppress(psutil.Error):  # one that ended already is nothing to watch
                family.append(psutil.Process(pid))
                family += family[0].children(recursive=True)
            self._adopt(family, newborn=False)

    def rescan(self) -> None:
        """Looks for new children; only pids that were not there before are asked for their parent, which is cheap."""
        pids = set(psutil.pids())
        parents: dict[psutil.Process, int] = {}
        for pid in pids - self._known:
            try:
                process = psutil.Process(pid)
                parents[process] = process.ppid()
            except psutil.Error:
                continue  # it came and went
        self._known = pids
        ours = set(self._members)
        while born := [process for process, parent in parents.items() if parent in ours and process.pid not in ours]:
            self._adopt(born, newborn=True)
            ours |= {process.pid for process in born}

    def cpu_s(self) -> float:
        """Cumulative CPU seconds since the first ``watch``."""
        total = 0.0
        for pid, member in list(self._members.items()):
            value = process_cpu_s(member.process)
            if value is None or value < member.last_s:  # ended, or its pid now names another process
                self._retire(pid)
                continue
            member.last_s = value
            total += value - member.offset_s
        return self._ended_s + total

    def memory_bytes(self) -> int | None:
        """Resident set of the tree; None when no member could be read."""
        sizes = []
        for member in self._members.values():
            try:
                sizes.append(member.process.memory_info().rss)
            except psutil.Error:
                continue
        return sum(sizes) if sizes else None

    def _retire(self, pid: int) -> None:
        member = self._members.pop(pid)
        self._ended_s += member.last_s - member.offset_s

    def _adopt(self, processes: Sequence[psutil.Process], *, newborn: bool) -> None:
        # Members leave only when they end: a child whose parent ended goes on working for the engine.
        for process in processes:
            if process.pid in self._members:
                self._retire(process.pid)
            value = process_cpu_s(process)
            if value is not None:
                self._members[process.pid] = _Member(process, value, 0.0 if newborn else value)


class ProcessSensor(Sensor):
    """The engine's process tree."""

    name = "process"

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self._tree = ProcessTree()
        self._last: tuple[int, float] | None = None

    def probe(self) -> list[Capability]:
        """Tells which clock counts the CPU seconds."""
        own = process_cpu_s(psutil.Process())
        linux = sys.platform == "linux"
        source = "clock_gettime(CPUCLOCK_SCHED of the process)" if linux else "psutil.Process.cpu_times"
        status: Status = "denied" if own is None else "ok"
        # watching keeps this process busy, so that its clock moves as fast as it can be read, or ticks
        me = psutil.Process()
        period_s = None if own is None else update_period_s(lambda: process_cpu_s(me))

        def row(field: str, source: str, unit: str, period_s: float | None) -> Capability:
            found = Capability(self.name, field, source, unit, "process", None, status, update_period_s=period_s)
            return replace(found, **why("cpu_times_unreadable")) if own is None else found

        return [
            row("process_cpu_s", source, "s", period_s),
            row("process_cpu_percent", source, "% of a core", period_s),
            row("memory_bytes", "psutil.Process.memory_info", "byte", None),
        ]

    def watch(self, pids: Sequence[int]) -> None:
        """Changes the roots and scans at once."""
        self._tree.watch(pids)
        self._last = None

    def read(self, t_ns: int) -> dict[str, Any]:
        """CPU seconds, share of a core since the last reading, and resident set; nothing before ``watch``."""
        if not self._tree.watched:
            return {}
        cpu_s = self._tree.cpu_s()
        percent = None
        if self._last is not None and t_ns > self._last[0]:
            percent = 100.0 * (cpu_s - self._last[1]) / ((t_ns - self._last[0]) / 1e9)
        self._last = (t_ns, cpu_s)
        return {
            "process_cpu_s": cpu_s,
            "process_cpu_percent": percent,
            "memory_bytes": self._tree.memory_bytes(),
        }

    def counters(self) -> dict[str, Any]:
        """CPU seconds alone."""
        return {"process_cpu_s": self._tree.cpu_s()} if self._tree.watched else {}

    def maintain(self) -> None:
        """Rescans the tree; the sampler calls this once a second, between two samples."""
        self._tree.rescan()
