"""Protocol of one case: load with fixed options, warm up, idle baseline, the answers in random order."""

from __future__ import annotations

import logging
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from collector import energy
from collector.campaign import cell_key, configuration_row
from collector.errors import EngineError
from collector.measure import Answer, Loaded, MeasuringBench, chat_request, limits, measure_answer, remeasure
from collector.ollama_wire import same_model
from collector.plan import Case, Cell, check_context
from collector.telemetry.types import IdleBaseline
from collector.timing import derive
from db import Store

__all__ = ["CaseReport", "record_event", "run_case"]

log = logging.getLogger(__name__)

_WARMUP_CV = 0.05
_WARMUP_TOKENS = 32
_FAULTS_IN_A_ROW = 3  # so many cells without an answer park the model's case


@dataclass
class CaseReport:
    """What became of a case."""

    answered: int = 0
    failed: int = 0
    left: int = 0
    stopped: str | None = None
    """Why cells are left: ``time``, ``faults``, ``aborted`` or None."""
    faults: list[str] = field(default_factory=list)


def record_event(store: Store, campaign_id: str | None, kind: str, name: str, detail: str | None, run_id: str | None = None) -> None:  # fmt: skip
    """Writes one row of ``events``."""
    with store.write() as writer:
        writer.insert("events", [{
            "event_id": uuid.uuid4().hex[:20], "at": datetime.now(UTC), "campaign_id": campaign_id, "run_id": run_id,
            "kind": kind, "name": name, "detail": detail,
        }])  # fmt: skip


def load_model(bench: MeasuringBench, case: Case, environment: dict[str, str], source: str) -> tuple[Loaded, dict[str, Any]]:  # fmt: skip
    """Loads the case's model with its fixed options and reads how the engine really placed it.

    Returns:
        the loaded model, and its row for the configurations table.

    Raises:
        EngineError: the model cannot be loaded; ModelMissing when the engine does not have it.
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
    loaded = client.load(tag, options, keep_alive=-1, timeout_s=experiment.protocol.load_timeout_s)
    _interrupted(loaded.fault)
    if loaded.fault:
        raise EngineError(f"{tag} could not be loaded: {loaded.fault_detail or loaded.fault}.",
                          f"无法加载 {tag}：{loaded.fault_detail or loaded.fault}。")  # fmt: skip
    row = configuration_row(
        case.model, details, known.digest if known else None, known.size_bytes if known else None, options,
        bench.engine_name, bench.engine_version, environment,
    )  # fmt: skip
    placed = next((m for m in client.ps() if same_model(m.name, tag)), None)
    return Loaded(
        configuration_id=row["configuration_id"], model=tag, options=options,
        effective_context_length=placed.context_length if placed else None,
        memory_bytes=placed.size_bytes if placed else None, vram_bytes=placed.size_vram_bytes if placed else None,
    ), row  # fmt: skip


def warm_up(bench: MeasuringBench, loaded: Loaded, cells: Sequence[Cell]) -> None:
    """Short answers until the decode rate is stable (CV below 5 % over three) or the limit is reached."""
    protocol = bench.experiment.protocol
    least, most = int(protocol.value("warmup_min")), int(protocol.value("warmup_max"))
    rates: list[float] = []
    for number in range(most):
        item = cells[number % len(cells)].item
        prompt = f"[warm-{number:03d}]\n{item.prompt}"
        request = chat_request(bench.experiment, loaded, prompt, number, _WARMUP_TOKENS)
        outcome = bench.client.chat(request, limits(bench.experiment))
        _interrupted(outcome.fault)
        rate = None if outcome.fault else derive(outcome).decode_tokens_per_s
        if rate:
            rates.append(rate)
        last = rates[-3:]
        stable = len(last) == 3 and statistics.stdev(last) / statistics.mean(last) < _WARMUP_CV
        if number + 1 >= least and (stable or least == most):
            return


def idle_baseline(bench: MeasuringBench) -> IdleBaseline | None:
    """Power while nothing is asked, with the model loaded; None when no sensor gives one or the protocol skips it."""
    seconds = bench.experiment.protocol.value("baseline_s")
    if seconds <= 0:
        return None
    start_ns = time.monotonic_ns()
    time.sleep(seconds)
    end_ns = time.monotonic_ns()
    bench.sampler.wait_until(end_ns)
    samples = bench.sampler.between(start_ns, end_ns)
    return energy.idle_baseline(samples, start_ns, end_ns, bench.capabilities)


def _store_answer(store: Store, answer: Answer, attempt: int, again: bool) -> None:
    aborted = answer.fault == "aborted"
    state = "planned" if again or aborted else "done" if answer.fault is None else "failed"
    run = answer.run
    with store.write() as writer:
        writer.insert("runs", [run])
        if answer.samples:
            writer.insert("samples", answer.samples)
        if answer.fault:
            writer.insert("events", [{
                "event_id": uuid.uuid4().hex[:20], "at": datetime.now(UTC), "campaign_id": run["campaign_id"],
                "run_id": run["run_id"], "kind": "fault", "name": answer.fault, "detail": run["fault_detail"],
            }])  # fmt: skip
        writer.update(
            "cells", {"cell_id": run["cell_id"]}, {"state": state, "attempts": attempt, "reason": answer.fault}
        )
        writer.update("campaigns", {"campaign_id": run["campaign_id"]}, {"heartbeat_at": datetime.now(UTC)})


class _Case:
    """A case being measured: the bench as it stands now, and how it is put right after a fault."""

    def __init__(
        self, make_bench: Callable[[], MeasuringBench], restart: Callable[[], None], store: Store, loaded: Loaded,
        on_answer: Callable[[Answer], None],
    ) -> None:  # fmt: skip
        self.make_bench, self.restart, self.store, self.loaded = make_bench, restart, store, loaded
        self.on_answer = on_answer
        self.bench = make_bench()
        self.baseline: IdleBaseline | None = None

    def recover(self, fault: str) -> None:
        """After an engine fault: the next attempt finds a working engine with the model loaded."""
        broken = fault.startswith(("hang", "deadline", "connect", "engine"))
        self.reload(restart=broken or not self.bench.client.ready(timeout_s=2.0))

    def reload(self, *, restart: bool) -> None:
        """Has the model in memory again, after a restart of the engine where asked."""
        if restart:
            self.restart()
            self.bench = self.make_bench()
        seconds = self.bench.experiment.protocol.load_timeout_s
        _interrupted(self.bench.client.load(self.loaded.model, dict(self.loaded.options), -1, seconds).fault)

    def begin(self, cell: Cell) -> None:
        """What the protocol wants before a cell that is not the case's first: with ``per_run`` a new process."""
        if self.bench.experiment.restart == "per_run":
            self.reload(restart=True)
            warm_up(self.bench, self.loaded, [cell])

    def wake_sampler(self) -> None:
        """A sampler that died is started again; the answer it missed was flagged and is measured again."""
        sampler = self.bench.sampler
        if not sampler.alive:
            sampler.restart()
            record_event(self.store, self.bench.campaign_id, "sensor", "sampler_restarted", None)
            self.bench = self.make_bench()

    def measure(self, cell: Cell, key: str, before: int, faults: list[str]) -> Answer:
        """Attempts at one cell until one counts or they are used up.

        Raises:
            KeyboardInterrupt: after the aborted attempt was stored.
        """
        most = self.bench.experiment.protocol.attempts
        for number in range(1, most + 1):
            self.wake_sampler()
            answer = measure_answer(self.bench, self.loaded, cell, key, before + number, self.baseline)
            again = remeasure(answer) and number < most
            _store_answer(self.store, answer, before + number, again)
            self.on_answer(answer)
            _interrupted(answer.fault)
            if answer.fault:
                faults.append(answer.fault)
                self.recover(answer.fault)
            if not again:
                break
        return answer


