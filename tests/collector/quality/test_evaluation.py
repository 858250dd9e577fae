"""Scoring is booked apart: one row per campaign and checkpoint, with joules or the reason why there are none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.quality.cache import CachedScorer
from collector.quality.evaluation import Evaluation, booked, evaluation_line, evaluations_of, stated_watts
from collector.quality.score import score_campaign
from collector.telemetry.sensor import SensorOptions
from db import Store
from tests.collector.quality.conftest import START
from tests.collector.quality.test_anchors import overlap
from tests.collector.quality.test_score import EN, ZH

Add = Callable[..., str]


@pytest.mark.parametrize(
    ("cpu_j", "gpu_j", "on_gpu", "expected"),
    [
        (None, None, False, (20.0, "estimated", "process", None)),
        (30.0, None, False, (30.0, "counter", "cpu", None)),
        (30.0, 500.0, False, (30.0, "counter", "cpu", None)),
        (30.0, 500.0, True, (530.0, "counter", "gpu+cpu", None)),
        (None, 500.0, True, (500.0, "counter", "gpu", None)),
        (30.0, None, True, (None, None, None, "no_gpu_counter")),
    ],
)
def test_what_is_booked(
    cpu_j: float | None, gpu_j: float | None, on_gpu: bool, expected: tuple[float | None, str | None, str | None]
) -> None:
    found = booked(2.0, 10.0, cpu_j=cpu_j, gpu_j=gpu_j, on_gpu=on_gpu)
    assert (found.energy_j, found.tier, found.scope, found.reason) == expected
    if found.tier == "estimated":
        assert booked(2.0, 10.0, cpu_j=None, gpu_j=None, on_gpu=False, unseen=True).reason == "engine_not_visible"


def test_each_campaign_gets_its_row(
    store: Store, answered: Add, byte_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CachedScorer, "_computed", lambda _self, pairs: [overlap(pair) for pair in pairs])
    for engine in ("ollama", "pocket"):
        answered(EN, "Ice is less dense than water.", engine=engine)
    answered(ZH, "", engine="ollama")
    folder = str(byte_checkpoint)
    summary = score_campaign(store, None, checkpoints={"en": folder, "zh": folder})
    rows = store.query("SELECT * FROM evaluations ORDER BY campaign_id, answers, pairs").to_dict("records")
    assert len(rows) == len(summary.bookings) == 3
    assert {row["campaign_id"] for row in rows} == {"campaign-ollama", "campaign-pocket"}
    assert sum(row["answers"] for row in rows) == 3
    for row in rows:
        assert row["duration_s"] > 0
        assert row["cpu_s"] >= 0
        assert row["energy_j"] >= 0
        assert row["energy_tier"] in ("estimated", "counter")
    # the second campaign gave the same answer: every pair was known, nothing was computed
    assert sum(row["pairs"] > 0 for row in rows) == 1
    total = evaluations_of(store, "campaign-ollama")
    assert total is not None
    assert total["pairs"] == rows[0]["pairs"] + rows[1]["pairs"]
    assert "booked apart" in str(evaluation_line(store, "campaign-ollama"))


def test_no_scoring_no_line(store: Store) -> None:
    assert evaluations_of(store, "nothing") is None
    assert evaluation_line(store, "nothing") is None


def test_the_campaign_states_the_watts(store: Store) -> None:
    assert stated_watts(store, "c") == 10.0
    row = {
        "machine_id": "m", "campaign_id": "c", "sensor": "estimate", "field": "process_energy_j", "unit": "J",
        "source": "process_cpu_s x 7.5 W per core (stated assumption)", "scope": "process", "tier": "estimated",
        "status": "ok", "probed_at": START,
    }  # fmt: skip
    with store.write() as writer:
        writer.insert("sensors", [row])
    assert stated_watts(store, "c") == 7.5


def test_counter_of_the_cpu_is_taken_where_it_is_readable(store: Store, tmp_path: Path) -> None:
    zone = tmp_path / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "1000000")):
        (zone / name).write_text(text + "\n", encoding="utf-8")
    evaluation = Evaluation("c", options=SensorOptions(sysfs=tmp_path))
    (zone / "energy_uj").write_text("1500000\n", encoding="utf-8")
    booking = evaluation.store(store, checkpoint=None, device="cpu", answers=1, pairs=0)
    assert (booking.energy_j, booking.tier, booking.scope) == (0.5, "counter", "cpu")
