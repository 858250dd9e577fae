"""What a checkpoint's metrics can tell is kept once, and only under the weights it was found with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.quality.checkpoints import Checkpoint
from collector.quality.metric_check import METRICS, MetricCheck
from collector.quality.metric_record import KEY, RECORD_FILE, keep_record, record_of, shipped_record
from db import Store

CHECKS = [
    MetricCheck("fluency", "en", None, 10, 0.95, None, 0.5),
    MetricCheck("fluency", "en", "qa", 10, 0.95, None, 0.5),
    MetricCheck("coherence", "zh", None, 9, 0.7, None, 0.5),
]


def test_record_says_what_is_weak() -> None:
    record = record_of("some@1", CHECKS)
    assert record["checkpoint"] == "some@1"
    assert [check["weak"] for check in record["checks"]] == [False, False, True]
    assert json.loads(json.dumps(record)) == record


def test_kept_over_all_tasks_and_written_once(store: Store) -> None:
    keep_record(store, record_of("some@1", CHECKS))
    version = store.data_version()
    keep_record(store, record_of("some@1", CHECKS))
    assert store.data_version() == version, "the same again writes nothing"
    keep_record(store, record_of("other@2", CHECKS[:1]))
    kept = store.query("SELECT key, value FROM meta WHERE starts_with(key, ?) ORDER BY key", [KEY])
    assert list(kept["key"]) == ["metrics/other@2", "metrics/some@1"]
    assert [check["metric"] for check in json.loads(kept["value"][1])["checks"]] == ["fluency", "coherence"]


def test_record_of_other_weights_or_a_broken_one_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = Checkpoint("some", tmp_path, "sha256:0123456789abcdef")
    assert shipped_record(checkpoint) is None
    file = tmp_path / RECORD_FILE
    file.write_text(json.dumps(record_of("some@ffffffffffff", CHECKS)))
    assert shipped_record(checkpoint) is None
    file.write_text(json.dumps(record_of(checkpoint.label, CHECKS)))
    assert shipped_record(checkpoint) == record_of(checkpoint.label, CHECKS)
    assert not caplog.records
    for broken in ("{", "[]"):
        file.write_text(broken)
        assert shipped_record(checkpoint) is None
    assert "cannot be read" in caplog.text

def test_the_shipped_checkpoint_has_its_own_figures() -> None:
    from collector.quality.checkpoints import locate

    checkpoint = locate("pocket-bart")
    assert checkpoint is not None
    record = shipped_record(checkpoint)
    assert record is not None, "trained anew: write check-metrics --json to metrics.json beside the weights"
    found = {(check["metric"], check["language"]) for check in record["checks"] if check["task"] is None}
    assert found == {(metric, language) for metric in METRICS for language in ("en", "zh")}
