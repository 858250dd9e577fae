"""Plain values that the sampler, the sensors and the energy arithmetic exchange.

Times are ``time.monotonic_ns()`` of this machine. ``None`` always means "not measured" (the capability row of the
field says why), never zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

__all__ = [
    "Capability", "EnergyResult", "Factor", "GpuSample", "IdleBaseline", "Sample", "Scope", "Status", "Tier",
]  # fmt: skip

Tier = Literal["estimated", "counter", "calibrated", "wall"]
Scope = Literal["process", "cpu", "gpu", "gpu+cpu", "machine"]
Status = Literal["ok", "unsupported", "denied", "missing"]


class Factor(NamedTuple):
    """What a calibration says about one device: true watts = gain * sensor watts + offset_w.

    Attributes:
        device: UUID of a GPU, None for a sensor that is one sum (CPU packages).
        gain: dimensionless.
        gain_uncertainty: relative 95 % half-width of the gain.
        offset_w: what is added to the reading; 0 where the meter saw more than the device, since the rest of the
            machine is then in its offset and not in this scope.
    """

    device: str | None
    gain: float
    gain_uncertainty: float
    offset_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Capability:
    """What one field of one sensor can do on this machine.

    Attributes:
        sensor: module name of the sensor, e.g. ``nvml``.
        field: field name as in :class:`Sample`, e.g. ``gpu_energy_j``.
        source: the interface behind it, e.g. ``nvmlDeviceGetFieldValues(83)``.
        unit: unit of the field.
        scope: what it covers, None where the question does not arise.
        tier: energy tier of figures built on it, None for fields that are not energy.
        status: ok, unsupported, denied (no permission) or missing (no device, no library).
        reason: why it is not ok, None when it is.
        cure: what the user can do about it, None when nothing or nothing is needed.
        update_period_s: how often the value really changes, measured at start-up; None when not measured.
        reason_code: stable name of the reason (collector/telemetry/reasons.py), None when ok.
        reason_zh: the reason in Chinese; likewise cure_zh.
        calibrations: factors of the devices behind the field; empty until calibrated.
    """

    sensor: str
    field: str
    source: str
    unit: str
    scope: Scope | None
    tier: Tier | None
    status: Status
    reason: str | None = None
    cure: str | None = None
    update_period_s: float | None = None
    reason_code: str | None = None
    reason_zh: str | None = None
    cure_zh: str | None = None
    calibrations: tuple[Factor, ...] = ()

    def row(self) -> dict[str, Any]:
        """Columns of the ``sensors`` table, without machine and campaign."""
        return {**asdict(self), "probed_at": datetime.now(UTC)}


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU at one moment; every field None where the GPU does not report it."""

    index: int
    uuid: str | None = None
    percent: float | None = None
    vram_bytes: int | None = None
    power_w: float | None = None
    power_average_w: float | None = None
    energy_j: float | None = None  # cumulative counter of the driver, unwrapped; restarts at a driver reload
    energy_t_ns: int | None = None  # the driver's own stamp of the counter, on our monotonic clock
    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    throttled_power_s: float | None = None  # cumulative time throttled by power
    throttled_thermal_s: float | None = None  # cumulative time throttled by heat
    power_t_ns: int | None = None  # the driver's own stamp of the power, on our monotonic clock


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine at one moment.

    Attributes:
        t_ns: monotonic stamp at which the values were read.
        cpu_percent: whole machine, 0..100.
        process_cpu_percent: the engine's process tree, 100 = one core.
        process_cpu_s: cumulative CPU seconds of the tree, ended children included.
        memory_percent: whole machine, 0..100.
        memory_bytes: resident set of the tree.
        disk_read_bytes: cumulative, whole machine; likewise disk_write_bytes.
        cpu_energy_j: cumulative energy of the CPU packages (and memory) since the sampler started, by a counter.
        machine_power_w: a wall meter's reading.
        machine_energy_j: cumulative energy by a wall meter.
        machine_t_ns: when the wall meter answered, which is before ``t_ns``; None without a fresh answer.
        gpus: one entry per GPU; empty without a GPU.
        sampler_cpu_s: cumulative CPU seconds of the sampler itself.
    """

    t_ns: int
    cpu_percent: float | None = None
    process_cpu_percent: float | None = None
    process_cpu_s: float | None = None
    memory_percent: float | None = None
    memory_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    cpu_energy_j: float | None = None
    machine_power_w: float | None = None
    machine_energy_j: float | None = None
    machine_t_ns: int | None = None
    gpus: tuple[GpuSample, ...] = ()
    sampler_cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class IdleBaseline:
    """Power of the machine idle with the model loaded, in the scope of the energy it is taken from."""

    power_w: float
    standard_error_w: float
    duration_s: float
    scope: Scope
    tier: Tier


@dataclass(frozen=True, slots=True)
class EnergyResult:
    """Energy of one request.

    Attributes:
        energy_j: gross joules in the window, None when no sensor gave one (``reason`` says why).
        energy_net_j: gross minus idle power times duration, None without a baseline.
        energy_low_j: lower end of the 95 % interval of the gross energy; likewise energy_high_j.
        tier: how it was obtained; None exactly when energy_j is None. Likewise scope.
        reason: why there is no energy, or None.
        sources: every sensor's own figure, e.g. ``{"nvml.counter_j": 12.1, "nvml.integral_j": 12.4}``.
        flags: names out of db.flags.
        cpu_energy_j: the CPU's part where it is measured apart; likewise gpu_energy_j.
        prefill_j: part up to the first token, None when not separable; likewise decode_j.
    """

    energy_j: float | None = None
    energy_net_j: float | None = None
    energy_low_j: float | None = None
    energy_high_j: float | None = None
    tier: Tier | None = None
    scope: Scope | None = None
    reason: str | None = None
    sources: dict[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    cpu_energy_j: float | None = None
    gpu_energy_j: float | None = None
    prefill_j: float | None = None
    decode_j: float | None = None
