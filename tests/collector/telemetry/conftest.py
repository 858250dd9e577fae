"""Machines to measure: a fake NVML library, a sysfs tree with RAPL zones."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.collector.telemetry.telemetry_fakes import FakeNvml, FakePowercap

_SOURCE = Path(__file__).with_name("fake_nvml.c")


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the fake NVML library")
    library = tmp_path_factory.mktemp("nvml") / "libfakenvml.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True)
    return library


@pytest.fixture
def fake_nvml(nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    monkeypatch.setattr("collector.telemetry.nvml._PROBE_STEP_S", 0.001)
    fake = FakeNvml(str(nvml_library), tmp_path / "nvml-state")
    monkeypatch.setenv("FAKE_NVML_STATE", str(fake.state))
    fake.set(count=1)
    return fake


@pytest.fixture
def powercap(tmp_path: Path) -> FakePowercap:
    return FakePowercap(tmp_path / "sys")
