"""Protocol of one case: load with fixed options, warm up, idle baseline, the answers in random order."""

from __future__ import annotations

import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from collector.baseline import Baselines
from collector.batches import Batch, groups
from collector.breaker import Breaker
from collector.campaign import cell_key
from collector.conditions import Conditions
from collector.cooling import cool_down
from collector.errors import EngineError
from collector.loading import LoadFailed, interrupted, load_model, prepare
from collector.measure import Answer, Asked, Context, MeasuringBench, ask, chat_request, finish, remeasure, send
from collector.plan import Case, Cell
from collector.record import Op, Record, event, insert, update, upsert
from collector.timing import Timing, derive
from collector.validity import History, Loaded
from db import Store
from db.texts import both

__all__ = ["CaseReport", "CaseTools", "record_event", "run_case"]

_WARMUP_CV: Final = 0.05
_WARMUP_TOKENS: Final = 32
_HEARTBEAT_S: Final = 10.0
_AGAIN: Final = 2
_HOPELESS: Final = {"http_400", "http_404"}  # no such model, or not with these options: not so after a restart either
_THERMAL: Final = {"throttled", "temperature_drift"}


@dataclass
class CaseReport:
    """What became of a case."""

    answered: int = 0
    failed: int = 0
    left: int = 0
    stopped: str | None = None
    """Why cells are left: ``time``, ``faults`` (the model is parked), ``engine`` (it did not come back) or None."""
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CaseTools:
    """What a campaign lends to its cases.

    Attributes:
        make_bench: gives the bench with the engine as it runs now; called again after a restart.
        restart: a new process of the engine; raises EngineError when it does not come back.
        on_answer: told every attempt and whether it is made again, for the progress display.
    """

    make_bench: Callable[[], MeasuringBench]
    restart: Callable[[], None]
    record: Record
    conditions: Conditions
    breaker: Breaker
    on_answer: Callable[[Answer, bool], None]


def record_event(store: Store, campaign_id: str | None, kind: str, name: str, detail: str | None) -> None:
    """Writes one row of ``events`` where there is no campaign's record."""
    with store.write() as writer:
        writer.insert("events", event(campaign_id, kind, name, detail).rows)


def _answer_ops(answer: Answer, again: bool) -> list[Op]:
    aborted = answer.fault == "aborted"
    state = "planned" if again or aborted else "done" if answer.fault is None else "failed"
    run = answer.run
    ops = [insert("runs", run), insert("samples", *answer.samples)]
    if answer.fault:
        ops.append(event(run["campaign_id"], "fault", answer.fault, run["fault_detail"], run["run_id"]))
    cell = {"state": state, "attempts": run["attempt"], "reason": answer.fault}
    return [*ops, update("cells", {"cell_id": run["cell_id"]}, cell)]


