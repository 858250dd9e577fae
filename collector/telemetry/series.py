"""Curves through samples: energy between two moments, from a counter or from power readings.

Pure: samples in, figures out. Stamps are monotonic nanoseconds; arithmetic is done in seconds after the first point,
where a double keeps nanoseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from collector.telemetry.estimate import FIELD as ESTIMATE_FIELD
from collector.telemetry.estimate import watts_per_core
from collector.telemetry.types import Capability, Factor, GpuSample, Sample, Scope, Tier

__all__ = [
    "Curve", "Meter", "Part", "PowerPoint", "Source", "choose_meter", "counters", "curves_of", "find_sources",
    "power_series", "powers", "stood_still",
]  # fmt: skip

Part = Literal["machine", "gpu", "cpu", "process"]
_COUNTER = {"machine": "machine_energy_j", "gpu": "gpu_energy_j", "cpu": "cpu_energy_j", "process": ESTIMATE_FIELD}
_POWER = {"machine": "machine_power_w", "gpu": "gpu_power_w"}
_PARTS: tuple[Part, ...] = ("machine", "gpu", "cpu", "process")
_TIERS: tuple[Tier, ...] = ("estimated", "counter", "calibrated", "wall")


class PowerPoint(NamedTuple):
    """Power at one moment; from a counter it is the mean since the point before."""

    t_ns: int
    power_w: float
    scope: Scope


@dataclass(frozen=True, slots=True)
class Source:
    """A part of the machine whose energy is known, by a counter, by power readings or by both."""

    part: Part
    sensor: str
    tier: Tier
    counter: bool
    power: bool
    period_s: float  # update period of the counter, else of the power reading; 0 where unknown
    factors: tuple[Factor, ...] = ()  # of its devices, once calibrated

    @property
    def gain_uncertainty(self) -> float | None:
        """Relative 95 % half-width of the gain by calibration, the widest device's; None until calibrated."""
        return max((factor.gain_uncertainty for factor in self.factors), default=None)

    def factor(self, device: str | None) -> tuple[float, float]:
        """Gain and offset in watts of a device; 1 and 0 without a calibration."""
        return next(((f.gain, f.offset_w) for f in self.factors if f.device == device), (1.0, 0.0))


@dataclass(frozen=True, slots=True)
class Meter:
    """How the energy of a request is obtained.

    Attributes:
        sources: what is added up.
        beside: other sources that measure something of it too; their figures are only recorded.
        watts_per_core: of the estimate; None without it.
    """

    scope: Scope
    tier: Tier
    sources: tuple[Source, ...]
    beside: tuple[Source, ...]
    watts_per_core: float | None


def _source(part: Part, capabilities: Iterable[Capability]) -> Source | None:
    rows = {row.field: row for row in capabilities if row.status == "ok"}
    counter, power = rows.get(_COUNTER[part]), rows.get(_POWER.get(part, ""))
    row = counter or power
    if row is None:
        return None
    tier = row.tier or "counter"
    return Source(
        part, row.sensor, tier, counter is not None, power is not None, row.update_period_s or 0.0, row.calibrations
    )


def find_sources(capabilities: Iterable[Capability]) -> dict[Part, Source]:
    """Every part of the machine whose energy or power some sensor gives."""
    rows = list(capabilities)
    return {part: found for part in _PARTS if (found := _source(part, rows)) is not None}


def choose_meter(capabilities: Sequence[Capability]) -> Meter | None:
    """The widest scope that this machine can measure: wall meter, else GPUs and CPU, else the estimate.

    The choice rests on the capabilities alone, so that a sensor that fails for a moment makes a run without energy
    and never one of another scope. Leave a sensor's rows out to leave it out.
    """
    found = find_sources(capabilities)
    machine, gpu, cpu, process = (found.get(part) for part in _PARTS)
    watts = watts_per_core(capabilities)
    scope: Scope
    chosen: tuple[Source, ...]
    if machine is not None:
        scope, chosen = "machine", (machine,)
    elif gpu is not None and cpu is not None:
        scope, chosen = "gpu+cpu", (gpu, cpu)
    elif gpu is not None:
        scope, chosen = "gpu", (gpu,)
    elif cpu is not None:
        scope, chosen = "cpu", (cpu,)
    elif process is not None and watts is not None:
        scope, chosen = "process", (process,)
    else:
        return None
    tier = min((source.tier for source in chosen), key=_TIERS.index)
    usable = (source for source in found.values() if source.part != "process" or watts)
    return Meter(scope, tier, chosen, tuple(source for source in usable if source not in chosen), watts)


