"""Last resort where nothing measures energy: CPU seconds of the engine times stated watts per core.

The default of 10 W per busy core is an assumption, not a measurement: server and desktop x86 cores under
vector load lie roughly between 5 W and 15 W each (package power over cores), and :data:`GAIN_UNCERTAINTY`
states that range as the half-width of the interval. Such figures compare models on one machine, where the
factor is common; they say little about absolute joules and nothing about another machine. The tier
``estimated`` keeps them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from collector.telemetry.sensor import Sensor
from collector.telemetry.types import Capability

__all__ = ["DEFAULT_WATTS_PER_CORE", "FIELD", "GAIN_UNCERTAINTY", "EstimateSensor", "watts_per_core"]

DEFAULT_WATTS_PER_CORE = 10.0
GAIN_UNCERTAINTY = 0.5  # relative half-width: 5 W to 15 W per core
FIELD = "process_energy_j"
_SOURCE = "process_cpu_s x {watts!r} W per core (stated assumption)"
_PATTERN = re.compile(r"process_cpu_s x (\S+) W per core")


class EstimateSensor(Sensor):
    """Reads nothing of its own: its row states the assumption, the energy arithmetic applies it."""

    name = "estimate"

    def probe(self) -> list[Capability]:
        """One row; the stated watts per core stand in its source, so stored rows can be recomputed."""
        stated = self.options.watts_per_core
        watts = float(DEFAULT_WATTS_PER_CORE if stated is None else stated)
        return [
            Capability(
                self.name, FIELD, _SOURCE.format(watts=watts),
                "J", "process", "estimated", "ok",
            )
        ]  # fmt: skip

    def read(self, t_ns: int) -> dict[str, Any]:
        """Nothing: see ``process_cpu_s``."""
        return {}


def watts_per_core(capabilities: Iterable[Capability]) -> float | None:
    """The watts per core stated in the capability rows; None without a usable row of the estimate."""
    for row in capabilities:
        if row.field == FIELD and row.status == "ok" and (found := _PATTERN.search(row.source)):
            return float(found.group(1))
    return None
