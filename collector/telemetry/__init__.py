"""Sensors and the process that reads them.

A new sensor is one file with a subclass of :class:`~collector.telemetry.sensor.Sensor` and one line in
``SENSORS``. Nothing here may import more than the standard library, psutil and pynvml (zeus only where it is the sensor):
the sampler process has to start fast.
"""

from __future__ import annotations

from collector.telemetry.estimate import EstimateSensor
from collector.telemetry.nvml import NvmlSensor
from collector.telemetry.process import ProcessSensor
from collector.telemetry.rapl import RaplSensor
from collector.telemetry.sampler import Quality, Sampler, quality
from collector.telemetry.sensor import Sensor
from collector.telemetry.shelly import ShellySensor
from collector.telemetry.system import SystemSensor
from collector.telemetry.tasmota import TasmotaSensor
from collector.telemetry.types import Capability, EnergyResult, GpuSample, IdleBaseline, Sample, Scope, Tier
from collector.telemetry.zeus import ZeusGpuSensor, ZeusSensor

__all__ = [
    "SENSORS", "Capability", "EnergyResult", "GpuSample", "IdleBaseline", "Quality", "Sample", "Sampler", "Scope", "Tier",
    "quality",
]  # fmt: skip

# Counters come first: they are read closest to the sample's stamp.
SENSORS: tuple[type[Sensor], ...] = (
    RaplSensor, ZeusSensor, ProcessSensor, SystemSensor, NvmlSensor, ZeusGpuSensor, ShellySensor, TasmotaSensor,
    EstimateSensor,
)  # fmt: skip