class Curve:
    """Points in time order; a counter's are cumulative joules, otherwise they are watts.

    The points are as the sensor gave them; gain and offset of a calibration apply to what is derived from them, so
    that a reset is judged by the sensor's own figures.

    Attributes:
        stamps_ns: when the sensor was asked (the points may be fewer: a counter that had not moved adds none).
    """

    def __init__(
        self, t_ns: Sequence[int], values: Sequence[float], stamps_ns: Sequence[int], *, counter: bool,
        gain: float = 1.0, offset_w: float = 0.0,
    ) -> None:  # fmt: skip
        self._origin_ns = t_ns[0] if t_ns else 0
        self._t = np.asarray([t - self._origin_ns for t in t_ns], dtype=np.float64) / 1e9
        self._values = np.asarray(values, dtype=np.float64)
        self._counter = counter
        self._gain, self._offset_w = gain, offset_w
        self.stamps_ns = list(stamps_ns)

    def _at(self, t_ns: int) -> float:
        return (t_ns - self._origin_ns) / 1e9

    def covers(self, t0_ns: int, t1_ns: int) -> bool:
        """Whether there is a point on both sides."""
        return len(self._t) > 1 and self._t[0] <= self._at(t0_ns) and self._at(t1_ns) <= self._t[-1]

    def was_reset(self, t0_ns: int, t1_ns: int) -> bool:
        """Whether the counter fell between the points around the window."""
        if not self._counter or len(self._t) < 2:
            return False
        first = max(0, int(np.searchsorted(self._t, self._at(t0_ns), side="right")) - 1)
        last = int(np.searchsorted(self._t, self._at(t1_ns), side="left"))
        return bool(np.any(np.diff(self._values[first : last + 1]) < 0))

    def energy_j(self, t0_ns: int, t1_ns: int) -> float | None:
        """Joules in the window, linear between points; None where it is not covered or the counter was reset."""
        if not self.covers(t0_ns, t1_ns) or self.was_reset(t0_ns, t1_ns):
            return None
        t0, t1 = self._at(t0_ns), self._at(t1_ns)
        edges = np.interp([t0, t1], self._t, self._values)
        if self._counter:
            return float(edges[1] - edges[0]) * self._gain + self._offset_w * (t1 - t0)
        inside = (self._t > t0) & (self._t < t1)
        t = np.concatenate(([t0], self._t[inside], [t1]))
        watt_s = float(np.trapezoid(np.concatenate((edges[:1], self._values[inside], edges[1:])), t))
        return watt_s * self._gain + self._offset_w * (t1 - t0)

    def stood_still(self, t0_ns: int, t1_ns: int) -> bool:
        """Whether a counter shows the same at both ends of the window; no where it is not covered."""
        if not self._counter or not self.covers(t0_ns, t1_ns) or self.was_reset(t0_ns, t1_ns):
            return False
        first, last = np.interp([self._at(t0_ns), self._at(t1_ns)], self._t, self._values)
        return bool(first == last)

    def edge_s(self, t_ns: int) -> float:
        """Width of the uncertainty at an edge that lies between two points.

        A step of the power at the edge, the worst case of linear interpolation, errs by d (g - d) / g seconds times
        the step, with g the gap and d the distance to its nearer end; four times that is g in the middle of the gap,
        where the quantisation formula expects the gap, and nothing next to a reading.
        """
        t = self._at(t_ns)
        after = int(np.clip(np.searchsorted(self._t, t, side="left"), 1, len(self._t) - 1))
        gap = float(self._t[after] - self._t[after - 1])
        distance = float(np.clip(t - self._t[after - 1], 0.0, gap))
        return 4.0 * distance * (gap - distance) / gap if gap > 0 else 0.0

    def scatter_j(self, t0_ns: int, t1_ns: int) -> float:
        """One sigma of what power readings leave open because they see the power only now and then.

        From the differences of neighbouring readings (von Neumann), with a reading that repeats counted once: n
        readings that scatter by s around a smooth power leave their mean uncertain by s / sqrt(n).
        """
        first = max(0, int(np.searchsorted(self._t, self._at(t0_ns), side="right")) - 1)
        last = int(np.searchsorted(self._t, self._at(t1_ns), side="left")) + 1
        values = self._values[first:last]
        distinct = values[np.concatenate(([True], np.diff(values) != 0))] if len(values) else values
        if len(distinct) < 2:
            return 0.0
        scatter_w = float(np.sqrt(np.mean(np.diff(distinct) ** 2) / 2.0))
        return self._gain * scatter_w * (t1_ns - t0_ns) / 1e9 / math.sqrt(len(distinct))

    def slopes(self) -> list[tuple[int, int, float]]:
        """Mean power between neighbouring points of a counter: start, end, watts; none across a reset."""
        return [
            (
                self._origin_ns + round(a * 1e9), self._origin_ns + round(b * 1e9),
                float(y - x) / float(b - a) * self._gain + self._offset_w,
            )
            for a, b, x, y in zip(self._t, self._t[1:], self._values, self._values[1:], strict=False)
            if y >= x and b > a
        ]  # fmt: skip


