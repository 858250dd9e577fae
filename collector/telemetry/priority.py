"""Asks the scheduler to run the sampler promptly, as far as this user may.

Real-time scheduling where it is permitted (root, CAP_SYS_NICE or a limit on rtprio): among fair tasks even a short slice
waits for milliseconds when several groups of tasks share a core. A limit on the time it may compute without waiting ends
the process should it ever spin. Everybody else gets high priority where that is permitted, and a short slice.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
from pathlib import Path

import psutil

__all__ = ["be_prompt"]

_SYSCALL = {"x86_64": 314, "aarch64": 274}  # sched_setattr
_NICE = -10
_AUTOGROUP = Path("/proc/self/autogroup")
_REAL_TIME = 1  # the lowest of the real-time priorities
_REAL_TIME_HZ = 100.0  # a sample takes about a millisecond: at higher rates others would starve
_SPIN_LIMIT_US = (2_000_000, 3_000_000)  # soft (SIGXCPU) and hard
_SLICE_NS = 100_000  # the shortest slice that Linux >= 6.12 grants to an ordinary task


class _SchedAttr(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64), ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64), ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64), ("util_min", ctypes.c_uint32), ("util_max", ctypes.c_uint32),
    )  # fmt: skip


def _real_time() -> bool:
    """Lowest real-time priority on Linux, with the limit in place first; False where it is not permitted."""
    if sys.platform != "linux":
        return False
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, _SPIN_LIMIT_US)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_REAL_TIME))
    except (OSError, ValueError):
        return False
    return True


def be_prompt(rate_hz: float = 10.0) -> str:
    """Raises this process's priority where permitted and returns what was granted, in words."""
    if rate_hz <= _REAL_TIME_HZ and _real_time():
        return "real time"
    granted = []
    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            # waiting ends at a tick of the system's timer, which is 15.6 ms apart unless somebody asks for less
            ctypes.WinDLL("winmm").timeBeginPeriod(1)
            psutil.Process().nice(psutil.HIGH_PRIORITY_CLASS)
        else:
            psutil.Process().nice(_NICE)
        granted.append("high priority")
    with contextlib.suppress(OSError):
        # Linux groups tasks by session, and between groups only the group's own nice value counts.
        _AUTOGROUP.write_text(str(_NICE), encoding="ascii")
        granted.append("for its session")
    number = _SYSCALL.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        attributes = _SchedAttr(
            size=ctypes.sizeof(_SchedAttr), nice=os.getpriority(os.PRIO_PROCESS, 0), runtime=_SLICE_NS
        )
        if ctypes.CDLL(None, use_errno=True).syscall(number, 0, ctypes.byref(attributes), 0) == 0:
            granted.append("short slice")
    return ", ".join(granted) or "nothing"
