"""Energy of a request, with its interval, from samples and capabilities. Pure: nothing is read here.

**Energy.** A counter interpolated linearly at both edges; beside it the trapezoid of the instant power where there is
one. The counter is the figure, the trapezoid the check (and the figure where there is no counter, it was reset, or it
stood still: a machine, a CPU or a GPU never draws nothing).

**Interval** (measurement protocol: timing, gain, baseline), half-widths at 95 %:

* timing: ``1.96 u_t`` with ``u_t = sqrt(Q0^2 + Q1^2) / sqrt(12) * (P_active - P_idle)``, which is the usual
  ``sqrt(2) Q / sqrt(12) * dP`` when both edges are equally wide. Q is the counter's update period, or what the
  readings leave open where that is more: the gap at that edge (:meth:`Curve.edge_s`) and, root of the sum of squares,
  the lag of a reading behind the tick it shows. Without a baseline P_idle is 0, which widens the interval.
  A figure that rests on power readings alone adds their scatter (:meth:`Curve.scatter_j`): some GPUs look at their
  power for 25 ms of every 100 ms;
* gain: ``g E``, with g = 5 % until the sensor is calibrated and the fit's own half-width afterwards, read as a
  systematic half-width and not as a sigma;
* baseline: ``1.96 u_b`` with ``u_b = standard error * duration``; it belongs to the net energy and is added to the
  gross one too, so that one half-width serves both.

They are combined as the root of the sum of squares. For the *estimate* g is 50 %: the stated watts per core are an
assumption that covers 5 W to 15 W, so its interval is as honest about joules as an assumption can be. Between models
on one machine the factor cancels; the tier ``estimated`` says which of the two readings applies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from collector.telemetry.estimate import GAIN_UNCERTAINTY as ESTIMATE_GAIN_UNCERTAINTY
from collector.telemetry.series import (
    Curve,
    Meter,
    PowerPoint,
    Source,
    choose_meter,
    counters,
    curves_of,
    power_series,
    powers,
    stood_still,
)
from collector.telemetry.types import Capability, EnergyResult, IdleBaseline, Sample
from collector.telemetry.usage import Usage, aggregate, machine_flags, sample_rows
from db.texts import both

__all__ = [
    "BLOCK_S", "GAIN_UNCERTAINTY", "EnergyResult", "IdleBaseline", "PowerPoint", "Usage", "aggregate", "idle_baseline",
    "machine_flags", "power_series", "request_energy", "sample_rows",
]  # fmt: skip

GAIN_UNCERTAINTY = 0.05  # uncalibrated sensors: +-5 % as a 95 % half-width
_Z95 = 1.959964
_MISMATCH = 0.05  # counter against integral
_NOT_RESOLVABLE = 0.10  # timing and baseline part of the half-width over the energy
_GAP_PERIODS = 3.0
_SPLIT_PERIODS = 5.0  # both parts of a split last at least so many Q
_PARTS_ZH = {"machine": "整机", "gpu": "GPU", "cpu": "CPU", "process": "进程"}
BLOCK_S = 1.0  # the baseline's scatter is judged between blocks of this length


@dataclass(frozen=True, slots=True)
class _Reading:
    """One source over one window."""

    source: Source
    counter_j: float | None
    integral_j: float | None
    reset: bool
    seen: bool  # any sample carries the field at all
    sampled: bool  # a sample on both sides, no long gap inside
    edges_s: tuple[float, float]
    scatter_j: float  # one sigma, of a figure that rests on power readings
    stuck: bool  # a counter stood still

    @property
    def on_power(self) -> bool:
        """The figure is that of the power readings, if any."""
        return self.counter_j is None or self.stuck

    @property
    def energy_j(self) -> float | None:
        return self.integral_j if self.on_power else self.counter_j


def _total(curves: list[Curve], t0_ns: int, t1_ns: int) -> float | None:
    parts = [curve.energy_j(t0_ns, t1_ns) for curve in curves]
    known = [part for part in parts if part is not None]
    return sum(known) if parts and len(known) == len(parts) else None


def _well_sampled(curve: Curve, t0_ns: int, t1_ns: int, period_s: float) -> bool:
    stamps = curve.stamps_ns
    if not stamps or not curve.covers(t0_ns, t1_ns):
        return False
    limit_ns = _GAP_PERIODS * period_s * 1e9
    return all(b - a <= limit_ns for a, b in zip(stamps, stamps[1:], strict=False) if b > t0_ns and a < t1_ns)


def _read(
    source: Source, samples: Sequence[Sample], t0_ns: int, t1_ns: int, watts: float | None, rate_hz: float
) -> _Reading:
    ticks = counters(source, samples, watts) if source.counter else []
    instants = powers(source, samples) if source.power else []
    counter_j, stuck = _total(ticks, t0_ns, t1_ns), stood_still(source, ticks, t0_ns, t1_ns)
    on_power = counter_j is None or stuck
    curves = (instants if on_power else ticks) or ticks
    seen = bool(curves) and all(curve.stamps_ns for curve in curves)
    # a wall meter is asked over the network, no faster than it updates; the others at the planned rate
    period_s = max(1.0 / rate_hz, source.period_s) if source.part == "machine" else 1.0 / rate_hz
    lag_s = min(source.period_s, 1.0 / rate_hz)
    edges = [
        max(source.period_s, math.hypot(lag_s, max(curve.edge_s(t) for curve in curves))) if seen else 0.0
        for t in (t0_ns, t1_ns)
    ]
    return _Reading(
        source=source,
        counter_j=counter_j,
        integral_j=_total(instants, t0_ns, t1_ns),
        reset=any(curve.was_reset(t0_ns, t1_ns) for curve in ticks),
        seen=seen,
        sampled=seen and all(_well_sampled(curve, t0_ns, t1_ns, period_s) for curve in curves),
        edges_s=(edges[0], edges[1]),
        scatter_j=math.hypot(*(curve.scatter_j(t0_ns, t1_ns) for curve in instants)) if on_power else 0.0,
        stuck=stuck,
    )


def _sources(readings: list[_Reading]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for reading in readings:
        name = reading.source.sensor
        kind = "energy_j" if reading.source.part == "process" else "counter_j"
        if reading.counter_j is not None:
            figures[f"{name}.{kind}"] = reading.counter_j
        if reading.integral_j is not None:
            figures[f"{name}.integral_j"] = reading.integral_j
    return figures


def _flags(readings: list[_Reading]) -> list[str]:
    flags = []
    if any(reading.reset for reading in readings):
        flags.append("counter_reset")
    if any(not reading.sampled for reading in readings if reading.seen):
        flags.append("undersampled")
    for reading in readings:
        counter_j, integral_j = reading.counter_j, reading.integral_j
        if counter_j is not None and integral_j is not None and abs(integral_j - counter_j) > _MISMATCH * counter_j:
            flags.append("counter_mismatch")
            break
    return flags


def _why_none(readings: list[_Reading]) -> str:
    for reading in readings:
        name = reading.source.sensor
        if not reading.seen:
            part, part_zh = reading.source.part, _PARTS_ZH[reading.source.part]
            return both(f"no sample carries the {part} reading of {name}", f"没有样本含有 {name} 的{part_zh}读数")
        if reading.energy_j is None and reading.reset:
            return both(f"the counter of {name} was reset in the window", f"{name} 的计数器在此时段内复位")
        if reading.energy_j is None and reading.stuck:
            return both(f"the counter of {name} stood still in the window", f"{name} 的计数器在此时段内没有变化")
        if reading.energy_j is None:
            return both(f"no sample of {name} on both sides of the window", f"{name} 在此时段两侧没有样本")
    return both("no sensor", "没有传感器")


def _missing(capabilities: Sequence[Capability]) -> EnergyResult:
    causes = {
        f"{row.sensor}: {row.reason}": f"{row.sensor}：{row.reason_zh or row.reason}"
        for row in capabilities if row.tier is not None and row.reason
    } or {"none was probed": "未检测到任何传感器"}  # fmt: skip
    reason = both(f"no energy sensor ({'; '.join(causes)})", f"没有能量传感器（{'；'.join(causes.values())}）")
    return EnergyResult(reason=reason, flags=("energy_missing",))


def _timing_u_j(readings: list[_Reading], duration_s: float, idle_w: float) -> float:
    """One sigma of the timing part; the idle power is shared among the sources as their energy is."""
    total_j = sum(reading.energy_j or 0.0 for reading in readings)
    dynamic_w = max(0.0, total_j / duration_s - idle_w)
    edges_j = (
        math.hypot(*reading.edges_s) / math.sqrt(12.0) * dynamic_w * (reading.energy_j or 0.0) / total_j
        for reading in readings
    )
    return math.hypot(*edges_j, *(reading.scatter_j for reading in readings))


def _gain_j(readings: list[_Reading], gain_uncertainty: float) -> float:
    """95 % half-width of the gain part; different sensors err independently."""
    return math.hypot(
        *(
            (reading.energy_j or 0.0)
            * _gain_uncertainty(reading.source, gain_uncertainty)
            for reading in readings
        )
    )


def _gain_uncertainty(source: Source, uncalibrated: float) -> float:
    if source.gain_uncertainty is not None:
        return source.gain_uncertainty
    return ESTIMATE_GAIN_UNCERTAINTY if source.tier == "estimated" else uncalibrated


class _Interval(NamedTuple):
    idle_j: float
    half_j: float
    resolvable: bool


def _interval(
    readings: list[_Reading], energy_j: float, duration_s: float, baseline: IdleBaseline | None, gain_uncertainty: float
) -> _Interval:
    """The 95 % half-width of the module's docstring, and whether timing and baseline alone leave the figure usable."""
    idle_w = baseline.power_w if baseline else 0.0
    timing_j = _Z95 * _timing_u_j(readings, duration_s, idle_w)
    baseline_j = _Z95 * baseline.standard_error_w * duration_s if baseline else 0.0
    spread_j = math.hypot(timing_j, baseline_j)
    half_j = math.hypot(spread_j, _gain_j(readings, gain_uncertainty))
    return _Interval(idle_w * duration_s, half_j, spread_j <= _NOT_RESOLVABLE * energy_j)


