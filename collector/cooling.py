"""Waiting until the machine is as it was: GPUs cool, their memory free. Bounded, and honest about what it could not do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from collector.telemetry.sampler import Sampler
from collector.telemetry.usage import hottest_c, vram_at
from db.texts import both

__all__ = ["Waited", "cool_down", "temperature_now", "vram_now", "wait_for_memory"]

_STEP_S: Final = 0.25
_BACK_BYTES: Final = 64 << 20  # contexts of drivers come and go
_BACK_SHARE: Final = 0.02
_NO_TEMPERATURE: Final = both("no sensor gives a temperature", "没有传感器提供温度")
_NO_MEMORY: Final = both("no GPU memory to watch", "没有可观察的显存")


@dataclass(frozen=True, slots=True)
class Waited:
    """What became of a wait.

    Attributes:
        reached: the machine is where it should be; None where no sensor tells, with a reason.
        seconds: how long it took.
        first: value before; likewise last. None where no sensor tells.
        reason: why it was not waited for.
    """

    reached: bool | None
    seconds: float
    first: float | None = None
    last: float | None = None
    reason: str | None = None


def temperature_now(sampler: Sampler) -> float | None:
    """The hottest GPU, in C; None without a GPU or a sensor."""
    now_ns = time.monotonic_ns()
    return hottest_c(sampler.between(now_ns, now_ns), now_ns)


def vram_now(sampler: Sampler) -> float | None:
    """Memory in use on all GPUs, in bytes; None without a GPU or a sensor."""
    now_ns = time.monotonic_ns()
    return vram_at(sampler.between(now_ns, now_ns), now_ns)


def cool_down(sampler: Sampler, reference_c: float | None, delta_c: float, limit_s: float) -> Waited:
    """Waits until the hottest GPU is at most ``delta_c`` above its reference, ``limit_s`` at most."""
    if reference_c is None:
        return Waited(None, 0.0, reason=_NO_TEMPERATURE)
    return _wait(lambda: temperature_now(sampler), reference_c + delta_c, limit_s, _NO_TEMPERATURE)


def wait_for_memory(sampler: Sampler, idle_bytes: float | None, limit_s: float) -> Waited:
    """Waits until GPU memory is back at what it was before any model was loaded, give or take 2 % or 64 MiB."""
    if idle_bytes is None:
        return Waited(None, 0.0, reason=_NO_MEMORY)
    most = max(idle_bytes * (1.0 + _BACK_SHARE), idle_bytes + _BACK_BYTES)
    return _wait(lambda: vram_now(sampler), most, limit_s, _NO_MEMORY)


def _wait(read: Callable[[], float | None], most: float, limit_s: float, missing: str) -> Waited:
    start = time.monotonic()
    first = last = read()
    while last is not None and last > most and time.monotonic() - start < limit_s:
        time.sleep(_STEP_S)
        last = read()
    waited_s = time.monotonic() - start
    if last is None:
        return Waited(None, waited_s, first, None, missing)
    return Waited(last <= most, waited_s, first, last)
