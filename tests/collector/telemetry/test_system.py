"""Whole-machine figures."""

from types import SimpleNamespace

import pytest

from collector.telemetry import system
from collector.telemetry.sensor import SensorOptions
from collector.telemetry.system import SystemSensor


def test_cpu_memory_and_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.psutil, "disk_io_counters", lambda: SimpleNamespace(read_bytes=5, write_bytes=7))
    sensor = SystemSensor(SensorOptions())
    assert {row.status for row in sensor.probe()} == {"ok"}
    found = sensor.read(0)
    assert (found["disk_read_bytes"], found["disk_write_bytes"]) == (5, 7)
    assert 0 <= found["cpu_percent"] <= 100
    assert 0 < found["memory_percent"] <= 100


@pytest.mark.parametrize("answer", [None, NotImplementedError("no diskstats"), PermissionError(13, "hidden")])
def test_without_disk_counters(monkeypatch: pytest.MonkeyPatch, answer: BaseException | None) -> None:
    def counters() -> None:
        if answer is not None:
            raise answer

    monkeypatch.setattr(system.psutil, "disk_io_counters", counters)
    sensor = SystemSensor(SensorOptions())
    rows = {row.field: row for row in sensor.probe()}
    assert (rows["disk_read_bytes"].status, rows["disk_read_bytes"].reason_code) == ("missing", "no_disk_counters")
    assert set(sensor.read(0)) == {"cpu_percent", "memory_percent"}


def test_disk_counters_that_fail_later_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.psutil, "disk_io_counters", lambda: SimpleNamespace(read_bytes=5, write_bytes=7))
    sensor = SystemSensor(SensorOptions())
    sensor.probe()
    monkeypatch.setattr(system.psutil, "disk_io_counters", lambda: None)
    assert "disk_read_bytes" not in sensor.read(0)
