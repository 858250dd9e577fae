"""Usage figures, sample rows and machine flags."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from collector.telemetry.types import GpuSample, Sample
from collector.telemetry.usage import (
    Usage,
    aggregate,
    hottest_c,
    machine_flags,
    other_cpu_cores,
    sample_rows,
    vram_at,
)
from tests.collector.telemetry.telemetry_fakes import ESTIMATE, GPU, GPU_POWER, SECOND, at, trace

_SCHEMA = (Path(__file__).parents[3] / "db" / "migrations" / "0001_initial.sql").read_text(encoding="utf-8")


def _columns(table: str) -> set[str]:
    body = re.search(rf"CREATE TABLE {table} \((.*?)\n\);", _SCHEMA, re.DOTALL)
    assert body is not None
    text = re.sub(r"--.*", "", body.group(1))
    return set(re.findall(r"(\w+) (?:DOUBLE|BIGINT|VARCHAR|JSON|INTEGER|BOOLEAN|TIMESTAMP)", text))


def _samples() -> list[Sample]:
    return [
        Sample(
            at(n / 10), cpu_percent=float(n), process_cpu_percent=200.0, memory_percent=30.0, memory_bytes=1000 + n,
            disk_read_bytes=100 * n, disk_write_bytes=5, process_cpu_s=n / 5, sampler_cpu_s=0.0,
        )
        for n in range(100)
    ]  # fmt: skip


def test_columns_are_those_of_the_tables() -> None:
    assert {item.name for item in fields(Usage)} <= _columns("runs")
    assert set(sample_rows(_samples(), at(1), at(2), "r")[0]) == _columns("samples")


def test_means_are_weighted_by_time() -> None:
    usage = aggregate(_samples(), at(2.05), at(4.0), [ESTIMATE])
    # half of the interval that ends at 2.1 s, then 2.2 .. 4.0 s whole
    expected = (21 * 0.5 + sum(range(22, 41))) / 19.5
    assert usage.cpu_percent_mean == pytest.approx(expected)
    assert usage.cpu_percent_max == 40.0
    assert usage.process_cpu_percent_mean == usage.process_cpu_percent_max == 200.0
    assert usage.power_w_mean == pytest.approx(20.0)
    assert usage.disk_read_bytes == 1950
    assert usage.disk_write_bytes == 0


def test_uneven_samples() -> None:
    samples = [Sample(0), *(Sample(round(t * SECOND), cpu_percent=v) for t, v in ((0, 0.0), (1, 10.0), (4, 50.0)))]
    assert aggregate(samples, 0, 4 * SECOND).cpu_percent_mean == pytest.approx((10 + 3 * 50) / 4)


def test_never_measured_is_none() -> None:
    assert aggregate([Sample(at(n)) for n in range(5)], at(1), at(3)) == Usage()
    assert aggregate([], at(1), at(3)) == Usage()
    assert aggregate(_samples(), at(1), at(3)).gpu_percent_mean is None
    assert aggregate(_samples(), at(1), at(3)).power_w_mean is None


def test_disk_counters_that_restart_are_none() -> None:
    samples = [Sample(at(n), disk_read_bytes=value) for n, value in enumerate((100, 200, 5, 50))]
    assert aggregate(samples, at(0.5), at(2.5)).disk_read_bytes is None
    assert aggregate(samples, at(0), at(1)).disk_read_bytes == 100
    assert aggregate(samples, at(1), at(9)).disk_read_bytes is None


def test_gpus_mean_and_sum() -> None:
    pair = (
        GpuSample(0, percent=80.0, vram_bytes=10, power_w=100.0),
        GpuSample(1, percent=40.0, vram_bytes=30, power_w=50.0),
    )
    usage = aggregate([Sample(at(n / 10), gpus=pair) for n in range(50)], at(1), at(3), [GPU_POWER])
    assert (usage.gpu_percent_mean, usage.vram_bytes_max, usage.power_w_mean) == (60.0, 40, 150.0)
    one_silent = (pair[0], GpuSample(1))
    usage = aggregate([Sample(at(n / 10), gpus=one_silent) for n in range(50)], at(1), at(3), [GPU_POWER])
    assert (usage.gpu_percent_mean, usage.vram_bytes_max, usage.power_w_mean) == (None, None, None)


def test_rows_cover_the_window_and_its_margin() -> None:
    rows = sample_rows(trace(lambda _t: 200.0), at(5), at(7), "run-1", 0.5, [GPU, GPU_POWER])
    times = [row["t_s"] for row in rows]
    assert times[0] == pytest.approx(-0.5)
    assert times[-1] == pytest.approx(2.5)
    middle = rows[len(rows) // 2]
    assert (middle["run_id"], middle["power_w"], middle["power_scope"]) == ("run-1", pytest.approx(200.0), "gpu")
    assert middle["gpus"][0]["uuid"] == "GPU-0"
    assert "energy_t_ns" not in middle["gpus"][0]
    assert middle["cpu_energy_j"] is None
    plain = sample_rows(_samples(), at(5), at(7), "r")[0]
    assert (plain["power_w"], plain["power_scope"], plain["gpus"]) == (None, None, None)


def _gpu_samples(*states: tuple[float, float]) -> list[Sample]:
    """A sample per second: temperature in C and seconds lost to heat."""
    return [
        Sample(at(n), gpus=(GpuSample(0, temperature_c=c, throttled_thermal_s=s, throttled_power_s=float(n), vram_bytes=n),))
        for n, (c, s) in enumerate(states)
    ]  # fmt: skip


def test_throttling_is_told_by_the_counters_on_both_sides_of_the_window() -> None:
    assert machine_flags(_gpu_samples((60, 1), (60, 1), (60, 1)), at(0.5), at(1.5)) == ()
    assert machine_flags(_gpu_samples((60, 1), (60, 1), (60, 1.2)), at(0.5), at(1.5)) == ("throttled",)
    assert machine_flags(_gpu_samples((60, 0), (60, 1), (60, 1), (60, 2)), at(1.2), at(1.8)) == ()
    assert machine_flags(_samples(), at(0), at(9)) == ()


def test_temperature_and_memory_at_a_moment() -> None:
    samples = _gpu_samples((40, 0), (60, 0), (50, 0))
    assert [hottest_c(samples, at(t)) for t in (-1, 0, 1.9, 9)] == [40, 40, 60, 50]
    assert [vram_at(samples, at(t)) for t in (-1, 0, 1.9, 9)] == [0, 0, 1, 2]
    assert hottest_c(_samples(), at(1)) is vram_at(_samples(), at(1)) is None


def test_cores_that_others_kept_busy() -> None:
    assert other_cpu_cores(Usage(cpu_percent_mean=75.0, process_cpu_percent_mean=200.0), 4, 9) == pytest.approx(1.0)
    assert other_cpu_cores(Usage(cpu_percent_mean=10.0, process_cpu_percent_mean=200.0), 4, 9) == 0.0
    assert other_cpu_cores(Usage(cpu_percent_mean=75.0, process_cpu_percent_mean=200.0), 4, 2) is None
    assert other_cpu_cores(Usage(cpu_percent_mean=75.0), 4, 9) is None
