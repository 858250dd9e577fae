"""One case on a machine whose truth is known: what is stored, flagged, measured again, and what it waits for."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from collector import measure
from collector.breaker import Breaker
from collector.case import CaseReport, CaseTools, run_case
from collector.conditions import Conditions
from collector.errors import EngineError
from collector.experiment import Experiment
from collector.plan import Case, Cell
from collector.record import Op, Record
from collector.suite import Item
from collector.telemetry.state import MachineState
from db import Store, effect_of
from db.texts import both
from tests.fakes.bench import Clock, FakeClient, FakeSampler, make_bench, trial

WORDS = "Explain in two sentences why a pot with a lid boils sooner than one without it, and what that saves."


def _item(number: int, prompt: str = WORDS) -> Item:
    table = {"id": f"own-{number}", "task": "qa", "load": "short", "language": "en", "prompt": f"{prompt} ({number})"}
    return Item.from_table(table, "test")


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("case") / "store.duckdb")
    store.ensure()
    return store.path


@dataclass
class Lab:
    """Clock, machine, engine and store of one test."""

    clock: Clock
    sampler: FakeSampler
    client: FakeClient
    store: Store
    restarts: int = 0
    bench: Any = None
    prompts: Sequence[str] = (WORDS,)

    def __post_init__(self) -> None:
        self.record = Record(self.store, self.store.path.parent, campaign_id="c1")
        self._set_up()

    def _set_up(self) -> None:
        self.conditions = Conditions(self.record)
        self.breaker = Breaker(3)

    def run(self, experiment: Experiment, items: int = 2, *, fresh: bool = True, deadline: float | None = None) -> CaseReport:
        cells = [Cell(_item(n, self.prompts[n % len(self.prompts)]), r, 42 + r) for n in range(items) for r in range(experiment.repeats)]
        self.bench = make_bench(self.clock, self.sampler, self.client, experiment)
        if self.conditions.reference_c is None:
            self.conditions.begin(self.sampler, "c1", None)  # type: ignore[arg-type]
        tools = CaseTools(lambda: self.bench, self._restart, self.record, self.conditions, self.breaker, lambda _a, _again: None)
        case = Case(experiment.models[0], "qa", "short", tuple(cells))
        return run_case(tools, case, [(cell, 0) for cell in cells], environment={}, deadline=deadline,
                        source="trial.toml", fresh=fresh)  # fmt: skip

    def _restart(self) -> None:
        self.restarts += 1
        self.client.loaded = False

    def runs(self) -> Any:
        return self.store.query("SELECT * FROM v_runs ORDER BY started_at")

    def flags(self) -> list[set[str]]:
        return [set(text.split(",")) - {""} for text in self.runs()["flags"]]

    def events(self) -> list[str]:
        return list(self.store.query('SELECT name FROM events ORDER BY "at"').name)


class Pages(Record):
    """The record as a list: what would be written."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.campaign_id = "c1"

    def put(self, *ops: Op) -> None:
        self.ops += ops


@dataclass
class Desk(Lab):
    """A lab without a database, for what is seen in the rows themselves."""

    store: Any = field(default=None)

    def __post_init__(self) -> None:
        self.record = Pages()
        self._set_up()

    def rows(self, table: str) -> list[Any]:
        return [row for op in self.record.ops if op.table == table and op.verb == "insert" for row in op.rows]

    def runs(self) -> list[Any]:
        return self.rows("runs")

    def flags(self) -> list[set[str]]:
        return [set(run["flags"]) for run in self.runs()]

    def events(self) -> list[str]:
        return [row["name"] for row in self.rows("events")]

    def valid(self) -> int:
        return sum(run["status"] == "ok" and all(effect_of(f) != "left_out" for f in run["flags"]) for run in self.runs())


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    clock = Clock()
    clock.install(monkeypatch)
    for name in ("collector.measure", "collector.loading", "collector.conditions"):
        monkeypatch.setattr(f"{name}.foreign_gpu_pids", lambda *_a, **_k: [])
    sampler = FakeSampler(clock)
    return Desk(clock, sampler, FakeClient(clock, sampler))


@pytest.fixture
def lab(desk: Desk, tmp_path: Path, empty_file: Path) -> Lab:
    return Lab(desk.clock, desk.sampler, desk.client, Store(shutil.copy(empty_file, tmp_path)))


