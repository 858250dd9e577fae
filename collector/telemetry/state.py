"""What can spoil a measurement from outside the engine: battery, swapping, a jumping clock, other users of the GPU."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from collector.telemetry.nvml import gpu_processes

__all__ = [
    "MachineState", "family_pids", "foreign_gpu_pids", "load_average", "machine_state", "on_battery", "state_flags",
]  # fmt: skip

_CLOCK_JUMP_S = 1.0  # slewing by a time service stays far below this


@dataclass(frozen=True, slots=True)
class MachineState:
    """A moment of the machine.

    Attributes:
        wall_offset_s: wall clock minus monotonic clock; constant but for jumps of the former.
        on_battery: None without a battery.
        swapped_bytes: bytes swapped in and out since boot (macOS: bytes in swap); None where the system does not count them.
    """

    wall_offset_s: float
    on_battery: bool | None
    swapped_bytes: int | None


def on_battery() -> bool | None:
    """Whether the machine runs on its battery; None where it has none or does not tell."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None or battery.power_plugged is None:
        return None
    return not battery.power_plugged


def load_average() -> float | None:
    """Runnable processes, averaged over the last minute; None where the system does not count them."""
    try:
        return float(psutil.getloadavg()[0])
    except OSError:
        return None


def machine_state() -> MachineState:
    """The machine now."""
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError):  # no counters in this container
        swapped_bytes = None
    else:
        # on macOS psutil counts every page that is read from any file; what lies in the swap files tells there
        swapped_bytes = swap.used if sys.platform == "darwin" else swap.sin + swap.sout
    return MachineState(time.time() - time.monotonic(), on_battery(), swapped_bytes)


def state_flags(before: MachineState, after: MachineState) -> tuple[str, ...]:
    """Names of db.flags for what happened between two moments: ``clock_jump``, ``swap``, ``battery``."""
    flags = []
    if abs(after.wall_offset_s - before.wall_offset_s) > _CLOCK_JUMP_S:
        flags.append("clock_jump")
    if None not in (before.swapped_bytes, after.swapped_bytes) and after.swapped_bytes != before.swapped_bytes:
        flags.append("swap")
    if before.on_battery or after.on_battery:
        flags.append("battery")
    return tuple(flags)


def foreign_gpu_pids(
    own_roots: Iterable[int], library: str | None = None, known: Collection[int] = ()
) -> list[int]:  # fmt: skip
    """Processes that compute on a GPU and are neither ``own_roots``, their children, nor ``known`` as ours."""
    users = {process.pid for process in gpu_processes(library)}
    return sorted(users - family_pids(own_roots) - set(known))


def family_pids(roots: Iterable[int]) -> set[int]:
    """These processes and all that they started, without those that are gone."""
    found: set[int] = set()
    for pid in roots:
        with suppress(psutil.Error):
            found |= {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    return found
