"""Energy through the optional package Zeus, where we have no sensor of our own: Windows EMI, Apple silicon, AMD, Jetson.

Zeus's device classes are asked for their cumulative counters (millijoules) and nothing else; its windows and monitors are
not used. It is asked only for what no other sensor reads, so nothing is counted twice, and only on machines where it can
help. Counters that fall are passed on falling: the energy arithmetic sees the reset.
"""

from __future__ import annotations

import platform
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from collector.telemetry.reasons import Why, why
from collector.telemetry.sensor import Group, Sensor, SensorOptions
from collector.telemetry.types import Capability, GpuSample, Scope, Status

__all__ = ["ZeusGpuSensor", "ZeusSensor"]

_AMD_VENDOR = "0x1002"
_TEGRA = (Path("/etc/nv_tegra_release"), Path("/usr/lib/aarch64-linux-gnu/tegra"))
_JETSON_POLL_S = 0.1  # its reading crosses a process, so a thread waits for it
_PROBE_POLLS, _PROBE_STEP_S = 21, 0.05
_WHAT = {
    "emi": ("CPU energy meter (EMI)", "CPU 电能计（EMI）"),
    "apple": ("Apple silicon", "Apple 芯片"),
    "jetson": ("Jetson power monitor", "Jetson 功率监测"),
    "amd": ("AMD GPU", "AMD GPU"),
}


class _Joules(NamedTuple):
    """Cumulative joules; None where the device has no such counter."""

    cpu_j: float | None = None
    gpu_j: float | None = None
    total_j: float | None = None


class _Absent(Exception):
    """Zeus cannot read the device; carries status and reason."""

    def __init__(self, status: Status, reason: Why) -> None:
        super().__init__(reason["reason"])
        self.status, self.reason = status, reason


def _expected() -> tuple[type[BaseException], ...]:
    """What Zeus raises when a device does not answer."""
    base = getattr(sys.modules.get("zeus.exception"), "ZeusBaseError", OSError)
    return (base, OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, queue.Empty)


def _told(kind: str, error: BaseException) -> _Absent:
    what, what_zh = _WHAT[kind]
    name = type(error).__name__
    if isinstance(error, PermissionError) or "NoPermission" in name:
        return _Absent("denied", why("zeus_denied", what=what, what_zh=what_zh, error=error))
    if "NotSupported" in name:
        return _Absent("unsupported", why("zeus_unsupported", what=what, what_zh=what_zh, error=error))
    if kind == "emi":  # versions that do not know EMI say the same as machines without it
        return _Absent("missing", why("zeus_no_emi"))
    return _Absent("missing", why("zeus_no_device", what=what, what_zh=what_zh))


