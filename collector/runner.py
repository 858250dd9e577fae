"""A whole campaign: every case in turn, scores and ratings between them, stopped and continued without loss."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from collector import engines
from collector.campaign import Campaign, cell_key, find_campaign, open_campaign, set_state
from collector.case import CaseReport, record_event, run_case
from collector.engines import Engine
from collector.engines.install import find_models
from collector.errors import CollectorError, EngineError, ModelMissing
from collector.experiment import Experiment
from collector.fingerprint import Fingerprint, machine_fingerprint
from collector.hostlock import measuring_alone
from collector.i18n import t
from collector.measure import Answer, MeasuringBench
from collector.ollama_client import OllamaClient
from collector.ollama_types import PullProgress
from collector.plan import Case, Cell, build_cases, experiment_suite
from collector.processes import rate, score
from collector.progress import Progress
from collector.pulling import missing_models, pull_models
from collector.telemetry.sampler import Sampler
from collector.telemetry.types import Capability
from db import Store

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
        problems: one sentence each, for the person.
        scored: what the last scoring said: figures, what is missing and the command that gets it.
    """

    campaign_id: str
    status: str
    answered: int = 0
    failed: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)
    scored: str = ""


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


def _tell_pull(tag: str, line: PullProgress) -> None:
    log.info("%s: %s %s/%s", tag, line.status, line.completed_bytes, line.total_bytes)


class _Run:
    """One call of the runner: holds what is open, so that it is closed in one place."""

    def __init__(self, store: Store, experiment: Experiment, source: str, minutes: float | None) -> None:
        self.store, self.experiment, self.source = store, experiment, source
        self.deadline = time.monotonic() + minutes * 60 if minutes else None
        self.suite = experiment_suite(experiment, source)
        self.cases = build_cases(experiment, self.suite)
        self.fingerprint: Fingerprint = machine_fingerprint()
        table = experiment.engine
        self.engine: Engine = engines.choose(table.kind, table.host, table.chosen_way, engines.log_folder())
        self.client: OllamaClient | None = None
        self.version = ""
        self.stopped = False

    def start_engine(self) -> None:
        """Starts the engine and asks its version; a later call restarts it."""
        if self.client is None:
            self.engine.start()
        else:
            self.client.close()
            # a server that is not ours keeps its other models: only those of this experiment are unloaded
            self.engine.restart([m.tag for m in self.experiment.models])
        self.stopped = False
        self.client = OllamaClient(self.engine.url)
        if not self.client.ready(timeout_s=60):
            raise EngineError(f"The engine at {self.engine.url} did not become ready within 60 s.",
                              f"引擎 {self.engine.url} 在 60 秒内未就绪。")  # fmt: skip
        self.version = self.client.version()

    def restart_engine(self, campaign_id: str) -> None:
        """A clean state in the middle of a campaign, on record."""
        self.start_engine()
        record_event(self.store, campaign_id, "restart", self.engine.way, self.engine.url)

    def check_models(self) -> None:
        """Raises ModelMissing for the first model that the engine does not have."""
        assert self.client is not None  # noqa: S101  start_engine ran before
        missing = missing_models(self.client, [m.tag for m in self.experiment.models])
        if missing and self.experiment.pull and self.engine.name == "ollama":
            pull_models(self.client, missing, find_models() if self.engine.can_restart else None, _tell_pull)
            missing = []
        if not missing:
            return
        cure = " ".join(missing)
        if self.engine.name == "pocket":
            have = sorted(m.name for m in self.client.tags())
            raise ModelMissing(f"The embedded engine has no model {missing[0]!r}; it has {', '.join(have)}.",
                               f"内置引擎没有模型 {missing[0]!r}；可用：{'、'.join(have)}。")  # fmt: skip
        raise ModelMissing(f"The Ollama server at {self.engine.url} has no model {missing[0]!r}; get it with: ollama pull {cure}",
                           f"Ollama 服务器 {self.engine.url} 没有模型 {missing[0]!r}；请运行：ollama pull {cure}")  # fmt: skip

    def free_gpu(self) -> None:
        """Takes our models out of GPU memory, so that the scorer gets it; the next case loads its own anyway."""
        if self.engine.can_restart and self.experiment.restart != "never":
            self.engine.stop()
            self.stopped = True
        elif self.client is not None:
            for model in self.experiment.models:
                self.client.unload(model.tag)

    def close(self) -> None:
        """Ends what this call started."""
        if self.client is not None:
            self.client.close()
        self.engine.stop()


def _facts(run: _Run) -> dict[str, Any]:
    return {
        "machine_id": run.fingerprint.machine_id, "engine": run.engine.name, "engine_version": run.version,
        "engine_environment": run.engine.environment(), "restart_way": f"{run.experiment.restart} by {run.engine.way}",
    }  # fmt: skip


def _open(run: _Run, again: bool) -> Campaign:
    """The campaign to work on: the newest unfinished one of this experiment, else a new one."""
    found = find_campaign(run.store, run.experiment, run.fingerprint.machine_id)
    if found and found.status != "finished":
        set_state(run.store, found.campaign_id, "running")
        return Campaign(found.campaign_id, "running", resumed=True)
    if found and not (again or run.experiment.schedule.repeat):
        return found
    return open_campaign(run.store, run.experiment, run.suite, run.cases, _facts(run))


def _register_machine(run: _Run, campaign_id: str, sampler_rows: list[dict[str, Any]]) -> None:
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


