"""Idle power of one case: with the model loaded, checked every few answers, measured again when it drifted.

Drift is a difference of more than 10 % that is also more than the two measurements leave open (two combined standard
errors) and more than half a watt: an idle process tree draws next to nothing, and a tenth of nothing is nothing. The
answers between the last good check and one that found a drift are flagged ``baseline_drift``.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from collector import energy
from collector.measure import MeasuringBench
from collector.record import Op, event, insert
from collector.telemetry.types import IdleBaseline
from collector.telemetry.usage import aggregate, hottest_c, vram_at
from db.texts import both

__all__ = ["Baselines", "Idle", "drifted", "measure_idle", "settling", "steady"]

Kind = Literal["unloaded", "loaded", "spot"]

_TRIES: Final = 3  # an engine goes on starting for a while after it answers, and its threads spin after work
_DRIFT: Final = 0.10
_LEAST_W: Final = 0.5
_SPOT_BLOCK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Idle:
    """A stretch in which nothing was asked: its power where a sensor gives one, and its row of ``baselines``."""

    power: IdleBaseline | None
    row: dict[str, Any]

    @property
    def baseline_id(self) -> str:
        """Key of the row."""
        return str(self.row["baseline_id"])


def drifted(now: IdleBaseline, before: IdleBaseline) -> bool:
    """Whether two idle powers differ by more than chance and a tenth."""
    if (now.scope, now.tier) != (before.scope, before.tier):
        return False
    change_w = abs(now.power_w - before.power_w)
    chance_w = 2.0 * math.hypot(now.standard_error_w, before.standard_error_w)
    return change_w > max(_DRIFT * before.power_w, chance_w, _LEAST_W)


def steady(power: IdleBaseline | None) -> bool:
    """Whether an idle power is known to a tenth or half a watt; one that nothing measures will not get better."""
    return power is None or power.standard_error_w <= max(_DRIFT * power.power_w, _LEAST_W)


def measure_idle(
    bench: MeasuringBench, kind: Kind, seconds: float, configuration_id: str | None, before: IdleBaseline | None = None
) -> Idle:
    """Waits and measures; the row says why there is no power where there is none."""
    start_ns = time.monotonic_ns()
    bench.sampler.edge()
    time.sleep(seconds)
    bench.sampler.edge()
    end_ns = time.monotonic_ns()
    bench.sampler.wait_until(end_ns)
    samples = bench.sampler.between(start_ns, end_ns)
    block_s = _SPOT_BLOCK_S if kind == "spot" else energy.BLOCK_S
    power = energy.idle_baseline(samples, start_ns, end_ns, bench.capabilities, block_s)
    seconds = (end_ns - start_ns) / 1e9
    bench.ledger.book("baselines", start_ns, end_ns, power.power_w * seconds if power else None)
    usage = aggregate(samples, start_ns, end_ns)
    vram_bytes = vram_at(samples, end_ns)
    return Idle(power, {
        "baseline_id": uuid.uuid4().hex[:20], "campaign_id": bench.campaign_id,
        "machine_id": bench.fingerprint.machine_id, "configuration_id": configuration_id, "kind": kind,
        "measured_at": datetime.now(UTC), "duration_s": seconds,
        "power_w": power.power_w if power else None, "standard_error_w": power.standard_error_w if power else None,
        "tier": power.tier if power else None, "scope": power.scope if power else None,
        "drift": power.power_w / before.power_w - 1.0 if power and before and before.power_w > 0 else None,
        "temperature_c": hottest_c(samples, end_ns), "cpu_percent": usage.cpu_percent_mean,
        "vram_bytes": None if vram_bytes is None else int(vram_bytes),
        "reason": None if power else both("no energy sensor, a reset, or too short", "没有能量传感器、计数器复位，或时间过短"),
    })  # fmt: skip


def settling(
    bench: MeasuringBench, kind: Kind, seconds: float, configuration_id: str | None, before: IdleBaseline | None = None
) -> Iterator[Idle]:
    """Measures (:func:`measure_idle`) until the power is steady, at most three times; the last one counts."""
    for _ in range(_TRIES):
        idle = measure_idle(bench, kind, seconds, configuration_id, before)
        yield idle
        if steady(idle.power):
            return


@dataclass
class Baselines:
    """The baseline in force in one case, and what was measured with it since it was last found good."""

    configuration_id: str
    current: Idle | None = None
    _since_check: list[str] = field(default_factory=list)

    @property
    def power(self) -> IdleBaseline | None:
        """What is subtracted."""
        return self.current.power if self.current else None

    def measure(self, bench: MeasuringBench) -> list[Op]:
        """Measures the baseline with the model loaded, unless the protocol leaves it out; up to three times until steady."""
        seconds = bench.experiment.protocol.value("baseline_s")
        if seconds <= 0:
            return []
        found = list(settling(bench, "loaded", seconds, self.configuration_id, self.power))
        self.current = found[-1]
        return [insert("baselines", idle.row) for idle in found]

    def answered(self, bench: MeasuringBench, run_ids: list[str]) -> list[Op]:
        """Takes new answers in and checks the baseline where it is time."""
        self._since_check += run_ids
        every = int(bench.experiment.protocol.value("spot_every"))
        return self.check(bench) if every and len(self._since_check) >= every else []

    def check(self, bench: MeasuringBench) -> list[Op]:
        """A short look at the idle power; after a drift the baseline is measured again and the answers are flagged."""
        before, run_ids = self.power, self._since_check
        self._since_check = []
        if before is None or not run_ids or not bench.experiment.protocol.value("spot_every"):
            return []
        spot = measure_idle(bench, "spot", bench.experiment.protocol.value("spot_s"), self.configuration_id, before)
        ops = [insert("baselines", spot.row)]
        if spot.power is None or not drifted(spot.power, before):
            return ops
        ops += self.measure(bench)
        powers = f"{before.power_w:.2f} → {spot.power.power_w:.2f} W"
        text = both(f"{powers}; {len(run_ids)} answers flagged", f"{powers}；已标记 {len(run_ids)} 个回答")
        return [*ops, Op("flag", "runs", [{"flag": "baseline_drift", "run_ids": run_ids}]),
                event(bench.campaign_id, "note", "baseline_drift", text)]  # fmt: skip
