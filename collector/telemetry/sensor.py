"""What a sensor is: one file, one class, one line in ``collector.telemetry.SENSORS``."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from collector.telemetry.types import Capability

__all__ = ["Group", "Sensor", "SensorOptions", "update_period_s"]

Group = Literal["machine", "gpu"]
_WATCHED_S = 0.05


def update_period_s(read: Callable[[], object]) -> float | None:
    """Median time between changes of a value that is cheap to read; None when it changed less than twice meanwhile."""
    changes: list[float] = []
    last, end = read(), time.monotonic() + _WATCHED_S
    while (now := time.monotonic()) < end:
        value = read()
        if value != last:
            last = value
            changes.append(now)
    steps = sorted(b - a for a, b in zip(changes, changes[1:], strict=False))
    return steps[len(steps) // 2] if steps else None


@dataclass(frozen=True, slots=True)
class SensorOptions:
    """What the sensors may be told.

    Attributes:
        sysfs: root of sysfs (another one only in tests).
        nvml_library: path of the NVML library, None for the driver's own.
        watts_per_core: assumption of the estimate, None for its default.
        meter: a wall meter, e.g. ``shelly:192.168.1.20``; None without one.
    """

    sysfs: Path = Path("/sys")
    nvml_library: str | None = None
    watts_per_core: float | None = None
    meter: str | None = None


class Sensor(ABC):
    """One source of readings, living in the sampler process.

    A sensor never raises because a device is absent, not permitted or not capable: that is a status in the
    capability rows, and the field is then None in every sample.

    Attributes:
        name: goes into ``Capability.sensor``.
        group: ``machine`` is read at the base rate, ``gpu`` at the GPU rate.
        taken: fields that sensors earlier in ``SENSORS`` read; set before ``probe``, so that nothing is read twice.
    """

    name: ClassVar[str]
    group: ClassVar[Group] = "machine"

    def __init__(self, options: SensorOptions) -> None:
        self.options = options
        self.taken: frozenset[str] = frozenset()

    @abstractmethod
    def probe(self) -> list[Capability]:
        """Finds out what is there and measures its update period; called once, before any ``read``."""

    @abstractmethod
    def read(self, t_ns: int) -> dict[str, Any]:
        """Fields of a :class:`Sample` as of now; ``t_ns`` is the sample's monotonic stamp."""

    def counters(self) -> dict[str, Any]:
        """The cheap cumulative fields alone, for the extra reading at an edge of a window."""
        return {}

    def watch(self, pids: Sequence[int]) -> None:  # noqa: B027 (only the process sensor cares)
        """The root pids of the engine changed."""

    def maintain(self) -> None:  # noqa: B027
        """Housekeeping once a second, after a sample has been sent."""

    def close(self) -> None:  # noqa: B027
        """Releases the device."""