def _module(name: str, kind: str) -> Any:
    """A module of Zeus.

    Raises:
        _Absent: Zeus is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        code = "zeus_apple_missing" if kind == "apple" and error.name == "zeus_apple_silicon" else "zeus_missing"
        raise _Absent("missing", why(code)) from None


def _j(*values_mj: float | None) -> float | None:
    """Sum in joules of the parts that there are."""
    known = [value for value in values_mj if value is not None]
    return sum(known) / 1000 if known else None


def _apple(found: Any) -> _Joules:
    """CPU with memory and neural engine, and the GPU: parts that do not overlap."""
    return _Joules(_j(found.cpu_total_mj, found.dram_mj, found.ane_mj) if found.cpu_total_mj is not None else None,
                   _j(found.gpu_mj, found.gpu_sram_mj) if found.gpu_mj is not None else None)  # fmt: skip


def _jetson(found: Any) -> _Joules:
    return _Joules(_j(found.cpu_energy_mj), _j(found.gpu_energy_mj), _j(found.total_energy_mj))


class _Soc:
    """A system on chip; ``read`` gives a reading with its moment, or None."""

    def __init__(self, kind: str) -> None:
        self._decode = _apple if kind == "apple" else _jetson
        module = _module("zeus.device.soc", kind)
        if kind == "apple":
            _module("zeus_apple_silicon", kind)
        try:
            self._device = module.get_soc()
            first = self._ask()
        except _expected() as error:
            raise _told(kind, error) from error
        self._latest: tuple[int, _Joules] | None = first
        self._threaded = kind == "jetson"
        self._end = threading.Event()
        if self._threaded:
            threading.Thread(target=self._poll, daemon=True, name="zeus").start()

    def _ask(self) -> tuple[int, _Joules]:
        return time.monotonic_ns(), self._decode(self._device.get_total_energy_consumption())

    def _poll(self) -> None:
        while not self._end.wait(_JETSON_POLL_S):
            try:
                self._latest = self._ask()
            except _expected():
                self._latest = None

    def read(self) -> tuple[int, _Joules] | None:
        """The newest reading."""
        if self._threaded:
            return self._latest
        try:
            return self._ask()
        except _expected():
            return None

    def close(self) -> None:
        """Ends the thread."""
        self._end.set()


@cache
def _soc(kind: str) -> _Soc:
    """The one chip of this machine, shared by both sensors; a failure is not kept."""
    return _Soc(kind)


def _machine_kind(sysfs: Path) -> str | None:
    """What Zeus could read here: ``emi``, ``apple``, ``jetson``, ``amd``, or nothing."""
    if sys.platform == "win32":
        return "emi"
    if sys.platform == "darwin":
        return "apple" if platform.machine() == "arm64" else None
    if any(path.exists() for path in _TEGRA):
        return "jetson"
    for vendor in sysfs.glob("class/drm/card*/device/vendor"):
        try:
            if vendor.read_text(encoding="ascii").strip() == _AMD_VENDOR:
                return "amd"
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _period_s(read: Callable[[], object]) -> float | None:
    """Time between changes of a value; None where it did not change."""
    values = []
    for _ in range(_PROBE_POLLS):
        values.append(read())
        time.sleep(_PROBE_STEP_S)
    changes = sum(a != b for a, b in zip(values, values[1:], strict=False))
    return (len(values) - 1) * _PROBE_STEP_S / changes if changes else None


class _Sum:
    """Adds counters of several devices; begins at zero again when one of them fell, so that the fall is seen."""

    def __init__(self) -> None:
        self._last: list[float] = []
        self._total_j = 0.0

    def add(self, values_j: list[float]) -> float:
        if len(values_j) == len(self._last):
            steps = [b - a for a, b in zip(self._last, values_j, strict=True)]
            self._total_j = 0.0 if min(steps, default=0.0) < 0 else self._total_j + sum(steps)
        self._last = values_j
        return self._total_j


class ZeusSensor(Sensor):
    """CPU energy by Windows EMI, Apple silicon or a Jetson's rails; a Jetson's whole board where it has such a rail."""

    name = "zeus"

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self._chip: _Soc | None = None
        self._cpus: Sequence[Any] = ()
        self._sum = _Sum()
        self._fields: frozenset[str] = frozenset()

    def probe(self) -> list[Capability]:
        """Rows only where Zeus could help and no other sensor reads the same."""
        kind = _machine_kind(self.options.sysfs)
        if kind not in ("emi", "apple", "jetson"):
            return []
        rows = [row for row in self._rows(kind) if row.field not in self.taken]
        if not rows:
            return []
        try:
            if kind == "emi":
                self._cpus = self._open_cpus()
            else:
                self._chip = _soc(kind)
        except _Absent as absent:
            return [replace(row, status=absent.status, **absent.reason) for row in rows]
        return [self._checked(row, kind) for row in rows]

    def _rows(self, kind: str) -> list[Capability]:
        def row(field: str, source: str, scope: Scope) -> Capability:
            return Capability(self.name, field, f"zeus: {source}", "J", scope, "counter", "ok")

        if kind == "emi":
            return [row("cpu_energy_j", "Windows EMI", "cpu")]
        if kind == "apple":
            return [row("cpu_energy_j", "Apple silicon, CPU + DRAM + ANE", "cpu")]
        board = [] if self.options.meter else [row("machine_energy_j", "Jetson, whole board", "machine")]
        return [row("cpu_energy_j", "Jetson, CPU rail", "cpu"), *board]

    def _open_cpus(self) -> Sequence[Any]:
        module = _module("zeus.device.cpu", "emi")
        try:
            cpus: Sequence[Any] = module.get_cpus().cpus
            for cpu in cpus:
                cpu.get_total_energy_consumption()
        except _expected() as error:
            raise _told("emi", error) from error
        return cpus

    def _checked(self, row: Capability, kind: str) -> Capability:
        self._fields |= {row.field}
        if self.counters().get(row.field) is None:
            self._fields -= {row.field}
            what, what_zh = _WHAT[kind]
            return replace(row, status="unsupported",
                           **why("zeus_unsupported", what=what, what_zh=what_zh, error=row.field))  # fmt: skip
        return replace(row, update_period_s=_period_s(lambda: self.counters().get(row.field)))

    def read(self, t_ns: int) -> dict[str, Any]:
        """Cumulative joules."""
        return self.counters()

    def counters(self) -> dict[str, Any]:
        """The same, nothing else is read."""
        if self._cpus:
            return {"cpu_energy_j": self._cpus_j()}
        found = self._chip.read() if self._chip is not None else None
        if found is None:
            return {}
        stamp_ns, joules = found
        values = {"cpu_energy_j": joules.cpu_j, "machine_energy_j": joules.total_j}
        kept: dict[str, Any] = {field: value for field, value in values.items() if field in self._fields}
        if "machine_energy_j" in kept:
            kept["machine_t_ns"] = stamp_ns
        return kept

    def _cpus_j(self) -> float | None:
        try:
            found = [cpu.get_total_energy_consumption() for cpu in self._cpus]
        except _expected():
            return None
        return self._sum.add([_j(one.cpu_mj, one.dram_mj) or 0.0 for one in found])

    def close(self) -> None:
        """Ends the chip's thread."""
        if self._chip is not None:
            self._chip.close()


