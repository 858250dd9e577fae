"""NVML through a compiled fake library: pynvml and its structures are the real ones."""

import time

import pytest

from collector.telemetry import nvml
from collector.telemetry.nvml import GpuProcess, NvmlSensor, gpu_processes, inventory
from collector.telemetry.sensor import SensorOptions
from collector.telemetry.types import Capability, GpuSample
from tests.collector.telemetry.telemetry_fakes import FakeNvml


def _probe(fake: FakeNvml) -> tuple[NvmlSensor, dict[str, Capability]]:
    sensor = NvmlSensor(SensorOptions(nvml_library=fake.library))
    return sensor, {row.field: row for row in sensor.probe()}


def _read(sensor: NvmlSensor) -> GpuSample:
    return sensor.read(0)["gpus"][0]


def test_reads_every_field(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(energy_mj=123_456, power_mw=250_500, average_mw=240_000)
    sensor, rows = _probe(fake_nvml)
    assert {row.status for row in rows.values()} == {"ok"}
    assert rows["gpu_energy_j"].tier == "counter"
    before_ns = time.monotonic_ns()
    gpu = _read(sensor)
    assert (gpu.energy_j, gpu.power_w, gpu.power_average_w) == (123.456, 250.5, 240.0)
    assert (gpu.percent, gpu.vram_bytes, gpu.temperature_c, gpu.sm_clock_mhz) == (87.0, 5 << 30, 61, 1980)
    assert gpu.uuid == "GPU-0"
    assert gpu.energy_t_ns is not None
    assert before_ns - 1_000_000 <= gpu.energy_t_ns <= time.monotonic_ns() + 1_000_000
    assert gpu.power_t_ns is not None
    assert abs(gpu.power_t_ns - gpu.energy_t_ns) < 1_000_000_000
    sensor.close()


def test_several_gpus(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(count=3, energy_mj=1000)
    sensor, _ = _probe(fake_nvml)
    gpus = sensor.read(0)["gpus"]
    assert [(gpu.index, gpu.uuid, gpu.energy_j) for gpu in gpus] == [
        (0, "GPU-0", 1.0),
        (1, "GPU-1", 2.0),
        (2, "GPU-2", 3.0),
    ]


def test_not_supported_is_none_with_a_reason(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(**{"83.ret": 3, "186.ret": 3, "185.ret": 3, "usage.ret": 3, "use.ret": 3})
    sensor, rows = _probe(fake_nvml)
    for field in ("gpu_energy_j", "gpu_power_w", "gpu_power_average_w", "gpu_percent"):
        assert rows[field].status == "unsupported"
        assert rows[field].reason
    assert rows["gpu_vram_bytes"].status == "ok"
    gpu = _read(sensor)
    assert (gpu.energy_j, gpu.energy_t_ns, gpu.power_w, gpu.percent) == (None, None, None, None)


def test_a_zero_is_not_believed(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(energy_mj=0, power_mw=0, average_mw=0)
    sensor, rows = _probe(fake_nvml)
    assert rows["gpu_energy_j"].status == "unsupported"
    gpu = _read(sensor)
    assert (gpu.energy_j, gpu.power_w) == (None, None)


def test_older_power_reading_where_the_field_is_missing(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(usage_mw=75_000, **{"186.ret": 3})
    sensor, rows = _probe(fake_nvml)
    assert rows["gpu_power_w"].status == "ok"
    assert _read(sensor).power_w == 75.0


def test_older_calls_where_the_driver_knows_no_fields(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(energy_mj=50_000, usage_mw=75_000, **{"fields.ret": 3, "total.ret": 0})
    sensor, rows = _probe(fake_nvml)
    assert (rows["gpu_energy_j"].status, rows["gpu_energy_j"].source) == ("ok", "nvmlDeviceGetTotalEnergyConsumption")
    assert (rows["gpu_power_w"].status, rows["gpu_power_average_w"].status) == ("ok", "unsupported")
    assert "nvmlDeviceGetPowerUsage" in rows["gpu_power_w"].source
    gpu = _read(sensor)
    assert (gpu.energy_j, gpu.energy_t_ns, gpu.power_w, gpu.throttled_thermal_s) == (50.0, None, 75.0, None)


def test_an_older_binding_lacks_calls_and_nothing_breaks(fake_nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvmlDeviceGetSamples", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMigMode"):
        monkeypatch.delattr(nvml.pynvml, name)
    sensor, rows = _probe(fake_nvml)
    assert {name for name, row in rows.items() if row.status != "ok"} == {"gpu_power_samples", "gpu_percent"}
    assert _read(sensor).percent is None


def test_a_gpu_that_is_lost_is_named_and_the_others_keep_their_numbers(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(count=3, energy_mj=1000, lost=1)
    sensor, rows = _probe(fake_nvml)
    assert (rows["gpu_handle"].status, rows["gpu_handle"].reason_code) == ("missing", "gpu_lost")
    assert "GPU 1" in (rows["gpu_handle"].reason or "")
    assert [(gpu.index, gpu.uuid) for gpu in sensor.read(0)["gpus"]] == [(0, "GPU-0"), (2, "GPU-2")]
    assert [card.index for card in inventory(fake_nvml.library)] == [0, 2]


def test_a_divided_card_is_measured_as_a_whole_and_says_so(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(mig=1)
    _, rows = _probe(fake_nvml)
    assert {name for name, row in rows.items() if "MIG" in row.source} == {"gpu_energy_j", "gpu_power_w"}


@pytest.mark.parametrize("stamp_us", [0, 1_000_000])
def test_a_driver_stamp_that_is_not_on_our_clock_is_dropped(fake_nvml: FakeNvml, stamp_us: int) -> None:
    fake_nvml.set(stamp_us=stamp_us)
    sensor, _ = _probe(fake_nvml)
    gpu = _read(sensor)
    assert gpu.energy_t_ns is None
    assert gpu.energy_j is not None


def test_a_pause_between_two_clocks_does_not_move_a_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5_000_000_000]
    pauses = iter([80_000_000, 0, 0])

    def wall_ns() -> int:
        seen = 1_000_000_000_000 + now[0]
        now[0] += next(pauses)  # the scheduler gives the processor to somebody else
        return seen

    monkeypatch.setattr(nvml.time, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr(nvml.time, "time_ns", wall_ns)
    stamp_us = (1_000_000_000_000 + 4_990_000_000) // 1000
    assert nvml._monotonic_stamp_ns(stamp_us) == 4_990_000_000


def test_throttle_counters_of_the_same_time_are_not_added(fake_nvml: FakeNvml) -> None:
    sensor, _ = _probe(fake_nvml)
    assert _read(sensor).throttled_thermal_s == 0.0
    fake_nvml.set(heat_ns=2_000_000_000)  # 75 shows 2 s, 269 and 270 together 4 s
    assert _read(sensor).throttled_thermal_s == pytest.approx(4.0)
    fake_nvml.set(power_ns=1_000_000_000)
    gpu = _read(sensor)
    assert (gpu.throttled_power_s, gpu.throttled_thermal_s) == (pytest.approx(1.0), pytest.approx(4.0))


@pytest.mark.parametrize("driver", [57012, 57551, 58065, 58082, 59044])
def test_settings_of_power_smoothing_are_not_throttled_time(fake_nvml: FakeNvml, driver: int) -> None:
    fake_nvml.set(driver=driver, smoothing=100)
    sensor, rows = _probe(fake_nvml)
    assert rows["gpu_throttled_thermal_s"].status == rows["gpu_throttled_power_s"].status == "ok"
    fake_nvml.set(smoothing=5_000_000_000)
    gpu = _read(sensor)
    assert (gpu.throttled_power_s, gpu.throttled_thermal_s) == (0.0, 0.0)
    fake_nvml.set(heat_ns=1_000_000_000)
    assert _read(sensor).throttled_thermal_s == pytest.approx(1.0 if driver < 57500 else 2.0)


@pytest.mark.parametrize(
    ("driver", "ids"),
    [("570.195.03", None), ("575.51.03", (251, 252, 253)), ("580.65.06", (251, 252, 253)),
     ("580.82.07", (269, 270, 271)), ("590.44.01", (269, 270, 271)), (None, None), ("unknown", None)],
)  # fmt: skip
def test_ids_of_the_slowdown_counters_follow_the_driver(driver: str | None, ids: tuple[int, int, int] | None) -> None:
    assert nvml.slowdown_ids(driver) == ids


def test_the_stable_ids_are_those_of_the_binding() -> None:
    names = nvml.pynvml
    assert (nvml._ENERGY, nvml._AVERAGE, nvml._INSTANT) == (
        names.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, names.NVML_FI_DEV_POWER_AVERAGE, names.NVML_FI_DEV_POWER_INSTANT,
    )  # fmt: skip
    assert (nvml._LIMIT_POWER, nvml._LIMIT_HEAT) == (
        names.NVML_FI_DEV_PERF_POLICY_POWER, names.NVML_FI_DEV_PERF_POLICY_THERMAL,
    )  # fmt: skip


def test_a_field_that_this_user_may_not_read(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(**{"83.ret": 4})
    sensor, rows = _probe(fake_nvml)
    row = rows["gpu_energy_j"]
    assert (row.status, row.reason_code) == ("denied", "gpu_field_denied")
    assert row.cure
    assert row.cure_zh
    assert rows["gpu_power_w"].status == "ok"
    assert _read(sensor).energy_j is None


def test_a_counter_that_restarts_is_passed_on_as_it_is(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(energy_mj=900_000_000)
    sensor, _ = _probe(fake_nvml)
    assert _read(sensor).energy_j == 900_000.0
    fake_nvml.set(energy_mj=5_000, heat_ns=0)  # the driver was reloaded: the energy arithmetic sees the fall
    gpu = _read(sensor)
    assert gpu.energy_j == 5.0
    assert gpu.throttled_thermal_s == 0.0


def test_throttle_counters_that_restart_never_give_time_back(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(heat_ns=3_000_000_000)
    sensor, _ = _probe(fake_nvml)
    fake_nvml.set(heat_ns=4_000_000_000)
    assert _read(sensor).throttled_thermal_s == pytest.approx(2.0)
    fake_nvml.set(heat_ns=0)
    assert _read(sensor).throttled_thermal_s == pytest.approx(2.0)
    fake_nvml.set(heat_ns=1_000_000_000)
    assert _read(sensor).throttled_thermal_s == pytest.approx(4.0)


def test_the_drivers_own_power_samples_are_recorded(fake_nvml: FakeNvml) -> None:
    _, rows = _probe(fake_nvml)
    assert rows["gpu_power_samples"].update_period_s == pytest.approx(0.02)
    fake_nvml.set(samples=0)
    _, rows = _probe(fake_nvml)
    assert (rows["gpu_power_samples"].status, rows["gpu_power_samples"].reason_code) == (
        "unsupported",
        "gpu_field_unsupported",
    )


def test_update_period(fake_nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_PROBE_STEP_S", 0.01)
    fake_nvml.set(auto=1, power_mw=300_000, tick_ms=40)
    _, rows = _probe(fake_nvml)
    assert rows["gpu_energy_j"].update_period_s is not None
    assert rows["gpu_power_w"].update_period_s is None


@pytest.mark.parametrize(("code", "status"), [(9, "missing"), (12, "missing"), (4, "denied"), (999, "missing")])
def test_start_errors(fake_nvml: FakeNvml, code: int, status: str) -> None:
    fake_nvml.set(init=code)
    sensor, rows = _probe(fake_nvml)
    assert {row.status for row in rows.values()} == {status}
    assert all(row.reason for row in rows.values())
    assert all((row.cure is not None) == (status == "denied") for row in rows.values())
    assert sensor.read(0) == {}


def test_no_library() -> None:
    sensor = NvmlSensor(SensorOptions(nvml_library="/nowhere/libnvidia-ml.so.1"))
    assert {row.status for row in sensor.probe()} == {"missing"}
    sensor.close()


def test_no_gpu(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(count=0)
    sensor, rows = _probe(fake_nvml)
    assert {row.status for row in rows.values()} == {"missing"}
    assert sensor.read(0) == {}


def test_inventory(fake_nvml: FakeNvml) -> None:
    fake_nvml.set(count=2)
    cards = inventory(fake_nvml.library)
    assert [card.uuid for card in cards] == ["GPU-0", "GPU-1"]
    first = cards[0]
    assert (first.name, first.driver, first.power_limit_w, first.persistence) == (
        "NVIDIA Fake 4000",
        "590.44.01",
        320.0,
        True,
    )
    fake_nvml.set(init=9)
    assert inventory(fake_nvml.library) == []


def test_processes(fake_nvml: FakeNvml) -> None:
    assert gpu_processes(fake_nvml.library) == []
    fake_nvml.set(pid=4321)
    assert gpu_processes(fake_nvml.library) == [GpuProcess(0, 4321, 3 << 30)]
    fake_nvml.set(init=9)
    assert gpu_processes(fake_nvml.library) == []