class _Case:
    """A case being measured: the bench as it stands now, and how it is put right after a fault."""

    def __init__(self, tools: CaseTools, case: Case, report: CaseReport) -> None:
        self.tools, self.case, self.report = tools, case, report
        self.bench = tools.make_bench()
        self.protocol = self.bench.experiment.protocol
        self.history = History()
        self.case_flags: tuple[str, ...] = ()
        self.baselines = Baselines("")
        self.loaded: Loaded
        self.load_row: dict[str, Any] | None = None
        self.beat_s = float("-inf")

    def open(self, environment: dict[str, str] | None, source: str, cells: Sequence[Cell], *, fresh: bool) -> None:
        """Everything before the first answer."""
        self.wake_sampler()
        wanted, row = prepare(self.bench, self.case, environment, source)
        self.tools.record.put(upsert("configurations", row))
        self.baselines = Baselines(wanted.configuration_id)
        self.loaded = wanted
        self.load("case", fresh=fresh)
        self.warm_up(cells)
        self.tools.record.put(*self.baselines.measure(self.bench), *self._idle_of_load())

    def load(self, cause: str, *, fresh: bool) -> None:
        """Brings the model into memory of a machine that is as it should be; tried as often as an answer.

        Raises:
            EngineError: it is not to be loaded, or the engine did not come back in between.
        """
        conditions = self.tools.conditions
        if cause == "fault":  # the case goes on at the temperature that it has
            conditions.wait_for_memory(self.bench, fresh=fresh)
        else:
            self.case_flags = conditions.before_load(self.bench, fresh=fresh)
        unloaded = conditions.unloaded(self.bench, self.case.model.tag, fresh=fresh)
        for left in reversed(range(self.protocol.attempts)):
            try:
                self.loaded, self.load_row = load_model(self.bench, self.loaded, cause, unloaded)
                break
            except LoadFailed as error:
                if not left or error.fault in _HOPELESS:
                    raise
                self.tools.record.event("fault", error.fault, both(error.en, error.zh))
                self.tools.restart()
                self.bench = self.tools.make_bench()
                conditions.wait_for_memory(self.bench, fresh=True)
        if self.load_row:
            self.tools.record.put(insert("model_loads", self.load_row))
            self.history.reloaded()

    def _idle_of_load(self) -> list[Op]:
        """The idle power with the model belongs to its load, where both have the same scope and tier."""
        power = self.baselines.power
        if power is None or self.load_row is None:
            return []
        return [update("model_loads", {"load_id": self.load_row["load_id"]}, {"loaded_idle_power_w": power.power_w})]

    def warm_up(self, cells: Sequence[Cell]) -> None:
        """Short answers until the decode rate is stable (CV below 5 % over three) or the limit is reached.

        A fault is put on record and the engine right; after as many as an answer has attempts the answers themselves
        have to show what is wrong.
        """
        least, most = int(self.protocol.value("warmup_min")), int(self.protocol.value("warmup_max"))
        rates: list[float] = []
        good = faults = 0
        while good < most and faults < self.protocol.attempts:
            number = good + faults
            figures = self._warm_answer(cells[number % len(cells)], number)
            if figures is None:
                faults += 1
                continue
            good += 1
            rates += [figures.decode_tokens_per_s] if figures.decode_tokens_per_s else []
            last = rates[-3:]
            stable = len(last) == 3 and statistics.stdev(last) / statistics.mean(last) < _WARMUP_CV
            if good >= least and (stable or least == most):
                return

    def _warm_answer(self, cell: Cell, number: int) -> Timing | None:
        """One short answer that counts for nothing; None after a fault, which is on record and over by then."""
        item = cell.item
        prompt = f"[warm-{number:03d}]\n{item.prompt}"
        outcome = send(self.bench, chat_request(self.bench.experiment, self.loaded, prompt, number, _WARMUP_TOKENS))
        interrupted(outcome.fault)
        if outcome.fault:
            self.report.faults.append(outcome.fault)
            self.tools.record.event("fault", outcome.fault, f"{item.id}, warm-up: {outcome.fault_detail}")
            self.recover(outcome.fault)
            return None
        figures = derive(outcome, self.bench.same_clock)
        self.history.learn(figures, prompt, item.language, item.hash, self.loaded.context)
        return figures

    def late_flags(self) -> list[Op]:
        """What the whole case tells of its earlier answers."""
        run_ids = self.history.cut_after_all()
        return [Op("flag", "runs", [{"flag": "prompt_truncated", "run_ids": run_ids}])] if run_ids else []

    def recover(self, fault: str) -> None:
        """After an engine fault: the next attempt finds a working engine with the model loaded."""
        broken = fault.startswith(("hang", "deadline", "connect", "engine"))
        self.reload("fault", restart=broken or not self.bench.client.ready(timeout_s=2.0))

    def reload(self, cause: str, *, restart: bool) -> None:
        """Has the model in memory again, after a restart of the engine where asked."""
        if restart:
            self.tools.restart()
            self.bench = self.tools.make_bench()
        self.load(cause, fresh=restart)

    def begin(self, cell: Cell) -> None:
        """What the protocol wants before a round that is not the case's first: with ``per_run`` a new process."""
        self.wake_sampler()
        if self.bench.experiment.restart == "per_run":
            self.reload("run", restart=True)
            self.warm_up([cell])

    def wake_sampler(self) -> None:
        """A sampler that died is started again; the answer it missed was flagged and is measured again."""
        if not self.bench.sampler.alive:
            self.bench.sampler.restart()
            self.tools.record.event("sensor", "sampler_restarted")
            self.bench = self.tools.make_bench()

    def ask_round(self, queue: deque[Batch]) -> list[Asked]:
        """One request, or as many of the queue as fill the batch's window; a fault ends it."""
        asked: list[Asked] = []
        start = time.monotonic()
        while queue and not (asked and time.monotonic() - start >= self.protocol.value("batch_s")):
            cell, before = queue.popleft()
            key = cell_key(self.bench.campaign_id, self.case.model, cell)
            asked.append(ask(self.bench, self.loaded, cell, key, before + 1))
            if asked[-1].outcome.fault:
                break
        return asked

    def close_round(self, asked: list[Asked]) -> list[tuple[Asked, Answer]]:
        """Derives the answers of a round; one that failed has an energy window of its own."""
        whole = [one for one in asked if not one.outcome.fault]
        answers: list[tuple[Asked, Answer]] = []
        for window in (whole, asked[len(whole) :]):
            if window:
                power, idle = self.baselines.power, self.baselines.current
                context = Context(self.history, power, idle.baseline_id if idle else None, self.case_flags)
                answers += zip(window, finish(self.bench, self.loaded, window, context), strict=True)
        return answers

    def measure(self, group: list[Batch], out_of_time: Callable[[], bool], *, first: bool) -> None:
        """Attempts at the cells of a group until each counts or is used up.

        Raises:
            EngineError: the engine did not come back after a fault.
            KeyboardInterrupt: after the aborted attempt was stored.
        """
        last_attempt = {cell.repeat: before + self.protocol.attempts for cell, before in group}
        spoilt: Counter[int] = Counter()
        queue = deque(group)
        while queue and not self.tools.breaker.parked(self.case.model_key):
            if out_of_time():
                self.report.stopped = "time"
                return
            if not first:
                self.begin(queue[0][0])
            first = False
            answers = self.close_round(self.ask_round(queue))
            # a fault may be tried as often as the file says, an answer that a flag leaves out is measured again at most twice
            spoilt.update(one.cell.repeat for one, answer in answers if answer.fault is None and remeasure(answer))
            redo = [one for one, answer in answers if remeasure(answer) and one.attempt < last_attempt[one.cell.repeat]
                    and (answer.fault or spoilt[one.cell.repeat] <= _AGAIN)]  # fmt: skip
            self._store(answers, redo)
            self._settle(answers, redo)
            queue.extend((one.cell, one.attempt) for one in redo)

    def _store(self, answers: list[tuple[Asked, Answer]], redo: list[Asked]) -> None:
        ops = [op for one, answer in answers for op in _answer_ops(answer, one in redo)]
        self.tools.record.put(*ops, *self._heartbeat())
        for one, answer in answers:
            self.tools.on_answer(answer, one in redo)

    def _heartbeat(self) -> list[Op]:
        """A sign of life, not with every answer: each table that a write touches makes it slower."""
        now = time.monotonic()
        if now - self.beat_s < _HEARTBEAT_S:
            return []
        self.beat_s = now
        return [update("campaigns", {"campaign_id": self.bench.campaign_id}, {"heartbeat_at": datetime.now(UTC)})]

    def _settle(self, answers: list[tuple[Asked, Answer]], redo: list[Asked]) -> None:
        """Counts what has ended and puts engine and machine right for what comes next."""
        for one, answer in answers:
            interrupted(answer.fault)
            if answer.fault:
                self.report.faults.append(answer.fault)
            if one not in redo:
                self.report.left -= 1
                self.report.answered += answer.fault is None
                self.report.failed += answer.fault is not None
                self.tools.breaker.note(self.case.model_key, answer.fault is None)
        if fault := answers[-1][1].fault:
            self.recover(fault)
        if any(_THERMAL & set(answer.flags) for one, answer in answers if one in redo):
            cool_down(self.bench.sampler, self.history.start_c, self.protocol.value("cooldown_delta_c"),
                      self.protocol.value("cooldown_s"))  # fmt: skip
        counted = [answer.run["run_id"] for _, answer in answers if answer.fault is None]
        self.tools.record.put(*self.baselines.answered(self.bench, counted))


