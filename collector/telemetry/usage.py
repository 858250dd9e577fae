"""What a request used of the machine: the figures of the ``runs`` table and the rows of ``samples``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from collector.telemetry.series import power_series
from collector.telemetry.types import Capability, GpuSample, Sample

__all__ = ["Usage", "aggregate", "hottest_c", "machine_flags", "other_cpu_cores", "sample_rows", "vram_at"]

_TELLING = 3  # samples; the system's and the processes' CPU times are read some ms apart


@dataclass(frozen=True, slots=True)
class Usage:
    """Time-weighted means and maxima over a window; names are columns of ``runs``, None is never measured.

    ``cpu``, ``memory_percent`` and disk are the whole machine, ``process`` and ``memory_bytes`` the engine's tree (100 %
    is one core), ``gpu_percent`` the mean and ``vram_bytes`` the sum over all GPUs, power has the scope of the energy.
    """

    cpu_percent_mean: float | None = None
    cpu_percent_max: float | None = None
    process_cpu_percent_mean: float | None = None
    process_cpu_percent_max: float | None = None
    memory_percent_mean: float | None = None
    memory_percent_max: float | None = None
    memory_bytes_mean: float | None = None
    memory_bytes_max: float | None = None
    gpu_percent_mean: float | None = None
    gpu_percent_max: float | None = None
    vram_bytes_mean: float | None = None
    vram_bytes_max: float | None = None
    power_w_mean: float | None = None
    power_w_max: float | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None


def _over_gpus(sample: Sample, field: str) -> list[float]:
    values = [getattr(gpu, field) for gpu in sample.gpus]
    return [] if any(value is None for value in values) else values


def _gpu_percent(sample: Sample) -> float | None:
    values = _over_gpus(sample, "percent")
    return sum(values) / len(values) if values else None


def _vram_bytes(sample: Sample) -> float | None:
    return sum(values) if (values := _over_gpus(sample, "vram_bytes")) else None


_MEANS: dict[str, Callable[[Sample], float | None]] = {
    "cpu_percent": lambda sample: sample.cpu_percent,
    "process_cpu_percent": lambda sample: sample.process_cpu_percent,
    "memory_percent": lambda sample: sample.memory_percent,
    "memory_bytes": lambda sample: sample.memory_bytes,
    "gpu_percent": _gpu_percent,
    "vram_bytes": _vram_bytes,
}


def _mean_and_max(points: list[tuple[int, float]], t0_ns: int, t1_ns: int) -> tuple[float | None, float | None]:
    """A reading stands for the time since the one before: what percentages and differences of counters mean."""
    weighted = span_ns = 0.0
    largest: float | None = None
    for (before_ns, _), (t_ns, value) in zip(points, points[1:], strict=False):
        overlap_ns = min(t_ns, t1_ns) - max(before_ns, t0_ns)
        if overlap_ns <= 0:
            continue
        weighted += value * overlap_ns
        span_ns += overlap_ns
        # an edge interval that lies mostly outside tells more about what came before or after
        if overlap_ns * 2 >= t_ns - before_ns or largest is None:
            largest = value if largest is None else max(largest, value)
    return (weighted / span_ns, largest) if span_ns else (None, None)


def _difference(points: list[tuple[int, int]], t0_ns: int, t1_ns: int) -> int | None:
    """Growth of a cumulative figure, linear between readings; None where it is not covered or fell."""
    if len(points) < 2 or points[0][0] > t0_ns or points[-1][0] < t1_ns:
        return None
    total = 0.0
    for (a_ns, a), (b_ns, b) in zip(points, points[1:], strict=False):
        overlap_ns = min(b_ns, t1_ns) - max(a_ns, t0_ns)
        if overlap_ns > 0:
            if b < a:
                return None
            total += (b - a) * overlap_ns / (b_ns - a_ns)
    return round(total)


def aggregate(samples: Sequence[Sample], t0_ns: int, t1_ns: int, capabilities: Sequence[Capability] = ()) -> Usage:
    """The usage figures of a window; power needs ``capabilities``, which say how it is obtained."""
    figures: dict[str, Any] = {}
    for name, get in _MEANS.items():
        points = [(sample.t_ns, value) for sample in samples if (value := get(sample)) is not None]
        figures[f"{name}_mean"], figures[f"{name}_max"] = _mean_and_max(points, t0_ns, t1_ns)
    power = [(point.t_ns, point.power_w) for point in power_series(samples, capabilities)]
    figures["power_w_mean"], figures["power_w_max"] = _mean_and_max(power, t0_ns, t1_ns)
    disk = {
        name: _difference([(s.t_ns, v) for s in samples if (v := getattr(s, name)) is not None], t0_ns, t1_ns)
        for name in ("disk_read_bytes", "disk_write_bytes")
    }
    return Usage(**figures, **disk)


def sample_rows(
    samples: Sequence[Sample], t0_ns: int, t1_ns: int, run_id: str, margin_s: float = 0.5,
    capabilities: Sequence[Capability] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of the ``samples`` table for a window and ``margin_s`` around it; ``t_s`` counts from ``t0_ns``.

    ``gpu_energy_j`` is the drivers' own counters, summed; ``temperature_c`` is the hottest GPU.
    """
    margin_ns = round(margin_s * 1e9)
    power = {point.t_ns: point for point in power_series(samples, capabilities)}
    return [
        _row(sample, t0_ns, run_id) | _power_columns(power.get(sample.t_ns))
        for sample in samples
        if t0_ns - margin_ns <= sample.t_ns <= t1_ns + margin_ns
    ]


