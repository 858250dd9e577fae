"""What a checkpoint's metrics can tell, kept in the store so that the pages can say how weak they are.

``check-metrics`` keeps what it found. For the shipped checkpoint, whose figures are known, a file beside its weights holds
them (``check-metrics --json``), and scoring with it keeps them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from collector.quality.checkpoints import Checkpoint
from collector.quality.metric_check import GOAL, MetricCheck
from db import Store

__all__ = ["KEY", "RECORD_FILE", "keep_record", "record_of", "shipped_record"]

log = logging.getLogger(__name__)

RECORD_FILE = "metrics.json"
"""Beside the weights of a checkpoint."""

KEY = "metrics/"
"""With the checkpoint's label behind it: the key in ``meta``."""


def record_of(label: str, checks: Sequence[MetricCheck]) -> dict[str, Any]:
    """The figures as they are printed, stored and shown."""
    rows = [asdict(check) | {"weak": check.weak} for check in checks]
    return {"checkpoint": label, "goal": GOAL, "checks": rows}


def shipped_record(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The figures beside the weights; None where there are none, or only those of other weights."""
    path = checkpoint.folder / RECORD_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return None
    found = isinstance(record, dict) and record.get("checkpoint") == checkpoint.label
    return record if found else None


def keep_record(store: Store, record: Mapping[str, Any]) -> None:
    """Keeps the figures over all tasks under the checkpoint's label; does nothing where they are there already.

    Raises:
        StoreError: the store cannot be read or written.
    """
    key = KEY + str(record["checkpoint"])
    value = json.dumps(
        dict(record) | {"checks": [check for check in record["checks"] if check["task"] is None]}, ensure_ascii=False
    )
    known = store.query("SELECT value FROM meta WHERE key = ?", [key])
    if value not in list(known["value"]):
        with store.write() as writer:
            writer.upsert("meta", [{"key": key, "value": value}])
