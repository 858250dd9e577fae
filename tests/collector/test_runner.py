"""A whole campaign against a real server process: measured, interrupted, continued, and living with every fault."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from collector import runner
from collector.errors import Busy, ModelMissing
from collector.experiment import Experiment, parse_experiment
from collector.hostlock import measuring_alone
from collector.runner import run_experiment
from db import Store
from tests.fakes.pocket_server import ROOT, pocket_process, tiny_models

ITEMS = [
    {"id": f"own-{n}", "task": "qa", "load": "short", "language": "en", "prompt": f"What is energy? ({n})",
     "references": ["Energy is the ability to do work."], "answers": ["work"]}
    for n in range(3)
]  # fmt: skip
LIMITS = {"first_token_timeout_s": 2.0, "stall_timeout_s": 2.0, "answer_timeout_s": 4.0}
QUICK = {"profile": "quick", "warmup_min": 0, "warmup_max": 0, "baseline_s": 0.0, "tail_s": 0.0, **LIMITS}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and logs of the test lie in its own folder."""
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "state"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.duckdb")


FAULTS = {
    "cut": "connection_lost", "silent_end": "no_final_chunk", "error_line": "error_line", "malformed": "malformed_line",
    "long_line": "line_too_long", "bad_utf8": "invalid_utf8", "no_counts": "counts_missing",
    "wrong_counts": "counts_wrong", "hang_first": "hang_first_token", "hang_mid": "hang_mid_stream",
    "status_404": "http_404", "status_400": "http_400", "status_500": "http_500", "status_503": "http_503",
    "drip": "deadline",
}  # fmt: skip


def _quick(fault: str) -> Any:
    return {"fault": "drip", "delay_s": 1.0} if fault == "drip" else fault


def _kill_when_generating(store: Store) -> None:
    """Kills the engine's process once, while it answers."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if store.state() == "current" and not store.query("SELECT 1 FROM v_runs").empty:
            break
        time.sleep(0.05)
    for process in psutil.Process().children(recursive=True):
        if "collector.pocket.server" in " ".join(process.cmdline()):
            time.sleep(0.3)
            process.kill()
            return


def _experiment(url: str, **more: Any) -> Experiment:
    items = more.pop("item", ITEMS)
    settings = {
        "name": "trial", "models": ["tiny:f16"], "engine": {"kind": "ollama", "host": url, "way": "attached"},
        "repeats": 1, "languages": ["en"], "item": items, "items_per_cell": None, "generation": {"num_ctx": 1024, "max_output_tokens": {"short": 40}},
        "protocol": QUICK, "quality": {"when": "never"}, **more,
    }  # fmt: skip
    return parse_experiment({k: v for k, v in settings.items() if v is not None}, "trial.toml")


@pytest.fixture
def only_own_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped questions are left out, so that a campaign has three cells."""
    from collector import plan
    from collector.suite import Suite

    monkeypatch.setattr(plan, "load_suite", lambda paths=None: Suite())
    return