class ZeusGpuSensor(Sensor):
    """AMD GPUs, and the GPU of Apple silicon or a Jetson."""

    name = "zeus"
    group: ClassVar[Group] = "gpu"

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self._chip: _Soc | None = None
        self._gpus: Sequence[Any] = ()

    def probe(self) -> list[Capability]:
        """Rows only where Zeus could help and NVML reads no GPU."""
        kind = _machine_kind(self.options.sysfs)
        if kind in (None, "emi") or any(field.startswith("gpu_") for field in self.taken):
            return []
        assert kind is not None  # noqa: S101  for the type checker
        what, what_zh = _WHAT[kind]
        rows = [
            Capability(self.name, "gpu_energy_j", f"zeus: {what}", "J", "gpu", "counter", "ok"),
            Capability(self.name, "gpu_power_w", f"zeus: {what}", "W", "gpu", "counter", "ok"),
        ]
        rows = rows if kind == "amd" else rows[:1]
        try:
            if kind == "amd":
                self._gpus = self._open_gpus()
            else:
                self._chip = _soc(kind)
        except _Absent as absent:
            return [replace(row, status=absent.status, **absent.reason) for row in rows]
        return [self._checked(row, what, what_zh) for row in rows]

    def _open_gpus(self) -> Sequence[Any]:
        module = _module("zeus.device.gpu.amd", "amd")
        try:
            if not module.amdsmi_is_available():
                what, what_zh = _WHAT["amd"]
                raise _Absent("missing", why("zeus_no_device", what=what, what_zh=what_zh))
            gpus: Sequence[Any] = module.AMDGPUs().gpus
        except _expected() as error:
            raise _told("amd", error) from error
        return gpus

    def _checked(self, row: Capability, what: str, what_zh: str) -> Capability:
        attribute = row.field.removeprefix("gpu_")

        def values() -> list[float | None]:
            return [getattr(gpu, attribute) for gpu in self._samples()]

        if not values() or None in values():
            return replace(row, status="unsupported",
                           **why("zeus_unsupported", what=what, what_zh=what_zh, error=row.field))  # fmt: skip
        return replace(row, update_period_s=_period_s(values))

    def _samples(self) -> list[GpuSample]:
        if self._chip is not None:
            found = self._chip.read()
            if found is None or found[1].gpu_j is None:
                return []
            return [GpuSample(0, energy_j=found[1].gpu_j, energy_t_ns=found[0])]
        return [
            GpuSample(
                index,
                power_w=_first_of(gpu.get_instant_power_usage, gpu.get_average_power_usage),
                energy_j=_first_of(gpu.get_total_energy_consumption),
                temperature_c=_first_of(gpu.get_gpu_temperature, scale=1.0),
            )
            for index, gpu in enumerate(self._gpus)
        ]

    def read(self, t_ns: int) -> dict[str, Any]:
        """One entry per GPU."""
        found = self._samples()
        return {"gpus": tuple(found)} if found else {}

    def close(self) -> None:
        """Ends the chip's thread."""
        if self._chip is not None:
            self._chip.close()


def _first_of(*questions: Callable[[], float], scale: float = 0.001) -> float | None:
    """The first answer that comes, from milli units; None where none does."""
    for question in questions:
        try:
            return float(question()) * scale
        except _expected():
            continue
    return None
