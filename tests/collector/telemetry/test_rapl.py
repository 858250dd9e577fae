"""RAPL through a fake powercap tree."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.energy import request_energy
from collector.telemetry import rapl
from collector.telemetry.rapl import RaplSensor, WrappingCounter, find_zones
from collector.telemetry.sensor import SensorOptions
from collector.telemetry.types import EnergyResult, Sample
from tests.collector.telemetry.telemetry_fakes import RANGE_UJ, SECOND, FakePowercap


def _sensor(powercap: FakePowercap) -> RaplSensor:
    return RaplSensor(SensorOptions(sysfs=powercap.sysfs))


def _server(powercap: FakePowercap, package_uj: int = 1000, dram_uj: int = 500) -> None:
    powercap.zone("intel-rapl:0", "package-0", package_uj)
    powercap.zone("intel-rapl:0:0", "core", 900_000)
    powercap.zone("intel-rapl:0:1", "dram", dram_uj)
    powercap.zone("intel-rapl:1", "psys", 7_000_000)
    powercap.zone("intel-rapl-mmio:0", "package-0", package_uj)


def test_adds_package_and_memory_once(powercap: FakePowercap) -> None:
    _server(powercap)
    assert [zone.label for zone in find_zones(powercap.sysfs)] == ["package-0", "package-0 dram"]
    sensor = _sensor(powercap)
    (capability,) = sensor.probe()
    assert (capability.status, capability.scope, capability.tier) == ("ok", "cpu", "counter")
    assert capability.source == "powercap package-0 + package-0 dram"
    assert sensor.read(0) == {"cpu_energy_j": 0.0}
    _server(powercap, package_uj=1000 + 3_000, dram_uj=500 + 2_000)
    assert sensor.counters()["cpu_energy_j"] == pytest.approx(0.005)


def test_takes_the_mmio_zone_where_it_is_the_only_one(powercap: FakePowercap) -> None:
    powercap.zone("intel-rapl-mmio:0", "package-0", 10)
    assert [zone.label for zone in find_zones(powercap.sysfs)] == ["package-0"]


def test_two_packages(powercap: FakePowercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", 10)
    powercap.zone("intel-rapl:1", "package-1", 10)
    assert [zone.label for zone in find_zones(powercap.sysfs)] == ["package-0", "package-1"]


def test_wrap_continues_the_sum(powercap: FakePowercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", RANGE_UJ - 200)
    sensor = _sensor(powercap)
    sensor.probe()
    sensor.read(0)
    powercap.zone("intel-rapl:0", "package-0", 300)
    assert sensor.read(0)["cpu_energy_j"] == pytest.approx(500e-6)


def test_reset_restarts_the_sum_instead_of_jumping(powercap: FakePowercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", 50_000_000_000)
    sensor = _sensor(powercap)
    sensor.probe()
    sensor.read(0)
    powercap.zone("intel-rapl:0", "package-0", 50_000_900_000)
    assert sensor.read(0)["cpu_energy_j"] == pytest.approx(0.9)
    powercap.zone("intel-rapl:0", "package-0", 100)
    assert sensor.read(0)["cpu_energy_j"] == 0.0
    powercap.zone("intel-rapl:0", "package-0", 400_100)
    assert sensor.read(0)["cpu_energy_j"] == pytest.approx(0.4)


def test_permission_denied_names_the_cure(powercap: FakePowercap, monkeypatch: pytest.MonkeyPatch) -> None:
    _server(powercap)
    original = Path.read_text

    def refuse(self: Path, *arguments: str, **named: str) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", refuse)
    sensor = _sensor(powercap)
    (capability,) = sensor.probe()
    assert capability.status == "denied"
    assert capability.cure is not None
    assert "chmod" in capability.cure
    assert sensor.read(0) == {}


def test_a_passing_read_error_is_none_and_adds_nothing(powercap: FakePowercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", 1_000)
    sensor = _sensor(powercap)
    sensor.probe()
    sensor.read(0)
    counter = powercap.folder / "intel-rapl:0" / "energy_uj"
    counter.write_text("")
    assert sensor.read(0) == {"cpu_energy_j": None}
    counter.unlink()
    assert sensor.read(0) == {"cpu_energy_j": None}
    counter.write_text("6000\n")
    assert sensor.read(0)["cpu_energy_j"] == pytest.approx(0.005)


@pytest.mark.parametrize("name", ["psys", "core", "dram"])
def test_other_zones_alone_are_no_sensor(powercap: FakePowercap, name: str) -> None:
    powercap.zone("intel-rapl:0", name, 10)
    (capability,) = _sensor(powercap).probe()
    assert capability.status == "missing"
    assert capability.reason


def test_no_powercap_at_all(tmp_path: Path) -> None:
    (capability,) = RaplSensor(SensorOptions(sysfs=tmp_path)).probe()
    assert capability.status == "missing"


def test_the_update_period_is_measured(powercap: FakePowercap, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap.zone("intel-rapl:0", "package-0", 10)
    readings = iter(range(10_000_000))
    clock = iter(range(10_000_000))
    monkeypatch.setattr(rapl, "_read_uj", lambda _path: next(readings) // 4)
    monkeypatch.setattr(rapl.time, "monotonic", lambda: next(clock) * 0.0005)
    (capability,) = _sensor(powercap).probe()
    assert capability.update_period_s == pytest.approx(0.002)


_STEPS = st.lists(st.integers(min_value=0, max_value=150_000_000), min_size=1, max_size=60)


@given(start=st.integers(min_value=0, max_value=RANGE_UJ - 1), steps=_STEPS)
def test_unwrapping_gives_the_true_sum(start: int, steps: list[int]) -> None:
    """Any consumption below 1.5 kW at 10 Hz, wherever the counter stands, comes out exactly."""
    counter, raw, t_ns = WrappingCounter(RANGE_UJ), start, 0
    assert counter.add(raw, t_ns)
    for step in steps:
        raw, t_ns = (raw + step) % RANGE_UJ, t_ns + SECOND // 10
        assert counter.add(raw, t_ns)
    assert counter.total_uj == sum(steps)


@given(
    readings=st.lists(st.integers(min_value=0, max_value=RANGE_UJ - 1), min_size=2, max_size=30),
    pause_s=st.floats(min_value=0.05, max_value=300),
)
def test_whatever_the_counter_shows_no_jump_is_larger_than_physics(readings: list[int], pause_s: float) -> None:
    counter, before = WrappingCounter(RANGE_UJ), 0
    for number, raw in enumerate(readings):
        counter.add(raw, round(number * pause_s * SECOND))
        assert 0 <= counter.total_uj - before <= 2000e6 * pause_s + 1e6 + 1
        before = counter.total_uj


def _window(powercap: FakePowercap, monkeypatch: pytest.MonkeyPatch, readings_uj: list[int]) -> EnergyResult:
    """Energy of the middle of a series of readings that are a second apart."""
    clock = iter(range(0, 1000 * SECOND, SECOND))
    powercap.zone("intel-rapl:0", "package-0", readings_uj[0])
    sensor = _sensor(powercap)
    rows = sensor.probe()
    monkeypatch.setattr(rapl.time, "monotonic_ns", lambda: next(clock))
    samples = []
    for number, value in enumerate(readings_uj):
        powercap.zone("intel-rapl:0", "package-0", value)
        samples.append(Sample(number * SECOND, **sensor.read(0), sampler_cpu_s=0.0))
    return request_energy(samples, SECOND, (len(samples) - 2) * SECOND, rows, rate_hz=1)


def test_an_answer_across_a_wrap_costs_what_it_costs(powercap: FakePowercap, monkeypatch: pytest.MonkeyPatch) -> None:
    watts = 80_000_000
    found = _window(powercap, monkeypatch, [(RANGE_UJ - 3 * watts + n * watts) % RANGE_UJ for n in range(8)])
    assert found.energy_j == pytest.approx(5 * 80.0)
    assert "counter_reset" not in found.flags


def test_an_answer_across_a_reset_has_no_energy(powercap: FakePowercap, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _window(powercap, monkeypatch, [10**11 + n * 80_000_000 if n < 4 else n * 80_000_000 for n in range(8)])
    assert found.energy_j is None
    assert found.flags == ("counter_reset",)


def test_permission_that_is_taken_away_is_none_and_comes_back(powercap: FakePowercap, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap.zone("intel-rapl:0", "package-0", 1_000)
    sensor = _sensor(powercap)
    sensor.probe()
    sensor.read(0)
    original = Path.read_text

    def refuse(self: Path, *arguments: str, **named: str) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert sensor.read(0) == {"cpu_energy_j": None}
    monkeypatch.setattr(Path, "read_text", original)
    powercap.zone("intel-rapl:0", "package-0", 3_000)
    assert sensor.read(0)["cpu_energy_j"] == pytest.approx(0.002)