@pytest.mark.usefixtures("only_own_items")
class TestCampaign:
    def test_every_cell_is_measured_and_stored_with_its_figures(self, store: Store) -> None:
        with pocket_process() as (url, _):
            report = run_experiment(store, _experiment(url, repeats=2), "trial.toml")
        assert (report.status, report.answered, report.failed, report.left) == ("finished", 6, 0, 0)
        runs = store.query("SELECT * FROM v_runs")
        assert len(runs) == 6
        assert set(runs.status) == {"ok"}
        assert set(runs.output_tokens) == {11}, "ten pieces and the end token"
        assert (runs.energy_j > 0).all()
        assert set(runs.energy_tier) == {"estimated"}
        assert (runs.energy_low_j <= runs.energy_j).all()
        assert (runs.energy_high_j >= runs.energy_j).all()
        assert (runs.ttft_s <= runs.total_s).all()
        assert runs.prompt.str.match(r"^\[[0-9a-f]{8}\]\n").all()
        assert set(runs.quality_reason) == {"not_scored_yet"}
        assert not store.query("SELECT * FROM v_samples").empty
        assert set(store.query("SELECT state FROM cells").state) == {"done"}
        raw = store.query("SELECT server_raw, output_tokens, prompt_tokens, server_total_s FROM runs")
        for row in raw.itertuples():
            sent = json.loads(row.server_raw)
            assert (sent["eval_count"], sent["prompt_eval_count"]) == (row.output_tokens, row.prompt_tokens)
            assert sent["total_duration"] / 1e9 == pytest.approx(row.server_total_s)

    def test_per_run_starts_the_engine_anew_before_every_answer(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POCKET_MODELS", str(tiny_models()["tiny:f16"].parent))
        experiment = _experiment("", engine={"kind": "pocket"}, restart="per_run")
        assert run_experiment(store, experiment, "trial.toml").status == "finished"
        assert len(store.query("SELECT * FROM v_runs_valid")) == 3
        assert list(store.query("SELECT count(*) AS n FROM events WHERE kind = 'restart'").n) == [2]

    def test_a_finished_campaign_is_reported_and_begun_again_only_when_asked(self, store: Store) -> None:
        with pocket_process() as (url, _):
            experiment = _experiment(url)
            first = run_experiment(store, experiment, "trial.toml")
            second = run_experiment(store, experiment, "trial.toml")
            third = run_experiment(store, experiment, "trial.toml", again=True)
        assert second.status == "already_finished"
        assert second.campaign_id == first.campaign_id
        assert third.status == "finished"
        assert third.campaign_id != first.campaign_id

    def test_a_time_limit_leaves_cells_that_the_next_call_measures(self, store: Store) -> None:
        with pocket_process() as (url, _):
            experiment = _experiment(url)
            first = run_experiment(store, experiment, "trial.toml", minutes=1e-9)
            second = run_experiment(store, experiment, "trial.toml")
        assert (first.status, first.left) == ("stopped", 3)
        assert (second.status, second.answered) == ("finished", 3)
        assert first.campaign_id == second.campaign_id

    def test_every_fault_is_named_retried_as_a_new_attempt_and_the_campaign_goes_on(self, store: Store) -> None:
        # an answer that comes between two faults keeps the model from being parked
        script = [entry for fault in FAULTS for entry in (_quick(fault), "ok")]
        items = [{**ITEMS[0], "id": f"own-{n}", "prompt": f"What is energy? ({n})"} for n in range(len(FAULTS))]
        with pocket_process(faults=script) as (url, _):
            report = run_experiment(store, _experiment(url, item=items), "trial.toml")
        assert (report.status, report.answered, report.failed) == ("finished", len(FAULTS), 0)
        runs = store.query("SELECT item, attempt, status, flags, fault FROM v_runs ORDER BY started_at")
        assert list(runs.status) == ["fault", "ok"] * len(FAULTS)
        assert list(runs.attempt) == [1, 2] * len(FAULTS)
        for name, run in zip(FAULTS.values(), runs[runs.status == "fault"].itertuples(), strict=True):
            assert run.fault == name
            assert name in run.flags.split(",")
        assert len(store.query("SELECT * FROM v_runs_valid")) == len(FAULTS)
        told = store.query("SELECT name FROM events WHERE kind = 'fault'")
        assert set(told.name) == set(FAULTS.values())

    def test_a_crash_is_named_and_the_engine_started_again(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Our own child: its process ends in mid-answer."""
        monkeypatch.setattr(runner, "_GATHER_S", 0.0)  # the first row tells that it answers
        monkeypatch.setenv("POCKET_MODELS", str(tiny_models()["tiny:f16"].parent))
        settings = {"kind": "pocket"}
        experiment = _experiment("", engine=settings, models=["loop:f16"], repeats=2)
        killer = threading.Thread(target=_kill_when_generating, args=(store,), daemon=True)
        killer.start()
        report = run_experiment(store, experiment, "trial.toml")
        killer.join()
        assert report.status == "finished"
        assert report.answered == 6
        runs = store.query("SELECT fault, status FROM v_runs WHERE fault IS NOT NULL")
        assert list(runs.fault) == ["engine_crashed"]

    def test_a_model_that_keeps_failing_is_parked_and_the_others_go_on(self, store: Store) -> None:
        with pocket_process(faults=["error_line"] * 9) as (url, _):
            experiment = _experiment(url, models=["loop:f16", "tiny:f16"])
            report = run_experiment(store, experiment, "trial.toml")
        assert report.answered == 3
        assert any("loop:f16" in p and "error_line" in p for p in report.problems)
        answered = store.query("SELECT DISTINCT model FROM v_runs WHERE status = 'ok'")
        assert list(answered.model) == ["tiny:f16"]

    def test_a_missing_model_is_named_with_the_cure_before_anything_is_written(self, store: Store) -> None:
        with pocket_process() as (url, _), pytest.raises(ModelMissing, match=r"nope:1b.*collector pull trial\.toml"):
            run_experiment(store, _experiment(url, models=["nope:1b"]), "trial.toml")
        assert store.state() == "missing"

    def test_two_campaigns_at_once_are_refused(self, store: Store) -> None:
        with pocket_process() as (url, _), measuring_alone(), pytest.raises(Busy):
            run_experiment(store, _experiment(url), "trial.toml")


def _write(path: Path, url: str) -> Path:
    items = "".join(
        f'[[item]]\nid = "{i["id"]}"\ntask = "qa"\nload = "short"\nlanguage = "en"\nprompt = "{i["prompt"]}"\n'
        for i in ITEMS
    )
    path.write_text(
        f'models = ["loop:f16"]\nrepeats = 1\nlanguages = ["en"]\n[engine]\nkind = "ollama"\nhost = "{url}"\nway = "attached"\n'
        '[generation]\nnum_ctx = 2000\nmax_output_tokens = { short = 1500 }\n'
        '[protocol]\nprofile = "quick"\nwarmup_min = 0\nwarmup_max = 0\nbaseline_s = 0\nunloaded_s = 0\ntail_s = 0\n[quality]\nwhen = "never"\n' + items
    )  # fmt: skip
    return path


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to one process is a POSIX matter")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stores_the_answer_as_aborted_and_ends_with_130(
    tmp_path: Path, store: Store, number: signal.Signals
) -> None:
    if number is signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("started in the background: the shell has Ctrl-C ignored, and every child inherits that")
    with pocket_process() as (url, server):
        command = [
            sys.executable,
            "-m",
            "collector",
            "run",
            str(_write(tmp_path / "long.toml", url)),
            "--db",
            str(store.path),
        ]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            limit = time.monotonic() + 60
            while time.monotonic() < limit and process.poll() is None:
                if store.state() == "current" and not store.query("SELECT 1 FROM model_loads").empty:
                    break
                time.sleep(0.1)
            # the model is loaded; when the server computes again, it is the answer
            before = _cpu_s(server.pid)
            while time.monotonic() < limit and process.poll() is None and _cpu_s(server.pid) < before + 0.3:
                time.sleep(0.02)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    runs = store.query("SELECT status FROM v_runs")
    assert set(runs.status) <= {"ok", "aborted"}
    assert "aborted" in set(runs.status)
    assert list(store.query("SELECT status FROM campaigns").status) == ["stopped"]
