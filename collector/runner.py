"""A whole campaign: every case in turn, scores and ratings between them, stopped and continued without loss."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from collector import engines
from collector.breaker import Breaker
from collector.calibration import factors
from collector.campaign import Campaign, cell_key, find_campaign, open_campaign, set_state
from collector.case import CaseReport, CaseTools, run_case
from collector.closure import Ledger, without_energy
from collector.conditions import Conditions
from collector.errors import CollectorError, EngineError, ExperimentError
from collector.experiment import Experiment
from collector.hostlock import measuring_alone
from collector.i18n import t
from collector.measure import MeasuringBench
from collector.plan import Case, Cell
from collector.processes import Pace, rate, score
from collector.progress import Progress
from collector.record import Record, insert, update
from collector.session import Session
from collector.telemetry.sampler import Sampler, require_meter
from collector.telemetry.types import Capability
from db import Store
from db.texts import both, joined

__all__ = ["CampaignReport", "run_experiment"]

log = logging.getLogger(__name__)


@dataclass
class CampaignReport:
    """What became of a campaign.

    Attributes:
        campaign_id: its id in the store.
        status: ``finished``, ``stopped`` (time limit or user) or ``already_finished``.
        answered: attempts that gave an answer in this call; likewise failed for cells without one.
        left: cells not measured yet.
        broken_off: cases that ended early because the engine did not come back.
        problems: one sentence each for the person, in both languages (db/texts.py).
        scored: what the last scoring said: figures, what is missing and the command that gets it.
    """

    campaign_id: str
    status: str
    answered: int = 0
    failed: int = 0
    left: int = 0
    broken_off: int = 0
    problems: list[str] = field(default_factory=list)
    scored: str = ""


_LOST = 2  # cases in a row whose engine did not come back
_GATHER_S = 2.0  # a page that shows the night need not be newer
_PATIENCE_S = 300.0  # for a database that cannot be written at the end
_Work = list[tuple[Case, list[tuple[Cell, int]]]]


def _pending(store: Store, campaign_id: str, cases: Sequence[Case]) -> _Work:
    """The cases that have cells without an answer, each with those cells in its order and the attempts made so far."""
    rows = store.query("SELECT cell_id, attempts, state FROM cells WHERE campaign_id = ?", [campaign_id])
    open_cells = {
        key: int(n) for key, n, state in zip(rows.cell_id, rows.attempts, rows.state, strict=True) if state != "done"
    }
    work: _Work = []
    for case in cases:
        keyed = [(cell, cell_key(campaign_id, case.model, cell)) for cell in case.cells]
        if cells := [(cell, open_cells[key]) for cell, key in keyed if key in open_cells]:
            work.append((case, cells))
    return work


def _facts(run: Session) -> dict[str, Any]:
    return {
        "machine_id": run.fingerprint.machine_id, "engine": run.engine.name, "engine_version": run.version,
        "engine_environment": run.engine.environment(), "engine_environment_reason": run.engine.environment_reason(),
        "restart_way": f"{run.experiment.restart} by {run.engine.way}",
    }  # fmt: skip


def _open(run: Session, again: bool) -> Campaign:
    """The campaign to work on: the newest unfinished one of this experiment, else a new one."""
    found = find_campaign(run.store, run.experiment, run.fingerprint.machine_id)
    if found and found.status != "finished":
        set_state(run.store, found.campaign_id, "running")
        return Campaign(found.campaign_id, "running", resumed=True)
    if found and not (again or run.experiment.schedule.repeat):
        return found
    return open_campaign(run.store, run.experiment, run.suite, run.cases, _facts(run))


def _register_machine(run: Session, campaign_id: str, sampler_rows: list[dict[str, Any]]) -> None:
    with run.store.write() as writer:
        writer.upsert("machines", [run.fingerprint.row()])
        writer.upsert("sensors", [{**r, "machine_id": run.fingerprint.machine_id, "campaign_id": campaign_id}
                                  for r in sampler_rows])  # fmt: skip


def _sensor_row(found: Capability) -> dict[str, Any]:
    return {**asdict(found), "probed_at": datetime.now(UTC)}


def _share(deadline: float | None, cases_left: int) -> float | None:
    """Time until which one case may begin answers, so that a limit does not starve the last models."""
    if deadline is None:
        return None
    now = time.monotonic()
    return now + max(0.0, deadline - now) / max(1, cases_left)


def _restart_due(policy: str, previous: Case | None, case: Case) -> bool:
    if previous is None:
        return False  # the engine was started a moment ago
    if policy == "never":
        return False
    return policy != "per_model" or previous.model != case.model


@dataclass
class _Night:
    """One call that measures: everything its parts share."""

    run: Session
    campaign: Campaign
    sampler: Sampler
    progress: Progress
    report: CampaignReport
    record: Record
    conditions: Conditions
    breaker: Breaker
    ledger: Ledger
    own_gpu_pids: set[int] = field(default_factory=set)
    ratings: Pace = field(default_factory=Pace)

    def sensors(self) -> tuple[Capability, ...]:
        """What counts here: the embedded engine computes on the CPU, an idle GPU's energy is not what its answers cost."""
        return tuple(c for c in self.sampler.capabilities if c.scope != "gpu" or self.run.engine.name != "pocket")

    def bench(self) -> MeasuringBench:
        """The bench with the engine as it runs now."""
        run = self.run
        assert run.client is not None  # noqa: S101  start_engine ran before
        pids = run.engine.pids()
        self.sampler.watch(pids)
        self.ledger.capabilities = self.sensors()
        return MeasuringBench(
            client=run.client, sampler=self.sampler, capabilities=self.sensors(), engine_pids=tuple(pids),
            experiment=run.experiment, fingerprint=run.fingerprint, campaign_id=self.campaign.campaign_id,
            engine_name=run.engine.name, engine_version=run.version, engine_alive=run.engine.alive,
            ledger=self.ledger, own_gpu_pids=self.own_gpu_pids,
        )  # fmt: skip

    def trouble(self, problem: str) -> None:
        """One sentence for the person, once."""
        if problem not in self.report.problems:
            self.report.problems.append(problem)


