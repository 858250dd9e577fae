"""The conditions under which every case begins: free GPU memory, a cool GPU, and the idle power without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import psutil

from collector.baseline import Idle, settling
from collector.cooling import Waited, cool_down, temperature_now, vram_now, wait_for_memory
from collector.measure import MeasuringBench
from collector.record import Record, insert, update
from collector.telemetry.sampler import Sampler
from collector.telemetry.state import foreign_gpu_pids
from db.texts import both

__all__ = ["Conditions"]

_BUSY: Final = 0.5  # load average over cores
_GIB: Final = 1 << 30


@dataclass
class Conditions:
    """What the machine was like before the first load of a campaign, and what is waited for before every other.

    Attributes:
        reference_c: hottest GPU; None without a sensor. A campaign that is continued keeps its own, unless the GPU is
            cooler now.
        idle_vram_bytes: memory in use on all GPUs; None without a GPU.
        load_average: of the last minute, before anything of ours ran; None where the system has none.
    """

    record: Record
    reference_c: float | None = None
    idle_vram_bytes: float | None = None
    load_average: float | None = None
    _unloaded: tuple[str, Idle] | None = None
    _told: bool = False

    def begin(self, sampler: Sampler, campaign_id: str, before_c: float | None) -> None:
        """Looks at the machine before the first load."""
        now_c = temperature_now(sampler)
        known = [value for value in (before_c, now_c) if value is not None]
        self.reference_c = min(known) if known else None
        self.idle_vram_bytes = vram_now(sampler)
        self.record.put(update("campaigns", {"campaign_id": campaign_id}, {
            "reference_temperature_c": self.reference_c, "load_average": self.load_average,
            "idle_vram_bytes": None if self.idle_vram_bytes is None else int(self.idle_vram_bytes),
        }))  # fmt: skip
        cores = psutil.cpu_count() or 1
        if self.load_average is not None and self.load_average > _BUSY * cores:
            self.record.event("note", "busy_machine",
                              both(f"load average {self.load_average:.1f} on {cores} cores before the start",
                                   f"开始前平均负载为 {self.load_average:.1f}（{cores} 核）"))  # fmt: skip

    def before_load(self, bench: MeasuringBench, *, fresh: bool) -> tuple[str, ...]:
        """Waits until memory is free and the GPU cool, within the protocol's limits; flags what was not reached.

        Args:
            bench: with the engine as it runs now.
            fresh: the engine was restarted or its models unloaded; else its memory need not be free.
        """
        protocol = bench.experiment.protocol
        flags = list(self.wait_for_memory(bench, fresh=fresh))
        limit_s = protocol.value("cooldown_s")
        cooled = cool_down(bench.sampler, self.reference_c, protocol.value("cooldown_delta_c"), limit_s)
        if cooled.reached is False:
            flags.append("not_cooled")
        if cooled.reached is None and not self._told:
            self._told = True
            self.record.event("note", "cooldown_skipped", cooled.reason)
        elif cooled.reached is not None and cooled.seconds >= 1.0:
            self._tell("cooldown" if cooled.reached else "not_cooled", cooled, 1.0, "°C")
        if bench.on_gpu and (pids := foreign_gpu_pids(bench.engine_pids)):
            self.record.event("note", "foreign_gpu_process", ", ".join(_named(pid) for pid in pids))
        return tuple(flags)

    def wait_for_memory(self, bench: MeasuringBench, *, fresh: bool) -> tuple[str, ...]:
        """Waits until GPU memory is back at its baseline; a model that may stay needs none."""
        idle_bytes = self.idle_vram_bytes if fresh else None
        memory = wait_for_memory(bench.sampler, idle_bytes, bench.experiment.protocol.value("memory_wait_s"))
        if memory.reached is not False:
            return ()
        self._tell("gpu_memory_held", memory, 1 / _GIB, "GiB")
        return ("gpu_memory_held",)

    def unloaded(self, bench: MeasuringBench, model: str, *, fresh: bool) -> Idle | None:
        """Idle power without a model: measured once per model, before its first load; None where it cannot be."""
        seconds = bench.experiment.protocol.value("unloaded_s")
        if seconds <= 0:
            return None
        if self._unloaded is None or self._unloaded[0] != model:
            if not fresh:
                return None
            before = self._unloaded[1].power if self._unloaded else None
            for idle in settling(bench, "unloaded", seconds, None, before):
                self.record.put(insert("baselines", idle.row))
                self._unloaded = model, idle
        return self._unloaded[1] if self._unloaded else None

    def _tell(self, name: str, waited: Waited, factor: float, unit: str) -> None:
        first, last = ((value or 0.0) * factor for value in (waited.first, waited.last))
        self.record.event("note", name, f"{first:.1f} → {last:.1f} {unit}, {waited.seconds:.0f} s")


def _named(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()} (PID {pid})"
    except psutil.Error:
        return f"PID {pid}"
