"""Compare, collection and method."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import rating
from db import FLAGS, Store
from db.texts import both
from pages._ui import collection_queries, i18n, schedule
from tests.fakes.sample_store import LIVE, NIGHT, NOW, configuration_id
from tests.pages.conftest import Open, everything

EN, ZH = i18n.catalogue("en"), i18n.catalogue("zh")


def test_compare_starts_with_the_most_efficient(sample: Path, app: Open) -> None:
    at = app(sample, "compare.py")
    assert at.multiselect[0].value[0] == configuration_id("llama3.2:3b-instruct-q4_K_M")
    assert len(at.get("vega_lite_chart")) == 5  # the plane, and energy and quality of two tasks


def test_compare_takes_its_choice_from_the_address(sample: Path, app: Open) -> None:
    wanted = [configuration_id(m) for m in ("gemma2:9b-instruct-q4_K_M", "llama3.2:3b-instruct-q8_0")]
    at = app(sample, "compare.py", **{"with": wanted})
    assert at.multiselect[0].value == wanted
    at.multiselect[0].set_value(wanted[:1]).run()
    assert [info.value for info in at.info] == [EN["compare.too_few"]]
    assert at.query_params["with"] == wanted[0]


def test_compare_pairs_the_precisions_of_one_model(sample: Path, app: Open) -> None:
    pairs = app(sample, "compare.py", task="qa").dataframe[-1].value
    assert set(pairs["change"]) == {"Q8_0 → Q4_K_M"}
    assert sorted(pairs["task"]) == [EN["task.qa"], EN["task.summary"]]


def test_compare_pairs_only_what_was_chosen(sample: Path, app: Open) -> None:
    others = [configuration_id(m) for m in ("gemma2:9b-instruct-q4_K_M", "llama3.2:3b-instruct-q8_0")]
    at = app(sample, "compare.py", **{"with": others})
    assert EN["compare.no_pairs"] in everything(at)
    assert not at.dataframe


def test_collection_shows_a_running_campaign_and_its_silence(sample: Path, app: Open) -> None:
    at = app(sample, "collection.py")
    metrics = {metric.label: metric.value for metric in at.metric}
    assert metrics[EN["collection.cells"]] == "20 / 80"
    assert metrics[EN["collection.left"]] == "20 minutes", "60 cells at one every 20 s"
    assert any(EN["collection.silent"].split("{")[0] in warning.value for warning in at.warning)


def test_collection_says_what_is_measured_now_and_what_came_of_the_last(sample: Path, app: Open) -> None:
    words = everything(app(sample, "collection.py"))
    assert EN["collection.was"] in words, "it gave no sign of life for long"
    assert EN["collection.now"] not in words
    assert "llama3.2:3b-instruct-q4_K_M · Summary · medium" in words or "Knowledge QA" in words
    assert EN["collection.last_title"] in words
    assert "http_500 × 11" in words or "http_500 ×" in words


def test_collection_of_a_campaign_that_ended_shows_its_books(own: Store, app: Open) -> None:
    with own.write() as w:
        w.insert("closures", [{
            "closure_id": "c1", "campaign_id": NIGHT, "started_at": NOW, "ended_at": NOW, "scope": "gpu+cpu", "tier": "counter",
            "total_j": 1000.0, "runs_j": 700.0, "loads_j": 150.0, "baselines_j": 100.0, "between_j": 52.0, "mismatch": mismatch,
        } | {"closure_id": f"c{mismatch}"} for mismatch in (0.002, 0.05)])  # fmt: skip
        w.insert("evaluations", [{
            "evaluation_id": "e1", "campaign_id": NIGHT, "started_at": NOW, "duration_s": 120.0, "cpu_s": 200.0, "answers": 40,
            "pairs": 90, "energy_j": 3500.0, "energy_tier": "counter", "energy_scope": "cpu",
        }])  # fmt: skip
        w.insert("calibrations", [{
            "calibration_id": f"k{day}", "machine_id": "machine-1", "sensor": "rapl", "gain": 1.0 + day / 100,
            "gain_half_width": 0.01, "offset_w": 3.0, "offset_half_width_w": 0.5, "covers": "device", "point_count": 6,
            "meter": "wall", "points": [], "calibrated_at": NOW + timedelta(days=day),
        } for day in (0, 2)])  # fmt: skip
        w.execute("UPDATE sensors SET tier = 'calibrated', calibrations = '[[null, 1.02, 0.01, 3.0]]' WHERE sensor = 'rapl'")
        w.insert("events", [{"event_id": "e1", "at": NOW, "campaign_id": NIGHT, "kind": "note", "name": "port_taken",
                             "detail": both("taken before", "已被占用")}])  # fmt: skip
        w.execute("UPDATE cells SET state = 'skipped', reason = 'http_500, hang_mid' WHERE model LIKE 'gemma2%' AND campaign_id = ?", [NIGHT])
        w.execute("UPDATE campaigns SET experiment_toml = '[schedule]\ncron = \"0 22 * * *\"\ntimezone = \"UTC\"\n'")
    at = app(own.path, "collection.py", "zh", campaign=NIGHT)
    assert not at.exception
    tables = {name: table.value for table in at.dataframe for name in ("mismatch", "gain", "cron", "state") if name in table.value}
    assert list(tables["mismatch"]["verdict"]) == [ZH["collection.closed"], ZH["collection.open"]]
    assert list(tables["gain"]["gain"]) == [1.02], "only the calibration in force"
    assert list(tables["gain"]["applied"]) == [ZH["collection.applied_yes"]]
    happened = next(table.value for table in at.dataframe if "kind" in table.value)
    assert ("已被占用", ZH["event_name.port_taken"]) in set(zip(happened["detail"], happened["name"], strict=True))
    assert set(tables["cron"]["cron"]) == {"0 22 * * *"}
    assert "gemma2:9b-instruct-q4_K_M" in [text.value for text in at.text], "the parked model is named"
    assert "3.5\u00a0kJ" in everything(at)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('[schedule]\ncron = "0 22 * * *"\ntimezone = "Asia/Shanghai"\n', "2026-11-23T14:00:00+00:00"),
        ('[schedule]\ncron = "30 1 * * *"\ntimezone = "UTC"\n', "2026-11-24T01:30:00+00:00"),
    ],
)
def test_the_next_start_is_that_of_the_experiment(text: str, start: str) -> None:
    plan = schedule.plan_of(text, datetime(2026, 11, 23, 6, tzinfo=UTC))
    assert plan is not None
    assert plan.next_start is not None
    assert plan.next_start.astimezone(UTC).isoformat() == start


@pytest.mark.parametrize("text", ["", "models = [", '[schedule]\ncron = "often"\n', '[schedule]\ncron = "0 2 * * *"\ntimezone = "Mars/X"\n'])
def test_without_a_readable_plan_there_is_no_start(text: str) -> None:
    assert schedule.plan_of(text, datetime(2026, 11, 23, 6, tzinfo=UTC)) is None


def test_the_queue_takes_the_pace_of_the_case_then_of_the_model(own: Store) -> None:
    with own.write() as w:
        w.execute("UPDATE cells SET load = 'long' WHERE campaign_id = ? AND state = 'planned' AND position % 2 = 0", [LIVE])
        w.execute("UPDATE runs SET started_at = started_at - INTERVAL 9 HOUR WHERE campaign_id = ? AND run_id < 'live-00010'", [LIVE])
    found = collection_queries.queue(own, LIVE)
    assert set(found["each_s"]) == {20.0}, "the pause between two nights is no pace"
    assert found["planned"].sum() == 60


def test_collection_names_faults_with_their_effect(sample: Path, app: Open) -> None:
    at = app(sample, "collection.py", campaign=NIGHT)
    faults = next(table.value for table in at.dataframe if "effect" in table.value)
    row = faults.set_index("flag").loc["http_500"]
    assert row["effect"] == EN["effect.left_out"]
    assert row["example"].startswith("runs?run=run-")


def test_collection_gives_the_cure_of_a_denied_sensor(sample: Path, app: Open) -> None:
    at = app(sample, "collection.py", campaign=LIVE)
    assert any("chmod" in code.value for code in at.code)


def test_collection_says_of_every_sensor_once_whether_it_works_and_what_would_help(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("INSERT INTO sensors SELECT * REPLACE ('cpu_power_w' AS field, 'W' AS unit) FROM sensors WHERE sensor = 'rapl'")
    at = app(own.path, "collection.py", campaign=NIGHT)
    short, every = (table.value for table in at.dataframe if "sensor" in table.value)
    rapl = short.set_index("sensor").loc["rapl"]
    assert rapl["field"] == "cpu_energy_j, cpu_power_w"
    assert "chmod" in rapl["cure"]
    assert rapl["state"] == f"✕ {EN['status.denied']}"
    assert len(every) == len(short) + 1


def test_a_running_campaign_says_when_it_will_be_through(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("UPDATE campaigns SET heartbeat_at = ? WHERE campaign_id = ?", [datetime.now(UTC).replace(tzinfo=None), LIVE])
    at = app(own.path, "collection.py", campaign=LIVE)
    assert EN["collection.now"] in everything(at)
    left = next(metric for metric in at.metric if metric.label == EN["collection.left"])
    assert left.value == "20 minutes", "60 cells of 20 s"
    assert left.delta.startswith(EN["collection.until"].split("{")[0])


def test_a_campaign_without_runs_or_sensors_is_shown(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute(
            "INSERT INTO campaigns SELECT * REPLACE ('fresh' AS campaign_id, 'running' AS status, NULL AS heartbeat_at) "
            "FROM campaigns LIMIT 1"
        )
    at = app(own.path, "collection.py", campaign="fresh")
    assert not at.exception
    assert EN["collection.no_faults"] in everything(at)
    assert EN["collection.no_sensors"] in everything(at)


def test_method_shows_the_stored_scheme_and_every_flag(sample: Path, app: Open) -> None:
    at = app(sample, "method.py")
    flags = next(table.value for table in at.dataframe if "meaning" in table.value)
    assert list(flags["flag"]) == [flag.name for flag in FLAGS]
    classes = at.dataframe[0].value
    assert list(classes["letter"]) == list(rating.LETTERS)
    assert list(classes["eei"])[:2] == ["< 0.125", "< 0.25"]
    assert any("sample-1" in str(table.value) for table in at.table)


def test_method_survives_a_scheme_that_it_cannot_read(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("UPDATE schemes SET definition = '{\"strange\": 1}'")
    at = app(own.path, "method.py")
    assert not at.exception
    assert EN["method.scheme_unknown"].format(name="sample-1") in everything(at)


@pytest.mark.parametrize("weak", [True, False])
def test_method_names_what_a_checkpoint_cannot_tell(own: Store, app: Open, weak: bool) -> None:
    check = {"metric": "coherence", "language": "zh", "task": None, "couples": 39, "auc": 0.7 if weak else 0.9, "held_out": None,
             "floor": 0.5, "weak": weak}  # fmt: skip
    record = {"checkpoint": "pocket-bart@1", "goal": 0.8, "checks": [check]}
    with own.write() as w:
        w.execute("UPDATE qualities SET checkpoint = 'pocket-bart@1' WHERE quality < 0.5")
        w.execute("UPDATE qualities SET checkpoint = 'someone/else@2' WHERE quality >= 0.5")
        w.upsert("meta", [{"key": "metrics/pocket-bart@1", "value": json.dumps(record)}])
    at = app(own.path, "method.py")
    assert not at.exception
    shown = everything(at)
    assert EN["method.metrics_unknown"].format(checkpoint="someone/else@2", name="someone/else") in shown
    if weak:
        told = EN["method.metrics_weak"].format(checkpoint="pocket-bart@1", goal="0.8", names=f"{EN['part.coherence']} (Chinese) 0.7")
    else:
        told = EN["method.metrics_good"].format(checkpoint="pocket-bart@1", goal="0.8")
    assert told in shown
    found = next(table.value for table in at.dataframe if "auc" in table.value)
    assert list(found["auc"]) == [check["auc"]]


def test_method_tells_what_the_order_owes_to_the_weights(own: Store, app: Open) -> None:
    at = app(own.path, "method.py")
    assert EN["method.stability_title"] not in everything(at), "nothing to weigh"
    with own.write() as w:
        w.execute("""
            UPDATE qualities SET scorer_version = 'new', detail = json_object(
                'parts', json_object('match', quality, 'relevance', 1 - quality),
                'weights', json_object('match', 0.55, 'relevance', 0.45))
        """)
    at = app(own.path, "method.py")
    assert not at.exception
    found = next(table.value for table in at.dataframe if "same_order" in table.value)
    assert set(found["task"]) == {EN["task.qa"], EN["task.summary"]}, "the sample has no creative writing; code has no parts"
    assert found["same_order"].between(0, 100).all()
    assert (found["same_order"] < 100).any()
    assert found["order"].str.contains(" > ").all()


def test_method_shows_weights_and_protocol_as_they_were_stored(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("UPDATE qualities SET detail = '{\"weights\": {\"factuality\": 0.6, \"match\": 0.4}}' WHERE run_id = 'run-00000'")
        w.execute("UPDATE campaigns SET experiment_toml = 'restart = \"per_case\"\n[protocol]\nbaseline_s = 7.5\n'")
    at = app(own.path, "method.py", "zh")
    assert not at.exception
    weights = next(table.value for table in at.dataframe if "weight" in table.value)
    assert dict(zip(weights["part"], weights["weight"], strict=True)) == {ZH["part.factuality"]: 60.0, ZH["part.match"]: 40.0}
    protocol = next(table.value for table in at.dataframe if "setting" in table.value).set_index("setting")
    assert protocol.loc["baseline_s", "value"] == "7.5"
    assert protocol.loc["baseline_s", "meaning"] == ZH["setting.baseline_s"]
