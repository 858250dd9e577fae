"""What the doctor says of sensors and calibrations."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from collector import doctor, i18n
from collector.calibration import Device, Fit, save
from collector.experiment import parse_experiment
from collector.fingerprint import Fingerprint
from collector.quality.sandbox import Report
from collector.telemetry.nvml import GpuInfo
from collector.telemetry.reasons import why
from collector.telemetry.types import Capability
from db import Store

_CARD = GpuInfo(0, "Fake", "GPU-0", "590", None, None, None, None)
_DENIED = Capability("rapl", "cpu_energy_j", "powercap", "J", "cpu", "counter", "denied", **why("rapl_denied"))
_METER = Capability("shelly", "machine_power_w", "plug", "W", "machine", "wall", "ok")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(doctor, "machine_fingerprint", lambda: Fingerprint("m1", "CPU", "Linux", gpus=(_CARD,)))
    made = Store(tmp_path / "store.duckdb")
    made.ensure()
    return made


@pytest.mark.parametrize(("language", "word", "cure"), [("en", "root only", "until the next boot"), ("zh", "只有 root 可读", "重启后失效")])
def test_a_sensor_says_why_in_the_users_language(
    store: Store, monkeypatch: pytest.MonkeyPatch, language: str, word: str, cure: str
) -> None:
    monkeypatch.setattr(i18n, "_language", language)
    asked: list[object] = []

    def probe(meter: str | None, calibrations: object) -> list[Capability]:
        asked.append(meter)
        return [_DENIED, _METER]

    monkeypatch.setattr(doctor, "probe", probe)
    experiment = parse_experiment({"models": ["a"], "telemetry": {"meter": "shelly:10.0.0.2"}}, "x.toml")
    checks = list(doctor._sensors(store, experiment))
    (note,) = [check for check in checks if check.outcome == "note"]
    assert word in note.text
    assert cure in (note.cure or "")
    assert asked == ["shelly:10.0.0.2"]
    assert [check.text for check in checks if check.outcome == "ok"] == ["shelly: machine_power_w (plug)"]


def test_calibrations_are_shown_and_given_to_the_sensors(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_language", "en")
    save(store, "m1", "plug", [], {Device("nvml", "GPU-0"): Fit(1.1, 0.022, 60.0, 1.0, 9)}, "machine")
    given: list[object] = []

    def probe(meter: str | None, calibrations: object) -> list[Capability]:
        given.append(calibrations)
        return [_METER]

    monkeypatch.setattr(doctor, "probe", probe)
    texts = [check.text for check in doctor._sensors(store, None)]
    assert "nvml GPU-0: gain 1.1000 ± 2.0%" in texts
    assert given
    assert set(given[0]) == {"nvml"}  # type: ignore[call-overload]
    assert doctor._calibration(Store(store.path.with_name("none.duckdb"))) == {}


@pytest.mark.parametrize(("tick_s", "found"), [(1e-9, 0), (0.015625, 1)])
def test_a_coarse_clock_is_named(monkeypatch: pytest.MonkeyPatch, tick_s: float, found: int) -> None:
    monkeypatch.setattr(time, "get_clock_info", lambda _name: SimpleNamespace(resolution=tick_s))
    checks = [check for check in doctor._python() if check.name == "clock"]
    assert len(checks) == found
    assert all("15.6 ms" in check.text and check.cure for check in checks)


@pytest.mark.parametrize(("platform", "word"), [("linux", "bubblewrap"), ("darwin", "docker pull"), ("win32", "docker pull")])
def test_without_a_sandbox_every_way_is_named_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, platform: str, word: str
) -> None:
    reports = [Report("namespaces", ("needs Linux", "需要 Linux"), (), 0.0), Report("container", ("podman is down", "停了"), (), 0.0)]
    monkeypatch.setattr(doctor, "available", lambda: None)
    monkeypatch.setattr(doctor, "prove", lambda: reports)
    monkeypatch.setattr(sys, "platform", platform)
    for language, said in (("en", "container: podman is down"), ("zh", "container: 停了")):
        monkeypatch.setattr(i18n, "_language", language)
        *ways, last = doctor._sandbox()
        assert [check.text for check in ways][1] == said
        assert word in (last.cure or "")
        assert "no_sandbox" in last.text
