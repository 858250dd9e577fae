"""Zeus at its boundary: modules that look like those of the package, without the package."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from collector.energy import request_energy
from collector.telemetry import zeus
from collector.telemetry.child import _probe
from collector.telemetry.sensor import Sensor, SensorOptions
from collector.telemetry.types import Capability, Sample
from collector.telemetry.zeus import ZeusGpuSensor, ZeusSensor
from tests.collector.telemetry.telemetry_fakes import SECOND


class ZeusBaseError(Exception):
    pass


class ZeusGPUNotSupportedError(ZeusBaseError):
    pass


class ZeusGPUNoPermissionError(ZeusBaseError):
    pass


class ZeusCPUInitError(ZeusBaseError):
    pass


@dataclass
class _Device:
    """Answers with ``value`` or raises it."""

    value: Any
    asked: int = 0

    def get_total_energy_consumption(self) -> Any:
        self.asked += 1
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@dataclass
class _Amd:
    energy_mj: Any = 5000
    power_mw: Any = 120_000
    average_mw: Any = field(default_factory=lambda: ZeusGPUNotSupportedError("no average"))

    def _say(self, value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def get_total_energy_consumption(self) -> Any:
        return self._say(self.energy_mj)

    def get_instant_power_usage(self) -> Any:
        return self._say(self.power_mw)

    def get_average_power_usage(self) -> Any:
        return self._say(self.average_mw)

    def get_gpu_temperature(self) -> int:
        return 55


def _apple(cpu: Any = 1000, gpu: Any = 2000, dram: Any = 300) -> SimpleNamespace:
    return SimpleNamespace(cpu_total_mj=cpu, gpu_mj=gpu, dram_mj=dram, ane_mj=None, gpu_sram_mj=None)


def _jetson(total: Any = 9000.0, cpu: Any = 4000.0, gpu: Any = 3000.0) -> SimpleNamespace:
    return SimpleNamespace(cpu_energy_mj=cpu, gpu_energy_mj=gpu, total_energy_mj=total)


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts fake modules of Zeus in place, each with the given members; what is not given is not installed."""
    monkeypatch.setattr(zeus, "_PROBE_STEP_S", 0.0)
    monkeypatch.setattr(zeus, "_JETSON_POLL_S", 0.002)
    zeus._soc.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] in ("zeus", "zeus_apple_silicon")]:
        monkeypatch.delitem(sys.modules, name)

    def put(kind: str, **modules: dict[str, Any]) -> None:
        monkeypatch.setattr(zeus, "_machine_kind", lambda _sysfs: kind)
        names = {"soc": "zeus.device.soc", "cpu": "zeus.device.cpu", "amd": "zeus.device.gpu.amd", "apple": "zeus_apple_silicon"}
        for name, members in {"zeus": {}, "zeus.exception": {"ZeusBaseError": ZeusBaseError}, "zeus.device": {}, "zeus.device.gpu": {},
                              **{names[short]: members for short, members in modules.items()}}.items():  # fmt: skip
            module = ModuleType(name)
            module.__path__ = []
            module.__dict__.update(members)
            monkeypatch.setitem(sys.modules, name, module)

    return put


def _rows(sensor: Sensor) -> dict[str, Capability]:
    return {row.field: row for row in sensor.probe()}


@pytest.mark.parametrize("kind", ["emi", "apple", "jetson", "amd"])
def test_without_zeus_the_cure_is_to_install_it(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(zeus, "_machine_kind", lambda _sysfs: kind)
    monkeypatch.setattr(zeus, "import_module", _not_installed)
    rows = [*ZeusSensor(SensorOptions()).probe(), *ZeusGpuSensor(SensorOptions()).probe()]
    assert rows
    assert {(row.status, row.cure) for row in rows} == {("missing", "pip install zeus")}


def _not_installed(name: str) -> Any:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_on_a_mac_its_part_for_apple_silicon_is_named(install: Install) -> None:
    install("apple", soc={"get_soc": lambda: _Device(_apple())})
    row = _rows(ZeusSensor(SensorOptions()))["cpu_energy_j"]
    assert (row.status, row.cure) == ("missing", "pip install 'zeus[apple]'")


def test_machines_where_it_cannot_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeus, "_TEGRA", ())
    monkeypatch.setattr(zeus.sys, "platform", "linux")
    options = SensorOptions(sysfs=tmp_path)
    assert ZeusSensor(options).probe() == ZeusGpuSensor(options).probe() == []
    vendor = tmp_path / "class" / "drm" / "card0" / "device" / "vendor"
    vendor.parent.mkdir(parents=True)
    vendor.write_text("0x8086\n")
    assert zeus._machine_kind(tmp_path) is None
    vendor.write_text("0x1002\n")
    assert zeus._machine_kind(tmp_path) == "amd"
    monkeypatch.setattr(zeus, "_TEGRA", (tmp_path,))
    assert zeus._machine_kind(tmp_path) == "jetson"
    monkeypatch.setattr(zeus.sys, "platform", "win32")
    assert zeus._machine_kind(tmp_path) == "emi"
    monkeypatch.setattr(zeus.sys, "platform", "darwin")
    monkeypatch.setattr(zeus.platform, "machine", lambda: "arm64")
    assert zeus._machine_kind(tmp_path) == "apple"


