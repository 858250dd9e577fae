"""CPU seconds of real processes whose consumption is known."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from collector.telemetry.process import ProcessSensor, ProcessTree, process_cpu_s
from collector.telemetry.sensor import SensorOptions

_BURNER = """
import os, subprocess, sys, time
def burn(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds: pass
    return time.process_time() - start
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "burn": print(burn(float(rest)), flush=True)
    if word == "child":
        child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[1]], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        print(child.pid, flush=True)
    if word == "child-burn":
        child.stdin.write("burn " + rest + "\\n"); child.stdin.flush(); print(child.stdout.readline(), end="", flush=True)
    if word == "child-end": child.stdin.close(); child.wait(); child.stdout.close(); print("ended", flush=True)
"""


class Burner:
    """A process that uses CPU when told and says how much."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BURNER, _BURNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, order: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def burner() -> Iterator[Burner]:
    process = Burner()
    process.tell("burn 0.01")
    yield process
    if process.process.poll() is None:
        process.end()


def test_counts_what_the_process_used_since_it_is_watched(burner: Burner) -> None:
    burner.tell("burn 0.1")
    tree = ProcessTree()
    tree.watch([burner.process.pid])
    assert tree.cpu_s() < 0.05
    used_s = float(burner.tell("burn 0.2"))
    assert tree.cpu_s() == pytest.approx(used_s, abs=0.03)
    assert (tree.memory_bytes() or 0) > 1_000_000


def test_children_count_from_birth_and_stay_counted_when_they_ended(burner: Burner) -> None:
    tree = ProcessTree()
    tree.watch([burner.process.pid])
    burner.tell("child")
    used_s = float(burner.tell("child-burn 0.2"))
    tree.rescan()
    with_child_s = tree.cpu_s()
    assert with_child_s >= used_s
    burner.tell("child-end")
    assert tree.cpu_s() >= with_child_s
    burner.end()
    assert tree.cpu_s() >= with_child_s
    tree.rescan()
    assert tree.cpu_s() >= with_child_s
    assert tree.memory_bytes() is None


def test_changing_the_roots_neither_jumps_nor_falls(burner: Burner) -> None:
    other = Burner()
    other.tell("burn 0.3")
    tree = ProcessTree()
    tree.watch([burner.process.pid])
    burner.tell("burn 0.1")
    before_s = tree.cpu_s()
    tree.watch([other.process.pid])
    assert before_s <= tree.cpu_s() < before_s + 0.1
    used_s = float(other.tell("burn 0.1"))
    assert tree.cpu_s() == pytest.approx(before_s + used_s, abs=0.03)
    other.end()


def test_a_pid_that_is_gone_is_no_error(burner: Burner) -> None:
    burner.end()
    tree = ProcessTree()
    tree.watch([burner.process.pid])
    assert tree.cpu_s() == 0.0
    assert not tree.watched
    tree.rescan()


def test_the_sensor_is_silent_until_something_is_watched() -> None:
    sensor = ProcessSensor(SensorOptions())
    rows = {row.field: row for row in sensor.probe()}
    assert rows["process_cpu_s"].status == "ok"
    assert sensor.read(0) == {}
    assert sensor.counters() == {}
    sensor.watch([os.getpid()])
    first = sensor.read(1_000_000_000)
    assert first["process_cpu_percent"] is None
    assert sensor.read(2_000_000_000)["process_cpu_percent"] >= 0.0
    assert set(sensor.counters()) == {"process_cpu_s"}
    sensor.maintain()


def test_ticks_where_there_is_no_nanosecond_clock(monkeypatch: pytest.MonkeyPatch, burner: Burner) -> None:
    monkeypatch.setattr("collector.telemetry.process.sys.platform", "darwin")
    used_s = float(burner.tell("burn 0.1"))
    value = process_cpu_s(psutil.Process(burner.process.pid))
    assert value is not None
    assert value >= used_s - 0.03
    monkeypatch.setattr("collector.telemetry.process.update_period_s", lambda read: 0.01 if read() is not None else None)
    rows = {row.field: row for row in ProcessSensor(SensorOptions()).probe()}
    assert (rows["process_cpu_s"].update_period_s, rows["process_cpu_s"].source) == (0.01, "psutil.Process.cpu_times")
    assert "psutil" in rows["process_cpu_s"].source
