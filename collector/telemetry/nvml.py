"""NVIDIA GPUs through NVML. The only file that imports pynvml.

One ``nvmlDeviceGetFieldValues`` per GPU and tick brings the energy counter, both power readings and the
throttle counters together with the driver's own stamps. Where a driver does not know the fields of the counter or of
the power, the older single calls are asked instead. A zero from the energy counter or a power field is not believed:
drivers polled fast answer 0 for "not now" (seen by the Zeus project), and a powered GPU never draws nothing. Counter and
power are the whole card's, also where it is divided (MIG).

The ids of the slowdown counters depend on the driver, not on the binding: 251 to 253 from 575 on, 269 to 271 from
580.82 on, none before (constants of nvidia-ml-py 12.570, 12.575, 13.580.65 and 13.580.82); to the other drivers those
ids are settings of power smoothing. All throttle counters are in nanoseconds.
"""

from __future__ import annotations

import ctypes
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pynvml

from collector.telemetry.reasons import Why, why
from collector.telemetry.sensor import Group, Sensor, SensorOptions
from collector.telemetry.types import Capability, GpuSample, Status, Tier

__all__ = ["GpuInfo", "GpuProcess", "NvmlSensor", "gpu_processes", "inventory", "slowdown_ids"]

_ENERGY, _AVERAGE, _INSTANT, _LIMIT_POWER, _LIMIT_HEAT = 83, 185, 186, 74, 75
_FIELD_IDS = [_ENERGY, _AVERAGE, _INSTANT, _LIMIT_POWER, _LIMIT_HEAT]
_NEVER_ZERO = {_ENERGY, _AVERAGE, _INSTANT}
_SUCCESS, _NO_PERMISSION, _NO_DRIVER = 0, 4, (9, 12)  # nvmlReturn_t: driver not loaded, library not found
_TEMPERATURE_GPU, _CLOCK_SM, _TOTAL_POWER_SAMPLES = 0, 1, 0
_VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # by nvmlValueType_t
_STAMP_TOLERANCE_NS = 2_000_000_000  # an older or later driver stamp is not on our clock
_CLOCK_TRIES, _CLOCK_GAP_NS = 3, 100_000
_PROBE_POLLS, _PROBE_STEP_S = 21, 0.05  # 50 ms: polling faster may be answered by "not supported" or 0
_POWER_SAMPLES = "gpu_power_samples"


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """What a GPU is; None where the driver does not tell."""

    index: int
    name: str | None
    uuid: str | None
    driver: str | None
    vbios: str | None
    memory_bytes: int | None
    power_limit_w: float | None
    persistence: bool | None


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A compute process on a GPU; vram_bytes is None where the driver does not tell (Windows)."""

    gpu_index: int
    pid: int
    vram_bytes: int | None


def _open(library: str | None) -> Why | None:
    """Loads and initialises NVML; None when it works, else why not."""
    if library is not None:
        # pynvml searches one fixed place; setting its handle is the way to give it another library.
        try:
            pynvml.nvmlLib = ctypes.CDLL(library)
        except OSError as error:
            return why("nvml_unloadable", library=library, error=error)
        pynvml._nvmlGetFunctionPointer_cache.clear()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == _NO_PERMISSION:
            return why("nvml_denied")
        if error.value in _NO_DRIVER:
            return why("no_nvidia_driver")
        return why("nvml_error", error=error)
    return None


def slowdown_ids(driver: str | None) -> tuple[int, int, int] | None:
    """Field ids of SW thermal, HW thermal and power-brake slowdown for a driver version; None where it has none."""
    numbers = re.match(r"(\d+)\.(\d+)", driver or "")
    version = (int(numbers.group(1)), int(numbers.group(2))) if numbers else (0, 0)
    if version >= (580, 82):
        return 269, 270, 271
    return (251, 252, 253) if version >= (575, 0) else None


def _ask(function: str, *arguments: Any) -> Any:
    """One NVML query; None when the GPU cannot or may not answer it, or the binding is too old to ask."""
    try:
        found = getattr(pynvml, function)(*arguments)
    except (pynvml.NVMLError, AttributeError):
        return None
    return found.decode(errors="replace") if isinstance(found, bytes) else found


def _handles() -> list[tuple[int, Any]]:
    """Number and handle of every GPU; the handle is None where the driver lists a GPU that it cannot reach."""
    count = _ask("nvmlDeviceGetCount") or 0
    return [(index, _ask("nvmlDeviceGetHandleByIndex", index)) for index in range(count)]


def _reachable() -> list[tuple[int, Any]]:
    return [(index, handle) for index, handle in _handles() if handle is not None]


@dataclass(slots=True)
class _Largest:
    """Sums the largest step among counters that may show the same time under several names."""

    total_s: float = 0.0
    last: list[float] | None = None

    def add(self, values_ns: list[float | None]) -> float | None:
        known = [value for value in values_ns if value is not None]
        if not known:
            return None
        if self.last is not None and len(self.last) == len(known):
            steps = [b - a for a, b in zip(self.last, known, strict=True)]
            self.total_s += max(0.0, *steps) / 1e9
        self.last = known
        return self.total_s


@dataclass(slots=True)
class _Gpu:
    index: int
    handle: Any
    uuid: str | None
    slowdown: tuple[int, int, int] | None
    power: _Largest = field(default_factory=_Largest)
    heat: _Largest = field(default_factory=_Largest)
    denied: set[int] = field(default_factory=set)  # fields that this user may not read
    counts_alone: bool = False  # the counter has to be asked for by a call of its own
    by_usage: bool = False  # the power came by a call of its own

    def fields(self) -> tuple[dict[int, float], dict[int, int | None]]:
        """Field values by id, missing ones left out, and the monotonic stamps of the energy counter and the power."""
        values: dict[int, float] = {}
        stamps_ns: dict[int, int | None] = {}
        answer = _ask("nvmlDeviceGetFieldValues", self.handle, [*_FIELD_IDS, *(self.slowdown or ())])
        for entry in answer or ():
            field_id, code, kind = entry.fieldId, entry.nvmlReturn, entry.valueType  # each access costs
            if code == _NO_PERMISSION:
                self.denied.add(field_id)
            if code != _SUCCESS or not 0 <= kind < len(_VALUE_MEMBERS):
                continue
            value = float(getattr(entry.value, _VALUE_MEMBERS[kind]))
            if field_id in _NEVER_ZERO and value <= 0:
                continue
            values[field_id] = value
            if field_id in (_ENERGY, _INSTANT):
                stamps_ns[field_id] = _monotonic_stamp_ns(entry.timestamp)
        return values, stamps_ns

    def read(self) -> GpuSample:
        """All fields of one GPU now."""
        values, stamps_ns = self.fields()
        energy_mj, average_mw, instant_mw = (values.get(key) for key in (_ENERGY, _AVERAGE, _INSTANT))
        if self.counts_alone:
            energy_mj = _ask("nvmlDeviceGetTotalEnergyConsumption", self.handle) or None
        if instant_mw is None:
            instant_mw = _ask("nvmlDeviceGetPowerUsage", self.handle) or None
            self.by_usage |= instant_mw is not None
        use = _ask("nvmlDeviceGetUtilizationRates", self.handle)
        memory = _ask("nvmlDeviceGetMemoryInfo", self.handle)
        sw_heat, hw_heat, brake = (values.get(key) for key in self.slowdown or (-1, -1, -1))
        hot = [value for value in (sw_heat, hw_heat) if value is not None]
        return GpuSample(
            index=self.index,
            uuid=self.uuid,
            percent=None if use is None else float(use.gpu),
            vram_bytes=None if memory is None else int(memory.used),
            power_w=None if instant_mw is None else instant_mw / 1000,
            power_average_w=None if average_mw is None else average_mw / 1000,
            energy_j=None if energy_mj is None else energy_mj / 1000,
            energy_t_ns=stamps_ns.get(_ENERGY),
            power_t_ns=stamps_ns.get(_INSTANT),
            temperature_c=_ask("nvmlDeviceGetTemperature", self.handle, _TEMPERATURE_GPU),
            sm_clock_mhz=_ask("nvmlDeviceGetClockInfo", self.handle, _CLOCK_SM),
            throttled_power_s=self.power.add([values.get(_LIMIT_POWER), brake]),
            throttled_thermal_s=self.heat.add([values.get(_LIMIT_HEAT), sum(hot) if hot else None]),
        )


def _monotonic_stamp_ns(timestamp_us: int) -> int | None:
    """The driver stamps in microseconds of the wall clock; None when that is plainly not so."""
    for _ in range(_CLOCK_TRIES):
        before_ns, wall_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after_ns - before_ns <= _CLOCK_GAP_NS:  # else the process had to wait between the two clocks
            break
    now_ns, age_ns = (before_ns + after_ns) // 2, wall_ns - timestamp_us * 1000
    return now_ns - age_ns if -10_000_000 <= age_ns <= _STAMP_TOLERANCE_NS else None


class NvmlSensor(Sensor):
    """Every NVIDIA GPU of the machine."""

    name = "nvml"
    group: ClassVar[Group] = "gpu"

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self._gpus: list[_Gpu] = []
        self._open = False

    def probe(self) -> list[Capability]:
        """One row per field, ok only when every GPU has it; the update period is that of the slowest GPU."""
        problem = _open(self.options.nvml_library)
        self._open = problem is None
        if self._open:
            slowdown = slowdown_ids(_ask("nvmlSystemGetDriverVersion"))
            self._gpus = [
                _Gpu(index, handle, _ask("nvmlDeviceGetUUID", handle), slowdown) for index, handle in _reachable()
            ]
            if not self._gpus:
                problem = why("no_gpu")
        if problem is not None:
            status: Status = "denied" if problem["reason_code"] == "nvml_denied" else "missing"
            return [replace(_row(name, None), status=status, **problem) for name in (*_ROWS, _POWER_SAMPLES)]
        for gpu in self._gpus:
            gpu.counts_alone = gpu.read().energy_j is None and _ENERGY not in gpu.denied
        polls: list[list[GpuSample]] = []
        for _ in range(_PROBE_POLLS):
            polls.append([gpu.read() for gpu in self._gpus])
            time.sleep(_PROBE_STEP_S)
        lost = [replace(_row("gpu_handle", None), status="missing", **why("gpu_lost", index=index))
                for index, handle in _handles() if handle is None]  # fmt: skip
        return [*(self._capability(name, polls) for name in _ROWS), self._ring_buffer(), *lost]

    def _capability(self, name: str, polls: list[list[GpuSample]]) -> Capability:
        attribute = name.removeprefix("gpu_")
        periods_s: list[float] = []
        row = self._row(name)
        for position, gpu in enumerate(self._gpus):
            values = [getattr(poll[position], attribute) for poll in polls]
            if all(value is None for value in values):
                if _FIELD_OF.get(name) in gpu.denied:
                    return replace(row, status="denied", **why("gpu_field_denied", index=gpu.index))
                return replace(row, status="unsupported", **why("gpu_field_unsupported", index=gpu.index))
            changes = sum(a != b for a, b in zip(values, values[1:], strict=False))
            if changes:
                periods_s.append((len(polls) - 1) * _PROBE_STEP_S / changes)
        return replace(row, update_period_s=max(periods_s, default=None))

    def _row(self, name: str) -> Capability:
        """The row of a field that works, with the calls that really bring it."""
        row = _row(name, self._gpus[0].slowdown)
        if name == "gpu_energy_j" and any(gpu.counts_alone for gpu in self._gpus):
            row = replace(row, source="nvmlDeviceGetTotalEnergyConsumption")
        if name == "gpu_power_w" and any(gpu.by_usage for gpu in self._gpus):
            row = replace(row, source="nvmlDeviceGetPowerUsage (mean of the last second on Ampere and newer, but GA100)")
        divided = [gpu.index for gpu in self._gpus if (_ask("nvmlDeviceGetMigMode", gpu.handle) or (0,))[0]]
        if row.tier is not None and divided:
            row = replace(row, source=f"{row.source}; GPU {', '.join(map(str, divided))} is divided (MIG): whole card")
        return row

    def _ring_buffer(self) -> Capability:
        """Whether the driver keeps power samples of its own, and how dense they are; asked once, for the record."""
        row = _row(_POWER_SAMPLES, None)
        periods_s: list[float] = []
        for gpu in self._gpus:
            found = _ask("nvmlDeviceGetSamples", gpu.handle, _TOTAL_POWER_SAMPLES, 0)
            stamps_us = sorted({sample.timeStamp for sample in found[1]}) if found else []
            if not stamps_us:
                return replace(row, status="unsupported", **why("gpu_field_unsupported", index=gpu.index))
            if len(stamps_us) > 1:
                periods_s.append((stamps_us[-1] - stamps_us[0]) / 1e6 / (len(stamps_us) - 1))
        return replace(row, update_period_s=max(periods_s, default=None))

    def read(self, t_ns: int) -> dict[str, Any]:
        """One entry per GPU."""
        return {"gpus": tuple(gpu.read() for gpu in self._gpus)} if self._gpus else {}

    def close(self) -> None:
        """Lets NVML go."""
        if self._open:
            _ask("nvmlShutdown")
            self._open = False


_ROWS: dict[str, tuple[str, str]] = {
    "gpu_energy_j": (f"nvmlDeviceGetFieldValues({_ENERGY})", "J"),
    "gpu_power_w": (f"nvmlDeviceGetFieldValues({_INSTANT})", "W"),
    "gpu_power_average_w": (f"nvmlDeviceGetFieldValues({_AVERAGE})", "W"),
    "gpu_percent": ("nvmlDeviceGetUtilizationRates", "%"),
    "gpu_vram_bytes": ("nvmlDeviceGetMemoryInfo", "byte"),
    "gpu_temperature_c": ("nvmlDeviceGetTemperature", "C"),
    "gpu_sm_clock_mhz": ("nvmlDeviceGetClockInfo", "MHz"),
    "gpu_throttled_power_s": (f"nvmlDeviceGetFieldValues({_LIMIT_POWER}{{brake}})", "s"),
    "gpu_throttled_thermal_s": (f"nvmlDeviceGetFieldValues({_LIMIT_HEAT}{{heat}})", "s"),
}
_ASIDE = {
    _POWER_SAMPLES: ("nvmlDeviceGetSamples(NVML_TOTAL_POWER_SAMPLES), not used", "W"),
    "gpu_handle": ("nvmlDeviceGetHandleByIndex", "-"),
}
_FIELD_OF = {
    "gpu_energy_j": _ENERGY, "gpu_power_w": _INSTANT, "gpu_power_average_w": _AVERAGE,
    "gpu_throttled_power_s": _LIMIT_POWER, "gpu_throttled_thermal_s": _LIMIT_HEAT,
}  # fmt: skip


def _row(name: str, slowdown: tuple[int, int, int] | None) -> Capability:
    """The row of a field that works."""
    source, unit = (_ROWS | _ASIDE)[name]
    sw, hw, brake = slowdown or (None, None, None)
    source = source.format(brake=f", {brake}" if brake else "", heat=f", {sw}, {hw}" if sw else "")
    tier: Tier | None = "counter" if name in ("gpu_energy_j", "gpu_power_w") else None
    return Capability("nvml", name, source, unit, "gpu", tier, "ok")


def inventory(library: str | None = None) -> list[GpuInfo]:
    """The NVIDIA GPUs of this machine; empty without a driver."""
    if _open(library) is not None:
        return []
    driver = _ask("nvmlSystemGetDriverVersion")
    gpus = []
    for index, handle in _reachable():
        memory = _ask("nvmlDeviceGetMemoryInfo", handle)
        limit_mw = _ask("nvmlDeviceGetEnforcedPowerLimit", handle)
        persistence = _ask("nvmlDeviceGetPersistenceMode", handle)
        gpus.append(
            GpuInfo(
                index=index,
                name=_ask("nvmlDeviceGetName", handle),
                uuid=_ask("nvmlDeviceGetUUID", handle),
                driver=driver,
                vbios=_ask("nvmlDeviceGetVbiosVersion", handle),
                memory_bytes=None if memory is None else int(memory.total),
                power_limit_w=None if limit_mw is None else limit_mw / 1000,
                persistence=None if persistence is None else bool(persistence),
            )
        )
    _ask("nvmlShutdown")
    return gpus


def gpu_processes(library: str | None = None) -> list[GpuProcess]:
    """Compute processes on all GPUs; empty without a driver."""
    if _open(library) is not None:
        return []
    found = [
        GpuProcess(index, entry.pid, entry.usedGpuMemory)
        for index, handle in _reachable()
        for entry in _ask("nvmlDeviceGetComputeRunningProcesses_v3", handle) or ()
    ]
    _ask("nvmlShutdown")
    return found
