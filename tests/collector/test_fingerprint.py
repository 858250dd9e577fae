"""Fingerprint and cohort."""

from dataclasses import replace
from pathlib import Path

import pytest

from collector import fingerprint
from collector.fingerprint import Fingerprint, cohort, machine_fingerprint
from collector.telemetry.nvml import GpuInfo

_CARD = GpuInfo(0, "NVIDIA RTX 4090", "GPU-a", "575.1", "1.2", 24 << 30, 450.0, True)


def test_this_machine() -> None:
    found = machine_fingerprint([])
    assert found.cpu_model
    assert found.os_family in ("Linux", "macOS", "Windows")
    assert not found.has_gpu
    assert {"os", "kernel", "cpu_cores", "governor", "memory_bytes", "gpus", "on_battery", "python"} <= set(
        found.details
    )
    row = found.row()
    assert set(row) == {"machine_id", "cpu_model", "os_family", "fingerprint", "first_seen_at"}
    assert machine_fingerprint([]).machine_id == found.machine_id


def test_another_card_driver_or_power_limit_is_another_machine() -> None:
    first = machine_fingerprint([_CARD])
    assert first.has_gpu
    assert first.details["gpus"][0]["uuid"] == "GPU-a"
    others = [replace(_CARD, uuid="GPU-b"), replace(_CARD, driver="580.2"), replace(_CARD, power_limit_w=300.0)]
    ids = {machine_fingerprint([card]).machine_id for card in others}
    assert len(ids | {first.machine_id}) == 4


def test_unplugging_does_not_make_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "on_battery", lambda: False)
    plugged = machine_fingerprint([])
    monkeypatch.setattr(fingerprint, "on_battery", lambda: True)
    unplugged = machine_fingerprint([])
    assert unplugged.details["on_battery"] is True
    assert unplugged.machine_id == plugged.machine_id


def test_governor(tmp_path: Path) -> None:
    folder = tmp_path / "devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("performance\n")
    assert machine_fingerprint([], sysfs=tmp_path).details["governor"] == "performance"
    assert machine_fingerprint([], sysfs=tmp_path / "none").details["governor"] is None


def _machine(*gpus: GpuInfo) -> Fingerprint:
    return Fingerprint("id", "AMD Ryzen 9 7950X", "Linux", {}, gpus)


def test_cohort_without_gpu() -> None:
    name = cohort(_machine(), "ollama", "0.32.15", "process", "estimated")
    assert name == "AMD Ryzen 9 7950X | no GPU | Linux | ollama 0.32 | process | estimated"


def test_cohort_names_models_and_power_limits_only() -> None:
    name = cohort(_machine(_CARD), "ollama", "v0.9.6", "gpu+cpu", "counter")
    assert name == "AMD Ryzen 9 7950X | NVIDIA RTX 4090 450 W | Linux | ollama 0.9 | gpu+cpu | counter"
    twin = replace(_CARD, index=1, uuid="GPU-b", driver="1", vbios="2", persistence=None)
    assert cohort(_machine(twin), "ollama", "0.9.7", "gpu+cpu", "counter") == name
    assert "2 x NVIDIA RTX 4090 450 W" in cohort(_machine(_CARD, twin), "ollama", "0.9", "gpu", "counter")
    mixed = cohort(_machine(replace(_CARD, name=None, power_limit_w=None), _CARD), "ollama", "0.9", "gpu", "counter")
    assert "NVIDIA RTX 4090 450 W + unknown GPU ? W" in mixed


def test_every_part_of_a_cohort_splits_it() -> None:
    base = (_machine(), "ollama", "0.9.6", "cpu", "counter")
    names = {
        cohort(*base),
        cohort(_machine(_CARD), *base[1:]),
        cohort(base[0], "pocket", *base[2:]),
        cohort(*base[:2], "0.10.0", *base[3:]),
        cohort(*base[:3], "gpu", "counter"),
        cohort(*base[:4], "wall"),
        cohort(replace(base[0], os_family="macOS"), *base[1:]),
        cohort(replace(base[0], cpu_model="Other | CPU"), *base[1:]),
    }
    assert len(names) == 8
    assert all(name.count(" | ") == 5 for name in names)


def test_cohort_of_a_run_without_energy_or_version() -> None:
    name = cohort(_machine(), "ollama", None, None, None)
    assert name.endswith("ollama | no energy | no energy")


def test_arm_cores_are_told_apart_by_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint.sys, "platform", "linux")
    monkeypatch.setattr(fingerprint.platform, "machine", lambda: "aarch64")
    core = "processor\t: {}\nCPU implementer\t: 0x41\nCPU part\t: {}\n\n"
    (tmp_path / "cpuinfo").write_text(core.format(0, "0xd4b") + core.format(1, "0xd41") + core.format(2, "0xd41"))
    assert fingerprint._cpu_model(tmp_path) == "aarch64 0x41/0xd41 + 0x41/0xd4b"


def test_cpu_model_where_the_system_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint.sys, "platform", "linux")
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Intel(R)  Xeon(R) CPU\nflags : fpu hypervisor\n")
    assert fingerprint._cpu_model(tmp_path) == "Intel(R) Xeon(R) CPU"
    assert fingerprint._hypervisor(tmp_path) is True
    assert fingerprint._cpu_model(tmp_path / "none")
    assert fingerprint._hypervisor(tmp_path / "none") is None