def _measure_cases(
    run: _Run, campaign: Campaign, work: _Work, sampler: Sampler, progress: Progress, report: CampaignReport
) -> None:
    previous: Case | None = None
    for number, (case, cells) in enumerate(work):
        progress.case(case, len(cells))
        if run.stopped or _restart_due(run.experiment.restart, previous, case):
            run.restart_engine(campaign.campaign_id)
        previous = case
        outcome = _one_case(run, campaign, sampler, progress, case, cells, _share(run.deadline, len(work) - number))
        report.answered += outcome.answered
        report.failed += outcome.failed
        if outcome.stopped == "faults":
            problem = t(f"{case.model.tag}: parked after repeated faults ({', '.join(sorted(set(outcome.faults)))})",
                        f"{case.model.tag}：连续故障后搁置（{', '.join(sorted(set(outcome.faults)))}）")  # fmt: skip
            report.problems.append(problem)
            record_event(run.store, campaign.campaign_id, "fault", "parked", problem)
        if run.experiment.quality.when == "case":
            _score(run, campaign, progress, report)
        if number + 1 < len(work):  # the last case is rated when the campaign is closed
            _told(run, campaign, report, "rating", rate(run.store))


def _one_case(
    run: _Run, campaign: Campaign, sampler: Sampler, progress: Progress, case: Case, cells: list[tuple[Cell, int]], deadline: float | None
) -> CaseReport:  # fmt: skip
    def bench() -> MeasuringBench:
        assert run.client is not None  # noqa: S101  start_engine ran before
        pids = run.engine.pids()
        sampler.watch(pids)
        # the embedded engine computes on the CPU: an idle GPU's energy is not what its answers cost
        sensors = tuple(c for c in sampler.capabilities if c.sensor != "nvml" or run.engine.name != "pocket")
        return MeasuringBench(
            client=run.client, sampler=sampler, capabilities=sensors, engine_pids=tuple(pids), experiment=run.experiment,
            fingerprint=run.fingerprint, campaign_id=campaign.campaign_id, engine_name=run.engine.name,
            engine_version=run.version, engine_alive=run.engine.alive,
        )  # fmt: skip

    def restart() -> None:
        run.restart_engine(campaign.campaign_id)

    def on_answer(answer: Answer) -> None:
        progress.answer(answer.fault)

    try:
        return run_case(
            bench, run.store, case, cells, restart=restart, environment=run.engine.environment(),
            deadline=deadline, on_answer=on_answer, source=run.source,
        )  # fmt: skip
    except EngineError as error:
        # one model that cannot be loaded must not end the night: it is recorded and the others go on
        log.warning("%s", error)
        record_event(run.store, campaign.campaign_id, "fault", "load_failed", str(error))
        return CaseReport(failed=len(cells), left=len(cells), stopped="faults", faults=["load_failed"])


def _told(run: _Run, campaign: Campaign, report: CampaignReport, name: str, problem: str | None) -> None:
    """Records what went wrong in a process of ours; measuring goes on."""
    if problem:
        record_event(run.store, campaign.campaign_id, "score", f"{name}_failed", problem)
        sentence = f"{name}: {problem}"
        if sentence not in report.problems:
            report.problems.append(sentence)


def _score(run: _Run, campaign: Campaign, progress: Progress, report: CampaignReport) -> None:
    """Scores what is unscored; on a machine with a GPU the engine gives its memory back first."""
    progress.note(t("scoring", "评分中"))
    if run.fingerprint.has_gpu:
        run.free_gpu()
    ended = score(run.store, campaign.campaign_id, run.experiment)
    report.scored = ended.said
    _told(run, campaign, report, "score", ended.problem)


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
    run = _Run(store, experiment, source, minutes)
    with measuring_alone():
        try:
            run.start_engine()
            run.check_models()
            store.ensure()
            campaign = _open(run, again)
            if campaign.status == "finished":
                return CampaignReport(campaign.campaign_id, "already_finished")
            return _measure(run, campaign, progress_factory)
        finally:
            run.close()


def _measure(run: _Run, campaign: Campaign, progress_factory: Callable[[int], Progress]) -> CampaignReport:
    report = CampaignReport(campaign.campaign_id, "stopped")
    work = _pending(run.store, campaign.campaign_id, run.cases)
    telemetry = run.experiment.telemetry
    sampler = Sampler(rate_hz=telemetry.rate_hz, gpu_rate_hz=telemetry.gpu_rate_hz,
                      watts_per_core=telemetry.watts_per_core, meter=telemetry.meter)  # fmt: skip
    with progress_factory(sum(len(cells) for _, cells in work)) as progress:
        try:
            capabilities = sampler.start()
            _register_machine(run, campaign.campaign_id, [_sensor_row(c) for c in capabilities])
            _measure_cases(run, campaign, work, sampler, progress, report)
        except KeyboardInterrupt:
            report.problems.append(t("stopped by the user", "被用户中止"))
            _close_campaign(run, campaign, progress, report, "stopped")
            raise
        except CollectorError as error:
            _close_campaign(run, campaign, progress, report, "aborted", str(error))
            raise
        finally:
            sampler.stop()
        _close_campaign(run, campaign, progress, report, None)
    return report


def _close_campaign(
    run: _Run, campaign: Campaign, progress: Progress, report: CampaignReport, status: str | None, note: str | None = None
) -> None:  # fmt: skip
    counted = run.store.query(
        "SELECT count(*) FILTER (WHERE state = 'planned') AS left_over FROM cells WHERE campaign_id = ?", [campaign.campaign_id]
    )  # fmt: skip
    report.left = int(counted.left_over[0])
    report.status = status or ("finished" if report.left == 0 else "stopped")
    if status is None and run.experiment.quality.when == "end":
        _score(run, campaign, progress, report)
    # the rating freezes an own basket only when no campaign is running, so the state comes first
    set_state(run.store, campaign.campaign_id, report.status, note or "; ".join(report.problems) or None)
    progress.note(t("rating", "评级中"))
    _told(run, campaign, report, "rating", rate(run.store))
