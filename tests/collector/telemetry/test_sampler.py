"""The sampler process and the collector's end of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import SensorError
from collector.telemetry import Sample, Sampler, quality
from collector.telemetry.sampler import probe
from tests.collector.telemetry.telemetry_fakes import SECOND, FakeNvml, FakePowercap


@pytest.fixture(scope="module")
def sampler() -> Iterator[Sampler]:
    with Sampler(rate_hz=50) as running:
        yield running


def test_start_tells_every_sensor(sampler: Sampler) -> None:
    rows = {(row.sensor, row.field): row for row in sampler.capabilities}
    assert rows["psutil", "cpu_percent"].status == "ok"
    assert rows["process", "process_cpu_s"].status == "ok"
    assert rows["estimate", "process_energy_j"].tier == "estimated"
    assert {"rapl", "nvml"} <= {sensor for sensor, _ in rows}
    assert all(row.reason for row in sampler.capabilities if row.status != "ok")
    process = sampler._process
    assert sampler.start() == sampler.capabilities
    assert sampler._process is process


def test_nothing_is_lost_while_the_collector_sleeps(sampler: Sampler) -> None:
    sampler.drain()
    start_s = [s.sampler_cpu_s for s in sampler.between(0, time.monotonic_ns())][-1]
    time.sleep(0.5)
    samples = sampler.drain()
    stamps = [sample.t_ns for sample in samples]
    assert stamps == sorted(set(stamps))
    assert len(samples) >= 3
    assert sampler.drain() == [] or sampler.drain()[0].t_ns > stamps[-1]
    assert samples[-1].sampler_cpu_s is not None
    assert start_s is not None
    assert samples[-1].sampler_cpu_s >= start_s


def test_nothing_is_lost_while_the_collector_stands_still() -> None:
    """The pipe holds 64 KiB; what is sampled while nobody reads it waits in the sampler."""
    program = (
        "import os, signal, sys, time\n"
        "from collector.telemetry import Sampler\n"
        "sampler = Sampler(rate_hz=1000); sampler.start()\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "limit = time.monotonic() + 20; end = time.monotonic_ns()\n"
        "sampler.wait_until(end, 20)\n"
        "stamps = [sample.t_ns for sample in sampler.drain() if sample.sampler_cpu_s is not None]\n"
        "usage = [b - a for a, b in zip(stamps, stamps[1:])]\n"
        "sampler.stop()\n"
        "print(len(stamps), stamps[0], stamps[-1], max(usage))\n"
    )
    root = Path(__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "ready"
    child.send_signal(signal.SIGSTOP)
    stopped_ns = time.monotonic_ns()
    time.sleep(1.5)
    resumed_ns = time.monotonic_ns()
    child.send_signal(signal.SIGCONT)
    answer, _ = child.communicate("go\n", timeout=60)
    count, first_ns, last_ns, longest_ns = (int(word) for word in answer.split())
    assert first_ns < stopped_ns
    assert last_ns > resumed_ns
    assert longest_ns < resumed_ns - stopped_ns  # samples were taken in between, and arrived
    assert count > 100


def test_watch_and_edge(sampler: Sampler) -> None:
    sampler.watch([os.getpid()])
    sampler.wait_until(time.monotonic_ns() + SECOND // 10)
    sampler.drain()
    sampler.edge()
    sampler.wait_until(time.monotonic_ns() + SECOND // 10)
    extra = [sample for sample in sampler.drain() if sample.sampler_cpu_s is None]
    assert len(extra) == 1
    assert extra[0].process_cpu_s is not None
    assert extra[0].cpu_percent is None
    last = sampler.between(0, time.monotonic_ns())[-1]
    assert last.memory_bytes is not None
    assert last.process_cpu_percent is not None
    sampler.watch([])


def test_between_takes_one_sample_either_side(sampler: Sampler) -> None:
    t0_ns = time.monotonic_ns()
    t1_ns = t0_ns + 1_000_000
    assert sampler.wait_until(t1_ns)
    samples = sampler.between(t0_ns, t1_ns, margin_s=0)
    assert samples[0].t_ns <= t0_ns
    assert samples[-1].t_ns >= t1_ns
    assert all(t0_ns < sample.t_ns < t1_ns for sample in samples[1:-1])
    assert sampler.between(t0_ns, t1_ns)[0].t_ns <= samples[0].t_ns
    assert not sampler.wait_until(time.monotonic_ns() + 3600 * SECOND, timeout_s=0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_sampler_is_noticed_and_starts_again() -> None:
    sampler = Sampler(rate_hz=50)
    assert not sampler.alive
    assert sampler.own_cpu() is None
    sampler.start()
    sampler.watch([os.getpid()])
    assert sampler.alive
    assert sampler._process is not None
    assert sampler.wait_until(time.monotonic_ns() + SECOND // 10)
    cost = sampler.own_cpu()
    assert cost is not None
    assert cost[0] >= 0
    assert cost[1] > 0
    os.kill(sampler._process.pid, signal.SIGKILL)
    limit = time.monotonic() + 20
    while sampler.alive and time.monotonic() < limit:
        time.sleep(0.01)
    assert not sampler.alive
    asked_s = time.monotonic()
    assert not sampler.wait_until(time.monotonic_ns() + SECOND, timeout_s=60)
    assert time.monotonic() - asked_s < 30  # nobody to wait for
    sampler.watch([os.getpid()])  # speaks to nobody, and says nothing
    sampler.edge()
    before = sampler.between(0, time.monotonic_ns())
    (lost,) = [row for row in sampler.capabilities if row.sensor == "rapl"]
    worked = replace(lost, status="ok", reason=None, reason_code=None)
    sampler.capabilities = [worked if row == lost else row for row in sampler.capabilities]
    assert worked in sampler.restart(), "a sensor that does not answer again does not change the scope"
    assert sampler.alive
    assert sampler.wait_until(time.monotonic_ns() + SECOND // 10)
    after = sampler.between(0, time.monotonic_ns())
    assert after[: len(before)] == before
    assert after[-1].process_cpu_s is not None
    sampler.stop()
    assert not sampler.alive
    sampler.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_sampler_ends_with_its_collector() -> None:
    program = (
        "from collector.telemetry import Sampler\nimport time\ns = Sampler(); s.start()\n"
        "print(s._process.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    limit = time.monotonic() + 20
    while _runs(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
            if Path("/proc").exists()
            else os.kill(pid, 0) is None
        )
    except OSError:
        return False


def test_gpu_and_rapl_cross_the_process_border(
    nvml_library: Path, tmp_path: Path, powercap: FakePowercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeNvml(str(nvml_library), tmp_path / "state")
    fake.set(auto=1, power_mw=300_000, tick_ms=20)
    monkeypatch.setenv("FAKE_NVML_STATE", str(fake.state))
    powercap.zone("intel-rapl:0", "package-0", 5_000_000)
    with Sampler(sysfs=powercap.sysfs, nvml_library=fake.library) as sampler:
        rows = {row.field: row for row in sampler.capabilities}
        assert rows["gpu_energy_j"].status == rows["cpu_energy_j"].status == "ok"
        assert rows["gpu_energy_j"].update_period_s is not None
        t0_ns = time.monotonic_ns()
        powercap.zone("intel-rapl:0", "package-0", 6_000_000)
        assert sampler.wait_until(t0_ns + SECOND // 2)
        samples = sampler.drain()
    assert samples[-1].cpu_energy_j == pytest.approx(1.0)
    with_gpu = [sample for sample in samples if sample.gpus]
    gpu_only = [sample for sample in with_gpu if sample.sampler_cpu_s is None]
    assert len(gpu_only) >= 2  # the GPU fields come at twice the rate
    assert all(sample.cpu_percent is None for sample in gpu_only)
    first, last = with_gpu[0].gpus[0], with_gpu[-1].gpus[0]
    assert first.energy_t_ns is not None
    assert last.energy_t_ns is not None
    assert first.energy_j is not None
    assert last.energy_j is not None
    power_w = (last.energy_j - first.energy_j) / ((last.energy_t_ns - first.energy_t_ns) / SECOND)
    assert power_w == pytest.approx(300, rel=0.02)


def test_the_process_does_not_import_what_is_heavy() -> None:
    program = "import sys, collector.telemetry.child; print(sorted({'torch', 'pandas', 'numpy', 'duckdb', 'httpx'} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("rates", [{"rate_hz": 0}, {"rate_hz": 5000}, {"gpu_rate_hz": 50}, {"gpu_rate_hz": -1}])
def test_wrong_rates(rates: dict[str, float]) -> None:
    with pytest.raises(SensorError, match="Hz"):
        Sampler(**rates)  # type: ignore[arg-type]


def test_a_process_that_does_not_start(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("collector.telemetry.sampler._ROOT", Path("/nowhere"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    sampler = Sampler()
    with pytest.raises(SensorError) as caught:
        sampler.start()
    assert caught.value.zh
    assert not sampler.alive
    assert "collector" in capfd.readouterr().err


def test_probe() -> None:
    assert {row.sensor for row in probe()} >= {"psutil", "process", "rapl", "nvml", "estimate"}


def test_history_is_bounded(sampler: Sampler) -> None:
    other = Sampler(history_s=10)
    other._history = [Sample(n * SECOND, sampler_cpu_s=0.0) for n in range(5000)]
    other._drained = 4990
    other._forget(5000 * SECOND)
    assert other._history[0].t_ns == 4990 * SECOND
    assert [sample.t_ns // SECOND for sample in other.drain()] == list(range(4990, 5000))


def _ticks(*stamps_s: float) -> list[Sample]:
    return [Sample(round(t * SECOND), sampler_cpu_s=0.0) for t in stamps_s]


def test_quality_of_a_perfect_window() -> None:
    found = quality(_ticks(*(n / 10 for n in range(21))), round(0.25 * SECOND), round(1.75 * SECOND), 10)
    assert found == (15, 1.0, pytest.approx(0.0, abs=1e-9))


def test_quality_sees_a_missing_tick_and_ignores_extra_readings() -> None:
    samples = _ticks(0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    samples.insert(3, Sample(round(0.3 * SECOND)))
    count, coverage, jitter_s = quality(samples, 0, SECOND, 10)
    assert count == 9
    assert coverage == pytest.approx(0.85)
    assert jitter_s == pytest.approx(0.2)


def test_quality_is_poor_when_samples_are_missing_again_and_again() -> None:
    def ticks(*left_out: int) -> list[Sample]:
        return [Sample(n * SECOND // 10, sampler_cpu_s=0.0) for n in range(41) if n not in left_out]

    assert not quality(ticks(), 0, 4 * SECOND).poor(4.0, 10.0)
    assert not quality(ticks(10), 0, 4 * SECOND).poor(4.0, 10.0), "one alone"
    assert quality(ticks(10, 11, 20, 21), 0, 4 * SECOND).poor(4.0, 10.0), "two gaps, neither of them long"
    assert quality([], 0, SECOND).poor(1.0, 10.0)


def test_quality_of_a_window_that_the_sampler_did_not_see() -> None:
    assert quality([], 0, SECOND, 10) == (0, 0.0, None)
    assert quality(_ticks(0.5), 0, SECOND, 10) == (1, 0.0, None)
    count, coverage, _ = quality(_ticks(0.5, 0.6, 0.7), 0, SECOND, 10)
    assert count == 3
    assert coverage == pytest.approx(0.2)


@given(st.lists(st.floats(min_value=0, max_value=10), max_size=40), st.floats(0, 9), st.floats(0.01, 5))
def test_coverage_is_a_share(stamps_s: list[float], t0_s: float, length_s: float) -> None:
    t0_ns = round(t0_s * SECOND)
    found = quality(_ticks(*sorted(set(stamps_s))), t0_ns, t0_ns + round(length_s * SECOND), 10)
    assert 0.0 <= found.coverage <= 1.0
    assert found.sample_count <= len(stamps_s)
