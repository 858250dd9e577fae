"""A whole campaign of several cases on fakes: parked models, an engine that stays away, a full disk, the balance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from collector import plan, runner, session
from collector.cli.run import print_report
from collector.engines.notes import Notes
from collector.errors import EngineError, ExperimentError, SensorError
from collector.processes import Ended
from collector.runner import CampaignReport, run_experiment
from collector.suite import Suite
from collector.telemetry.reasons import why
from db import Store, StoreUnusable
from db.texts import both, pick
from tests.collector.telemetry.telemetry_fakes import row
from tests.fakes.bench import Clock, FakeClient, FakeSampler, trial

ITEMS = [
    {"id": f"own-{load}-{n}", "task": "qa", "load": load, "language": "en", "prompt": f"Why does a lid help a pot to boil? ({load} {n})"}
    for load in ("short", "medium") for n in range(3)
]  # fmt: skip


class FullDisk(Store):
    """Refuses to write from a given transaction on, as often as told."""

    refuse_from, refusals, writes = 10**9, 0, 0

    @contextmanager
    def write(self, timeout_s: float = 30.0) -> Iterator[Any]:
        self.writes += 1
        if self.writes >= self.refuse_from and self.refusals:
            self.refusals -= 1
            raise StoreUnusable("the disk is full", "磁盘已满")
        with super().write(timeout_s) as writer:
            yield writer


@dataclass
class FakeEngine:
    """An engine of our own; starts may be scripted to fail."""

    client: FakeClient
    failures: list[int] = field(default_factory=list)
    starts: int = 0
    gone: bool = False
    notes: Notes = field(default_factory=Notes)
    name, way, can_restart, own, log_path, url = "ollama", "own_child", True, True, None, "http://127.0.0.1:1"

    def start(self) -> None:
        self.starts += 1
        self.client.loaded = False
        self.gone = self.starts in self.failures
        if self.gone:
            raise EngineError("ollama did not answer within 60 s", "ollama 在 60 秒内没有应答")

    def restart(self, models: object = None) -> None:
        self.start()

    def stop(self) -> None:
        self.client.loaded = False

    def alive(self) -> bool:
        return not self.gone

    def pids(self) -> list[int]:
        return [1]

    def environment(self) -> dict[str, str]:
        return {}

    def environment_reason(self) -> None:
        """Known as a whole."""


@dataclass
class Site:
    """One machine with one engine, and the campaigns on it."""

    clock: Clock
    sampler: FakeSampler
    client: FakeClient
    engine: FakeEngine
    store: FullDisk

    def run(
        self, models: str = "mn", items: int = 1, loads: str = "short", meter: str | None = None, **more: Any
    ) -> CampaignReport:
        """Few cells, because a write of the database is what takes time here."""
        chosen = [entry for entry in ITEMS if entry["load"] in loads and int(entry["id"][-1]) < items]
        experiment = trial(models=[f"{name}:1b" for name in models], loads=loads.split(), item=chosen, repeats=1,
                           protocol={"tail_s": 0.0}, telemetry={"meter": meter} if meter else {})  # fmt: skip
        return run_experiment(self.store, experiment, "trial.toml", **more)

    def events(self) -> list[str]:
        return list(self.store.query('SELECT name FROM events ORDER BY "at", event_id').name)


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("night") / "store.duckdb")
    store.ensure()
    return store.path


@pytest.fixture
def site(tmp_path: Path, empty_file: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    clock = Clock()
    clock.install(monkeypatch)
    sampler = FakeSampler(clock)
    sampler.start = lambda: sampler.capabilities  # type: ignore[attr-defined]
    sampler.stop = lambda: None  # type: ignore[attr-defined]
    client = FakeClient(clock, sampler, models=("m:1b", "n:1b"))
    engine = FakeEngine(client)
    for name in ("collector.measure", "collector.loading", "collector.conditions"):
        monkeypatch.setattr(f"{name}.foreign_gpu_pids", lambda *_a, **_k: [])
    monkeypatch.setattr(plan, "load_suite", lambda _paths=None: Suite())
    monkeypatch.setattr(session.engines, "choose", lambda *_a: engine)
    monkeypatch.setattr(session, "OllamaClient", lambda _url: client)
    monkeypatch.setattr(runner, "Sampler", lambda **_k: sampler)
    monkeypatch.setattr(runner, "rate", lambda _store: None)
    monkeypatch.setattr(runner, "score", lambda *_a: Ended("", None))
    monkeypatch.setattr(runner, "measuring_alone", nullcontext)
    monkeypatch.setattr(runner.engines, "log_folder", lambda: tmp_path / "state")
    return Site(clock, sampler, client, engine, FullDisk(shutil.copy(empty_file, tmp_path)))


def test_a_campaign_is_measured_and_its_joules_add_up(site: Site) -> None:
    report = site.run(models="m", loads="short medium")
    assert (report.status, report.answered, report.failed, report.left) == ("finished", 2, 0, 0)
    books = site.store.query("SELECT * FROM closures").iloc[0]
    assert abs(books.mismatch) < 0.01
    assert books.reason != books.reason, "nothing to say"
    assert books.total_j == pytest.approx(sum(books[f"{kind}_j"] for kind in ("runs", "loads", "baselines", "between")), rel=0.01)
    assert books.runs_j == pytest.approx(site.store.query("SELECT sum(energy_j) AS e FROM runs").e[0])
    assert books.loads_j == pytest.approx(site.store.query("SELECT sum(energy_j) AS e FROM model_loads").e[0])
    assert len(site.store.query("SELECT * FROM v_model_loads")) == 2, "a process per case"
    kinds = site.store.query("SELECT kind FROM baselines ORDER BY measured_at")
    assert list(kinds.kind) == ["unloaded", "loaded", "loaded"], "without a model once"
    cost = site.store.query("SELECT detail FROM events WHERE name = 'sampler_cost'").detail[0]
    assert "1.50% of one core" in cost
    about = site.store.query("SELECT reference_temperature_c AS c, idle_vram_bytes AS b FROM campaigns").iloc[0]
    assert (about.c, about.b) == (40.0, 1 << 30)


def test_a_meter_that_does_not_answer_ends_the_call_before_anything_is_measured(site: Site) -> None:
    missing = [row(field, sensor="shelly", scope="machine", tier="wall", status="missing") for field in ("machine_power_w", "machine_energy_j")]
    gone = why("meter_unreachable", address="10.0.0.2", error="no route", url="http://10.0.0.2/")
    working = list(site.sampler.capabilities)
    site.sampler.capabilities = working + [replace(one, **gone) for one in missing]
    with pytest.raises(SensorError, match=r"10\.0\.0\.2 does not answer.*curl") as caught:
        site.run(models="m", meter="shelly:10.0.0.2")
    assert "没有应答" in caught.value.zh
    assert site.store.query("SELECT count(*) AS n FROM runs").n[0] == 0
    assert set(site.store.query("SELECT reason_code FROM sensors WHERE tier = 'wall'").reason_code) == {"meter_unreachable"}
    site.sampler.capabilities = working
    assert site.run(models="m").status == "finished", "without a meter in the file nothing is missing"


def test_answers_without_an_energy_are_told_at_the_end(site: Site) -> None:
    site.sampler.missing = lambda _s: True
    report = site.run(models="m")
    assert (report.status, report.answered) == ("finished", 1)
    (told,) = report.problems
    assert pick(told, "en").startswith("1 of 1 answers have no energy: no sample carries the gpu reading of nvml")
    assert "没有能耗" in pick(told, "zh")
    assert site.store.query("SELECT note FROM campaigns").note[0] == told


def test_a_model_that_fails_is_parked_in_all_its_cases_and_the_others_go_on(site: Site) -> None:
    site.client.broken = frozenset({"m:1b"})
    report = site.run(items=2, loads="short medium")
    assert (report.status, report.answered, report.failed) == ("finished", 4, 3), "two short cells and one medium"
    assert report.problems == [both("m:1b: parked after repeated faults (error_line)", "m:1b：连续故障后搁置（error_line）")]
    states = site.store.query("SELECT model, load, state, reason FROM cells ORDER BY position")
    assert sorted(states.state[:4]) == ["failed", "failed", "failed", "skipped"]
    assert list(states.state[4:]) == ["done"] * 4
    assert set(states.reason[:4]) == {"error_line"}
    assert site.events().count("parked") == 1
    assert set(site.store.query("SELECT DISTINCT model FROM v_runs WHERE status = 'ok'").model) == {"n:1b"}


def test_a_model_that_cannot_be_loaded_is_parked_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    load = site.client.load

    def refuse(model: str, *rest: Any, **named: Any) -> Any:
        site.client.load_fault = "http_500" if model == "m:1b" else None
        return load(model, *rest, **named)

    monkeypatch.setattr(site.client, "load", refuse)
    report = site.run(loads="short medium")
    assert (report.status, report.answered) == ("finished", 2)
    assert [e for e in site.events() if e in ("load_failed", "parked")] == ["load_failed", "parked"]
    assert list(site.store.query("SELECT state FROM cells ORDER BY position").state) == ["skipped"] * 2 + ["done"] * 2


def test_a_model_that_is_deleted_meanwhile_is_parked_by_name_and_the_others_go_on(site: Site) -> None:
    def deleted(number: int) -> str | None:
        site.client.load_fault = "http_404" if number == 2 else None
        return "http_404" if number == 2 else None

    site.client.faults = deleted
    start = site.engine.start

    def other_model() -> None:
        site.client.load_fault = None
        start()

    site.engine.start = other_model  # type: ignore[method-assign]
    report = site.run(items=3)
    assert (report.status, report.answered) == ("finished", 4), "one before it was deleted, three of the other model"
    assert [e for e in site.events() if e in ("case_broken_off", "parked")] == ["case_broken_off", "parked"]
    assert "case_broken_off" in report.problems[0]
    states = list(site.store.query("SELECT state FROM cells ORDER BY position").state)
    assert states[3:] == ["done"] * 3
    assert "planned" not in states


def test_items_too_long_for_one_model_leave_the_others_to_be_measured(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    show = site.client.show

    def small(model: str) -> Any:
        return replace(show(model), context_length_trained=64) if model == "n:1b" else show(model)

    monkeypatch.setattr(site.client, "show", small)
    report = site.run(models="mn")
    assert (report.status, report.answered) == ("finished", 1)
    assert "context_too_small" in site.events()
    assert any("num_ctx" in problem for problem in report.problems)
    with pytest.raises(ExperimentError, match="num_ctx"):
        site.run(models="n")


def test_a_context_too_small_for_an_item_is_refused_before_anything_starts(site: Site, tmp_path: Path) -> None:
    nothing = Store(tmp_path / "none.duckdb")
    experiment = trial(models=["m:1b"], loads=["short"], item=ITEMS[:1], generation={"num_ctx": 100})
    with pytest.raises(ExperimentError, match="num_ctx = 100 is too small"):
        run_experiment(nothing, experiment, "trial.toml")
    assert site.engine.starts == 0
    assert not nothing.path.exists()


def test_an_engine_that_is_slow_to_come_back_is_tried_again_by_name(site: Site) -> None:
    site.engine.failures = [2, 3]
    report = site.run()
    assert (report.status, report.answered) == ("finished", 2)
    assert site.events().count("engine_not_ready") == 2


def test_an_engine_that_stays_away_stops_the_call_and_the_next_one_goes_on(site: Site) -> None:
    site.engine.failures = list(range(2, 99))
    report = site.run(loads="short medium")
    assert (report.status, report.answered, report.left) == ("stopped", 1, 3)
    assert site.events().count("engine_not_ready") == 6, "three tries for each of two cases"
    assert report.broken_off == 2
    assert all("qa · " in problem and "does not come back" in problem for problem in report.problems)
    assert print_report(report, site.store) == 1, "a night that ended early is no success"
    site.engine.failures = []
    again = site.run(loads="short medium")
    assert (again.status, again.answered, again.campaign_id) == ("finished", 3, report.campaign_id)
    assert len(site.store.query("SELECT * FROM closures")) == 2


def test_a_disk_that_is_full_for_a_while_costs_no_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_GATHER_S", 0.0)
    site.store.refuse_from, site.store.refusals = 10, 3
    report = site.run(models="m", items=3)
    assert (report.status, report.answered, report.left) == ("finished", 3, 0)
    assert len(site.store.query("SELECT * FROM v_runs_valid")) == 3
    assert {"store_failed", "store_restored"} <= set(site.events())
    assert "the disk is full" in [pick(problem, "en") for problem in report.problems]


def test_a_disk_that_stays_full_loses_nothing_either(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_GATHER_S", 0.0)
    site.store.refuse_from, site.store.refusals = 10, 10**6
    with pytest.raises(StoreUnusable, match="kept in .* stored by the next run"):
        site.run(models="m", items=3)
    site.store.refusals = 0
    report = site.run(models="m", items=3)
    assert (report.status, report.answered, report.left) == ("finished", 0, 0), "all of them were there"
    assert len(site.store.query("SELECT * FROM v_runs_valid")) == 3
    assert "unsaved_restored" in site.events()


def test_a_busy_machine_is_told_before_the_start(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "load_average", lambda: 64.0)
    monkeypatch.setattr("collector.conditions.psutil.cpu_count", lambda logical=True: 8)
    site.run(models="m", minutes=1e-9)
    told = site.store.query("SELECT detail FROM events WHERE name = 'busy_machine'")
    assert pick(told.detail[0], "en") == "load average 64.0 on 8 cores before the start"
    assert "64.0" in pick(told.detail[0], "zh")
    assert site.store.query("SELECT load_average FROM campaigns").load_average[0] == 64.0


def test_the_reference_temperature_of_a_continued_campaign_is_its_own(site: Site) -> None:
    site.run(models="m", minutes=1e-9)
    site.sampler.temperature_c = lambda _s: 71.0
    assert site.run(models="m").status == "finished"
    assert site.store.query("SELECT reference_temperature_c AS c FROM campaigns").c[0] == 40.0
    assert all("not_cooled" in flags for flags in site.store.query("SELECT flags FROM v_runs")["flags"])