def test_a_quiet_case_has_no_flags_and_the_true_energy(lab: Lab) -> None:
    report = lab.run(trial())
    assert (report.answered, report.failed, report.left, report.stopped) == (4, 0, 0, None)
    runs = lab.runs()
    assert lab.flags() == [set()] * 4
    assert list(runs.energy_j) == pytest.approx([600.0] * 4, rel=0.01)
    assert list(runs.energy_net_j) == pytest.approx([600.0 - 2 * 80.0] * 4, rel=0.01)
    assert set(runs.cache_state) == {"unique_prefix"}
    assert runs.batch_id.isna().all()
    assert set(runs.baseline_power_w.round(3)) == {80.0}
    assert len(lab.store.query("SELECT * FROM v_runs_valid")) == 4


def test_load_and_idle_power_are_stored_for_the_question_keep_or_unload(lab: Lab) -> None:
    lab.run(trial())
    loads = lab.store.query("SELECT * FROM v_model_loads")
    assert len(loads) == 1
    load = loads.iloc[0]
    assert (load.cause, load.model, load.energy_tier, load.energy_scope) == ("case", "m:1b", "counter", "gpu")
    assert load.load_s == pytest.approx(4.0)
    assert load.energy_j == pytest.approx(1200.0, rel=0.01)
    assert load.energy_net_j == pytest.approx(1200.0 - 4 * 60.0, rel=0.01)
    assert load.energy_low_j < load.energy_j < load.energy_high_j
    assert (load.unloaded_idle_power_w, load.loaded_idle_power_w) == (pytest.approx(60.0), pytest.approx(80.0))
    assert load.holding_power_w == pytest.approx(20.0)
    assert (load.memory_bytes, load.vram_bytes) == (1000, 1000)
    kinds = lab.store.query("SELECT kind, power_w, configuration_id FROM baselines ORDER BY measured_at")
    assert list(kinds.kind) == ["unloaded", "loaded"]
    assert kinds.configuration_id.isna().tolist() == [True, False]


def test_the_books_close(lab: Lab) -> None:
    lab.run(trial(protocol={"spot_every": 2}))
    row = lab.bench.ledger.close(lab.clock.ns, "c1")
    assert abs(row["mismatch"]) < 0.01
    assert row["reason"] is None
    runs = lab.store.query("SELECT sum(energy_j) AS e FROM runs").e[0]
    assert row["runs_j"] == pytest.approx(runs)
    assert row["total_j"] == pytest.approx(row["runs_j"] + row["loads_j"] + row["baselines_j"] + row["between_j"], rel=0.01)


def test_a_baseline_that_drifts_is_measured_again_and_the_answers_since_are_flagged(lab: Lab) -> None:
    def later(number: int, _request: object) -> dict[str, Any]:
        if number == 4:  # the warm-up is number 0
            lab.sampler.levels = [(s, w + (25.0 if w < 100 and s >= lab.clock.ns else 0.0)) for s, w in lab.sampler.levels]
            original = lab.sampler.power
            lab.sampler.power = lambda watts: original(watts + 25.0 if watts < 100 else watts)  # type: ignore[method-assign]
        return {}

    lab.client.figures = later
    lab.run(trial(protocol={"spot_every": 2}), items=3)
    assert [("baseline_drift" in flags) for flags in lab.flags()] == [False, False, True, True, False, False]
    rows = lab.store.query("SELECT kind, power_w, drift FROM baselines ORDER BY measured_at")
    assert list(rows.kind) == ["unloaded", "loaded", "spot", "spot", "loaded", "spot"]
    assert list(rows.power_w.round()) == [60, 80, 80, 105, 105, 105]
    assert rows.drift[3] == pytest.approx(25 / 80, rel=0.01)
    assert list(lab.runs().baseline_power_w.round()) == [80, 80, 80, 80, 105, 105]
    assert "baseline_drift" in lab.events()
    assert len(lab.store.query("SELECT * FROM v_runs_valid")) == 6, "shown only"


