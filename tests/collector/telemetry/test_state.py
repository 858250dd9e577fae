"""Battery, swap, clock and foreign GPU processes."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from collector.telemetry import state
from collector.telemetry.state import MachineState, foreign_gpu_pids, machine_state, on_battery, state_flags
from tests.collector.telemetry.telemetry_fakes import FakeNvml

_QUIET = MachineState(1000.0, None, 5000)


def test_nothing_happened() -> None:
    assert state_flags(_QUIET, _QUIET) == ()
    assert state_flags(machine_state(), machine_state())[:1] != ("clock_jump",)


@pytest.mark.parametrize(
    ("after", "flags"),
    [
        (replace(_QUIET, wall_offset_s=1000.2), ()),
        (replace(_QUIET, wall_offset_s=1003.0), ("clock_jump",)),
        (replace(_QUIET, wall_offset_s=900.0), ("clock_jump",)),
        (replace(_QUIET, swapped_bytes=5001), ("swap",)),
        (replace(_QUIET, swapped_bytes=None), ()),
        (replace(_QUIET, on_battery=False), ()),
        (replace(_QUIET, on_battery=True), ("battery",)),
    ],
)
def test_flags(after: MachineState, flags: tuple[str, ...]) -> None:
    assert state_flags(_QUIET, after) == flags


@pytest.mark.parametrize(
    ("battery", "expected"),
    [(None, None), (SimpleNamespace(power_plugged=None), None), (SimpleNamespace(power_plugged=True), False),
     (SimpleNamespace(power_plugged=False), True)],
)  # fmt: skip
def test_battery(monkeypatch: pytest.MonkeyPatch, battery: object, expected: bool | None) -> None:
    monkeypatch.setattr(state.psutil, "sensors_battery", lambda: battery, raising=False)
    assert on_battery() is expected
    assert machine_state().on_battery is expected


@pytest.mark.parametrize(("platform", "swapped"), [("linux", 30), ("win32", 30), ("darwin", 7)])
def test_reading_files_is_no_swapping_on_a_mac(monkeypatch: pytest.MonkeyPatch, platform: str, swapped: int) -> None:
    monkeypatch.setattr(state.psutil, "swap_memory", lambda: SimpleNamespace(used=7, sin=10, sout=20))
    monkeypatch.setattr(state.sys, "platform", platform)
    assert machine_state().swapped_bytes == swapped


def test_no_swap_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(2, "No such file", "/proc/vmstat")

    monkeypatch.setattr(state.psutil, "swap_memory", refuse)
    assert machine_state().swapped_bytes is None


def test_foreign_gpu_processes(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(pid=os.getpid())
    assert foreign_gpu_pids([os.getpid()], fake_nvml.library) == []
    assert foreign_gpu_pids([os.getppid()], fake_nvml.library) == []
    assert foreign_gpu_pids([], fake_nvml.library) == [os.getpid()]
    assert foreign_gpu_pids([2**22 + 5], fake_nvml.library) == [os.getpid()]
    assert foreign_gpu_pids([], "/nowhere/libnvidia-ml.so.1") == []
