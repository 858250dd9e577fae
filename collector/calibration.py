"""Calibration of energy sensors against a wall meter: the fit, its place in the store, its use.

One linear model holds for all sensors of a machine together: wall = sum of gain_i * sensor_i + offset. It is fitted by
Huber's M-estimator (k = 1.345), so that a step disturbed by something else does not tilt it; half-widths are 95 %, from
Huber's asymptotic covariance (Huber, Robust Statistics, 1981, sec. 7.6) with Student's t for the few steps, widened by
the meter's own accuracy.

A meter at the plug sees power supply and the rest of the machine as well: the offset is then theirs and is stored but
not added to figures whose scope is a card or a package (``covers = "machine"``). Only where the meter sees the device
alone (``covers = "device"``, a riser or a shunt) is the offset the sensor's own, and applied.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from collector.errors import SensorError
from collector.telemetry.types import Factor
from db import Store

__all__ = [
    "METER_ACCURACY", "Covers", "Device", "Fit", "Point", "calibrate", "factors", "fit", "save", "stored",
]  # fmt: skip

Covers = Literal["machine", "device"]
METER_ACCURACY = 0.02  # 95 % half-width of a household meter's gain where nothing better is known
_K = 1.345  # 95 % efficiency on clean data
_MIN_SPAN_W = 10.0  # less of a span says nothing about a gain
_GAIN = (0.5, 2.0)  # beyond that the meter does not feed what the sensor sees
_MAX_HALF_WIDTH = 0.10  # a calibration wider than this is worse than none
_ROUNDS = 50


class Device(NamedTuple):
    """What is calibrated: a sensor, and the UUID of the GPU behind it (None: the sensor is one sum)."""

    sensor: str
    device: str | None

    def __str__(self) -> str:
        return f"{self.sensor} {self.device}" if self.device else self.sensor


@dataclass(frozen=True, slots=True)
class Point:
    """One step of the load: mean watts of every sensor and of the meter in the same window."""

    label: str
    began_at: datetime
    ended_at: datetime
    sensor_w: Mapping[Device, float]
    wall_w: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        named = {str(device): watts for device, watts in self.sensor_w.items()}
        return {**asdict(self), "began_at": self.began_at.isoformat(), "ended_at": self.ended_at.isoformat(),
                "sensor_w": named}  # fmt: skip


class Fit(NamedTuple):
    """Gain and offset of one device; half-widths at 95 %, the gain's in the gain's own unit."""

    gain: float
    gain_half_width: float
    offset_w: float
    offset_half_width_w: float
    point_count: int


_Array = NDArray[np.float64]


def fit(sensor_w: _Array, wall_w: _Array) -> tuple[_Array, _Array]:
    """Huber's estimate of ``wall = sensor_w @ gains + offset``.

    Args:
        sensor_w: watts, one row per step, one column per sensor.
        wall_w: watts, one per step.

    Returns:
        gains and, last, the offset; and their 95 % half-widths.

    Raises:
        ValueError: fewer steps than unknowns plus two, or sensors that only move together.
    """
    design = np.column_stack((sensor_w, np.ones(len(wall_w))))
    steps, unknowns = design.shape
    if steps < unknowns + 2 or np.linalg.matrix_rank(design) < unknowns:
        raise ValueError("too few different steps")
    spread = math.sqrt(steps / (steps - unknowns)) * 1.4826
    weights = np.ones(steps)
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        found = np.asarray(np.linalg.lstsq(design * root[:, None], wall_w * root, rcond=None)[0], dtype=np.float64)
        rest = wall_w - design @ found
        scale = max(spread * float(np.median(np.abs(rest))), 1e-9 * float(np.max(np.abs(wall_w))))
        next_weights = np.minimum(1.0, _K * scale / np.maximum(np.abs(rest), 1e-300))
        if np.allclose(next_weights, weights, atol=1e-6):
            break
        weights = next_weights
    bounded = np.clip(rest / scale, -_K, _K)
    inside = (np.abs(rest / scale) < _K).astype(np.float64)
    share = max(float(np.mean(inside)), 0.5)
    correction = 1.0 + unknowns / steps * float(np.var(inside)) / share**2
    variance = (correction * scale / share) ** 2 * float(np.sum(bounded**2)) / (steps - unknowns)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(design.T @ design)))
    return found, np.asarray(float(stdtrit(steps - unknowns, 0.975)) * errors, dtype=np.float64)


def calibrate(points: Sequence[Point], meter_accuracy: float = METER_ACCURACY) -> dict[Device, Fit]:
    """Gain and offset of every sensor that the steps moved.

    Raises:
        SensorError: the steps did not differ, or the result says that meter and sensors do not belong together.
    """
    known = [point for point in points if point.wall_w is not None]
    devices = sorted(set.intersection(*(set(point.sensor_w) for point in known)), key=str) if known else []
    columns = {device: np.array([point.sensor_w[device] for point in known]) for device in devices}
    wall_w = np.array([point.wall_w for point in known], dtype=np.float64)
    if len(known) < len(points) / 2:
        raise SensorError(
            f"The meter gave a reading in only {len(known)} of {len(points)} steps; does it still answer, and is its clock right?",
            f"{len(points)} 级负载中只有 {len(known)} 级有电表读数；电表是否仍在应答，其时钟是否正确？",
        )
    moved = [device for device in devices if float(np.ptp(columns[device])) >= _MIN_SPAN_W]
    if not moved or float(np.ptp(wall_w)) < _MIN_SPAN_W:
        raise SensorError(
            f"The steps of the load did not differ by {_MIN_SPAN_W:g} W at sensor and meter; is the load running on this "
            "machine, and does the meter feed it?",
            f"各级负载在传感器与电表上的差异不足 {_MIN_SPAN_W:g} W；负载是否在本机运行，电表是否为本机供电？",
        )
    try:
        found, half_widths = fit(np.column_stack([columns[device] for device in moved]), wall_w)
    except ValueError as error:
        raise SensorError(
            f"{len(known)} steps with a meter reading are too few for {len(moved)} sensors; let every step last longer.",
            f"有电表读数的负载级只有 {len(known)} 个，不足以校准 {len(moved)} 个传感器；请延长每一级的时间。",
        ) from error
    fits = {}
    for place, device in enumerate(moved):
        gain = float(found[place])
        half_width = math.hypot(float(half_widths[place]), meter_accuracy * gain)
        fits[device] = Fit(gain, half_width, float(found[-1]), float(half_widths[-1]), len(known))
        _check(device, fits[device])
    return fits


def _check(device: Device, found: Fit) -> None:
    if not _GAIN[0] <= found.gain <= _GAIN[1]:
        raise SensorError(
            f"{device}: a gain of {found.gain:.2f} cannot be right; does the meter feed this machine and nothing else?",
            f"{device}：增益 {found.gain:.2f} 不可能正确；电表是否只为本机供电？",
        )
    if found.gain_half_width > _MAX_HALF_WIDTH * found.gain:
        raise SensorError(
            f"{device}: the gain is {found.gain:.3f} ± {found.gain_half_width:.3f}, too uncertain to be of use; "
            "let nothing else run, and every step last longer.",
            f"{device}：增益为 {found.gain:.3f} ± {found.gain_half_width:.3f}，不确定度过大；请关闭其他程序并延长每一级的时间。",
        )


def save(
    store: Store, machine_id: str, meter: str, points: Sequence[Point], fits: Mapping[Device, Fit], covers: Covers
) -> None:
    """Keeps the fits with their points; the newest of a device counts from now on."""
    now = datetime.now(UTC)
    with store.write() as writer:
        writer.insert("calibrations", [
            {
                "calibration_id": uuid.uuid4().hex[:20], "machine_id": machine_id, "sensor": device.sensor,
                "device": device.device, "covers": covers, "meter": meter, "calibrated_at": now,
                "points": [point.as_json() for point in points], **found._asdict(),
            }
            for device, found in fits.items()
        ])  # fmt: skip


def stored(store: Store) -> list[dict[str, Any]]:
    """The newest calibration of every device, without its points."""
    with store.read() as con:
        cursor = con.execute("""
