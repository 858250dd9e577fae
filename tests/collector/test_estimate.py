"""What a plan foretells of time and of answers too short for the sensors."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.estimate import estimate
from collector.experiment import Experiment, parse_experiment
from db import Store
from tests.db.db_rows import campaign, configuration, run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("plan") / "store.duckdb")
    store.ensure()
    with store.write() as writer:
        writer.insert("campaigns", [campaign("c1")])
        writer.insert("configurations", [configuration("k1", model="pocket-s:f16"), configuration("k2", model="pocket-m:f16")])
        writer.insert("runs", [
            *(run(n, total_s=0.4, flags=["not_resolvable"] if n else []) for n in range(4)),
            run(8, total_s=60.0, flags=["batched", "not_resolvable"], batch_id="b"),
            run(9, total_s=7.0, configuration_id="k2"),
        ])  # fmt: skip
    return store


def _experiment(**more: object) -> Experiment:
    tables = {"models": ["pocket-s:f16", "pocket-m:f16", "pocket-l:f16"], "engine": "pocket", "repeats": 5, **more}
    return parse_experiment(tables, "x.toml")


def _notes(store: Store, **more: object) -> list[str]:
    return [note for note in estimate(_experiment(**more), "x.toml", store).notes if "resolve" in note]


def test_what_is_expected_not_to_be_resolvable_is_told_with_the_batch_that_helps(store: Store) -> None:
    found = estimate(_experiment(), "x.toml", store)
    assert [(case.model, case.resolvable) for case in found.cases] == [
        ("pocket-s:f16", False), ("pocket-m:f16", True), ("pocket-l:f16", None),
    ]  # fmt: skip
    assert _notes(store) == [
        "pocket-s:f16 · qa · short: answers of about 0.40 s are too short to resolve their energy within 10 %; "
        "set batch_s = 5 in [protocol] and repeats = 13 to measure repeats back to back"
    ]
    assert "and repeats" not in _notes(store, repeats=13)[0]
    assert "batches of 5 will do" in _notes(store, protocol={"batch_s": 2.0})[0]
    assert "set repeats = 8" in _notes(store, protocol={"batch_s": 3.2})[0]


def test_the_protocol_s_waits_are_part_of_the_time(store: Store) -> None:
    bare = {"baseline_s": 0.0, "tail_s": 0.0}
    plain, checked = (
        estimate(_experiment(repeats=1, protocol=p), "x.toml", store).cases[1]
        for p in (bare, {**bare, "spot_every": 10, "spot_s": 2.0, "unloaded_s": 4.0})
    )
    checks = plain.answers // 10 + 1
    assert checked.seconds - plain.seconds == pytest.approx(4.0 + 2.0 * checks, abs=0.11)
    assert plain.seconds == pytest.approx(7.0 * plain.answers + 5.0)


def test_nothing_measured_is_assumed(tmp_path: Path) -> None:
    found = estimate(_experiment(), "x.toml", Store(tmp_path / "none.duckdb"))
    assert {(case.seconds_from, case.resolvable) for case in found.cases} == {("assumed", None)}
