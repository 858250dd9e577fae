"""Fakes at the boundary of the system, and samples made by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from collector.telemetry.types import Capability, GpuSample, Sample

SECOND = 1_000_000_000
RANGE_UJ = 262_143_328_850


@dataclass
class FakeNvml:
    """Settings of the fake NVML library (fake_nvml.c)."""

    library: str
    state: Path
    settings: dict[str, int] = field(default_factory=dict)

    def set(self, **settings: int) -> None:
        """Changes what it answers; a key such as ``83.ret`` goes in as ``**{"83.ret": 3}``."""
        self.settings |= settings
        self.state.write_text("".join(f"{key} {value}\n" for key, value in self.settings.items()))


class FakePowercap:
    """A sysfs tree with RAPL zones."""

    def __init__(self, sysfs: Path) -> None:
        self.sysfs = sysfs
        self.folder = sysfs / "class" / "powercap"
        self.folder.mkdir(parents=True)

    def zone(self, zone: str, name: str, energy_uj: int, range_uj: int = RANGE_UJ) -> None:
        """Adds a zone or sets its counter."""
        path = self.folder / zone
        path.mkdir(exist_ok=True)
        (path / "name").write_text(name + "\n")
        (path / "energy_uj").write_text(f"{energy_uj}\n")
        (path / "max_energy_range_uj").write_text(f"{range_uj}\n")


def row(field_name: str, *, sensor: str = "nvml", scope: str = "gpu", tier: str = "counter", status: str = "ok",
        period_s: float | None = 0.1, reason: str | None = None, source: str = "test") -> Capability:  # fmt: skip
    """A capability row."""
    return Capability(sensor, field_name, source, "J", scope, tier, status, reason, None, period_s)  # type: ignore[arg-type]


GPU = row("gpu_energy_j")
GPU_POWER = row("gpu_power_w")
CPU = row("cpu_energy_j", sensor="rapl", scope="cpu", period_s=0.001)
WALL = row("machine_energy_j", sensor="shelly", scope="machine", tier="wall", period_s=1.0)
ESTIMATE = row("process_energy_j", sensor="estimate", scope="process", tier="estimated", period_s=None,
               source="process_cpu_s x 10.0 W per core (stated assumption)")  # fmt: skip


def trace(power_w: Callable[[float], float], *, seconds: float = 20.0, step_s: float = 0.05, gpu: bool = True,
          cpu_w: float | None = None, process_cores: float | None = None, start_s: float = 1000.0) -> list[Sample]:  # fmt: skip
    """Samples of a power curve; its energy is summed in steps of a millisecond."""
    samples, energy_j, t_s = [], 5000.0, 0.0
    steps = round(step_s / 0.001)
    for number in range(round(seconds / step_s) + 1):
        t_s = number * step_s
        card = GpuSample(
            0, "GPU-0", percent=50.0, vram_bytes=100, power_w=power_w(t_s), energy_j=energy_j, temperature_c=50.0
        )
        samples.append(
            Sample(
                round((start_s + t_s) * SECOND),
                cpu_percent=40.0,
                process_cpu_s=None if process_cores is None else process_cores * t_s,
                cpu_energy_j=None if cpu_w is None else cpu_w * t_s,
                gpus=(card,) if gpu else (),
                sampler_cpu_s=t_s / 100,
            )
        )
        energy_j += sum(power_w(t_s + (k + 0.5) * 0.001) * 0.001 for k in range(steps))
    return samples


def at(seconds: float, start_s: float = 1000.0) -> int:
    """Monotonic stamp of a moment in a trace."""
    return round((start_s + seconds) * SECOND)