def run_case(
    tools: CaseTools, case: Case, pending: Sequence[Batch], *, environment: dict[str, str] | None, deadline: float | None,
    source: str, fresh: bool,
) -> CaseReport:  # fmt: skip
    """Measures the pending cells of one case; the engine was started or restarted just before.

    Args:
        tools: of the campaign.
        case: model × task × load.
        pending: cells to be measured, in order, with the attempts that were made before.
        environment: the engine's settings in force, for the record.
        deadline: ``time.monotonic()`` after which no further answer is begun, None for no limit.
        source: what a message names, usually the experiment file.
        fresh: the engine has no model of ours in memory.

    Raises:
        EngineError: the model could not be loaded at all.
        KeyboardInterrupt: after the aborted attempt was stored.
    """

    def out_of_time() -> bool:
        return deadline is not None and time.monotonic() > deadline

    report = CaseReport(left=len(pending))
    work = _Case(tools, case, report)
    work.open(environment, source, [cell for cell, _ in pending], fresh=fresh)
    todo = groups(pending, batched=work.protocol.value("batch_s") > 0)
    first = True
    try:
        while todo and report.stopped is None:
            work.measure(todo.popleft(), out_of_time, first=first)
            first = False
            if tools.breaker.parked(case.model_key):
                report.stopped = "faults"
    except EngineError as error:
        tools.record.event("fault", "case_broken_off", both(error.en, error.zh))
        report.stopped = "engine"
        return report
    tools.record.put(*work.baselines.check(work.bench), *work.late_flags())
    time.sleep(work.protocol.value("tail_s"))
    return report
