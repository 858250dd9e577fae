"""A measuring bench on a clock of its own: a machine whose power, heat and memory are written down, an engine on it.

Everything between the boundary of the system and the store is the real thing: energy, timing, baselines, flags, books.
Nothing waits, so that hours pass in milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from collector import baseline, case, cooling, loading, measure, record, runner, session
from collector.closure import Ledger
from collector.experiment import Experiment, parse_experiment
from collector.fingerprint import Fingerprint, machine_fingerprint
from collector.measure import MeasuringBench
from collector.ollama_types import (
    ChatOutcome,
    ChatRequest,
    Chunk,
    Limits,
    LoadedModel,
    LoadOutcome,
    ModelDetails,
    ModelTag,
)
from collector.telemetry.state import MachineState
from collector.telemetry.types import Capability, GpuSample, Sample

__all__ = ["COUNTER", "Clock", "FakeClient", "FakeSampler", "make_bench", "trial"]

SECOND = 1_000_000_000
_WALL_NS = 1_700_000_000 * SECOND
COUNTER = (
    Capability("nvml", "gpu_energy_j", "test", "J", "gpu", "counter", "ok", None, None, 0.05),
    Capability("nvml", "gpu_power_w", "test", "W", "gpu", "counter", "ok", None, None, 0.05),
)
_MODULES = (baseline, case, cooling, loading, measure, record, runner, session)


class Clock:
    """Time that passes only when somebody waits or works."""

    def __init__(self) -> None:
        self.ns = 1000 * SECOND

    def monotonic_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / SECOND

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The collector's protocol lives by this clock."""
        fake = SimpleNamespace(monotonic_ns=self.monotonic_ns, monotonic=self.monotonic, sleep=self.sleep, time=time.time)
        for module in _MODULES:
            if hasattr(module, "time"):
                monkeypatch.setattr(module, "time", fake)
        monkeypatch.setattr(measure, "machine_state", lambda: MachineState(1000.0, None, 0))