def _measure_cases(night: _Night, work: _Work) -> None:
    run, report = night.run, night.report
    previous: Case | None = None
    lost = 0
    for number, (case, cells) in enumerate(work):
        if night.breaker.parked(case.model_key):
            _skip(night, case, cells, "parked")
            continue
        night.progress.case(case, len(cells))
        share = _share(run.deadline, len(work) - number)
        outcome = _one_case(night, case, cells, share, previous)
        previous = case
        report.answered += outcome.answered
        report.failed += outcome.failed
        if outcome.stopped == "engine" and run.engine.alive():  # it is the model that cannot be had any more
            night.breaker.park(case.model_key)
            outcome = replace(outcome, stopped="faults", faults=[*outcome.faults, "case_broken_off"])
        if outcome.stopped == "faults":
            _park(night, case, cells, outcome)
        lost = lost + 1 if outcome.stopped == "engine" else 0
        if lost:
            _broken_off(night, case)
        if lost == _LOST:
            return
        if run.experiment.quality.when == "case":
            _score(night)
        if number + 1 < len(work) and night.ratings.due():  # the last case is rated when the campaign is closed
            night.record.written()
            _told(night, "rating", night.ratings.timed(lambda: rate(run.store)))


def _broken_off(night: _Night, case: Case) -> None:
    """Told at once: a night that ends with cells left has to say why."""
    night.report.broken_off += 1
    name = f"{case.model.tag} · {case.task} · {case.load}"
    night.trouble(both(f"{name}: the engine does not come back; what is left is measured by the next call",
                       f"{name}：引擎无法恢复；剩余部分将在下次运行时测量"))  # fmt: skip


def _park(night: _Night, case: Case, cells: list[tuple[Cell, int]], outcome: CaseReport) -> None:
    """The model is left for the rest of the campaign: on record, and its open cells are skipped by name."""
    names = ", ".join(sorted(set(outcome.faults)))
    problem = both(f"{case.model.tag}: parked after repeated faults ({names})", f"{case.model.tag}：连续故障后搁置（{names}）")
    night.trouble(problem)
    night.record.event("fault", "parked", problem)
    _skip(night, case, cells, names or "parked")