def request_energy(
    samples: Sequence[Sample], t0_ns: int, t1_ns: int, capabilities: Sequence[Capability], *,
    baseline: IdleBaseline | None = None, first_token_ns: int | None = None,
    gain_uncertainty: float = GAIN_UNCERTAINTY, rate_hz: float = 10.0, gpu_rate_hz: float = 20.0,
) -> EnergyResult:  # fmt: skip
    """Energy between two moments.

    Args:
        samples: in time order, with some before and after the window (``Sampler.between``).
        t0_ns: start, monotonic; likewise t1_ns the end.
        capabilities: what the sensors can do: decides scope and tier.
        baseline: idle power; used when it has the scope and tier of this energy.
        first_token_ns: where prefill ends, for the split.
        gain_uncertainty: relative 95 % half-width of the sensors' gain.
        rate_hz: planned rate of the samples, to judge gaps; likewise gpu_rate_hz.

    Returns:
        The figure, or None with a reason; flags are names of db.flags.
    """
    meter = choose_meter(capabilities)
    if meter is None or t1_ns <= t0_ns:
        return _missing(capabilities)

    readings, beside = (
        [
            _read(source, samples, t0_ns, t1_ns, meter.watts_per_core, gpu_rate_hz if source.part == "gpu" else rate_hz)
            for source in group
        ]
        for group in (meter.sources, meter.beside)
    )
    flags, sources = _flags(readings), _sources([*readings, *beside])
    known = [reading.energy_j for reading in readings if reading.energy_j is not None]
    if len(known) < len(readings):
        flags += ["energy_zero"] if any(reading.stuck and reading.energy_j is None for reading in readings) else []
        flags += [] if flags else ["energy_missing"]
        return EnergyResult(reason=_why_none(readings), sources=sources, flags=tuple(flags))
    energy_j = sum(known)
    if energy_j <= 0 or not math.isfinite(energy_j):
        reason = both(f"the sensors read {energy_j:g} J, which no answer can cost",
                      f"传感器读数为 {energy_j:g} J，任何回答的能耗都不可能如此")  # fmt: skip
        return EnergyResult(reason=reason, sources=sources, flags=(*flags, "energy_zero"))

    usable = baseline if baseline and (baseline.scope, baseline.tier) == (meter.scope, meter.tier) else None
    interval = _interval(readings, energy_j, (t1_ns - t0_ns) / 1e9, usable, gain_uncertainty)
    parts = {reading.source.part: reading.energy_j for reading in readings}
    prefill_j = _prefill_j(meter, samples, t0_ns, first_token_ns, t1_ns, (rate_hz, gpu_rate_hz))
    return EnergyResult(
        energy_j=energy_j,
        energy_net_j=energy_j - interval.idle_j if usable else None,
        energy_low_j=max(0.0, energy_j - interval.half_j),
        energy_high_j=energy_j + interval.half_j,
        tier=meter.tier,
        scope=meter.scope,
        sources=sources,
        flags=(*flags, *([] if interval.resolvable else ["not_resolvable"])),
        cpu_energy_j=parts.get("cpu"),
        gpu_energy_j=parts.get("gpu"),
        prefill_j=prefill_j,
        decode_j=None if prefill_j is None else energy_j - prefill_j,
    )


