"""What machine this is, and which results may be compared with each other."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from collector.telemetry.nvml import GpuInfo, inventory
from collector.telemetry.state import on_battery
from collector.telemetry.types import Scope, Tier

__all__ = ["Fingerprint", "cohort", "machine_fingerprint"]

# What changes from day to day without making it another machine.
_VOLATILE = ("on_battery", "python")
_OS_FAMILIES = {"Darwin": "macOS"}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A machine.

    Attributes:
        machine_id: hash of everything here that does not change by itself.
        cpu_model: name of the CPU as the system gives it.
        os_family: Linux, macOS, Windows ...
        details: OS, kernel, cores, governor, memory, GPUs with UUID, driver and power limit, battery, Python.
        gpus: the NVIDIA GPUs; empty without one.
    """

    machine_id: str
    cpu_model: str
    os_family: str
    details: dict[str, Any] = field(default_factory=dict)
    gpus: tuple[GpuInfo, ...] = ()

    @property
    def has_gpu(self) -> bool:
        """Whether there is a GPU that NVML shows."""
        return bool(self.gpus)

    def row(self) -> dict[str, Any]:
        """Columns of the ``machines`` table."""
        return {
            "machine_id": self.machine_id,
            "cpu_model": self.cpu_model,
            "os_family": self.os_family,
            "fingerprint": self.details,
            "first_seen_at": datetime.now(UTC),
        }


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _cpu_model(proc: Path = Path("/proc")) -> str:
    """Name of the CPU; the architecture where the system has no name for it."""
    found: str | None = None
    if sys.platform == "darwin":
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        found = answer.stdout.strip()
    elif sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
            found = str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    else:
        text = _read(proc / "cpuinfo") or ""
        match = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.MULTILINE)
        found = match.group(1) if match else _arm_model(text)
    return " ".join((found or platform.processor() or platform.machine() or "unknown CPU").split())


def _arm_model(cpuinfo: str) -> str | None:
    """Arm has no name in there, but numbers: every kind of core once, e.g. ``aarch64 0x41/0xd40``; None elsewhere."""
    makers = re.findall(r"^CPU implementer\s*:\s*(\S+)$", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\S+)$", cpuinfo, re.MULTILINE)
    kinds = sorted({f"{maker}/{part}" for maker, part in zip(makers, parts, strict=False)})
    return f"{platform.machine()} {' + '.join(kinds)}" if kinds else None


def machine_fingerprint(gpus: Sequence[GpuInfo] | None = None, *, sysfs: Path = Path("/sys")) -> Fingerprint:
    """Describes this machine; ``gpus`` as given by :func:`nvml.inventory`, asked for when None."""
    cards = tuple(inventory() if gpus is None else gpus)
    os_family = _OS_FAMILIES.get(platform.system(), platform.system() or "unknown")
    cpu_model = _cpu_model()
    details: dict[str, Any] = {
        "os": platform.platform(),
        "os_family": os_family,
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu_model": cpu_model,
        "cpu_cores": psutil.cpu_count(logical=False),
        "cpu_threads": psutil.cpu_count(),
        "governor": _read(sysfs / "devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": [asdict(card) for card in cards],
        "on_battery": on_battery(),
        "python": platform.python_version(),
        "hypervisor": _hypervisor(),
    }
    stable = {key: value for key, value in details.items() if key not in _VOLATILE}
    # the kernel's own share of memory differs by megabytes between boots
    stable["memory_bytes"] = round(details["memory_bytes"] / 2**30)
    text = json.dumps(stable, sort_keys=True, ensure_ascii=False)
    machine_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Fingerprint(machine_id, cpu_model, os_family, details, cards)


def _hypervisor(proc: Path = Path("/proc")) -> bool | None:
    """Whether a hypervisor is underneath, by the CPU flag of Linux on x86; None where that does not tell."""
    text = _read(proc / "cpuinfo")
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE) if text else None
    return "hypervisor" in flags.group(1).split() if flags else None


def _gpu_part(gpus: Sequence[GpuInfo]) -> str:
    """Models and power limits, e.g. ``2 x NVIDIA A100 400 W``; index, UUID and driver do not matter."""
    names = Counter(
        f"{gpu.name or 'unknown GPU'} {'? W' if gpu.power_limit_w is None else f'{gpu.power_limit_w:.0f} W'}"
        for gpu in gpus
    )
    parts = [name if count == 1 else f"{count} x {name}" for name, count in sorted(names.items())]
    return " + ".join(parts) or "no GPU"


def _major_minor(version: str) -> str:
    match = re.match(r"v?(\d+)(?:\.(\d+))?", version)
    return f"{match.group(1)}.{match.group(2) or 0}" if match else version


def cohort(
    fingerprint: Fingerprint, engine: str, engine_version: str | None, scope: Scope | None, tier: Tier | None
) -> str:
    """Name of the group within which results are compared.

    CPU model | GPU models and power limits | OS family | engine and its major.minor | energy scope | energy tier.
    GPU UUID, driver and kernel are recorded with the machine but do not split a cohort.
    """
    return " | ".join(
        part.replace("|", "/")
        for part in (
            fingerprint.cpu_model,
            _gpu_part(fingerprint.gpus),
            fingerprint.os_family,
            f"{engine} {_major_minor(engine_version)}" if engine_version else engine,
            scope or "no energy",
            tier or "no energy",
        )
    )
