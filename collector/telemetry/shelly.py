"""Shelly plugs and meters of the second generation and later, over their local RPC (no cloud).

``Switch.GetStatus`` and ``PM1.GetStatus`` answer ``apower`` in W and ``aenergy.total`` in Wh
(shelly-api-docs.shelly.cloud/gen2, components Switch and PM1).
"""

from __future__ import annotations

from typing import Any, ClassVar

from collector.telemetry.meter import HttpMeter, MeterReading, number

__all__ = ["ShellySensor"]

_J_PER_WH = 3600.0


class ShellySensor(HttpMeter):
    """A Shelly at the machine's plug."""

    name = "shelly"
    kind: ClassVar[str] = "shelly"
    paths: ClassVar[tuple[str, ...]] = ("/rpc/Switch.GetStatus?id=0", "/rpc/PM1.GetStatus?id=0")

    def parse(self, answer: Any) -> MeterReading:
        """A switch without a meter has no ``apower``: that is not an answer of a meter."""
        power_w, _ = number(answer["apower"])
        counter = answer.get("aenergy") or {}
        total_wh, step_wh = number(counter.get("total"))
        if power_w is None and total_wh is None:
            raise LookupError("apower")
        energy_j = None if total_wh is None else total_wh * _J_PER_WH
        return MeterReading(power_w, energy_j, None if step_wh is None else float(step_wh) * _J_PER_WH)