def _skip(night: _Night, case: Case, cells: list[tuple[Cell, int]], reason: str) -> None:
    keys = [cell_key(night.campaign.campaign_id, case.model, cell) for cell, _ in cells]
    state = {"state": "skipped", "reason": reason}
    night.record.put(*(update("cells", {"cell_id": key, "state": "planned"}, state) for key in keys))


def _one_case(
    night: _Night, case: Case, cells: list[tuple[Cell, int]], deadline: float | None, previous: Case | None
) -> CaseReport:  # fmt: skip
    """One case after its restart; an engine or a model that fails ends the case and never the night."""
    run = night.run
    fresh = run.stopped or previous is None or _restart_due(run.experiment.restart, previous, case)
    tools = CaseTools(
        make_bench=night.bench, restart=lambda: run.restart_engine(night.record), record=night.record,
        conditions=night.conditions, breaker=night.breaker,
        on_answer=lambda answer, again: night.progress.answer(answer.fault, again=again),
    )  # fmt: skip
    try:
        if fresh and (run.stopped or previous is not None):
            run.restart_engine(night.record)
        return run_case(tools, case, cells, environment=run.engine.environment(), deadline=deadline,
                        source=run.source, fresh=fresh)  # fmt: skip
    except ExperimentError as error:
        if previous is None:
            raise  # nothing was measured yet: the file can be mended now
        # what this model was trained for does not hold these items; the other cases can be measured
        said = both(error.en, error.zh)
        night.record.event("fault", "context_too_small", said)
        night.trouble(said)
        return CaseReport(failed=len(cells), left=len(cells), stopped="faults", faults=["context_too_small"])
    except EngineError as error:
        log.warning("%s", error)
        if not run.engine.alive():
            run.stopped = True  # so that the next case starts it
            return CaseReport(left=len(cells), stopped="engine")
        night.record.event("fault", "load_failed", both(error.en, error.zh))
        night.breaker.park(case.model_key)
        return CaseReport(failed=len(cells), left=len(cells), stopped="faults", faults=["load_failed"])


def _told(night: _Night, name: str, problem: str | None) -> None:
    """Records what went wrong in a process of ours; measuring goes on."""
    if problem:
        night.record.event("score", f"{name}_failed", problem)
        night.trouble(f"{name}: {problem}")


def _score(night: _Night) -> None:
    """Scores what is unscored; on a machine with a GPU the engine gives its memory back first."""
    run = night.run
    night.progress.note(t("scoring", "评分中"))
    night.record.written()
    if run.fingerprint.has_gpu:
        run.free_gpu()
    ended = score(run.store, night.campaign.campaign_id, run.experiment)
    night.report.scored = ended.said
    _told(night, "score", ended.problem)


def run_experiment(
    store: Store, experiment: Experiment, source: str, *, again: bool = False, minutes: float | None = None,
    progress_factory: Callable[[int], Progress] = Progress,
) -> CampaignReport:  # fmt: skip
    """Measures an experiment, or what is left of it.

    Args:
        store: opened or created here.
        source: what messages name, usually the experiment file.
        again: start a new campaign although the newest one is finished.
        minutes: begin no further answer after so long; what is left can be continued.

    Returns:
        What became of it; ``already_finished`` when there was nothing to do.

    Raises:
        CollectorError, StoreError: before anything was measured, with the cure.
        KeyboardInterrupt: after everything was stored and rated.
    """
    run = Session(store, experiment, source, minutes)
    with measuring_alone():
        try:
            run.start_engine()
            run.check_models()
            run.clear_others()
            store.ensure()
            Record(store, engines.log_folder()).recover()  # before the cells are looked at: it may hold their answers
            run.check_disk()
            campaign = _open(run, again)
            if campaign.status == "finished":
                return CampaignReport(campaign.campaign_id, "already_finished")
            return _measure(run, campaign, progress_factory)
        finally:
            run.close()


