"""One answer: send, stamp, sample, derive, and make the rows that the store keeps."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from collector import energy, timing
from collector.experiment import Experiment
from collector.fingerprint import Fingerprint, cohort
from collector.ollama_client import OllamaClient
from collector.ollama_types import ChatOutcome, ChatRequest, Limits
from collector.plan import Cell, nonce
from collector.suite import token_estimate
from collector.telemetry.sampler import Sampler, quality
from collector.telemetry.state import foreign_gpu_pids, machine_state, state_flags
from collector.telemetry.types import Capability, IdleBaseline
from db import effect_of

__all__ = ["Answer", "Loaded", "MeasuringBench", "chat_request", "limits", "measure_answer", "remeasure"]

_MARGIN_S = 0.5  # telemetry kept before and after the answer, for the trace on the page
_LAST_BREATH_S = 1.0
_LAG_LIMIT_S = 0.005  # measurement.md, validity flags


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model as the engine really runs it.

    Attributes:
        configuration_id: key of the configurations table.
        model: tag as it is sent.
        options: options sent with every request of the case, without seed and cap.
        effective_context_length: ``/api/ps``, None on servers that do not tell.
        memory_bytes: weights, cache and buffers by ``/api/ps``; None when not told.
        vram_bytes: the part on GPUs.
    """

    configuration_id: str
    model: str
    options: Mapping[str, Any]
    effective_context_length: int | None
    memory_bytes: int | None
    vram_bytes: int | None


@dataclass(frozen=True)
class MeasuringBench:
    """Everything that one answer's measurement needs."""

    client: OllamaClient
    sampler: Sampler
    capabilities: tuple[Capability, ...]
    experiment: Experiment
    fingerprint: Fingerprint
    campaign_id: str
    engine_name: str
    engine_version: str
    engine_alive: Callable[[], bool]
    engine_pids: tuple[int, ...]

    @property
    def on_gpu(self) -> bool:
        """Whether the engine is one that uses the GPUs whose sensors work here."""
        return any(c.sensor == "nvml" and c.status == "ok" for c in self.capabilities)


@dataclass(frozen=True)
class Answer:
    """A measured attempt: the row of ``runs``, its telemetry rows, and what was wrong."""

    run: dict[str, Any]
    samples: list[dict[str, Any]]
    fault: str | None
    flags: tuple[str, ...]


def limits(experiment: Experiment) -> Limits:
    """The experiment's time limits for one request."""
    protocol = experiment.protocol
    return Limits(
        connect_s=10.0, first_token_s=protocol.first_token_timeout_s, stall_s=protocol.stall_timeout_s,
        deadline_s=protocol.answer_timeout_s,
    )  # fmt: skip


def chat_request(experiment: Experiment, loaded: Loaded, prompt: str, seed: int, cap: int) -> ChatRequest:
    """The request as every model gets it: all comparison options explicit (ollama.md, sec. 6)."""
    options = {**loaded.options, "seed": seed, "num_predict": cap}
    return ChatRequest(
        model=loaded.model, messages=[{"role": "user", "content": prompt}], options=options,
        think=experiment.generation.think, keep_alive=-1,
    )  # fmt: skip


def _flags(outcome: ChatOutcome, figures: timing.Timing, loaded: Loaded, prompt: str, on_gpu: bool) -> list[str]:
    flags = [outcome.fault] if outcome.fault else []
    if figures.client_lag_p99_s is not None and figures.client_lag_p99_s > _LAG_LIMIT_S:
        flags.append("client_lag")
    if figures.cached_prompt_tokens:
        flags.append("prompt_cached")
    asked = int(loaded.options["num_ctx"])
    actual = loaded.effective_context_length
    if actual is not None and actual < asked:
        flags.append("context_lowered")
    if figures.prompt_tokens is not None:
        if figures.prompt_tokens < 0.5 * token_estimate(prompt) and token_estimate(prompt) > 0.4 * asked:
            flags.append("prompt_truncated")
        if figures.output_tokens is not None and figures.prompt_tokens + figures.output_tokens > (actual or asked):
            flags.append("context_shifted")
    # a machine without a GPU has everything on the CPU, which is a placement and not a spill
    if on_gpu and loaded.memory_bytes and (loaded.vram_bytes or 0) < loaded.memory_bytes:
        flags.append("cpu_spill")
    return flags


def remeasure(answer: Answer) -> bool:
    """Whether the cell has to be measured again: the row does not count and that was not the model's doing."""
    return any(effect_of(flag) == "left_out" and flag != "aborted" for flag in answer.flags)


