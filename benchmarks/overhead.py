"""What a campaign costs beside the work that it measures, next to the procedure of the experiment guide.

``python -m benchmarks.overhead`` measures a slice of the suite on the embedded engine with a restart before every case, into
a database of its own, and prints one JSON line. Every second of the call belongs to one of these:

* ``engine_work_s``: loads, prefill and decode of every answer, warm-up included, by the engine's own durations (loads by ours);
* ``protocol_waits_s``: what the protocol asks to wait for: idle baselines and their checks (``v_baselines``), the samples
  that close an energy window (at most one period each), tails, cooling and memory (the events that tell of them);
* ``engine_starts_s``: from the old process being ended to the new one being ready;
* ``rating_s``: the program that rates between cases (at most a hundredth of the time) and at the end;
* the rest is ours: stamps, samples, figures, rows.

``overhead`` is (wall time - protocol waits - engine starts) / engine work, ratings included. Target: <= 1.15;
``overhead_with_closing_samples`` counts the waits for samples as ours. Answers are not
scored, which can be done at any time later (``python -m collector score``); with ``--score`` they are at the end,
``scoring_s`` tells how long it took, and ``overhead`` leaves it out.

The guide's procedure is computed from its own code for the same answers: 2 s + 5 s of sleep around every restart, a load for
every answer because every answer has a restart, and a monitor of ``int(30 * 10)`` rounds, each of which sleeps 0.1 s and then
lets psutil measure for 0.1 s, that is joined before the next answer. One such round is timed here, in this run.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from collector import runner
from collector.experiment import Experiment, parse_experiment
from collector.ollama_client import ChatOutcome, ChatRequest, Limits, OllamaClient
from collector.runner import CampaignReport, run_experiment
from collector.session import Session
from collector.telemetry.sampler import Sampler
from db import Store

MODELS = ("pocket-s:f16", "pocket-m:f16", "pocket-l:f16")
_GOAL = 1.15
_GUIDE_SLEEPS_S = 2.0 + 5.0
_GUIDE_ROUNDS = int(30 * 10)


class Clock:
    """Seconds spent in the steps that are watched, and the engine's own account of its work."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self.load_s = self.prefill_s = self.decode_s = self.requests_s = 0.0
        self.requests = self.loads = 0

    @contextmanager
    def watching(self, name: str, place: Any, function: str) -> Iterator[None]:
        """Times every call of ``place.function`` while the block runs; the call itself is the real one."""
        real: Callable[..., Any] = getattr(place, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.monotonic()
            try:
                return real(*args, **kwargs)
            finally:
                self.spent_s[name] = self.spent_s.get(name, 0.0) + time.monotonic() - start
                self.calls[name] = self.calls.get(name, 0) + 1

        with patch.object(place, function, timed):
            yield

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Adds up what the engine says of every request, answers, warm-up and loads."""
        real = OllamaClient.chat

        def counted(client: OllamaClient, request: ChatRequest, limits: Limits) -> ChatOutcome:
            outcome = real(client, request, limits)
            final, seconds = outcome.final or {}, (outcome.end_ns - outcome.sent_ns) / 1e9
            if not request.messages:
                self.loads, self.load_s = self.loads + 1, self.load_s + seconds
            else:
                self.requests, self.requests_s = self.requests + 1, self.requests_s + seconds
                self.prefill_s += final.get("prompt_eval_duration", 0) / 1e9
                self.decode_s += final.get("eval_duration", 0) / 1e9
            return outcome

        with patch.object(OllamaClient, "chat", counted):
            yield


def slice_of(options: argparse.Namespace) -> Experiment:
    """The experiment: some items of every task and load."""
    return parse_experiment({
        "name": "overhead", "engine": "pocket", "models": list(options.models), "restart": "per_case",
        "tasks": options.tasks, "loads": options.loads, "languages": ["en", "zh"], "items_per_cell": options.items,
        "repeats": options.repeats, "generation": {"num_ctx": 2048, "max_output_tokens": {"long": 640}},
        "protocol": {"profile": options.profile},
        "quality": {"when": "end" if options.score else "never"},
    }, "overhead")  # fmt: skip


def waits_s(store: Store, experiment: Experiment, cases: int) -> dict[str, float]:
    """Waits that the protocol asks for, out of the record."""
    idle = store.query("SELECT kind, sum(duration_s) AS s FROM baselines GROUP BY kind ORDER BY kind")
    found = {f"{kind}_s": float(s) for kind, s in zip(idle.kind, idle.s, strict=True)}
    told = store.query(
        r"SELECT coalesce(sum(CAST(regexp_extract(detail, ' in (\d+) s$', 1) AS DOUBLE)), 0) AS s FROM events "
        "WHERE name IN ('cooldown', 'not_cooled', 'gpu_memory_held')"
    )
    return found | {"cooling_and_memory_s": float(told.s[0]), "tails_s": cases * experiment.protocol.value("tail_s")}


def guide_s(clock: Clock, answers: int) -> dict[str, float]:
    """Seconds of the guide's procedure for the same answers on the same engine, by its own code."""
    start = time.monotonic()
    for _ in range(5):
        psutil.cpu_percent(interval=0.1)
        psutil.virtual_memory()
        time.sleep(0.1)
    monitor_s = (time.monotonic() - start) / 5 * _GUIDE_ROUNDS
    answer_s = (clock.requests_s + clock.load_s / clock.loads * answers) / answers
    work_s = clock.prefill_s + clock.decode_s + clock.load_s / clock.loads * answers
    starts_s = clock.spent_s["engine_starts"] / clock.calls["engine_starts"] * answers
    wall_s = answers * (_GUIDE_SLEEPS_S + max(monitor_s, answer_s)) + starts_s
    return {"wall_s": round(wall_s, 1), "monitor_s": round(monitor_s, 1), "wall_per_work": round(wall_s / work_s, 2)}


def measured(experiment: Experiment, store: Store) -> tuple[CampaignReport, Clock, float]:
    """Runs the campaign with every step watched; gives its wall time in seconds."""
    clock = Clock()
    with ExitStack() as watches:
        watches.enter_context(clock.watching("engine_starts", Session, "start_engine"))
        watches.enter_context(clock.watching("scoring", runner, "score"))
        watches.enter_context(clock.watching("rating", runner, "rate"))
        watches.enter_context(clock.watching("writes", runner.Record, "put"))
        watches.enter_context(clock.watching("closing_samples", Sampler, "wait_until"))
        watches.enter_context(clock.counting())
        start = time.monotonic()
        report = run_experiment(store, experiment, "overhead")
        wall_s = time.monotonic() - start
    return report, clock, wall_s


def line(experiment: Experiment, store: Store, report: CampaignReport, clock: Clock, wall_s: float) -> dict[str, Any]:
    """The figures."""
    cases = int(store.query("SELECT count(DISTINCT (model, task, load)) AS n FROM cells").n[0])
    waits = waits_s(store, experiment, cases) | {"closing_samples_s": clock.spent_s["closing_samples"]}
    answers = report.answered + report.failed
    work_s = clock.load_s + clock.prefill_s + clock.decode_s
    spent = clock.spent_s
    net_s = wall_s - sum(waits.values()) - spent["engine_starts"] - spent.get("scoring", 0.0)
    return {
        "benchmark": "overhead", "profile": experiment.protocol.profile, "cases": cases, "answers": answers,
        "failed": report.failed, "wall_s": round(wall_s, 1), "engine_work_s": round(work_s, 1),
        "load_s": round(clock.load_s, 1), "prefill_s": round(clock.prefill_s, 1), "decode_s": round(clock.decode_s, 1),
        "protocol_waits_s": {name: round(value, 1) for name, value in waits.items()},
        "engine_starts_s": round(spent["engine_starts"], 1), "engine_starts": clock.calls["engine_starts"],
        "scoring_s": round(spent["scoring"], 1) if "scoring" in spent else None, "rating_s": round(spent["rating"], 1),
        "ratings": clock.calls["rating"], "writes_s": round(spent["writes"], 1), "writes": clock.calls["writes"],
        "requests_beside_work_s": round(clock.requests_s - clock.prefill_s - clock.decode_s, 1),
        "overhead": round(net_s / work_s, 3), "goal": _GOAL,
        "overhead_with_closing_samples": round((net_s + spent["closing_samples"]) / work_s, 3),
        "rating_s_per_case": round(spent["rating"] / clock.calls["rating"], 2),
        "write_s_per_answer": round(spent["writes"] / max(1, answers), 3),
        "engine_work_s_per_answer": round(work_s / max(1, answers), 3),
        "wall_per_work": round(wall_s / work_s, 2), "guide": guide_s(clock, answers),
        "cores": os.cpu_count(), "load_average": round(psutil.getloadavg()[0], 1), "problems": report.problems,
    }  # fmt: skip


def main() -> None:
    """Prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--tasks", nargs="+", default=["qa"])
    parser.add_argument("--loads", nargs="+", default=["medium", "long"])
    parser.add_argument("--items", type=int, default=5, help="per task, load and language")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", choices=("standard", "quick"), default="quick")
    parser.add_argument("--score", action="store_true", help="score the answers at the end, too")
    experiment = slice_of(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "overhead.duckdb")
        print(json.dumps(line(experiment, store, *measured(experiment, store))))


if __name__ == "__main__":
    main()
