"""CPU energy counters of Linux (RAPL through powercap): packages and their memory.

Only ``package-*`` zones and their ``dram`` children are added up. ``core`` and ``uncore`` are parts of a
package, ``psys`` contains it, and ``intel-rapl-mmio`` shows the same packages a second time: adding any of
them counts twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collector.telemetry.reasons import why
from collector.telemetry.sensor import Sensor, SensorOptions, update_period_s
from collector.telemetry.types import Capability, Status

__all__ = ["RaplSensor", "WrappingCounter"]

_FIELD = "cpu_energy_j"
_MAX_POWER_W = 2000.0  # more than any package and its memory draw: a faster rise is a reset, not consumption


@dataclass(slots=True)
class WrappingCounter:
    """Turns a counter that wraps at ``range_uj`` into a sum that does not.

    A step back is a wrap when the energy it implies could have been drawn in the time that passed; otherwise
    the counter was reset and ``add`` says so.
    """

    range_uj: int
    last_uj: int | None = None
    last_ns: int = 0
    total_uj: int = 0

    def add(self, value_uj: int, t_ns: int) -> bool:
        """Takes one reading; False after a reset, or a pause too long to tell wraps apart."""
        last_uj, elapsed_s = self.last_uj, (t_ns - self.last_ns) / 1e9
        self.last_uj, self.last_ns = value_uj, t_ns
        if last_uj is None:
            return True
        step_uj = (value_uj - last_uj) % self.range_uj if value_uj < last_uj else value_uj - last_uj
        limit_uj = _MAX_POWER_W * 1e6 * elapsed_s + 1e6
        if step_uj > limit_uj or (value_uj < last_uj and limit_uj >= self.range_uj):
            return False
        self.total_uj += step_uj
        return True


@dataclass(frozen=True, slots=True)
class _Zone:
    label: str
    path: Path
    range_uj: int


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def find_zones(sysfs: Path) -> list[_Zone]:
    """Package and memory zones, every one of them once."""
    zones: dict[str, _Zone] = {}
    folder = sysfs / "class" / "powercap"
    # The plain control type comes first, so that its mmio mirror finds the label taken.
    for control in ("intel-rapl", "intel-rapl-mmio"):
        for path in sorted(folder.glob(f"{control}:*")):
            name = _text(path / "name") or ""
            parts = path.name.split(":")
            if len(parts) == 2 and name.startswith("package"):
                label = name
            elif len(parts) == 3 and name == "dram":
                parent = _text(folder / ":".join(parts[:2]) / "name") or ""
                if not parent.startswith("package"):
                    continue
                label = f"{parent} dram"
            else:
                continue
            span = _text(path / "max_energy_range_uj")
            if label not in zones and span is not None and span.isdigit() and int(span) > 0:
                zones[label] = _Zone(label, path, int(span))
    return list(zones.values())


def _read_uj(path: Path) -> int | None:
    """Counter value; None after a passing read error. Raises PermissionError."""
    try:
        return int((path / "energy_uj").read_text(encoding="ascii"))
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


class RaplSensor(Sensor):
    """Sum of all packages and their memory."""

    name = "rapl"

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self._zones: list[_Zone] = []
        self._counters: list[WrappingCounter] = []

    def probe(self) -> list[Capability]:
        """One row for the sum, with the update period of the first zone."""
        zones = find_zones(self.options.sysfs)
        source = "powercap " + " + ".join(zone.label for zone in zones) if zones else "powercap"
        status: Status = "ok"
        code = ""
        period_s: float | None = None
        if not zones:
            status, code = "missing", "no_rapl_zone"
        else:
            try:
                values = [_read_uj(zone.path) for zone in zones]
                period_s = update_period_s(lambda: _read_uj(zones[0].path))
                if None in values:
                    status, code = "unsupported", "rapl_unreadable"
            except PermissionError:
                status, code = "denied", "rapl_denied"
        found = Capability(self.name, _FIELD, source, "J", "cpu", "counter", status, update_period_s=period_s)
        if status != "ok":
            return [replace(found, **why(code))]
        self._zones = zones
        self._counters = [WrappingCounter(zone.range_uj) for zone in zones]
        return [found]

    def read(self, t_ns: int) -> dict[str, Any]:
        """Joules since the sampler started; the sum restarts at zero when a counter was reset."""
        return self.counters()

    def counters(self) -> dict[str, Any]:
        """The same, nothing else is read."""
        if not self._zones:
            return {}
        now_ns = time.monotonic_ns()
        try:
            values = [_read_uj(zone.path) for zone in self._zones]
        except PermissionError:  # taken away while we run
            return {_FIELD: None}
        if any(value is None for value in values):
            return {_FIELD: None}
        steady = [
            counter.add(value, now_ns)
            for counter, value in zip(self._counters, values, strict=True)
            if value is not None
        ]
        if not all(steady):
            for counter in self._counters:
                counter.total_uj = 0
        return {_FIELD: sum(counter.total_uj for counter in self._counters) / 1e6}
