"""Rows that a test may change field by field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def note(event_id: str) -> dict[str, object]:
    return {"event_id": event_id, "at": START, "kind": "note", "name": event_id}


def configuration(configuration_id: str, **changes: object) -> dict[str, object]:
    return {
        "configuration_id": configuration_id, "model": "pocket-s", "model_base": "pocket", "digest": "d" * 12,
        "family": "pocket", "parameter_count": 500_000, "quantization": "F32", "context_length": 2048,
        "options": {"num_ctx": 2048}, "engine": "pocket", "engine_version": "1.0", "demo": True,
        "first_seen_at": START,
    } | changes  # fmt: skip


def campaign(campaign_id: str, **changes: object) -> dict[str, object]:
    return {
        "campaign_id": campaign_id, "name": "test", "experiment_hash": "h", "experiment_toml": "models = ['a']",
        "packages": {"duckdb": "2"}, "machine_id": "m1", "engine": "pocket", "status": "running",
        "started_at": START,
    } | changes  # fmt: skip


def run(number: int, **changes: object) -> dict[str, object]:
    return {
        "run_id": f"r{number}", "cell_id": f"cell{number}", "campaign_id": "c1", "configuration_id": "k1",
        "machine_id": "m1", "cohort": "cohort", "task": "qa", "load": "short", "language": "en",
        "item": f"item{number}", "item_hash": f"hash{number}", "repeat": 1, "attempt": 1,
        "started_at": START + timedelta(seconds=number), "status": "ok", "flags": [], "prompt": "What?",
        "has_reference": True, "reference": "That.", "output_text": "It.", "energy_j": 2.5, "total_s": 1.5,
        "energy_tier": "counter", "energy_scope": "gpu", "max_output_tokens": 160,
    } | changes  # fmt: skip


def quality(run_id: str, **changes: object) -> dict[str, object]:
    return {
        "run_id": run_id, "quality": 0.8, "flags": [], "scorer_version": "1", "checkpoint": "pocket-bart",
        "scored_at": START, "detail": {"rouge": 0.5},
    } | changes  # fmt: skip