def _curve(
    points: list[tuple[int, float, int]], *, counter: bool, factor: tuple[float, float] = (1.0, 0.0)
) -> Curve:
    """Builds a curve from (time of the value, value, time it was asked for)."""
    ordered: dict[int, float] = {}
    for t_ns, value, _ in sorted(points):
        ordered[t_ns] = value
    return Curve(list(ordered), list(ordered.values()), [stamp for _, _, stamp in points], counter=counter,
                 gain=factor[0], offset_w=factor[1])  # fmt: skip


def _gpus(samples: Sequence[Sample]) -> dict[int, list[tuple[int, GpuSample]]]:
    groups: dict[int, list[tuple[int, GpuSample]]] = {}
    for sample in samples:
        for gpu in sample.gpus:
            groups.setdefault(gpu.index, []).append((sample.t_ns, gpu))
    return groups


def _gpu_counter(source: Source, readings: list[tuple[int, GpuSample]]) -> Curve:
    """A GPU never stops drawing power: a reading equal to the one before says only that the counter had not ticked.

    Without the driver's stamp, the tick after such a reading lies somewhere between the two: in the middle, on average.
    """
    points: list[tuple[int, float, int]] = []
    held: list[tuple[int, float, int]] = []
    before_ns: int | None = None  # the reading before, if the counter stood still then
    for stamp_ns, gpu in readings:
        if gpu.energy_j is None:
            continue
        middle_ns = stamp_ns if before_ns is None else (stamp_ns + before_ns) // 2
        point = (middle_ns if gpu.energy_t_ns is None else gpu.energy_t_ns, gpu.energy_j, stamp_ns)
        if points and points[-1][1] == point[1]:
            held.append((stamp_ns, gpu.energy_j, stamp_ns))
            before_ns = stamp_ns
        else:
            points.append(point)
            before_ns = None
    if held and (not points or held[-1][0] > points[-1][0]):
        points.append(held[-1])  # the counter stands still at the end: better than no point after the window
    curve = _curve(points, counter=True, factor=source.factor(readings[0][1].uuid))
    curve.stamps_ns = sorted(curve.stamps_ns + [stamp for _, _, stamp in held])
    return curve


def counters(source: Source, samples: Sequence[Sample], watts: float | None) -> list[Curve]:
    """The counter curves of a source, one per device; the estimate's is CPU seconds times watts per core."""
    if source.part == "gpu":
        return [_gpu_counter(source, readings) for _, readings in sorted(_gpus(samples).items())]
    name, factor = ("process_cpu_s", watts or 0.0) if source.part == "process" else (_COUNTER[source.part], 1.0)
    values = ((_moment(source, sample), getattr(sample, name)) for sample in samples)
    points = [(t, value * factor, t) for t, value in values if value is not None]
    return [_curve(points, counter=True, factor=source.factor(None))]


