"""What pages and rating read: the views' contract and the questions asked of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import db
from db import reader
from tests.db.db_rows import START, run

V_RUNS = """
run_id campaign cohort configuration engine engine_version model model_base digest family parameter_count quantization
context_length task load language item repeat seed temperature max_output_tokens started_at status done_reason ttft_s
total_s server_total_s load_s prefill_s decode_s prompt_tokens output_tokens prefill_tokens_per_s decode_tokens_per_s
throughput_tokens_per_s tpot_s itl_p50_s itl_p95_s energy_j energy_net_j energy_low_j energy_high_j energy_tier
energy_scope cpu_percent_mean cpu_percent_max memory_percent_mean memory_percent_max memory_bytes_mean memory_bytes_max
gpu_percent_mean gpu_percent_max vram_bytes_mean vram_bytes_max power_w_mean power_w_max disk_read_bytes
disk_write_bytes quality quality_reason factuality relevance fluency bartscore passed has_reference flags prompt
reference output_text
"""
V_SCORES = "run_id metric direction raw value checkpoint floor reason"
V_RATINGS = """
cohort task configuration model digest family parameter_count quantization context_length engine engine_version status
grade grade_probability grade_low grade_high eei eei_low eei_high joules_per_success joules_per_success_low
joules_per_success_high eqr_per_kj quality quality_low quality_high quality_class energy_j n_items n_repeats rank_low
rank_high reasons items_needed scheme
"""
NEEDED_TO_RATE = """
cohort task configuration model digest family parameter_count quantization context_length engine engine_version item
item_hash repeat load language energy_j energy_net_j energy_tier energy_scope cpu_energy_j gpu_energy_j total_s quality
quality_reason quality_checkpoint scorer_version status flags campaign campaign_started_at max_output_tokens
"""


@pytest.mark.parametrize(
    ("view", "columns"),
    [("v_runs", V_RUNS), ("v_runs_valid", V_RUNS), ("v_scores", V_SCORES), ("v_ratings", V_RATINGS),
     ("v_samples", "run_id t_s")],
)  # fmt: skip
def test_views_keep_their_contract(store: db.Store, view: str, columns: str) -> None:
    found = set(store.query("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [view])["column_name"])
    assert set(columns.split()) <= found


def test_rows_that_count(filled: db.Store) -> None:
    flags = dict(filled.query("SELECT run_id, flags FROM v_runs ORDER BY run_id").itertuples(index=False))
    assert flags == {
        "r1": "", "r2": "client_lag,cut_off,looping", "r3": "throttled", "r4": "http_500", "r5": "",
        "r6": "of_a_newer_version",
    }  # fmt: skip
    assert filled.query("SELECT run_id FROM v_runs_valid ORDER BY 1")["run_id"].tolist() == ["r1", "r2", "r5"]


def test_every_flag_does_what_the_table_says(store: db.Store) -> None:
    with store.write() as writer:
        writer.insert("runs", [run(n, run_id=flag.name, flags=[flag.name]) for n, flag in enumerate(db.FLAGS)])
    counted = set(store.query("SELECT run_id FROM v_runs_valid")["run_id"])
    assert counted == {flag.name for flag in db.FLAGS if db.effect_of(flag.name) != "left_out"}
    assert db.effect_of("of_a_newer_version") == "left_out"


def test_a_run_without_quality_says_why(filled: db.Store) -> None:
    sql = "SELECT run_id, quality_reason FROM v_runs WHERE quality IS NULL ORDER BY run_id"
    assert dict(filled.query(sql).itertuples(index=False)) == {
        "r3": "not_scored_yet", "r4": "no_answer", "r5": "no_checkpoint", "r6": "not_scored_yet",
    }  # fmt: skip


def test_a_run_of_an_unknown_configuration_is_still_listed(filled: db.Store) -> None:
    with filled.write() as writer:
        writer.execute("DELETE FROM configurations WHERE configuration_id = 'k2'")
    assert len(filled.query("SELECT * FROM v_runs")) == 6


def test_newest_rating_of_each(store: db.Store) -> None:
    def rating(day: int, scheme: str, grade: str | None) -> dict[str, object]:
        return {
            "rated_at": datetime(2026, 11, day, tzinfo=UTC), "input_hash": str(day), "scheme": scheme,
            "cohort": "co", "task": "qa", "configuration": "k1", "status": "rated" if grade else "unrated",
            "grade": grade, "reasons": [{"code": "few_items", "text": "12 of 30"}],
        }  # fmt: skip

    with store.write() as writer:
        writer.insert(
            "ratings", [rating(1, "s1", "B"), rating(3, "s1", "A"), rating(2, "s1", None), rating(2, "s2", "C")]
        )
    assert sorted(reader.ratings(store)["grade"]) == ["A", "C"]
    assert reader.ratings(store, scheme="s2")["grade"].tolist() == ["C"]
    history = reader.rating_history(store, "co", "k1")
    assert history[history["scheme"] == "s1"]["rated_at"].dt.day.tolist() == [1, 2, 3]
    assert reader.rating_history(store, "other", "k1").empty


def test_campaigns_and_progress(filled: db.Store) -> None:
    frame = reader.campaigns(filled)
    assert frame["campaign_id"].tolist() == ["c1", "c0"]  # newest first
    newest = frame.iloc[0]
    assert newest[["cells", "cells_done", "runs", "runs_valid", "runs_scored"]].tolist() == [4, 2, 6, 3, 2]
    assert newest["energy_j"] == 12.5
    assert newest["cpu_model"] == "cpu"
    assert frame["energy_j"].isna().tolist() == [False, True]
    assert reader.progress(filled, "c1") == {"planned": 1, "done": 2, "failed": 1, "skipped": 0, "total": 4}
    assert reader.progress(filled, "zz") == {"planned": 0, "done": 0, "failed": 0, "skipped": 0, "total": 0}
    assert reader.campaign(filled, "c1")["packages"] == {"duckdb": "2"}
    assert reader.campaign(filled, "zz") == {}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["r6", "r5", "r4", "r3", "r2", "r1"]),
        ({"campaign": "c1", "limit": 2}, ["r6", "r5"]),
        ({"limit": 2, "offset": 4}, ["r2", "r1"]),
        ({"configuration": "k2"}, ["r3"]),
        ({"task": "code", "language": "zh"}, ["r5"]),
        ({"load": "long"}, []),
        ({"status": "fault"}, ["r4"]),
        ({"flag": "looping"}, ["r2"]),
        ({"flag": "loop"}, []),
        ({"item": "item6", "campaign": "c1"}, ["r6"]),
        ({"campaign": "' OR 1=1 --"}, []),
    ],
)
def test_filters_of_runs(filled: db.Store, filters: dict[str, object], expected: list[str]) -> None:
    frame = reader.runs(filled, **filters)
    assert frame["run_id"].tolist() == expected
    assert not {"prompt", "reference", "output_text"} & set(frame.columns)


def test_one_run_whole(filled: db.Store) -> None:
    with filled.write() as writer:
        values = {"server_raw": {"done": True}, "chunk_t_s": [0.5, 0.75], "energy_sources": {"nvml.counter_j": 2.5}}
        writer.update("runs", {"run_id": "r1"}, values)
    found = reader.run(filled, "r1")
    assert found["server_raw"] == {"done": True}
    assert found["chunk_t_s"] == [0.5, 0.75]
    assert found["energy_sources"] == {"nvml.counter_j": 2.5}
    assert found["quality_detail"] == {"rouge": 0.5}
    assert found["options"] == {"num_ctx": 2048}
    assert found["started_at"] == START.replace(tzinfo=None, second=1)
    assert found["ttft_s"] is None
    assert reader.run(filled, "r4")["quality_detail"] is None
    assert reader.run(filled, "nobody") == {}


def test_samples_scores_sensors_events(filled: db.Store) -> None:
    samples = reader.samples(filled, "r1")
    assert samples["t_s"].tolist() == [0.0, 0.1, 0.2]
    assert samples["power_w"].isna().tolist() == [True, False, False]
    assert reader.scores(filled, "r1")["raw"].tolist() == [-2.0]
    assert reader.scores(filled, "r2").empty
    with filled.write() as writer:
        writer.insert("sensors", [{
            "machine_id": "m1", "campaign_id": "c1", "sensor": "nvml", "field": "power_w", "status": "missing",
            "reason": "no driver", "cure": "install it", "probed_at": START,
        }])  # fmt: skip
        writer.insert("events", [
            {"event_id": "1", "at": START, "kind": "note", "name": "a", "campaign_id": "c1"},
            {"event_id": "2", "at": START.replace(hour=13), "kind": "fault", "name": "b", "campaign_id": "c2"},
        ])  # fmt: skip
    assert reader.sensors(filled, "c1")["cure"].tolist() == ["install it"]
    assert reader.sensors(filled, "c2").empty
    assert reader.events(filled)["name"].tolist() == ["b", "a"]
    assert reader.events(filled, "c1")["name"].tolist() == ["a"]
    assert reader.events(filled, limit=1)["name"].tolist() == ["b"]


def test_answers_for_rating_hold_every_attempt(filled: db.Store) -> None:
    frame = reader.answers_for_rating(filled)
    assert set(NEEDED_TO_RATE.split()) <= set(frame.columns)
    assert frame["run_id"].tolist() == ["r1", "r2", "r3", "r4", "r5", "r6"]
    assert frame["campaign_started_at"].nunique() == 1
    assert frame.set_index("run_id").loc["r2", "flags"] == "client_lag,cut_off,looping"


def test_every_question_to_an_empty_store(store: db.Store) -> None:
    for frame in (
        reader.campaigns(store), reader.configurations(store), reader.ratings(store), reader.runs(store),
        reader.events(store), reader.answers_for_rating(store),
    ):  # fmt: skip
        assert frame.empty
        assert len(frame.columns) > 5


def test_configurations(filled: db.Store) -> None:
    frame = reader.configurations(filled)
    assert frame["configuration"].tolist() == ["k1", "k2"]
    assert frame["runs"].tolist() == [5, 1]
    assert frame["runs_valid"].tolist() == [3, 0]
