"""Whole-machine figures through psutil: CPU, memory, disk."""

from __future__ import annotations

from typing import Any

import psutil

from collector.telemetry.reasons import why
from collector.telemetry.sensor import Sensor, update_period_s
from collector.telemetry.types import Capability

__all__ = ["SystemSensor"]


def _disk() -> Any:
    """Counters of all disks; None where the system has none, or hides them (some containers)."""
    try:
        return psutil.disk_io_counters()
    except (NotImplementedError, OSError, RuntimeError):
        return None


class SystemSensor(Sensor):
    """CPU and memory in percent, disk bytes since boot."""

    name = "psutil"
    _has_disks = False

    def probe(self) -> list[Capability]:
        """Primes the CPU percentage, whose first reading has no interval, and looks for disk counters."""
        psutil.cpu_percent()
        self._has_disks = _disk() is not None
        disk = [
            Capability(self.name, field, "psutil.disk_io_counters", "byte", "machine", None, "ok")
            if self._has_disks
            else Capability(
                self.name, field, "psutil.disk_io_counters", "byte", "machine", None, "missing",
                **why("no_disk_counters"),
            )
            for field in ("disk_read_bytes", "disk_write_bytes")
        ]  # fmt: skip
        return [
            Capability(self.name, "cpu_percent", "psutil.cpu_percent", "%", "machine", None, "ok",
                       update_period_s=update_period_s(psutil.cpu_times)),
            Capability(self.name, "memory_percent", "psutil.virtual_memory", "%", "machine", None, "ok"),
            *disk,
        ]  # fmt: skip

    def read(self, t_ns: int) -> dict[str, Any]:
        """Percentages over the time since the last reading; cumulative disk bytes."""
        fields: dict[str, Any] = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
        }
        disk = _disk() if self._has_disks else None
        if disk is not None:
            fields["disk_read_bytes"], fields["disk_write_bytes"] = disk.read_bytes, disk.write_bytes
        return fields
