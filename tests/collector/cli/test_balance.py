"""``show`` and ``status`` say whether the joules add up and what was parked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.__main__ import main
from db import Store
from tests.db.db_rows import START, campaign


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("balance") / "store.duckdb")
    store.ensure()
    books = {"campaign_id": "c1", "started_at": START, "ended_at": START}
    parts = {"scope": "gpu", "tier": "counter", "total_j": 1000.0, "runs_j": 600.0, "loads_j": 150.0, "baselines_j": 50.0}
    with store.write() as writer:
        writer.insert("campaigns", [campaign("c1")])
        writer.insert("closures", [
            {"closure_id": "1", **books, **parts, "between_j": 195.0, "mismatch": -0.005},
            {"closure_id": "2", **books, **parts, "between_j": 250.0, "mismatch": 0.05, "reason": "1.0 s are in no sum"},
            {"closure_id": "3", **books, "reason": "no energy sensor"},
        ])  # fmt: skip
        writer.insert("events", [
            {"event_id": "e", "at": START, "campaign_id": "c1", "kind": "fault", "name": "parked", "detail": "m: parked after repeated faults (error_line)"}
        ])  # fmt: skip
    return store


LINES = [
    "energy balance (gpu, counter): 1000.0 J = answers 600.0 + loads 150.0 + baselines 50.0 + between 195.0, closed: -0.50%",
    "energy balance (gpu, counter): 1000.0 J = answers 600.0 + loads 150.0 + baselines 50.0 + between 250.0, NOT CLOSED: +5.00% (1.0 s are in no sum)",
    "energy balance: none (no energy sensor)",
]


@pytest.mark.parametrize(("command", "prefix"), [(["show", "c1"], "# "), (["status"], "    ")])
def test_the_balance_is_told(store: Store, command: list[str], prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--db", str(store.path), "--lang", "en"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "energy balance" in line] == [prefix + line for line in LINES]
    if command == ["status"]:
        assert "    m: parked after repeated faults (error_line)" in said


def test_status_as_json(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--db", str(store.path)]) == 0
    entry = json.loads(capsys.readouterr().out)[0]
    assert entry["parked"] == ["m: parked after repeated faults (error_line)"]
    assert [row["mismatch"] for row in entry["energy_balance"]] == [-0.005, 0.05, None]


def test_in_chinese(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", "c1", "--db", str(store.path), "--lang", "zh"])
    assert "能量核对（gpu，counter）：1000.0 J = 回答 600.0" in capsys.readouterr().out


def test_a_campaign_without_books_has_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = Store(tmp_path / "s.duckdb")
    empty.ensure()
    with empty.write() as writer:
        writer.insert("campaigns", [campaign("c9")])
    main(["status", "--db", str(empty.path), "--lang", "en"])
    assert "energy balance" not in capsys.readouterr().out
