"""Campaigns in the store: open or continue one, plan its cells, keep its state."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import tomli_w

from collector.experiment import Experiment, ModelEntry
from collector.ollama_types import ModelDetails
from collector.plan import Case, Cell
from collector.pocket import MODELS_DIR, registry
from collector.suite import Suite
from collector.version import NAME, own_version
from db import Store

__all__ = ["Campaign", "configuration_row", "find_campaign", "open_campaign", "package_versions", "set_state"]

_DEMO_PARAMETERS = 100_000_000  # the shipped ones have a few millions; a real model of the same name is no demo
_PACKAGES = ("duckdb", "httpx", "nvidia-ml-py", "psutil", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it stands in the store."""

    campaign_id: str
    status: str
    resumed: bool = False


def package_versions() -> dict[str, str]:
    """Versions of this program and of the packages that a figure depends on; what is not installed is left out."""
    own = own_version()
    found: dict[str, str] = {NAME: own} if own else {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def find_campaign(store: Store, experiment: Experiment, machine_id: str) -> Campaign | None:
    """The newest campaign of this experiment on this machine, None when there is none."""
    if store.state() in ("missing", "empty"):
        return None
    rows = store.query(
        "SELECT campaign_id, status FROM campaigns WHERE experiment_hash = ? AND machine_id = ?"
        " ORDER BY started_at DESC LIMIT 1",
        [experiment.hash(), machine_id],
    )
    return None if rows.empty else Campaign(str(rows.campaign_id[0]), str(rows.status[0]))


def _cell_rows(campaign_id: str, cases: Sequence[Case]) -> Iterable[dict[str, Any]]:
    position = 0
    for case in cases:
        for cell in case.cells:
            yield {
                "cell_id": cell_key(campaign_id, case.model, cell), "campaign_id": campaign_id, "position": position,
                "model": case.model.tag, "task": case.task, "load": case.load, "language": cell.item.language,
                "item": cell.item.id, "item_hash": cell.item.hash, "repeat": cell.repeat, "seed": cell.seed,
                "state": "planned", "attempts": 0, "reason": None,
            }  # fmt: skip
            position += 1


def cell_key(campaign_id: str, model: ModelEntry, cell: Cell) -> str:
    """Stable key of a cell: the same model with other options is another cell."""
    return cell.cell_id(campaign_id, model.tag + json.dumps(model.options, sort_keys=True))


def open_campaign(
    store: Store, experiment: Experiment, suite: Suite, cases: Sequence[Case], facts: dict[str, Any]
) -> Campaign:
    """Writes a new campaign with its items and cells.

    Args:
        facts: the campaign columns that the engine and the machine know (machine_id, engine, engine_version,
            engine_environment, restart_way).
    """
    now = datetime.now(UTC)
    campaign_id = f"{_slug(experiment.name)}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    with store.write() as writer:
        writer.insert("campaigns", [{
            "campaign_id": campaign_id, "name": experiment.name, "experiment_hash": experiment.hash(),
            "experiment_toml": tomli_w.dumps(experiment.resolved()), "packages": package_versions(),
            "suite_version": suite.version, "status": "running", "started_at": now, "heartbeat_at": now, **facts,
        }])  # fmt: skip
        writer.upsert("items", [item.row() for item in suite.items])
        writer.insert("cells", list(_cell_rows(campaign_id, cases)))
    return Campaign(campaign_id, "running")


def set_state(store: Store, campaign_id: str, status: str, note: str | None = None) -> None:
    """Sets a campaign's status (running, finished, stopped, aborted) and its note."""
    now = datetime.now(UTC)
    done = now if status != "running" else None
    with store.write() as writer:
        writer.update("campaigns", {"campaign_id": campaign_id},
                      {"status": status, "finished_at": done, "heartbeat_at": now, "note": note})  # fmt: skip


def _slug(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return kept.strip("-")[:60] or "experiment"


def _is_demo(tag: str, details: ModelDetails, engine: str) -> bool:
    """The embedded engine's models, also where they were exported to an Ollama: they say nothing about real LLMs."""
    shipped = {name.partition(":")[0] for name in registry(MODELS_DIR)}
    small = details.parameter_count is None or details.parameter_count < _DEMO_PARAMETERS
    return engine == "pocket" or (small and tag.rpartition("/")[2].partition(":")[0] in shipped)


def configuration_row(
    model: ModelEntry, details: ModelDetails, digest: str | None, size_bytes: int | None, options: dict[str, Any],
    engine: str, engine_version: str, environment: dict[str, str] | None,
) -> dict[str, Any]:  # fmt: skip
    """Row of ``configurations``: the unit that gets a letter (digest, quantization, context, options)."""
    shown = {k: v for k, v in sorted(options.items()) if k not in ("seed", "num_predict")}
    identity = json.dumps([digest or model.tag, details.quantization, shown], sort_keys=True)
    return {
        "configuration_id": f"{model.tag}#{hashlib.sha256(identity.encode()).hexdigest()[:8]}",
        "model": model.tag, "model_base": model.model_base or details.base_name or model.tag.split(":")[0],
        "digest": digest, "family": details.family, "parameter_count": details.parameter_count,
        "quantization": details.quantization, "context_length": options.get("num_ctx"), "options": shown,
        "engine": engine, "engine_version": engine_version, "environment": environment,
        "model_size_bytes": size_bytes, "demo": _is_demo(model.tag, details, engine), "first_seen_at": datetime.now(UTC),
    }  # fmt: skip