class FakeSampler:
    """The sampler's face of a machine with one GPU.

    Attributes:
        levels: watts from a moment on; idle in between is what stands there.
        temperature_c: at a moment in seconds; likewise the other functions.
    """

    gpu_rate_hz = 20.0

    def __init__(self, clock: Clock, capabilities: Sequence[Capability] = COUNTER, idle_w: float = 60.0) -> None:
        self.clock, self.capabilities = clock, list(capabilities)
        self.levels: list[tuple[int, float]] = [(0, idle_w)]
        self.temperature_c: Callable[[float], float | None] = lambda _s: 40.0
        self.vram_bytes: Callable[[float], int | None] = lambda _s: 1 << 30
        self.throttled_s: Callable[[float], float | None] = lambda _s: 0.0
        self.cpu_percent: float | None = 20.0
        self.process_cpu_percent: float | None = 100.0
        self.counter_gain = 1.0
        self.power_gain = 1.0
        self.missing: Callable[[float], bool] = lambda _s: False
        self.alive = True
        self.restarts = 0
        self.watched: list[int] = []

    def own_cpu(self) -> tuple[float, float]:
        """What sampling took."""
        return 1.5, 100.0

    def power(self, watts: float) -> None:
        """From now on the GPU draws so much."""
        self.levels.append((self.clock.ns, watts))

    def energy_j(self, t_ns: int) -> float:
        """Since the beginning of time."""
        ends = [start for start, _ in self.levels[1:]] + [max(t_ns, self.levels[-1][0])]
        return sum(watts * max(0, min(end, t_ns) - start) / SECOND for (start, watts), end in zip(self.levels, ends, strict=True))

    def between(self, t0_ns: int, t1_ns: int, margin_s: float = 0.5) -> list[Sample]:
        step = SECOND // 20
        first, last = (t0_ns - round(margin_s * SECOND)) // step, (t1_ns + round(margin_s * SECOND)) // step + 1
        stamps = sorted({n * step for n in range(first, last + 1)} | {t0_ns, t1_ns} | {s for s, _ in self.levels if t0_ns <= s <= t1_ns})  # fmt: skip
        return [self._sample(t) for t in stamps if not self.missing(t / SECOND)]

    def _sample(self, t_ns: int) -> Sample:
        t_s = t_ns / SECOND
        watts = [watts for start, watts in self.levels if start <= t_ns][-1]
        gpu = GpuSample(
            0, "GPU-0", percent=50.0, vram_bytes=self.vram_bytes(t_s), power_w=watts * self.power_gain,
            energy_j=self.energy_j(t_ns) * self.counter_gain, temperature_c=self.temperature_c(t_s),
            throttled_thermal_s=self.throttled_s(t_s),
        )  # fmt: skip
        return Sample(
            t_ns, cpu_percent=self.cpu_percent, process_cpu_percent=self.process_cpu_percent, gpus=(gpu,),
            sampler_cpu_s=0.0 if t_ns % (SECOND // 10) == 0 else None,
        )  # fmt: skip

    def wait_until(self, t_ns: int, timeout_s: float = 2.0) -> bool:
        return True

    def edge(self) -> None:
        """Costs nothing here."""

    def watch(self, pids: Sequence[int]) -> None:
        self.watched = list(pids)

    def restart(self) -> list[Capability]:
        self.restarts += 1
        self.alive = True
        return self.capabilities


@dataclass
class FakeClient:
    """An engine that answers as it is told.

    Attributes:
        models: what it has; ``broken`` ones answer with an error line.
        figures: overrides of the final chunk per request (by number, from 0, warm-up included).
        faults: names of faults per request number.
        placement: ``/api/ps`` for the model: context, bytes, bytes on the GPU.
        answer_s: how long an answer takes.
    """

    clock: Clock
    sampler: FakeSampler
    url: str = "http://127.0.0.1:1"
    figures: Callable[[int, ChatRequest], dict[str, Any]] = lambda _n, _request: {}
    faults: Callable[[int], str | None] = lambda _n: None
    placement: tuple[int | None, int, int] = (4096, 1000, 1000)
    busy_w: float = 300.0
    answer_s: float = 2.0
    load_s: float = 4.0
    load_fault: str | None = None
    lag_s: float = 0.0002
    chunks: int = 10
    models: tuple[str, ...] = ("m:1b",)
    broken: frozenset[str] = frozenset()
    asked: list[ChatRequest] = field(default_factory=list)
    loads: int = 0
    loaded: str | bool = False

    def show(self, model: str) -> ModelDetails:
        return ModelDetails("llama", 3_000_000_000, "Q4_K_M", 8192, ("completion",), None, None, None, {})

    def tags(self) -> list[ModelTag]:
        return [ModelTag(name, "digest " + name, 1000, "llama", "1B", "Q4_K_M", None) for name in self.models]

    def version(self, timeout_s: float = 15.0) -> str:
        return "0.32.15"

    def unload(self, model: str) -> None:
        self.loaded = False

    def ps(self) -> list[LoadedModel]:
        context, size, vram = self.placement
        return [LoadedModel(str(self.loaded), "digest", size, vram, context, None)] if self.loaded else []

    def ready(self, timeout_s: float) -> bool:
        return True

    def close(self) -> None:
        """Nothing to close."""

    def load(self, model: str, options: Any = None, keep_alive: Any = -1, timeout_s: float = 600.0) -> LoadOutcome:
        if self.load_fault:
            return LoadOutcome(None, self.load_fault, "as written")
        if self.loaded != model:
            self.loads += 1
            self.sampler.power(self.busy_w)
            self.clock.sleep(self.load_s)
            self.sampler.power(80.0)
        self.loaded = model
        return LoadOutcome(self.load_s, None, None)

    def chat(self, request: ChatRequest, limits: Limits) -> ChatOutcome:
        number = len(self.asked)
        self.asked.append(request)
        fault = "error_line" if request.model in self.broken else self.faults(number)
        sent_ns = self.clock.ns
        self.sampler.power(self.busy_w)
        chunks = list(self._stream())
        self.sampler.power(80.0)
        final = None if fault else self._final(number, request)
        return ChatOutcome(
            sent_ns=sent_ns, end_ns=self.clock.ns, started_at=datetime.fromtimestamp((sent_ns + _WALL_NS) / SECOND, UTC),
            wall_offset_ns=_WALL_NS, chunks=chunks, text="".join(c.text for c in chunks), thinking="", final=final,
            http_status=200, fault=fault, fault_detail=fault and "as written",
        )  # fmt: skip

    def _stream(self) -> Iterator[Chunk]:
        for _ in range(self.chunks):
            self.clock.sleep(self.answer_s / self.chunks)
            yield Chunk(self.clock.ns, self.clock.ns + _WALL_NS - round(self.lag_s * SECOND), "word ", "")

    def _final(self, number: int, request: ChatRequest) -> dict[str, Any]:
        words = len(str(request.messages[0]["content"]).split())
        prefill_ns = round(self.answer_s * 0.2 * SECOND)
        return {
            "done": True, "done_reason": "stop", "total_duration": round(self.answer_s * SECOND) - 1_000_000,
            "load_duration": 10_000_000, "prompt_eval_count": round(1.5 * words) + 10, "prompt_eval_duration": prefill_ns,
            "eval_count": self.chunks, "eval_duration": round(self.answer_s * SECOND) - prefill_ns - 14_000_000,
        } | self.figures(number, request)  # fmt: skip


def trial(**more: Any) -> Experiment:
    """A small experiment; ``protocol`` is taken over the quick profile."""
    protocol = {"profile": "quick", "baseline_s": 4.0, "tail_s": 0.0} | more.pop("protocol", {})
    settings = {
        "name": "trial", "models": ["m:1b"], "repeats": 2, "languages": ["en"], "protocol": protocol,
        "quality": {"when": "never"}, **more,
    }  # fmt: skip
    return parse_experiment(settings, "trial.toml")


_FINGERPRINT: list[Fingerprint] = []


def make_bench(clock: Clock, sampler: FakeSampler, client: FakeClient, experiment: Experiment) -> MeasuringBench:
    """The bench around fakes; the GPU's own processes are nobody's."""
    if not _FINGERPRINT:
        _FINGERPRINT.append(machine_fingerprint())
    ledger = Ledger(sampler, tuple(sampler.capabilities))  # type: ignore[arg-type]
    return MeasuringBench(
        client=client, sampler=sampler, capabilities=tuple(sampler.capabilities), experiment=experiment,  # type: ignore[arg-type]
        fingerprint=_FINGERPRINT[0], campaign_id="c1", engine_name="ollama", engine_version="0.32.15",
        engine_alive=lambda: True, engine_pids=(), ledger=ledger,
    )  # fmt: skip