def test_a_baseline_that_is_not_steady_is_measured_again(desk: Desk) -> None:
    """Threads that go on spinning for a while after the warm-up."""
    original, spinning = desk.sampler.power, iter([True])

    def power(watts: float) -> None:
        original(watts)
        if watts == 80.0 and len(desk.client.asked) == 1 and next(spinning, False):  # after the warm-up
            desk.sampler.levels.append((desk.clock.ns + 3_000_000_000, 80.0))
            desk.sampler.levels[-2] = (desk.clock.ns, 300.0)

    desk.sampler.power = power  # type: ignore[method-assign]
    desk.run(trial(repeats=1), items=1)
    loaded = [row["power_w"] for row in desk.rows("baselines") if row["kind"] == "loaded"]
    assert len(loaded) == 2
    assert loaded[0] > 150.0
    assert loaded[1] == pytest.approx(80.0)
    assert [run["baseline_power_w"] for run in desk.runs()] == [pytest.approx(80.0)]


def test_repeats_of_an_item_share_one_window_by_time(lab: Lab) -> None:
    lab.client.answer_s = 0.5
    report = lab.run(trial(repeats=5, protocol={"batch_s": 1.2}))
    assert report.answered == 10
    runs = lab.runs()
    assert list(runs.batch_size) == [3, 3, 3, 2, 2, 3, 3, 3, 2, 2]
    assert runs.batch_id.nunique() == 4
    assert (runs.groupby("batch_id").item.nunique() == 1).all()
    assert lab.flags() == [{"batched"}] * 10
    assert list(runs.energy_j) == pytest.approx([150.0] * 10, rel=0.02)
    assert set(runs.energy_tier) == {"counter"}
    assert runs.energy_prefill_j.isna().all()
    width = (runs.energy_high_j - runs.energy_low_j) / runs.energy_j
    assert width.groupby(runs.batch_id).nunique().eq(1).all() or width.std() < 1e-6
    assert len({request.messages[0]["content"] for request in lab.client.asked}) == len(lab.client.asked), "own nonces"
    assert sorted(set(runs.seed)) == [42, 43, 44, 45, 46]
    row = lab.bench.ledger.close(lab.clock.ns, "c1")
    assert row["runs_j"] == pytest.approx(runs.energy_j.sum())
    assert abs(row["mismatch"]) < 0.01


def test_a_fault_ends_a_batch_and_its_cell_is_tried_again(lab: Lab) -> None:
    lab.client.faults = lambda n: "error_line" if n == 2 else None
    report = lab.run(trial(repeats=3, protocol={"batch_s": 60.0}), items=1)
    assert (report.answered, report.faults) == (3, ["error_line"])
    runs = lab.runs()
    assert list(runs.status) == ["ok", "fault", "ok", "ok"]
    assert runs.batch_size.isna().tolist() == [True, True, False, False]
    assert list(runs.attempt) == [1, 1, 1, 2]
    assert runs.energy_j.notna().all()


FLAGGED: dict[str, Any] = {
    "throttled": lambda desk: setattr(desk.sampler, "throttled_s", lambda s: max(0.0, s - 1010.0)),
    "undersampled": lambda desk: setattr(desk.sampler, "missing", lambda s: s > 1010 and s % 1 > 0.2),
    "counter_mismatch": lambda desk: setattr(desk.sampler, "power_gain", 0.9),
    "client_lag": lambda desk: setattr(desk.client, "lag_s", 0.02),
    "cpu_spill": lambda desk: setattr(desk.client, "placement", (4096, 1000, 700)),
    "context_lowered": lambda desk: setattr(desk.client, "placement", (2048, 1000, 1000)),
    "context_shifted": lambda desk: setattr(desk.client, "figures", lambda _n, _r: {"eval_count": 4090}),
    "queued": lambda desk: setattr(desk.client, "figures", lambda _n, _r: {"total_duration": 4_000_000_000}),
    "reloaded": lambda desk: setattr(desk.client, "figures", lambda _n, _r: {"load_duration": 900_000_000}),
    "busy_machine": lambda desk: setattr(desk.sampler, "cpu_percent", 100.0),
    "not_resolvable": lambda desk: setattr(desk.client, "answer_s", 0.03),
    "sampler_died": lambda desk: setattr(desk.sampler, "alive", False),
}  # fmt: skip


