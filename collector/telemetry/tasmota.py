"""Plugs with Tasmota, over their local web server: ``Status 10`` (older firmware: ``Status 8``).

``StatusSNS.ENERGY`` holds ``Power`` in W and ``Total`` in kWh (tasmota.github.io/docs, Commands and JSON-Status-Responses);
plugs with several channels give lists. ``Total`` usually has three decimals, which is 3.6 kJ: too coarse for an answer.
The command ``EnergyRes 5`` on the plug makes it 36 J.
"""

from __future__ import annotations

from typing import Any, ClassVar

from collector.telemetry.meter import HttpMeter, MeterReading, number

__all__ = ["TasmotaSensor"]

_J_PER_KWH = 3_600_000.0


class TasmotaSensor(HttpMeter):
    """A plug with Tasmota."""

    name = "tasmota"
    kind: ClassVar[str] = "tasmota"
    paths: ClassVar[tuple[str, ...]] = ("/cm?cmnd=Status%2010", "/cm?cmnd=Status%208")

    def parse(self, answer: Any) -> MeterReading:
        """A plug with a web password answers with a warning instead of its status."""
        if "WARNING" in answer:
            raise PermissionError("password")
        energy = answer["StatusSNS"]["ENERGY"]
        power_w, _ = number(energy["Power"])
        total_kwh, step_kwh = number(energy.get("Total"))
        if power_w is None and total_kwh is None:
            raise LookupError("Power")
        energy_j = None if total_kwh is None else total_kwh * _J_PER_KWH
        return MeterReading(power_w, energy_j, None if step_kwh is None else float(step_kwh) * _J_PER_KWH)
