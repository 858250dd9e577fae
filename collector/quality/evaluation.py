"""What scoring itself takes: time, CPU seconds and joules, booked apart from the energy of the models.

A GPU that scores is read from its own counter, the CPU from its energy counter where that is readable. Without one the
joules of the CPU are its seconds times the watts per core that the campaign states (tier ``estimated``). Where a judge's
server computes, its processes' CPU seconds are added.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from collector.engines.attached import Attached, is_loopback
from collector.i18n import t
from collector.telemetry.estimate import DEFAULT_WATTS_PER_CORE, FIELD, watts_per_core
from collector.telemetry.nvml import NvmlSensor
from collector.telemetry.process import ProcessTree
from collector.telemetry.rapl import RaplSensor
from collector.telemetry.sensor import Sensor, SensorOptions
from collector.telemetry.types import Capability
from db import Store

__all__ = ["Booking", "Evaluation", "booked", "evaluation_line", "evaluations_of", "stated_watts"]


@dataclass(frozen=True, slots=True)
class Booking:
    """The joules of one stretch of scoring.

    Attributes:
        energy_j: joules; None where what computed has no counter (``reason`` says so).
        tier: how they were obtained, ``counter`` or ``estimated``.
        scope: what they cover: ``process``, ``cpu``, ``gpu`` or ``gpu+cpu``.
    """

    energy_j: float | None
    tier: str | None
    scope: str | None
    reason: str | None


def booked(
    cpu_s: float, watts: float, *, cpu_j: float | None, gpu_j: float | None, on_gpu: bool, unseen: bool = False
) -> Booking:
    """Joules from what could be read.

    Args:
        cpu_s: CPU seconds of the processes that computed.
        watts: stated watts per busy core, for where no counter is readable.
        cpu_j: joules of the CPU by its counter, None without one; likewise ``gpu_j``.
        on_gpu: whether a GPU computed.
        unseen: whether processes computed whose CPU seconds cannot be read.
    """
    if on_gpu and gpu_j is None:
        return Booking(None, None, None, "no_gpu_counter")
    if on_gpu and gpu_j is not None:
        return Booking(gpu_j + (cpu_j or 0.0), "counter", "gpu" if cpu_j is None else "gpu+cpu", None)
    if cpu_j is not None:
        return Booking(cpu_j, "counter", "cpu", None)
    if unseen:
        return Booking(None, None, None, "engine_not_visible")
    return Booking(cpu_s * watts, "estimated", "process", None)


@dataclass
class Evaluation:
    """One stretch of scoring for one campaign: started when made, stored by :meth:`store`.

    Attributes:
        watts: stated watts per busy core.
        server: address of the engine that computes for us; None when this process computes.
    """

    campaign_id: str
    watts: float = DEFAULT_WATTS_PER_CORE
    options: SensorOptions = field(default_factory=SensorOptions)
    server: str | None = None

    def __post_init__(self) -> None:
        self._engine = ProcessTree()
        if self.server is not None:
            self._engine.watch(Attached(self.server).pids())
        self._sensors: list[Sensor] = [RaplSensor(self.options), NvmlSensor(self.options)]
        for sensor in self._sensors:
            sensor.probe()
        self._started_at = datetime.now(UTC)
        self._start_ns, self._cpu_s = time.monotonic_ns(), time.process_time()
        self._cpu_j, self._gpu_j = self._read()

    def _read(self) -> tuple[float | None, float | None]:
        """Joules of CPU and GPUs by their counters; None without one."""
        found: dict[str, Any] = {}
        for sensor in self._sensors:
            found |= sensor.read(time.monotonic_ns())
        gpus = [gpu.energy_j for gpu in found.get("gpus", ())]
        return found.get("cpu_energy_j"), None if not gpus or None in gpus else sum(gpus)

    def look(self) -> None:
        """Looks for processes that the engine has started meanwhile; to be called now and then."""
        if self.server is not None:
            self._engine.rescan()

    def store(self, store: Store, *, checkpoint: str | None, device: str | None, answers: int, pairs: int) -> Booking:
        """Ends the stretch and writes its row.

        Args:
            store: where to.
            checkpoint: label of what scored, None when nothing had to be loaded.
            device: where it computed, None when nothing was computed.
            answers: answers judged.
            pairs: pairs of texts that were computed, not found in the cache; of an optional scorer its figures.
        """
        self.look()
        cpu_s = time.process_time() - self._cpu_s + self._engine.cpu_s()
        cpu_j, gpu_j = (
            None if before is None or after is None or after <= before else after - before  # a reset reads 0
            for before, after in zip((self._cpu_j, self._gpu_j), self._read(), strict=True)
        )
        for sensor in self._sensors:
            sensor.close()
        on_gpu = (device or "").startswith("cuda")
        if self.server is not None and not is_loopback(self.server):
            booking = Booking(None, None, None, "engine_on_another_machine")
        else:
            unseen = self.server is not None and not self._engine.watched
            booking = booked(cpu_s, self.watts, cpu_j=cpu_j, gpu_j=gpu_j, on_gpu=on_gpu, unseen=unseen)
        row = {
            "evaluation_id": uuid.uuid4().hex, "campaign_id": self.campaign_id, "started_at": self._started_at,
            "duration_s": (time.monotonic_ns() - self._start_ns) / 1e9, "cpu_s": cpu_s, "checkpoint": checkpoint,
            "device": device, "answers": answers, "pairs": pairs, "energy_j": booking.energy_j,
            "energy_tier": booking.tier, "energy_scope": booking.scope, "energy_reason": booking.reason,
        }  # fmt: skip
        with store.write() as writer:
            writer.insert("evaluations", [row])
        return booking


def stated_watts(store: Store, campaign_id: str) -> float:
    """Watts per busy core that the campaign states, else the default."""
    rows = store.query(
        "SELECT sensor, field, source, unit, scope, tier, status FROM sensors WHERE campaign_id = ? AND field = ?",
        [campaign_id, FIELD],
    )
    stated = watts_per_core(Capability(*row) for row in rows.itertuples(index=False, name=None))
    return stated or DEFAULT_WATTS_PER_CORE


def evaluation_line(store: Store, campaign_id: str) -> str | None:
    """One sentence about what scoring a campaign took so far; None when it was never scored."""
    found = evaluations_of(store, campaign_id)
    if found is None:
        return None
    seconds, pairs, joules = found["duration_s"], found["pairs"], found["energy_j"]
    energy = (
        t("energy not known", "能耗未知")
        if joules is None
        else f"{joules:.1f} J ({found['energy_tier']}, {found['energy_scope']})"
    )
    return t(f"scoring, booked apart: {seconds:.1f} s, {pairs} pairs computed, {energy}",
             f"评分（单独记账）：{seconds:.1f} 秒，计算 {pairs} 对文本，{energy}")  # fmt: skip


def evaluations_of(store: Store, campaign_id: str) -> dict[str, Any] | None:
    """What scoring a campaign took so far, summed; None when it was never scored.

    ``energy_j`` is None where any stretch has none; ``tiers`` and ``scopes`` name what the sum is made of.
    """
    if store.state() != "current":
        return None
    row = store.query(
        "SELECT count(*) AS n, sum(duration_s) AS duration_s, sum(cpu_s) AS cpu_s, sum(pairs) AS pairs, "
        "CASE WHEN count(energy_j) = count(*) THEN sum(energy_j) END AS energy_j, "
        "string_agg(DISTINCT energy_tier, '+') AS tiers, string_agg(DISTINCT energy_scope, '+') AS scopes "
        "FROM evaluations WHERE campaign_id = ?",
        [campaign_id],
    ).iloc[0]
    if not row.n:
        return None
    return {
        "duration_s": round(float(row.duration_s), 3), "cpu_s": round(float(row.cpu_s), 3), "pairs": int(row.pairs),
        "energy_j": None if row.energy_j != row.energy_j else round(float(row.energy_j), 3),  # noqa: PLR0124 - NaN is NULL
        "energy_tier": row.tiers if isinstance(row.tiers, str) else None,
        "energy_scope": row.scopes if isinstance(row.scopes, str) else None,
    }  # fmt: skip