def _emi(*devices: _Device) -> dict[str, Any]:
    return {"get_cpus": lambda: SimpleNamespace(cpus=devices)}


def _mj(cpu_mj: float, dram_mj: float | None = None) -> SimpleNamespace:
    return SimpleNamespace(cpu_mj=cpu_mj, dram_mj=dram_mj)


def test_windows_emi_adds_packages_and_memory(install: Install) -> None:
    first, second = _Device(_mj(1000, 200)), _Device(_mj(5000))
    install("emi", cpu=_emi(first, second))
    sensor = ZeusSensor(SensorOptions())
    row = _rows(sensor)["cpu_energy_j"]
    assert (row.status, row.scope, row.tier) == ("ok", "cpu", "counter")
    before = sensor.read(0)["cpu_energy_j"]
    first.value, second.value = _mj(1500, 300), _mj(5400)
    assert sensor.read(0)["cpu_energy_j"] - before == pytest.approx(1.0)


def test_one_counter_of_several_that_restarts_is_seen(install: Install) -> None:
    first, second = _Device(_mj(10)), _Device(_mj(5000))
    install("emi", cpu=_emi(first, second))
    sensor = ZeusSensor(SensorOptions())
    sensor.probe()
    samples = []
    for second_nr in range(10):
        first.value = _mj(1000 * second_nr if second_nr < 5 else 10.0)  # the other one's growth would hide the fall
        second.value = _mj(5000 + 9000 * second_nr)
        samples.append(Sample(second_nr * SECOND, **sensor.read(0), sampler_cpu_s=0.0))
    rows = [Capability("zeus", "cpu_energy_j", "zeus", "J", "cpu", "counter", "ok", update_period_s=0.1)]
    found = request_energy(samples, 3 * SECOND, 7 * SECOND, rows, rate_hz=1)
    assert found.energy_j is None
    assert found.flags == ("counter_reset",)
    assert request_energy(samples, 1 * SECOND, 3 * SECOND, rows, rate_hz=1).energy_j == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(PermissionError(13, "Access is denied"), "denied", "zeus_denied"), (ZeusCPUInitError("RAPL unavailable"), "missing", "zeus_no_emi"),
     (OSError("EMI"), "missing", "zeus_no_emi")],
)  # fmt: skip
def test_cpus_that_cannot_be_read(install: Install, error: Exception, status: str, code: str) -> None:
    install("emi", cpu=_emi(_Device(error)))
    sensor = ZeusSensor(SensorOptions())
    row = _rows(sensor)["cpu_energy_j"]
    assert (row.status, row.reason_code) == (status, code)
    assert row.reason
    assert row.reason_zh
    assert sensor.read(0) == {}


def test_a_cpu_that_fails_for_a_moment_is_none(install: Install) -> None:
    device = _Device(_mj(1000))
    install("emi", cpu=_emi(device))
    sensor = ZeusSensor(SensorOptions())
    sensor.probe()
    device.value = OSError("busy")
    assert sensor.read(0) == {"cpu_energy_j": None}
    device.value = _mj(3000)
    assert sensor.read(0) == {"cpu_energy_j": pytest.approx(2.0)}


def test_apple_silicon_splits_cpu_and_gpu(install: Install) -> None:
    device = _Device(_apple())
    install("apple", soc={"get_soc": lambda: device}, apple={})
    cpu, gpu = ZeusSensor(SensorOptions()), ZeusGpuSensor(SensorOptions())
    assert {row.status for row in (*cpu.probe(), *gpu.probe())} == {"ok"}
    assert cpu.read(0) == {"cpu_energy_j": pytest.approx(1.3)}
    (card,) = gpu.read(0)["gpus"]
    assert (card.energy_j, card.power_w) == (2.0, None)
    assert card.energy_t_ns is not None
    device.value = RuntimeError("IOReport")
    assert cpu.read(0) == {}
    assert gpu.read(0) == {}


def test_apple_without_a_gpu_channel_is_unsupported_not_zero(install: Install) -> None:
    install("apple", soc={"get_soc": lambda: _Device(_apple(gpu=None))}, apple={})
    sensor = ZeusGpuSensor(SensorOptions())
    assert _rows(sensor)["gpu_energy_j"].reason_code == "zeus_unsupported"
    assert sensor.read(0) == {}