def _prefill_j(
    meter: Meter, samples: Sequence[Sample], t0_ns: int, first_ns: int | None, t1_ns: int, rates_hz: tuple[float, float]
) -> float | None:
    """Energy up to the first token; None unless both parts last five Q, Q the coarser of counter and sampling."""
    if first_ns is None or not t0_ns < first_ns < t1_ns:
        return None
    total_j = 0.0
    for source in meter.sources:
        rate_hz = rates_hz[1] if source.part == "gpu" else rates_hz[0]
        least_ns = _SPLIT_PERIODS * max(source.period_s, 1.0 / rate_hz) * 1e9
        if min(first_ns - t0_ns, t1_ns - first_ns) < least_ns:
            return None
        whole = _read(source, samples, t0_ns, t1_ns, meter.watts_per_core, rate_hz)
        part = _read(source, samples, t0_ns, first_ns, meter.watts_per_core, rate_hz)
        # the same kind of figure as the whole, so that the two parts add up to it
        part_j = part.integral_j if whole.on_power else part.counter_j
        if part_j is None:
            return None
        total_j += part_j
    return total_j


def idle_baseline(
    samples: Sequence[Sample], t0_ns: int, t1_ns: int, capabilities: Sequence[Capability], block_s: float = BLOCK_S
) -> IdleBaseline | None:
    """Mean power of an idle window and its standard error.

    The error is the larger of the scatter between blocks of ``block_s``, widened by Student's t for their number so
    that 1.96 of it is a 95 % half-width, and of what the edges leave open.

    Returns:
        None without an energy sensor, with a counter that was reset or stood still, or when the window holds fewer than
        three blocks.
    """
    meter = choose_meter(capabilities)
    duration_s = (t1_ns - t0_ns) / 1e9
    blocks = int(duration_s / block_s)
    if meter is None or blocks < 3:
        return None
    bounds = np.linspace(t0_ns, t1_ns, blocks + 1).astype(np.int64).tolist()
    total = np.zeros(blocks)
    timing_w = []
    for source in meter.sources:
        curves = curves_of(source, samples, meter.watts_per_core, t0_ns, t1_ns)
        pieces = [_total(curves, a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        if any(piece is None for piece in pieces) or stood_still(source, curves, t0_ns, t1_ns):
            return None
        energies = np.asarray(pieces, dtype=np.float64)
        total += energies
        edge_s = max(source.period_s, *(max(curve.edge_s(t0_ns), curve.edge_s(t1_ns)) for curve in curves))
        scatter_w = float(np.std(energies, ddof=1)) * blocks / duration_s
        timing_w.append(math.sqrt(2.0) * edge_s / math.sqrt(12.0) * scatter_w / duration_s)
    power_w = float(total.sum()) / duration_s
    block_w = total * blocks / duration_s
    widening = float(stdtrit(blocks - 1, 0.975)) / _Z95
    scatter_w = widening * float(np.std(block_w, ddof=1)) / math.sqrt(blocks)
    return IdleBaseline(power_w, max(scatter_w, *timing_w), duration_s, meter.scope, meter.tier)