SELECT * EXCLUDE (points, newest) FROM (
    SELECT *, row_number() OVER (PARTITION BY sensor, coalesce(device, machine_id) ORDER BY calibrated_at DESC) AS newest
    FROM calibrations)
WHERE newest = 1 ORDER BY sensor, device, machine_id
""")
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def factors(store: Store, machine_id: str, gpus: Sequence[str | None]) -> dict[str, tuple[Factor, ...]]:
    """What the newest calibrations say about this machine's sensors.

    A GPU is known by its UUID wherever it is, a CPU by its machine. Several GPUs are calibrated only when each of them
    is, because their sum has one tier.

    Args:
        machine_id: of this machine's fingerprint.
        gpus: UUIDs of the GPUs that are read.

    Returns:
        by sensor; empty where nothing is calibrated.
    """
    found: dict[str, list[Factor]] = {}
    for row in stored(store):
        if row["device"] in gpus if row["device"] else row["machine_id"] == machine_id:
            offset_w = row["offset_w"] if row["covers"] == "device" else 0.0
            factor = Factor(row["device"], row["gain"], row["gain_half_width"] / row["gain"], offset_w)
            found.setdefault(row["sensor"], []).append(factor)
    for sensor, rows in found.items():
        if not set(gpus) <= {row.device for row in rows}:
            found[sensor] = [row for row in rows if row.device is None]
    return {sensor: tuple(rows) for sensor, rows in found.items() if rows}