def measure_answer(
    bench: MeasuringBench, loaded: Loaded, cell: Cell, cell_id: str, attempt: int, baseline: IdleBaseline | None
) -> Answer:
    """Measures one attempt at one cell; engine and sensor faults end up in the record, never as exceptions."""
    experiment, item = bench.experiment, cell.item
    mark = nonce(item, cell.repeat, attempt)
    prompt = f"[{mark}]\n{item.prompt}"
    cap = experiment.generation.cap(item.load)
    before = machine_state()
    bench.sampler.edge()
    outcome = bench.client.chat(chat_request(experiment, loaded, prompt, cell.seed, cap), limits(experiment))
    bench.sampler.edge()
    outcome = _crash_named(outcome, bench.engine_alive)
    bench.sampler.wait_until(outcome.end_ns)
    samples = bench.sampler.between(outcome.sent_ns, outcome.end_ns, _MARGIN_S)
    figures = timing.derive(outcome)
    first_ns = outcome.sent_ns + int(figures.ttft_s * 1e9) if figures.ttft_s is not None else None
    rates = {"rate_hz": experiment.telemetry.rate_hz, "gpu_rate_hz": experiment.telemetry.gpu_rate_hz}
    joules = energy.request_energy(
        samples, outcome.sent_ns, outcome.end_ns, bench.capabilities,
        baseline=baseline, first_token_ns=first_ns, **rates,
    )  # fmt: skip
    usage = energy.aggregate(samples, outcome.sent_ns, outcome.end_ns, bench.capabilities)
    sampled = quality(samples, outcome.sent_ns, outcome.end_ns, experiment.telemetry.rate_hz)
    flags = _flags(outcome, figures, loaded, prompt, bench.on_gpu)
    if not bench.sampler.alive:
        flags.append("sampler_died")
    more = [*joules.flags, *energy.machine_flags(samples, outcome.sent_ns, outcome.end_ns)]
    more += state_flags(before, machine_state())
    if bench.on_gpu and foreign_gpu_pids(bench.engine_pids):
        more.append("foreign_gpu_process")
    flags += [flag for flag in more if flag not in flags]
    if joules.energy_j is None and "energy_missing" not in flags and not outcome.fault:
        flags.append("energy_missing")
    run_id = uuid.uuid4().hex[:20]
    run = {
        "run_id": run_id, "cell_id": cell_id,
        "campaign_id": bench.campaign_id, "configuration_id": loaded.configuration_id,
        "machine_id": bench.fingerprint.machine_id,
        "cohort": cohort(bench.fingerprint, bench.engine_name, bench.engine_version, joules.scope, joules.tier),
        "task": item.task, "load": item.load, "language": item.language, "item": item.id, "item_hash": item.hash,
        "repeat": cell.repeat, "attempt": attempt, "seed": cell.seed,
        "temperature": loaded.options.get("temperature"), "max_output_tokens": cap,
        "started_at": outcome.started_at, "nonce": mark, "prompt": prompt,
        "reference": item.references[0] if item.references else None, "has_reference": bool(item.references),
        "effective_context_length": loaded.effective_context_length,
        "engine_memory_bytes": loaded.memory_bytes, "engine_vram_bytes": loaded.vram_bytes,
        "sample_count": sampled.sample_count, "sample_coverage": sampled.coverage,
        "sample_jitter_p99_s": sampled.jitter_p99_s, "flags": flags,
        **_answer_columns(outcome), **asdict(figures), **asdict(usage), **_energy_columns(joules, baseline),
    }  # fmt: skip
    rows = energy.sample_rows(samples, outcome.sent_ns, outcome.end_ns, run_id, _MARGIN_S, bench.capabilities)
    return Answer(run, rows, outcome.fault, tuple(flags))


def _crash_named(outcome: ChatOutcome, alive: Callable[[], bool]) -> ChatOutcome:
    """A broken connection is a crash when the engine's own process is gone."""
    if outcome.fault not in ("connection_lost", "connect_failed"):
        return outcome
    limit = time.monotonic() + _LAST_BREATH_S
    while alive():  # a dying process closes its connections before it is gone
        if time.monotonic() > limit:
            return outcome
        time.sleep(0.02)
    return replace(outcome, fault="engine_crashed", fault_detail=f"its process ended ({outcome.fault_detail})")


def _answer_columns(outcome: ChatOutcome) -> dict[str, Any]:
    aborted = outcome.fault == "aborted"
    return {
        "status": "aborted" if aborted else "fault" if outcome.fault else "ok",
        "fault": outcome.fault, "fault_detail": outcome.fault_detail, "http_status": outcome.http_status,
        "done_reason": (outcome.final or {}).get("done_reason"), "server_raw": outcome.final,
        "output_text": outcome.text, "thinking_text": outcome.thinking or None,
    }  # fmt: skip


def _energy_columns(joules: energy.EnergyResult, baseline: IdleBaseline | None) -> dict[str, Any]:
    return {
        "energy_j": joules.energy_j, "energy_net_j": joules.energy_net_j, "energy_low_j": joules.energy_low_j,
        "energy_high_j": joules.energy_high_j, "energy_tier": joules.tier, "energy_scope": joules.scope,
        "energy_reason": joules.reason, "energy_sources": joules.sources, "cpu_energy_j": joules.cpu_energy_j,
        "gpu_energy_j": joules.gpu_energy_j, "energy_prefill_j": joules.prefill_j,
        "energy_decode_j": joules.decode_j, "baseline_power_w": baseline.power_w if baseline else None,
    }  # fmt: skip