def powers(source: Source, samples: Sequence[Sample]) -> list[Curve]:
    """The power curves of a source, one per device."""
    if source.part == "gpu":
        return [
            _curve([(t, gpu.power_w, t) for t, gpu in readings if gpu.power_w is not None], counter=False,
                   factor=source.factor(readings[0][1].uuid))
            for _, readings in sorted(_gpus(samples).items())
        ]  # fmt: skip
    asked = ((_moment(source, sample), sample.machine_power_w) for sample in samples)
    return [_curve([(t, power_w, t) for t, power_w in asked if power_w is not None], counter=False)]


def stood_still(source: Source, ticks: Sequence[Curve], t0_ns: int, t1_ns: int) -> bool:
    """Whether a counter of the source did not move: a machine, a CPU or a GPU never draws nothing, idle processes do."""
    return source.part != "process" and any(curve.stood_still(t0_ns, t1_ns) for curve in ticks)


def curves_of(source: Source, samples: Sequence[Sample], watts: float | None, t0_ns: int, t1_ns: int) -> list[Curve]:
    """The curves that a window's figure rests on: the counters, the power readings where those are missing or stood still."""
    ticks = counters(source, samples, watts) if source.counter else []
    if source.power and (not ticks or stood_still(source, ticks, t0_ns, t1_ns)):
        return powers(source, samples)
    return ticks


def _moment(source: Source, sample: Sample) -> int:
    """When the reading was true: a wall meter answers between two samples."""
    return sample.t_ns if source.part != "machine" or sample.machine_t_ns is None else sample.machine_t_ns


def _calibrated_w(source: Source, gpu: GpuSample) -> float:
    gain, offset_w = source.factor(gpu.uuid)
    return gain * (gpu.power_w or 0.0) + offset_w


def _source_power(source: Source, samples: Sequence[Sample], watts: float | None) -> list[tuple[int, int, float]]:
    """Power of one source as (start, end, watts); a direct reading stands for the time since the one before."""
    if source.part == "gpu" and source.power:
        complete = [
            (sample.t_ns, sum(_calibrated_w(source, gpu) for gpu in sample.gpus))
            for sample in samples
            if sample.gpus and all(gpu.power_w is not None for gpu in sample.gpus)
        ]
        starts = [complete[0][0], *(t for t, _ in complete)] if complete else []
        return [(start, t, value) for start, (t, value) in zip(starts, complete, strict=False)]
    if source.part == "machine" and source.power:
        # at the sample's own stamp: this is for looking at, the energy uses the meter's moment
        return [(s.t_ns, s.t_ns, s.machine_power_w) for s in samples if s.machine_power_w is not None]
    curves = [curve.slopes() for curve in counters(source, samples, watts)]
    if len(curves) == 1:
        return curves[0]
    summed: dict[tuple[int, int], list[float]] = {}
    for start, end, value in (slope for curve in curves for slope in curve):
        summed.setdefault((start, end), []).append(value)
    return [(start, end, sum(v)) for (start, end), v in sorted(summed.items()) if len(v) == len(curves)]


def power_series(samples: Sequence[Sample], capabilities: Sequence[Capability]) -> list[PowerPoint]:
    """Power over time in the scope of the energy; empty when nothing measures it."""
    meter = choose_meter(capabilities)
    if meter is None:
        return []
    first, *others = [_source_power(source, samples, meter.watts_per_core) for source in meter.sources]
    points = []
    for _, end, value in first:
        total: float | None = value
        for slopes in others:
            # The other source is read at another rate: its mean power around this moment.
            found = next((power for a, b, power in slopes if a <= end <= b), None)
            total = None if total is None or found is None else total + found
        if total is not None:
            points.append(PowerPoint(end, total, meter.scope))
    return points