def _night(run: Session, campaign: Campaign, sampler: Sampler, progress: Progress, report: CampaignReport) -> _Night:
    """Starts the sampler and looks at the machine before anything is loaded."""
    capabilities = sampler.start()
    _register_machine(run, campaign.campaign_id, [_sensor_row(c) for c in capabilities])
    if run.experiment.telemetry.meter:
        require_meter(capabilities)  # else a night would be measured in another scope than the one asked for
    record = Record(run.store, engines.log_folder(), report.problems.append, campaign.campaign_id, _GATHER_S)
    conditions = Conditions(record, load_average=run.load_average)
    night = _Night(
        run, campaign, sampler, progress, report, record, conditions,
        Breaker(int(run.experiment.protocol.value("park_after"))), Ledger(sampler, ()),
    )  # fmt: skip
    night.ledger.capabilities = night.sensors()
    run.keep(record, night.trouble)
    for case in run.cases:
        if case.model.tag in run.unavailable:
            night.breaker.park(case.model_key)
    known = run.store.query("SELECT reference_temperature_c AS c FROM campaigns WHERE campaign_id = ? AND c IS NOT NULL",
                            [campaign.campaign_id])  # fmt: skip
    conditions.begin(sampler, campaign.campaign_id, None if known.empty else float(known.c[0]))
    sampler.watch(run.engine.pids())  # an estimate counts from here
    sampler.wait_until(time.monotonic_ns())
    night.ledger.begin(time.monotonic_ns())
    return night


def _measure(run: Session, campaign: Campaign, progress_factory: Callable[[int], Progress]) -> CampaignReport:
    report = CampaignReport(campaign.campaign_id, "stopped")
    work = _pending(run.store, campaign.campaign_id, run.cases)
    telemetry = run.experiment.telemetry
    calibrations = factors(run.store, run.fingerprint.machine_id, [gpu.uuid for gpu in run.fingerprint.gpus])
    sampler = Sampler(rate_hz=telemetry.rate_hz, gpu_rate_hz=telemetry.gpu_rate_hz, calibrations=calibrations,
                      watts_per_core=telemetry.watts_per_core, meter=telemetry.meter)  # fmt: skip
    with progress_factory(sum(len(cells) for _, cells in work)) as progress:
        night = None
        try:
            night = _night(run, campaign, sampler, progress, report)
            _measure_cases(night, work)
            _balance(night)
        except KeyboardInterrupt:
            report.problems.append(both("stopped by the user", "被用户中止"))
            _end_early(night, run, campaign, "stopped")
            raise
        except CollectorError as error:
            report.problems.append(both(error.en, error.zh))
            _end_early(night, run, campaign, "aborted")
            raise
        finally:
            sampler.stop()
        _close_campaign(night, None)
    return report


def _balance(night: _Night) -> None:
    """Whether the joules of this call add up and what sampling took, on record."""
    night.record.put(insert("closures", night.ledger.close(time.monotonic_ns(), night.campaign.campaign_id)))
    if cost := night.sampler.own_cpu():
        cpu, span, share = f"{cost[0]:.1f}", f"{cost[1]:.0f}", f"{cost[0] / max(cost[1], 1e-9):.2%}"
        night.record.event("sensor", "sampler_cost", both(f"{cpu} s of CPU time in {span} s, {share} of one core",
                                                          f"{span} 秒内占用 CPU {cpu} 秒，为一个核心的 {share}"))  # fmt: skip


def _end_early(night: _Night | None, run: Session, campaign: Campaign, status: str) -> None:
    if night is None:  # the sampler did not even start
        set_state(run.store, campaign.campaign_id, status)
        return
    _balance(night)
    _close_campaign(night, status)


def _close_campaign(night: _Night, status: str | None) -> None:
    run, report, campaign_id = night.run, night.report, night.campaign.campaign_id
    night.record.flush(_PATIENCE_S)
    counted = run.store.query(
        "SELECT count(*) FILTER (WHERE state = 'planned') AS left_over FROM cells WHERE campaign_id = ?", [campaign_id]
    )  # fmt: skip
    report.left = int(counted.left_over[0])
    if said := without_energy(run.store, campaign_id):
        night.trouble(said)
    report.status = status or ("finished" if report.left == 0 else "stopped")
    if status is None and run.experiment.quality.when == "end":
        _score(night)
    # the rating freezes an own basket only when no campaign is running, so the state comes first
    set_state(run.store, campaign_id, report.status, joined(report.problems))
    night.progress.note(t("rating", "评级中"))
    _told(night, "rating", rate(run.store))