def _interrupted(fault: str | None) -> None:
    """The client turns Ctrl-C into the fault ``aborted``, so that the record is whole; here it goes on its way."""
    if fault == "aborted":
        raise KeyboardInterrupt


def run_case(
    make_bench: Callable[[], MeasuringBench], store: Store, case: Case, pending: Sequence[tuple[Cell, int]], *,
    restart: Callable[[], None], environment: dict[str, str], deadline: float | None,
    on_answer: Callable[[Answer], None], source: str,
) -> CaseReport:  # fmt: skip
    """Measures the pending cells of one case; the engine was started or restarted just before.

    Args:
        make_bench: gives the bench with the engine as it runs now; called again after a restart.
        pending: cells to be measured, in order, with the attempts that were made before.
        deadline: ``time.monotonic()`` after which no further answer is begun, None for no limit.
        on_answer: told every attempt, for the progress display.

    Raises:
        EngineError: the model could not be loaded at all.
        KeyboardInterrupt: after the aborted attempt was stored.
    """
    first = make_bench()
    loaded, row = load_model(first, case, environment, source)
    with store.write() as writer:
        writer.upsert("configurations", [row])
    work = _Case(make_bench, restart, store, loaded, on_answer)
    warm_up(work.bench, loaded, [cell for cell, _ in pending])
    work.baseline = idle_baseline(work.bench)
    report, in_a_row = CaseReport(left=len(pending)), 0
    for cell, before in pending:
        if deadline is not None and time.monotonic() > deadline:
            report.stopped = "time"
            break
        if report.left < len(pending):
            work.begin(cell)
        key = cell_key(first.campaign_id, case.model, cell)
        answer = work.measure(cell, key, before, report.faults)
        report.left -= 1
        report.answered += answer.fault is None
        report.failed += answer.fault is not None
        in_a_row = in_a_row + 1 if answer.fault else 0
        if in_a_row >= _FAULTS_IN_A_ROW:
            report.stopped = "faults"
            break
    time.sleep(first.experiment.protocol.value("tail_s"))
    return report
