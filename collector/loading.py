"""Bringing a model into memory: what the engine really made of it, and what the load cost."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psutil

from collector import energy
from collector.baseline import Idle
from collector.campaign import configuration_row
from collector.errors import EngineError
from collector.fingerprint import cohort
from collector.measure import Loaded, MeasuringBench, placed
from collector.ollama_types import LoadOutcome
from collector.ollama_wire import same_model
from collector.plan import Case, check_context
from collector.telemetry.state import family_pids, foreign_gpu_pids
from collector.telemetry.types import EnergyResult

__all__ = ["LoadFailed", "in_memory", "interrupted", "load_model", "prepare", "timed_load"]

Row = dict[str, Any]


class LoadFailed(EngineError):
    """A model was not loaded; ``fault`` is what went wrong, by its name in db.flags."""

    def __init__(self, fault: str, en: str, zh: str) -> None:
        super().__init__(en, zh)
        self.fault = fault


def interrupted(fault: str | None) -> None:
    """The client turns Ctrl-C into the fault ``aborted``, so that the record is whole; here it goes on its way."""
    if fault == "aborted":
        raise KeyboardInterrupt


def prepare(bench: MeasuringBench, case: Case, environment: dict[str, str] | None, source: str) -> tuple[Loaded, Row]:
    """The case's model with its fixed options, not in memory yet.

    Returns:
        the model, and its row for the configurations table.

    Raises:
        EngineError: ModelMissing when the engine does not have it.
        ExperimentError: an item does not fit the context that the model was trained for.
    """
    client, experiment, tag = bench.client, bench.experiment, case.model.tag
    details = client.show(tag)
    known = next((m for m in client.tags() if same_model(m.name, tag)), None)
    asked = int(case.model.options.get("num_ctx", experiment.generation.num_ctx))  # type: ignore[arg-type]
    # a server lowers a larger context in silence; asking for what it can give keeps the record true
    num_ctx = min(asked, details.context_length_trained or asked)
    check_context(experiment, [c.item for c in case.cells], num_ctx, source)
    options = {**experiment.generation.options(), **case.model.options, "num_ctx": num_ctx}
    row = configuration_row(
        case.model, details, known.digest if known else None, known.size_bytes if known else None, options,
        bench.engine_name, bench.engine_version, environment,
    )  # fmt: skip
    return Loaded(
        configuration_id=row["configuration_id"], model=tag, options=options, effective_context_length=None,
        memory_bytes=None, vram_bytes=None,
    ), row  # fmt: skip


def load_model(
    bench: MeasuringBench, wanted: Loaded, cause: str, unloaded: Idle | None
) -> tuple[Loaded, Row | None]:  # fmt: skip
    """Loads the model and reads how the engine really placed it.

    Args:
        bench: with the engine as it runs now.
        wanted: model and options.
        cause: ``case``, ``run`` or ``fault``.
        unloaded: idle power before the load, None where it was not measured.

    Returns:
        the loaded model, and the row of ``model_loads``; None where it was in memory already.

    Raises:
        LoadFailed: the model was not loaded.
        KeyboardInterrupt: the user stopped it.
    """
    before, resident = _strangers(bench), in_memory(bench, wanted.model)
    processes = family_pids(bench.engine_pids)
    outcome, row = timed_load(bench, wanted, cause, unloaded)
    interrupted(outcome.fault)
    if outcome.fault:
        why = outcome.fault_detail or outcome.fault
        raise LoadFailed(outcome.fault, f"{wanted.model} could not be loaded: {why}.", f"无法加载 {wanted.model}：{why}。")
    bench.own_gpu_pids.update(pid for pid in _strangers(bench) - before if not psutil.pid_exists(pid))
    loaded = placed(bench, replace(wanted, effective_context_length=None, memory_bytes=None, vram_bytes=None))
    # a server goes on listing a model for a moment whose runner was killed; loading it again starts another runner
    if resident and family_pids(bench.engine_pids) <= processes:
        return loaded, None
    return loaded, {**row, "memory_bytes": loaded.memory_bytes, "vram_bytes": loaded.vram_bytes}


def in_memory(bench: MeasuringBench, model: str) -> bool:
    """Whether the engine has the model loaded; no where it does not tell."""
    try:
        return any(same_model(m.name, model) for m in bench.client.ps())
    except EngineError:
        return False


def _strangers(bench: MeasuringBench) -> set[int]:
    """Processes on the GPUs that do not belong to the engine as far as can be seen from here."""
    return set(foreign_gpu_pids(bench.engine_pids, known=bench.own_gpu_pids)) if bench.on_gpu else set()


def timed_load(bench: MeasuringBench, wanted: Loaded, cause: str, unloaded: Idle | None) -> tuple[LoadOutcome, Row]:
    """One load by our own clock, with its energy; the idle power subtracted is that without the model."""
    started_at, start_ns = datetime.now(UTC), time.monotonic_ns()
    bench.sampler.edge()
    seconds = bench.experiment.protocol.load_timeout_s
    outcome = bench.client.load(wanted.model, dict(wanted.options), keep_alive=-1, timeout_s=seconds)
    end_ns = time.monotonic_ns()
    bench.sampler.edge()
    if outcome.fault:
        return outcome, {}
    bench.sampler.wait_until(end_ns)
    samples = bench.sampler.between(start_ns, end_ns)
    power = unloaded.power if unloaded else None
    telemetry = bench.experiment.telemetry
    joules = energy.request_energy(samples, start_ns, end_ns, bench.capabilities, baseline=power,
                                   rate_hz=telemetry.rate_hz, gpu_rate_hz=telemetry.gpu_rate_hz)  # fmt: skip
    bench.ledger.book("loads", start_ns, end_ns, joules.energy_j)
    return outcome, {
        "load_id": uuid.uuid4().hex[:20], "campaign_id": bench.campaign_id,
        "machine_id": bench.fingerprint.machine_id,
        "cohort": cohort(bench.fingerprint, bench.engine_name, bench.engine_version, joules.scope, joules.tier),
        "configuration_id": wanted.configuration_id, "cause": cause, "loaded_at": started_at,
        "load_s": (end_ns - start_ns) / 1e9, "unloaded_idle_power_w": power.power_w if power else None,
        "flags": [*joules.flags, *energy.machine_flags(samples, start_ns, end_ns)], **_joules(joules),
    }  # fmt: skip


def _joules(joules: EnergyResult) -> Row:
    return {
        "energy_j": joules.energy_j, "energy_net_j": joules.energy_net_j, "energy_low_j": joules.energy_low_j,
        "energy_high_j": joules.energy_high_j, "energy_tier": joules.tier, "energy_scope": joules.scope,
        "energy_reason": joules.reason,
    }  # fmt: skip
