"""``python -m rating``: both commands end to end, their refusals, and what they leave in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import db
import rating
from db import reader
from rating.__main__ import main

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
Capture = pytest.CaptureFixture[str]
ENERGY = {"base-1": 1.0, "base-2": 2.0, "base-4": 4.0, "mine": 0.7}


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")


def measurement_file(folder: Path, energy: dict[str, float], items: int = 30) -> Path:
    path = folder / "m.csv"
    rows = [f"{m},qa,i{item},{joules},1" for m, joules in energy.items() for item in range(items) for _ in range(2)]
    path.write_text("\n".join(["model,task,item,energy_j,quality", *rows]), encoding="utf-8")
    return path


def called(capsys: Capture, *arguments: object) -> list[dict[str, Any]]:
    assert main([*map(str, arguments), "--json", "--lang", "en"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list)
    return rows


def test_grade_prints_json_and_writes_csv(tmp_path: Path, capsys: Capture) -> None:
    path, out = measurement_file(tmp_path, ENERGY), tmp_path / "out.csv"
    rows = called(capsys, "grade", path, "--basket", "base-1, base-2,base-4", "--draws", 100, "--csv", out)
    assert [tuple(row) for row in rows] == [rating.COLUMNS] * 8
    mine = next(row for row in rows if row["model"] == "mine" and row["task"] == "qa")
    assert (mine["grade"], mine["status"], mine["cohort"], mine["digest"]) == ("C", "rated", None, None)
    assert {"code": "tier_unstated", "text": "the energy tier is not stated"} in mine["reasons"]
    assert out.read_bytes() == rating.csv_bytes(rows)


def test_grade_without_a_basket_makes_its_own(tmp_path: Path, capsys: Capture) -> None:
    rows = called(capsys, "grade", measurement_file(tmp_path, ENERGY), "--draws", 100)
    assert {row["status"] for row in rows} == {"provisional"}


def test_grade_with_a_scheme_file(tmp_path: Path, capsys: Capture) -> None:
    scheme = tmp_path / "s.toml"
    scheme.write_text(
        'name = "mine-1"\nmin_items = 5\n[[baskets]]\nname = "b"\nmembers = ["base-1", {model = "base-2"}]\n'
    )
    rows = called(capsys, "grade", measurement_file(tmp_path, ENERGY), "--scheme", scheme, "--draws", 100)
    mine = next(row for row in rows if row["model"] == "mine" and row["task"] == "qa")
    assert mine["eei"] == pytest.approx(0.7 / 2**0.5)
    assert mine["scheme"] == "mine-1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--basket", "base-1,nobody"), "basket model nobody"),
        (("--basket", " , "), "names no model"),
        (("--draws", "10"), "10 draws"),
        (("--min-items", "0"), "--min-items"),
        (("--csv", "{folder}/none/x.csv"), "cannot be written"),
        (("--scheme", "{folder}/none.json"), "none.json"),
        (("--scheme", "{folder}/bad.json"), "bad.json"),
        (("--scheme", "{folder}/unknown.json"), "'colour'"),
        (("--scheme", "{folder}/bounds.json"), "eei_bounds"),
    ],
)
def test_grade_refuses_with_one_sentence(
    tmp_path: Path, capsys: Capture, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "unknown.json").write_text('{"name": "x", "colour": 1}')
    (tmp_path / "bounds.json").write_text('{"name": "x", "eei_bounds": [3, 2, 1, 0, 0, 0]}')
    path = measurement_file(tmp_path, ENERGY)
    filled = [argument.replace("{folder}", str(tmp_path)) for argument in arguments]
    assert main(["grade", str(path), *filled]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_messages_in_chinese(tmp_path: Path, capsys: Capture) -> None:
    assert main(["grade", str(tmp_path / "none.csv"), "--lang", "zh"]) == 2
    assert "无法读取" in capsys.readouterr().err
    assert main(["grade", str(measurement_file(tmp_path, ENERGY)), "--lang", "zh", "--draws", "100"]) == 0
    assert "效质比" in capsys.readouterr().out


# --- table ---------------------------------------------------------------------------------------


class Shelf:
    """A store that tests fill campaign by campaign."""

    def __init__(self, path: Path) -> None:
        self.store = db.Store(path)
        self.store.ensure()
        self.runs = 0

    def campaign(self, name: str, energy: dict[str, float], *, status: str = "finished", **changes: Any) -> None:
        """Thirty items, two repeats; ``changes`` go to every run, ``vary`` may change any."""
        vary: Callable[[str, int, int], dict[str, Any]] = changes.pop("vary", lambda *_: {})
        toml = changes.pop("toml", "models = []")
        scored: dict[str, Any] = changes.pop("scored", {})
        items: int = changes.pop("items", 30)
        runs, qualities, configurations = [], [], []
        for model, joules in energy.items():
            configurations.append(self._configuration(model))
            for item in range(items):
                for repeat in range(2):
                    self.runs += 1
                    run = self._run(name, model, item, repeat, joules) | changes | vary(model, item, repeat)
                    runs.append(run)
                    if run["status"] == "ok":
                        qualities.append(self._quality(run) | scored)
        known = set(reader.configurations(self.store)["configuration"])
        campaign = self._campaign(name, status, toml)
        with self.store.write() as writer:
            writer.insert("campaigns", [campaign])
            writer.insert("configurations", [c for c in configurations if c["configuration_id"] not in known])
            writer.insert("runs", runs)
            writer.insert("qualities", qualities)

    def _campaign(self, name: str, status: str, toml: str) -> dict[str, Any]:
        number = len(reader.campaigns(self.store))
        return {
            "campaign_id": name, "name": "test", "experiment_hash": "h", "experiment_toml": toml, "packages": {},
            "machine_id": "m1", "engine": "pocket", "status": status,
            "started_at": START.replace(day=1 + number),
            "heartbeat_at": datetime.now(UTC) if status == "running" else None,
        }  # fmt: skip

    @staticmethod
    def _configuration(model: str) -> dict[str, Any]:
        return {
            "configuration_id": f"{model}#1", "model": model, "quantization": "F16", "parameter_count": 1000,
            "context_length": 512, "options": {}, "engine": "ollama", "engine_version": "1.0", "demo": False,
            "digest": "abc", "family": "test", "first_seen_at": START,
        }  # fmt: skip

    def _run(self, campaign: str, model: str, item: int, repeat: int, joules: float) -> dict[str, Any]:
        return {
            "run_id": f"r{self.runs}", "cell_id": f"{model}-{item}-{repeat}", "campaign_id": campaign,
            "configuration_id": f"{model}#1", "machine_id": "m1", "cohort": "here", "task": "qa", "load": "short",
            "language": "en", "item": f"i{item}", "item_hash": f"hash-{item}", "repeat": repeat, "attempt": 1,
            "started_at": START.replace(minute=self.runs // 60 % 60, second=self.runs % 60), "status": "ok",
            "flags": [], "prompt": "?", "has_reference": True, "energy_j": joules, "energy_tier": "counter",
            "energy_scope": "gpu", "max_output_tokens": 160, "total_s": joules / 100,
        }  # fmt: skip

    @staticmethod
    def _quality(run: dict[str, Any]) -> dict[str, Any]:
        return {
            "run_id": run["run_id"], "quality": 1.0, "flags": [], "scorer_version": "1", "scored_at": START,
            "checkpoint": "bart",
        }  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store.duckdb")


def table(capsys: Capture, shelf: Shelf, *more: object) -> dict[str, dict[str, Any]]:
    rows = called(capsys, "table", "--db", shelf.store.path, "--task", "qa", *more)
    return {row["model"]: row for row in rows}


def codes(row: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in row["reasons"]}


THREE = {"a": 1.0, "b": 2.0, "c": 4.0}


def test_table_rates_stores_and_exports(shelf: Shelf, capsys: Capture, tmp_path: Path) -> None:
    shelf.campaign("c1", THREE)
    rows = table(capsys, shelf)
    assert [rows[m]["grade"] for m in "abc"] == ["D", "E", "F"]
    assert (rows["a"]["parameter_count"], rows["a"]["configuration"], rows["a"]["cohort"]) == (1000, "a#1", "here")
    out = tmp_path / "out.csv"
    called(capsys, "table", "--db", shelf.store.path, "--csv", out)
    records = rating.current(reader.ratings(shelf.store).to_dict("records"))  # what a page does
    assert out.read_bytes() == rating.csv_bytes(records)
    stored = {row["configuration"]: row for row in records if row["task"] == "qa"}
    assert stored["a#1"]["campaign_id"] == "c1"
    assert json.loads(stored["a#1"]["reasons"])[0]["text_zh"]


def test_history_grows_only_when_something_changed(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE)
    table(capsys, shelf)
    first = len(shelf.store.query("SELECT * FROM ratings"))
    version = shelf.store.data_version()
    table(capsys, shelf)
    assert len(shelf.store.query("SELECT * FROM ratings")) == first
    assert shelf.store.data_version() == version
    shelf.campaign("c2", {"a": 1.1})
    assert table(capsys, shelf)["a"]["eei"] == pytest.approx(1.1 / 8.8 ** (1 / 3))
    assert len(shelf.store.query("SELECT * FROM ratings")) > first


def test_an_own_basket_is_frozen_and_later_models_do_not_move_letters(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE)
    before = table(capsys, shelf)
    shelf.campaign("c2", {"d": 0.1})
    after = table(capsys, shelf)
    assert after["d"]["eei"] == pytest.approx(0.05)
    for model in THREE:
        assert after[model]["eei"] == before[model]["eei"]
        assert after[model]["scheme"] == before[model]["scheme"]
    names = list(shelf.store.query("SELECT scheme FROM schemes")["scheme"])
    assert names == [before["a"]["scheme"]]


def test_while_a_campaign_runs_its_basket_is_not_frozen(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE, status="running")
    assert table(capsys, shelf)["a"]["status"] == "provisional"
    assert shelf.store.query("SELECT scheme FROM schemes").empty


def test_the_schemes_basket_is_used_where_it_is_measured(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", {"pocket-s:f16": 1.0, "pocket-m:f16": 2.0, "pocket-l:f16": 4.0, "x": 16.0})
    rows = table(capsys, shelf)
    assert {row["scheme"] for row in rows.values()} == {"v1"}
    assert (rows["x"]["status"], rows["x"]["grade"]) == ("rated", "G")


def test_letters_of_an_own_basket_give_way_and_stay_in_the_history(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", {"x": 1.0, "y": 2.0, "z": 4.0})
    assert table(capsys, shelf)["x"]["status"] == "provisional"
    shelf.campaign("c2", {"pocket-s:f16": 1.0, "pocket-m:f16": 2.0, "pocket-l:f16": 4.0})
    rows = table(capsys, shelf)
    assert {row["scheme"] for row in rows.values()} == {"v1"}
    assert rows["x"]["status"] == "rated"
    own = shelf.store.query("SELECT count(*) AS n FROM v_ratings WHERE scheme LIKE 'v1+own-%' AND task = 'qa'")
    assert own["n"].tolist() == [3]


def test_a_declared_basket_is_a_scheme_of_its_own(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE | {"d": 8.0}, toml='models = []\n[rating]\nbasket = ["a", "b", "d"]\n')
    rows = called(capsys, "table", "--db", shelf.store.path, "--task", "qa")
    names = {row["scheme"] for row in rows}
    declared = next(name for name in names if "+basket-" in name)
    assert len(names) == 2
    only = table(capsys, shelf, "--scheme", declared)
    assert only["c"]["eei"] == pytest.approx(4 / 16 ** (1 / 3))
    assert only["c"]["status"] == "rated"


def test_failed_answers_count_with_quality_zero(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE, vary=lambda m, i, r: {"flags": ["cut_off"]} if m == "a" and i < 15 else {})
    row = table(capsys, shelf)["a"]
    assert row["joules_per_success"] == pytest.approx(2.0)
    assert "failures" in codes(row)


def test_left_out_rows_are_named_and_leave_both_sums(shelf: Shelf, capsys: Capture) -> None:
    def vary(model: str, item: int, repeat: int) -> dict[str, Any]:
        return {"flags": ["throttled"], "energy_j": 99.0} if model == "a" and item == 3 and repeat else {}

    shelf.campaign("c1", THREE, vary=vary)
    row = table(capsys, shelf)["a"]
    assert row["joules_per_success"] == pytest.approx(1.0)
    assert next(r["text"] for r in row["reasons"] if r["code"] == "left_out") == "answers left out: 1 (throttled 1)"


def test_a_missing_energy_forbids_the_letter_until_it_is_measured_again(shelf: Shelf, capsys: Capture) -> None:
    nothing = {"flags": ["energy_missing"], "energy_j": None, "energy_tier": None, "energy_scope": None}
    shelf.campaign("c1", THREE, vary=lambda m, i, r: nothing if (m, i, r) == ("a", 0, 0) else {})
    row = table(capsys, shelf)["a"]
    assert (row["status"], "energy_missing" in codes(row)) == ("unrated", True)
    shelf.runs += 1
    again = shelf._run("c1", "a", 0, 0, 1.0) | {"attempt": 2, "started_at": START.replace(hour=13)}
    with shelf.store.write() as writer:
        writer.insert("runs", [again])
        writer.insert("qualities", [shelf._quality(again)])
    row = table(capsys, shelf)["a"]
    assert row["status"] == "provisional"
    assert "left_out" in codes(row)


def test_faults_cost_the_model_nothing(shelf: Shelf, capsys: Capture) -> None:
    fault = {"status": "fault", "fault": "http_500", "flags": ["http_500"], "energy_j": None, "energy_tier": None,
             "energy_scope": None}  # fmt: skip
    shelf.campaign("c1", THREE, vary=lambda m, i, r: fault if (m, r) == ("a", 1) else {})
    row = table(capsys, shelf)["a"]
    assert (row["status"], row["n_items"], row["n_repeats"]) == ("provisional", 30, 1.0)
    assert "left_out" in codes(row)


def test_a_newer_campaign_speaks_only_when_it_has_enough_items(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE)
    shelf.campaign("c2", {"a": 8.0}, items=10)
    row = table(capsys, shelf)["a"]
    assert row["joules_per_success"] == pytest.approx(1.0)
    assert "earlier_campaign" in codes(row)
    shelf.campaign("c3", {"a": 8.0})
    assert table(capsys, shelf)["a"]["joules_per_success"] == pytest.approx(8.0)


def test_other_scorers_and_caps_do_not_meet(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE)
    table(capsys, shelf)
    shelf.campaign("c2", {"d": 1.0}, max_output_tokens=640)
    shelf.campaign("c3", {"e": 1.0}, scored={"checkpoint": "another"})
    rows = table(capsys, shelf)
    assert "mixed_suite" in codes(rows["d"])
    assert "mixed_checkpoint" in codes(rows["e"])
    assert rows["a"]["status"] == "provisional"


def test_unscored_answers_are_unrated_with_the_command_that_scores(shelf: Shelf, capsys: Capture) -> None:
    shelf.campaign("c1", THREE, scored={"quality": None, "quality_reason": "no_checkpoint"})
    row = table(capsys, shelf)["a"]
    assert row["status"] == "unrated"
    assert any("collector score" in reason["text"] for reason in row["reasons"])


def test_an_empty_store_has_nothing_to_rate(shelf: Shelf, capsys: Capture) -> None:
    assert called(capsys, "table", "--db", shelf.store.path) == []
    assert main(["table", "--db", str(shelf.store.path), "--lang", "zh"]) == 0
    assert "没有" in capsys.readouterr().out


def test_no_store_and_no_such_scheme_are_refused(shelf: Shelf, capsys: Capture, tmp_path: Path) -> None:
    assert main(["table", "--db", str(tmp_path / "none.duckdb")]) == 3
    assert "none.duckdb" in capsys.readouterr().err
    assert not (tmp_path / "none.duckdb").exists()
    assert main(["table", "--db", str(shelf.store.path), "--scheme", "v9"]) == 2
    assert "'v9'" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_only_printed(
    shelf: Shelf, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.campaign("c1", THREE)

    def read_only(*_: object, **__: object) -> None:
        raise db.StoreUnusable("The disk is read-only.", "磁盘只读。")

    monkeypatch.setattr(db.Store, "write", read_only)
    assert main(["table", "--db", str(shelf.store.path), "--task", "qa", "--json"]) == 0
    said = capsys.readouterr()
    assert [row["grade"] for row in json.loads(said.out)] == ["D", "E", "F"]
    assert "read-only" in said.err
    monkeypatch.undo()
    assert shelf.store.query("SELECT * FROM ratings").empty
