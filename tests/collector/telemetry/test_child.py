"""The loop inside the sampler process, without a process."""

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.telemetry.child import GPU_FLOOR_NS, Grid, Inbox, Loop
from collector.telemetry.priority import _real_time, be_prompt
from collector.telemetry.sensor import Group, Sensor, SensorOptions
from collector.telemetry.system import SystemSensor
from collector.telemetry.types import Capability, GpuSample, Sample
from collector.telemetry.wire import decode, encode_sample


class _Recorder:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def put(self, line: bytes, *, hurry: bool = True) -> None:
        sample = decode(line)
        assert isinstance(sample, Sample)
        self.samples.append(sample)


class _Gpu(Sensor):
    name = "fake"
    group: ClassVar[Group] = "gpu"
    delays_s: ClassVar[list[float]] = []

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self.asked_ns: list[int] = []

    def probe(self) -> list[Capability]:
        return []

    def read(self, t_ns: int) -> dict[str, Any]:
        if t_ns:
            self.asked_ns.append(t_ns)
        return {"gpus": (GpuSample(0, power_w=1.0),)}


class _Machine(Sensor):
    name = "fake"

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self.watched: list[int] = []

    def probe(self) -> list[Capability]:
        return []

    def read(self, t_ns: int) -> dict[str, Any]:
        return {"cpu_percent": 1.0}

    def counters(self) -> dict[str, Any]:
        return {"cpu_energy_j": 2.0}

    def watch(self, pids: Any) -> None:
        self.watched = list(pids)


def test_jitter_never_shortens_the_interval_between_gpu_readings() -> None:
    gpu = _Gpu(SensorOptions())
    outbox = _Recorder()
    loop = Loop([_Machine(SensorOptions()), gpu], 10, 20, outbox)  # type: ignore[arg-type]
    for late_s in (0.0, 0.004, 0.0, 0.02, 0.001, 0.0, 0.0, 0.03, 0.0, 0.0):
        time.sleep(loop.wait_s() + late_s)
        loop.tick()
    steps = [b - a for a, b in zip(gpu.asked_ns, gpu.asked_ns[1:], strict=False)]
    assert steps
    assert min(steps) >= GPU_FLOOR_NS
    assert any(sample.gpus and sample.cpu_percent is None for sample in outbox.samples)
    assert any(sample.gpus and sample.cpu_percent is not None for sample in outbox.samples)


def test_edges_read_counters_only_and_pids_are_passed_on() -> None:
    machine, outbox = _Machine(SensorOptions()), _Recorder()
    loop = Loop([machine], 10, 20, outbox)  # type: ignore[arg-type]
    loop.watch([4, 5])
    loop.edge()
    assert machine.watched == [4, 5]
    (sample,) = outbox.samples
    assert (sample.cpu_energy_j, sample.cpu_percent, sample.sampler_cpu_s) == (2.0, None, None)


def test_commands_end_with_the_stream() -> None:
    inbox = Inbox(io.BytesIO(b'{"watch":[1]}\n{"edge":true}\n'))
    while not inbox.ended:
        assert inbox.woken.wait(20)
    assert list(inbox.commands) == [{"watch": [1]}, {"edge": True}]


@given(
    period_ns=st.integers(min_value=1, max_value=10**9),
    start_ns=st.integers(min_value=0, max_value=10**12),
    steps=st.lists(st.integers(min_value=0, max_value=5 * 10**9), max_size=30),
)
def test_a_grid_keeps_its_phase_and_never_runs_behind(period_ns: int, start_ns: int, steps: list[int]) -> None:
    grid, now_ns, fired = Grid(period_ns, start_ns), start_ns, 0
    for step in steps:
        now_ns += step
        fired += grid.due(now_ns)
        assert grid.next_ns > now_ns
        assert (grid.next_ns - start_ns) % period_ns == 0
        assert not grid.due(now_ns)
    assert fired <= len(steps)


def test_psutil_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = SystemSensor(SensorOptions())
    assert {row.status for row in sensor.probe()} <= {"ok", "missing"}
    fields = sensor.read(0)
    assert 0 <= fields["cpu_percent"] <= 100
    assert 0 < fields["memory_percent"] <= 100
    monkeypatch.setattr("collector.telemetry.system.psutil.disk_io_counters", lambda: None)
    rows = {row.field: row for row in sensor.probe()}
    assert rows["disk_read_bytes"].status == "missing"
    assert rows["disk_read_bytes"].reason
    assert "disk_read_bytes" not in sensor.read(0)


def test_priority_is_asked_for_without_insisting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("collector.telemetry.priority._real_time", lambda: False)
    monkeypatch.setattr("collector.telemetry.priority.psutil.Process.nice", _refuse)
    monkeypatch.setattr("collector.telemetry.priority._AUTOGROUP", tmp_path / "none" / "autogroup")
    monkeypatch.setattr("collector.telemetry.priority.platform.machine", lambda: "pdp11")
    assert be_prompt() == "nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's schedulers")
def test_real_time_comes_with_a_limit_and_only_where_it_is_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *words: asked.append(words))
    monkeypatch.setattr("collector.telemetry.priority.os.sched_setscheduler", lambda *words: asked.append(words))
    assert be_prompt() == "real time"
    (limit, _), (_, policy, parameter) = asked
    assert limit == resource.RLIMIT_RTTIME
    assert policy == os.SCHED_FIFO
    assert parameter.sched_priority == 1  # type: ignore[attr-defined]
    monkeypatch.setattr("collector.telemetry.priority.os.sched_setscheduler", _refuse)
    assert not _real_time()
    monkeypatch.setattr("collector.telemetry.priority._real_time", lambda: pytest.fail("asked at a rate that would starve others"))
    monkeypatch.setattr("collector.telemetry.priority.psutil.Process.nice", _refuse)
    monkeypatch.setattr("collector.telemetry.priority._AUTOGROUP", Path("/nowhere/autogroup"))
    monkeypatch.setattr("collector.telemetry.priority.platform.machine", lambda: "pdp11")
    assert be_prompt(1000) == "nothing"


def _refuse(*_arguments: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("line", [b"[1,2", b"{}", b"[1]", b"7", json.dumps([1] * 40).encode()])
def test_lines_that_are_not_ours(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(line)


_numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_gpu_samples = st.builds(
    GpuSample, index=st.integers(0, 7), uuid=st.none() | st.text(), power_w=_numbers, energy_j=_numbers
)


@given(st.builds(Sample, t_ns=st.integers(0, 2**62), cpu_percent=_numbers, memory_bytes=st.none() | st.integers(0, 2**50),
                 gpus=st.lists(_gpu_samples, max_size=3).map(tuple)))  # fmt: skip
def test_samples_cross_unchanged(sample: Sample) -> None:
    line = encode_sample(sample)
    assert line.count(b"\n") == 1
    assert decode(line) == sample