def _wait(condition: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_jetsons_board_is_read_by_a_thread(install: Install) -> None:
    device = _Device(_jetson())
    install("jetson", soc={"get_soc": lambda: device})
    machine, gpu = ZeusSensor(SensorOptions()), ZeusGpuSensor(SensorOptions())
    rows = _rows(machine)
    assert {field: (row.status, row.scope) for field, row in rows.items()} == {"cpu_energy_j": ("ok", "cpu"), "machine_energy_j": ("ok", "machine")}
    assert _rows(gpu)["gpu_energy_j"].status == "ok"
    found = machine.read(0)
    assert (found["cpu_energy_j"], found["machine_energy_j"]) == (4.0, 9.0)
    asked = device.asked
    assert [machine.read(0) for _ in range(1000)]
    assert device.asked < asked + 900  # reading is not asking
    device.value = OSError("gone")
    _wait(lambda: machine.read(0) == {})
    device.value = _jetson(total=12_000.0)
    _wait(lambda: machine.read(0).get("machine_energy_j") == 12.0)
    machine.close()


def test_a_jetson_without_a_board_rail_has_its_parts(install: Install) -> None:
    install("jetson", soc={"get_soc": lambda: _Device(_jetson(total=None))})
    sensor = ZeusSensor(SensorOptions())
    rows = _rows(sensor)
    assert (rows["cpu_energy_j"].status, rows["machine_energy_j"].status) == ("ok", "unsupported")
    assert "machine_energy_j" not in sensor.read(0)
    sensor.close()


def test_a_wall_meter_goes_before_a_jetsons_board(install: Install) -> None:
    install("jetson", soc={"get_soc": lambda: _Device(_jetson())})
    sensor = ZeusSensor(SensorOptions(meter="shelly:10.0.0.2"))
    assert set(_rows(sensor)) == {"cpu_energy_j"}
    sensor.close()


def _amd(*gpus: _Amd, available: bool = True) -> dict[str, Any]:
    return {"amdsmi_is_available": lambda: available, "AMDGPUs": lambda: SimpleNamespace(gpus=gpus)}


def test_amd_counter_power_and_temperature(install: Install) -> None:
    install("amd", amd=_amd(_Amd(), _Amd(energy_mj=7000)))
    sensor = ZeusGpuSensor(SensorOptions())
    assert {row.status for row in sensor.probe()} == {"ok"}
    first, second = sensor.read(0)["gpus"]
    assert (first.energy_j, first.power_w, first.temperature_c) == (5.0, 120.0, 55.0)
    assert (second.index, second.energy_j) == (1, 7.0)


def test_an_amd_counter_that_is_not_supported_is_none(install: Install) -> None:
    refused = ZeusGPUNotSupportedError("inaccurate")
    install("amd", amd=_amd(_Amd(energy_mj=refused, power_mw=refused, average_mw=90_000)))
    sensor = ZeusGpuSensor(SensorOptions())
    rows = _rows(sensor)
    assert (rows["gpu_energy_j"].status, rows["gpu_energy_j"].reason_code) == ("unsupported", "zeus_unsupported")
    assert rows["gpu_power_w"].status == "ok"
    (card,) = sensor.read(0)["gpus"]
    assert (card.energy_j, card.power_w) == (None, 90.0)


@pytest.mark.parametrize(
    ("members", "status"),
    [(_amd(available=False), "missing"), (_amd(), "unsupported"),
     ({"amdsmi_is_available": lambda: True, "AMDGPUs": lambda: (_ for _ in ()).throw(ZeusGPUNoPermissionError("video"))}, "denied")],
)  # fmt: skip
def test_amd_gpus_that_cannot_be_read(install: Install, members: dict[str, Any], status: str) -> None:
    install("amd", amd=members)
    sensor = ZeusGpuSensor(SensorOptions())
    assert {row.status for row in sensor.probe()} == {status}
    assert sensor.read(0) == {}


class _Other(Sensor):
    name = "other"
    field = ""

    def probe(self) -> list[Capability]:
        return [Capability("other", self.field, "other", "J", "cpu", "counter", "ok")]

    def read(self, t_ns: int) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(("taken", "left"), [("cpu_energy_j", {"gpu_energy_j"}), ("gpu_percent", {"cpu_energy_j"})])
def test_nothing_is_read_twice(install: Install, taken: str, left: set[str]) -> None:
    install("apple", soc={"get_soc": lambda: _Device(_apple())}, apple={})
    other = _Other(SensorOptions())
    other.field = taken
    sensors: list[Sensor] = [other, ZeusSensor(SensorOptions()), ZeusGpuSensor(SensorOptions())]
    assert {row.field for row in _probe(sensors) if row.sensor == "zeus"} == left
    values = [value for sensor in sensors for value in sensor.read(0)]
    assert ("gpus" in values) == (taken != "gpu_percent")
    assert ("cpu_energy_j" in values) == (taken != "cpu_energy_j")
