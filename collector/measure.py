"""Answers: send, stamp, sample, derive, and make the rows that the store keeps."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from collector import energy, timing
from collector.batches import share_of
from collector.closure import Ledger
from collector.errors import EngineError
from collector.experiment import Experiment
from collector.fingerprint import Fingerprint, cohort
from collector.ollama_client import OllamaClient
from collector.ollama_types import ChatOutcome, ChatRequest, Limits
from collector.ollama_wire import same_model
from collector.plan import Cell, nonce
from collector.telemetry.sampler import Sampler, quality
from collector.telemetry.state import MachineState, foreign_gpu_pids, machine_state, state_flags
from collector.telemetry.types import Capability, EnergyResult, IdleBaseline, Sample
from collector.telemetry.usage import hottest_c, other_cpu_cores
from collector.validity import History, Loaded, answer_flags, surroundings_flags
from db import effect_of

__all__ = [
    "Answer", "Asked", "Context", "Loaded", "MeasuringBench", "ask", "chat_request", "finish", "placed", "remeasure",
    "send",
]  # fmt: skip

_MARGIN_S: Final = 0.5  # telemetry kept before and after the answer, for the trace on the page
_LAST_BREATH_S: Final = 1.0
_FINAL: Final = ("aborted", "prompt_truncated", "context_lowered")  # the next attempt would end the same
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class MeasuringBench:
    """Everything that one answer's measurement needs.

    Attributes:
        ledger: the books of this call, for the energy closure.
        own_gpu_pids: processes on the GPUs that came with our load and whose parents cannot be seen from here (the
            driver of a container's host counts in its own process ids).
    """

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
    ledger: Ledger
    own_gpu_pids: set[int] = field(default_factory=set)

    @property
    def on_gpu(self) -> bool:
        """Whether the engine is one that uses the GPUs whose sensors work here."""
        return any(c.sensor == "nvml" and c.status == "ok" for c in self.capabilities)

    @property
    def same_clock(self) -> bool:
        """Whether the server's stamps are of this machine's clock."""
        return urlsplit(self.client.url).hostname in _LOOPBACK


@dataclass(frozen=True, slots=True)
class Context:
    """What an answer is judged beside.

    Attributes:
        history: of its case.
        baseline: idle power to subtract, None without one; likewise its key.
        case_flags: flags that every answer of the case has, e.g. ``not_cooled``.
    """

    history: History
    baseline: IdleBaseline | None = None
    baseline_id: str | None = None
    case_flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """One request that was made: nothing is derived yet, so that the next one of a batch can follow at once."""

    cell: Cell
    cell_id: str
    attempt: int
    mark: str
    prompt: str
    outcome: ChatOutcome
    before: MachineState
    after: MachineState


@dataclass(frozen=True)
class Answer:
    """A measured attempt: the row of ``runs``, its telemetry rows, and what was wrong."""

    run: dict[str, Any]
    samples: list[dict[str, Any]]
    fault: str | None
    flags: tuple[str, ...]


def _limits(experiment: Experiment) -> Limits:
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


def remeasure(answer: Answer) -> bool:
    """Whether the cell has to be measured again: the row does not count, and another attempt may be better."""
    return any(effect_of(flag) == "left_out" and flag not in _FINAL for flag in answer.flags)


def placed(bench: MeasuringBench, loaded: Loaded) -> Loaded:
    """The model as the engine has it now: a server may move or shrink it without a word; unchanged where it does not tell."""
    try:
        now = next((m for m in bench.client.ps() if same_model(m.name, loaded.model)), None)
    except EngineError:  # the next request shows what is wrong with it
        return loaded
    if now is None:
        return loaded
    return replace(loaded, effective_context_length=now.context_length, memory_bytes=now.size_bytes,
                   vram_bytes=now.size_vram_bytes)  # fmt: skip


def send(bench: MeasuringBench, request: ChatRequest) -> ChatOutcome:
    """One request within the experiment's limits, with samples close to its edges; a fault is in the outcome."""
    bench.sampler.edge()
    outcome = bench.client.chat(request, _limits(bench.experiment))
    bench.sampler.edge()
    return _crash_named(outcome, bench.engine_alive)


def ask(bench: MeasuringBench, loaded: Loaded, cell: Cell, cell_id: str, attempt: int) -> Asked:
    """Makes one request; whatever becomes of it is in the outcome, never an exception."""
    mark = nonce(cell.item, cell.repeat, attempt)
    prompt = f"[{mark}]\n{cell.item.prompt}"
    cap = bench.experiment.generation.cap(cell.item.load)
    before = machine_state()
    outcome = send(bench, chat_request(bench.experiment, loaded, prompt, cell.seed, cap))
    return Asked(cell, cell_id, attempt, mark, prompt, outcome, before, machine_state())


def finish(bench: MeasuringBench, loaded: Loaded, asked: Sequence[Asked], context: Context) -> list[Answer]:
    """Derives everything of requests that share one energy window: one, or a batch in direct succession.

    Engine and sensor faults end up in the rows, never as exceptions.
    """
    t0_ns, t1_ns = asked[0].outcome.sent_ns, asked[-1].outcome.end_ns
    bench.sampler.wait_until(t1_ns)
    samples = bench.sampler.between(t0_ns, t1_ns, _MARGIN_S)
    first = timing.derive(asked[0].outcome, bench.same_clock)
    first_ns = t0_ns + int(first.ttft_s * 1e9) if first.ttft_s is not None and len(asked) == 1 else None
    telemetry = bench.experiment.telemetry
    window = energy.request_energy(
        samples, t0_ns, t1_ns, bench.capabilities, baseline=context.baseline, first_token_ns=first_ns,
        rate_hz=telemetry.rate_hz, gpu_rate_hz=telemetry.gpu_rate_hz,
    )  # fmt: skip
    bench.ledger.book("runs", t0_ns, t1_ns, window.energy_j)
    loaded = loaded if asked[-1].outcome.fault else placed(bench, loaded)
    around = list(energy.machine_flags(samples, t0_ns, t1_ns))
    if not bench.sampler.alive:
        around.append("sampler_died")
    if bench.on_gpu and foreign_gpu_pids(bench.engine_pids, known=bench.own_gpu_pids):
        around.append("foreign_gpu_process")
    lengths_ns = [one.outcome.end_ns - one.outcome.sent_ns for one in asked]
    batch_id = uuid.uuid4().hex[:20] if len(asked) > 1 else None
    around += ["batched"] if batch_id else []
    answers = []
    for one, length_ns in zip(asked, lengths_ns, strict=True):
        joules = window if batch_id is None else share_of(window, length_ns / sum(lengths_ns))
        part = [s for s in samples if _near(s, one.outcome)]
        answer = _answer(bench, loaded, one, context, joules, part, around)
        answer.run.update(batch_id=batch_id, batch_size=len(asked) if batch_id else None)
        answers.append(answer)
    return answers


def _near(sample: Sample, outcome: ChatOutcome) -> bool:
    margin_ns = round(_MARGIN_S * 1e9)
    return outcome.sent_ns - margin_ns <= sample.t_ns <= outcome.end_ns + margin_ns


def _answer(
    bench: MeasuringBench, loaded: Loaded, one: Asked, context: Context, joules: EnergyResult,
    samples: list[Sample], around: Sequence[str],
) -> Answer:  # fmt: skip
    outcome, item, cell = one.outcome, one.cell.item, one.cell
    figures = timing.derive(outcome, bench.same_clock)
    usage = energy.aggregate(samples, outcome.sent_ns, outcome.end_ns, bench.capabilities)
    sampled = quality(samples, outcome.sent_ns, outcome.end_ns, bench.experiment.telemetry.rate_hz)
    start_c = hottest_c(samples, outcome.sent_ns)
    cores = os.cpu_count() or 1
    others = other_cpu_cores(usage, cores, sampled.sample_count)
    flags = [outcome.fault] if outcome.fault else []
    flags += answer_flags(figures, loaded, context.history, one.prompt, item.language, item.hash, on_gpu=bench.on_gpu)
    poor = sampled.poor((outcome.end_ns - outcome.sent_ns) / 1e9, bench.experiment.telemetry.rate_hz)
    more = [*joules.flags, *(["undersampled"] if poor else []), *around, *state_flags(one.before, one.after), *context.case_flags]
    more += surroundings_flags(start_c, context.history.start_c, others, cores)
    flags = list(dict.fromkeys([*flags, *more]))
    if joules.energy_j is None and "energy_missing" not in flags and not outcome.fault:
        flags.append("energy_missing")
    cached = "prompt_cached" in flags
    cache_state = context.history.cache_state(cached)
    if outcome.fault is None:
        context.history.learn(figures, one.prompt, item.language, item.hash, loaded.context, cached=cached)
        context.history.start_c = start_c if context.history.start_c is None else context.history.start_c
    run_id = uuid.uuid4().hex[:20]
    if figures.prompt_tokens is not None and "prompt_truncated" not in flags:
        context.history.passed(run_id, figures.prompt_tokens, one.prompt, item.language, item.hash, loaded.context)
    run = {
        "run_id": run_id, "cell_id": one.cell_id,
        "campaign_id": bench.campaign_id, "configuration_id": loaded.configuration_id,
        "machine_id": bench.fingerprint.machine_id,
        "cohort": cohort(bench.fingerprint, bench.engine_name, bench.engine_version, joules.scope, joules.tier),
        "task": item.task, "load": item.load, "language": item.language, "item": item.id, "item_hash": item.hash,
        "repeat": cell.repeat, "attempt": one.attempt, "seed": cell.seed,
        "temperature": loaded.options.get("temperature"),
        "max_output_tokens": bench.experiment.generation.cap(item.load),
        "started_at": outcome.started_at, "nonce": one.mark, "prompt": one.prompt,
        "reference": item.references[0] if item.references else None, "has_reference": bool(item.references),
        "effective_context_length": loaded.effective_context_length,
        "engine_memory_bytes": loaded.memory_bytes, "engine_vram_bytes": loaded.vram_bytes,
        "sample_count": sampled.sample_count, "sample_coverage": sampled.coverage,
        "sample_jitter_p99_s": sampled.jitter_p99_s, "flags": flags, "cache_state": cache_state,
        "baseline_id": context.baseline_id, "start_temperature_c": start_c, "other_cpu_cores": others,
        **_answer_columns(outcome), **asdict(figures), **asdict(usage), **_energy_columns(joules, context.baseline),
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


def _energy_columns(joules: EnergyResult, baseline: IdleBaseline | None) -> dict[str, Any]:
    return {
        "energy_j": joules.energy_j, "energy_net_j": joules.energy_net_j, "energy_low_j": joules.energy_low_j,
        "energy_high_j": joules.energy_high_j, "energy_tier": joules.tier, "energy_scope": joules.scope,
        "energy_reason": joules.reason, "energy_sources": joules.sources, "cpu_energy_j": joules.cpu_energy_j,
        "gpu_energy_j": joules.gpu_energy_j, "energy_prefill_j": joules.prefill_j,
        "energy_decode_j": joules.decode_j, "baseline_power_w": baseline.power_w if baseline else None,
    }  # fmt: skip