def _power_columns(point: Any) -> dict[str, Any]:
    return {
        "power_w": None if point is None else point.power_w,
        "power_scope": None if point is None else point.scope,
    }


def _row(sample: Sample, t0_ns: int, run_id: str) -> dict[str, Any]:
    vram_bytes = _vram_bytes(sample)
    energies, temperatures = _over_gpus(sample, "energy_j"), _over_gpus(sample, "temperature_c")
    return {
        "run_id": run_id,
        "t_s": (sample.t_ns - t0_ns) / 1e9,
        "cpu_percent": sample.cpu_percent,
        "process_cpu_percent": sample.process_cpu_percent,
        "process_cpu_s": sample.process_cpu_s,
        "memory_percent": sample.memory_percent,
        "memory_bytes": sample.memory_bytes,
        "disk_read_bytes": sample.disk_read_bytes,
        "disk_write_bytes": sample.disk_write_bytes,
        "gpu_percent": _gpu_percent(sample),
        "vram_bytes": None if vram_bytes is None else int(vram_bytes),
        "cpu_energy_j": sample.cpu_energy_j,
        "gpu_energy_j": sum(energies) if energies else None,
        "temperature_c": max(temperatures) if temperatures else None,
        "gpus": [_gpu_json(gpu) for gpu in sample.gpus] or None,
    }


def _gpu_json(gpu: GpuSample) -> dict[str, Any]:
    return {name: value for name, value in asdict(gpu).items() if value is not None}


def hottest_c(samples: Sequence[Sample], t_ns: int) -> float | None:
    """Temperature of the hottest GPU at a moment, in C; None without a GPU or a sensor."""
    return _at(samples, t_ns, lambda sample: max(_over_gpus(sample, "temperature_c"), default=None))


def vram_at(samples: Sequence[Sample], t_ns: int) -> float | None:
    """Memory in use on all GPUs at a moment; None without a GPU or a sensor."""
    return _at(samples, t_ns, lambda sample: _vram_bytes(sample) if sample.gpus else None)


def _at(samples: Sequence[Sample], t_ns: int, get: Callable[[Sample], float | None]) -> float | None:
    """The last reading up to a moment, else the first one after it."""
    before = after = None
    for sample in samples:
        if (value := get(sample)) is None:
            continue
        if sample.t_ns <= t_ns:
            before = value
        elif after is None:
            after = value
    return after if before is None else before


def other_cpu_cores(usage: Usage, cores: int, sample_count: int) -> float | None:
    """Cores that processes other than the engine's kept busy; None without a sensor or with too few samples to tell."""
    if usage.cpu_percent_mean is None or usage.process_cpu_percent_mean is None or sample_count < _TELLING:
        return None
    return max(0.0, (usage.cpu_percent_mean * cores - usage.process_cpu_percent_mean) / 100.0)


def machine_flags(samples: Sequence[Sample], t0_ns: int, t1_ns: int) -> tuple[str, ...]:
    """``throttled`` when a GPU lost time to heat in the window, by its driver's own cumulative counter.

    The readings on both sides of the window belong to it. Running at its power limit is how a card is set up, and the
    limit is part of the cohort; it is kept in the samples (``throttled_power_s``) and not flagged.
    """
    lost: dict[int, list[tuple[int, float]]] = {}
    for sample in samples:
        for gpu in sample.gpus:
            if gpu.throttled_thermal_s is not None:
                lost.setdefault(gpu.index, []).append((sample.t_ns, gpu.throttled_thermal_s))
    for readings in lost.values():
        first = max((n for n, (t_ns, _) in enumerate(readings) if t_ns <= t0_ns), default=0)
        last = min((n for n, (t_ns, _) in enumerate(readings) if t_ns >= t1_ns), default=len(readings) - 1)
        if readings[last][1] > readings[first][1]:
            return ("throttled",)
    return ()
