"""Shelly plugs and meters of the second generation and later, over their local RPC (no cloud).

``Switch.GetStatus`` and ``PM1.GetStatus`` answer ``apower`` in W and ``aenergy.total`` in Wh; the clamp meters' ``EM1`` and
``EM`` answer ``act_power`` and ``total_act_power`` and keep their energy elsewhere, by the minute
(shelly-api-docs.shelly.cloud/gen2, components Switch, PM1, EM1, EM).
"""

from __future__ import annotations

from typing import Any, ClassVar

from collector.telemetry.meter import HttpMeter, MeterReading, number

__all__ = ["ShellySensor"]

_J_PER_WH = 3600.0
_POWER = ("apower", "act_power", "total_act_power")


class ShellySensor(HttpMeter):
    """A Shelly at the machine's plug."""

    name = "shelly"
    kind: ClassVar[str] = "shelly"
    paths: ClassVar[tuple[str, ...]] = (
        "/rpc/Switch.GetStatus?id=0", "/rpc/PM1.GetStatus?id=0", "/rpc/EM1.GetStatus?id=0", "/rpc/EM.GetStatus?id=0",
    )  # fmt: skip

    def parse(self, answer: Any) -> MeterReading:
        """A switch without a meter has no ``apower``: that is not an answer of a meter."""
        name = next((name for name in _POWER if name in answer), _POWER[0])
        power_w, _ = number(answer[name])
        counter = answer.get("aenergy") or {}
        total_wh, step_wh = number(counter.get("total"))
        if power_w is None and total_wh is None:
            raise LookupError("apower")
        energy_j = None if total_wh is None else total_wh * _J_PER_WH
        return MeterReading(power_w, energy_j, None if step_wh is None else float(step_wh) * _J_PER_WH)