@pytest.mark.parametrize("flag", FLAGGED)
def test_what_spoils_an_answer_is_flagged_by_name(desk: Desk, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.os, "cpu_count", lambda: 8)
    if flag == "sampler_died":
        desk.sampler.restart = lambda: []  # type: ignore[method-assign]
    FLAGGED[flag](desk)
    desk.run(trial(repeats=1), items=1)
    assert all(flag in flags for flags in desk.flags())
    left_out = effect_of(flag) == "left_out"
    again = left_out and flag != "context_lowered"
    assert [run["attempt"] for run in desk.runs()] == ([1, 2, 3] if again else [1]), "measured again at most twice"
    assert desk.valid() == (0 if left_out else 1)


def test_more_attempts_are_for_faults_and_not_for_flags(desk: Desk) -> None:
    desk.sampler.alive = False
    desk.sampler.restart = lambda: []  # type: ignore[method-assign]
    desk.run(trial(repeats=1, protocol={"attempts": 5}), items=1)
    assert [run["attempt"] for run in desk.runs()] == [1, 2, 3]
    desk.sampler.alive = True
    desk.client.faults = lambda n: "error_line" if n else None
    desk.run(trial(repeats=1, protocol={"attempts": 5}), items=1)
    assert [run["attempt"] for run in desk.runs()[3:]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("flag", "after"),
    [("clock_jump", {"wall_offset_s": 1005.0}), ("swap", {"swapped_bytes": 4096}), ("battery", {"on_battery": True})],
)
def test_the_state_of_the_machine_is_flagged(
    desk: Desk, flag: str, after: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = MachineState(1000.0, None, 0)
    states = iter([quiet, replace(quiet, **after)] + [quiet] * 99)
    monkeypatch.setattr(measure, "machine_state", lambda: next(states))
    desk.run(trial(repeats=1), items=1)
    assert [flag in flags for flags in desk.flags()] == [True, False], "once, and the second attempt counts"
    assert desk.valid() == 1


def test_another_program_on_the_gpu_is_flagged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.measure.foreign_gpu_pids", lambda *_a, **_k: [4711])
    monkeypatch.setattr("collector.conditions.foreign_gpu_pids", lambda *_a, **_k: [2**22 + 1])
    desk.run(trial(repeats=1), items=1)
    assert all("foreign_gpu_process" in flags for flags in desk.flags())
    assert [row["detail"] for row in desk.rows("events") if row["name"] == "foreign_gpu_process"] == [f"PID {2**22 + 1}"]


def test_processes_that_came_with_our_load_and_cannot_be_seen_are_ours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the driver counts in the host's process ids."""
    unseen = 2**22 + 7

    def users(_roots: object, library: object = None, known: Any = ()) -> list[int]:
        return [unseen] if desk.client.loaded and unseen not in known else []

    for name in ("collector.measure", "collector.loading"):
        monkeypatch.setattr(f"{name}.foreign_gpu_pids", users)
    desk.run(trial(repeats=1), items=1)
    assert desk.flags() == [set()]


def test_a_drifting_temperature_is_cooled_down_before_the_next_attempt(desk: Desk) -> None:
    hot_from = desk.clock.monotonic() + 4 + 3.2 + 4 + 2 + 2.5  # in the second answer's first half

    desk.sampler.temperature_c = lambda s: 40.0 if s < hot_from else max(40.0, 70.0 - (s - hot_from) * 2)
    desk.run(trial(repeats=4, protocol={"cooldown_s": 60.0}), items=1)
    drifted = ["temperature_drift" in flags for flags in desk.flags()]
    assert drifted.count(True) == 1
    assert drifted[-1] is False
    assert desk.valid() == 4
    assert desk.runs()[-1]["start_temperature_c"] <= 43.5


def test_a_hot_gpu_is_waited_for_and_flagged_when_it_stays_hot(desk: Desk) -> None:
    desk.run(trial(repeats=1), items=1)
    desk.client.loaded = False
    start = desk.clock.monotonic()
    desk.sampler.temperature_c = lambda s: max(40.0, 60.0 - (s - start))
    desk.run(trial(repeats=1, protocol={"cooldown_s": 60.0}), items=1)
    assert desk.flags() == [set(), set()]
    assert "cooldown" in desk.events()
    desk.client.loaded = False
    desk.sampler.temperature_c = lambda _s: 75.0
    desk.run(trial(repeats=1, protocol={"cooldown_s": 5.0}), items=1)
    assert desk.flags()[-1] == {"not_cooled"}
    assert "not_cooled" in desk.events()


def test_gpu_memory_is_waited_for_and_flagged_when_it_is_held(desk: Desk) -> None:
    desk.run(trial(repeats=1), items=1)
    start = desk.clock.monotonic()
    desk.client.loaded = False
    desk.sampler.vram_bytes = lambda s: (9 << 30) if s < start + 3 else (1 << 30)
    desk.run(trial(repeats=1), items=1)
    assert desk.flags()[-1] == set()
    desk.client.loaded = False
    desk.sampler.vram_bytes = lambda _s: 9 << 30
    desk.run(trial(repeats=1, protocol={"memory_wait_s": 5.0}), items=1)
    assert desk.flags()[-1] == {"gpu_memory_held"}
    assert [row["detail"] for row in desk.rows("events") if row["name"] == "gpu_memory_held"] == ["9.0 → 9.0 GiB, 5 s"]
    before = desk.clock.monotonic()
    desk.run(trial(repeats=1, protocol={"memory_wait_s": 500.0}), items=1, fresh=False)
    assert desk.clock.monotonic() - before < 100, "a model that may stay needs no free memory"


def test_no_temperature_is_skipped_with_a_reason(desk: Desk) -> None:
    desk.sampler.temperature_c = lambda _s: None
    desk.run(trial(repeats=1), items=1)
    assert [row["detail"] for row in desk.rows("events")] == [both("no sensor gives a temperature", "没有传感器提供温度")]
    assert desk.flags() == [set()]


def test_a_model_that_never_answers_is_parked_and_its_cells_stay_planned(desk: Desk) -> None:
    desk.client.faults = lambda n: "error_line" if n else None
    report = desk.run(trial(repeats=5), items=2)
    assert (report.stopped, report.failed, report.left) == ("faults", 3, 7)
    assert len(desk.runs()) == 9, "three attempts at each of three cells"
    assert desk.restarts == 0
    assert desk.breaker.parked(trial().models[0].tag + "{}")


def test_an_engine_that_does_not_come_back_ends_the_case_and_keeps_what_was_measured(desk: Desk) -> None:
    def refuse() -> None:
        raise EngineError("it does not start", "无法启动")

    desk._restart = refuse  # type: ignore[method-assign]
    desk.client.faults = lambda n: "hang_first_token" if n == 2 else None
    report = desk.run(trial(repeats=4), items=1)
    assert (report.stopped, report.answered, report.faults) == ("engine", 1, ["hang_first_token"])
    assert [run["status"] for run in desk.runs()] == ["ok", "fault"]
    assert "case_broken_off" in desk.events()


def test_after_a_hang_the_engine_is_restarted_and_the_reload_is_on_record(desk: Desk) -> None:
    desk.client.faults = lambda n: "hang_first_token" if n == 1 else None
    report = desk.run(trial(repeats=2), items=1)
    assert (report.answered, report.failed, desk.restarts) == (2, 0, 1)
    assert [row["cause"] for row in desk.rows("model_loads")] == ["case", "fault"]
    assert [run["cache_state"] for run in desk.runs()] == ["unique_prefix", "cold", "unique_prefix"]


def test_ctrl_c_is_stored_and_goes_on_its_way(desk: Desk) -> None:
    desk.client.faults = lambda n: "aborted" if n == 2 else None
    with pytest.raises(KeyboardInterrupt):
        desk.run(trial(repeats=4), items=1)
    assert [run["status"] for run in desk.runs()] == ["ok", "aborted"]


def test_a_time_limit_begins_no_further_answer(desk: Desk) -> None:
    report = desk.run(trial(repeats=4), items=1, deadline=desk.clock.monotonic() + 16)
    assert (report.stopped, report.left) == ("time", 4 - report.answered)
    assert 0 < report.answered < 4


def test_warm_up_goes_on_until_the_rate_is_stable(desk: Desk) -> None:
    slow = {0: 4.0, 1: 3.0, 2: 2.0}
    desk.client.figures = lambda n, _r: {"eval_duration": round(slow.get(n, 1.58) * 1e9)}
    desk.run(trial(repeats=1, protocol={"warmup_min": 2, "warmup_max": 10}), items=1)
    assert len(desk.client.asked) == 6 + 1, "three that differ, three alike, one answer"


@pytest.mark.parametrize(("fault", "restarts"), [("error_line", 0), ("hang_first_token", 1)])
def test_a_fault_in_the_warm_up_is_on_record_and_the_engine_put_right(desk: Desk, fault: str, restarts: int) -> None:
    desk.client.faults = lambda n: fault if n == 0 else None
    report = desk.run(trial(repeats=1), items=1)
    assert (report.answered, report.failed, report.faults, desk.restarts) == (1, 0, [fault], restarts)
    assert [(row["kind"], row["detail"]) for row in desk.rows("events")] == [("fault", "own-0, warm-up: as written")]
    assert [run["cache_state"] for run in desk.runs()] == ["unique_prefix"], "warmed up all the same"


def test_a_warm_up_that_never_succeeds_leaves_the_word_to_the_answers(desk: Desk) -> None:
    desk.client.faults = lambda n: "error_line" if n < 3 else None
    report = desk.run(trial(repeats=1, protocol={"warmup_min": 5, "warmup_max": 10}), items=1)
    assert (report.answered, desk.events()) == (1, ["error_line"] * 3)
    assert [run["cache_state"] for run in desk.runs()] == ["cold"]


def test_a_load_is_on_record_also_where_the_server_still_lists_the_killed_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.client.faults = lambda n: "error_line" if n == 1 else None
    families = iter([{1}, {1, 2}, {1, 3}])  # before the first load, before and after the second: server and runner
    monkeypatch.setattr("collector.loading.family_pids", lambda _roots: next(families))
    desk.run(trial(repeats=2), items=1)
    assert [row["cause"] for row in desk.rows("model_loads")] == ["case", "fault"]
    assert [run["cache_state"] for run in desk.runs()] == ["unique_prefix", "cold", "unique_prefix"]


def test_a_model_that_cannot_be_loaded_is_told(desk: Desk) -> None:
    desk.client.load_fault = "http_500"
    with pytest.raises(EngineError, match="m:1b could not be loaded: as written"):
        desk.run(trial())


def test_a_load_that_failed_is_tried_again_with_a_new_process(desk: Desk) -> None:
    desk.client.load_fault = "http_500"
    restart = desk._restart

    def mend() -> None:
        restart()
        desk.client.load_fault = "hang_first_token" if desk.restarts == 1 else None

    desk._restart = mend  # type: ignore[method-assign]
    report = desk.run(trial(repeats=1), items=1)
    assert (report.answered, desk.restarts, desk.events()) == (1, 2, ["http_500", "hang_first_token"])
    assert [row["cause"] for row in desk.rows("model_loads")] == ["case"]


@pytest.mark.parametrize(("fault", "restarts"), [("http_500", 2), ("http_404", 0)])
def test_a_load_that_goes_on_failing_is_given_up(desk: Desk, fault: str, restarts: int) -> None:
    desk.client.load_fault = fault
    with pytest.raises(EngineError):
        desk.run(trial())
    assert (desk.restarts, desk.events()) == (restarts, [fault] * restarts), "the last one is told by whoever called"


def test_a_prompt_that_the_server_cut_is_flagged_even_where_it_came_first(desk: Desk) -> None:
    """A real server keeps half of the context: 202 of 400."""

    def figures(_number: int, request: Any) -> dict[str, Any]:
        words = len(str(request.messages[0]["content"]).split())
        return {"prompt_eval_count": 202 if words > 100 else 2 * words}

    desk.client.figures, desk.client.placement = figures, (400, 1000, 1000)
    experiment = trial(generation={"num_ctx": 400, "max_output_tokens": {"short": 40}})
    desk.prompts = [" ".join(f"word{n}" for n in range(150)), "What is energy?"]
    desk.run(experiment)
    late = [row["run_ids"] for op in desk.record.ops if op.verb == "flag" for row in op.rows]
    cut = {run["run_id"] for run in desk.runs() if "prompt_truncated" in run["flags"]} | set(sum(late, []))
    assert cut == {run["run_id"] for run in desk.runs() if run["item"] == "own-0"}
    assert [run["attempt"] for run in desk.runs()] == [1] * 4, "it would be cut again"
