"""Configurations: what makes one, and which are demonstrations."""

import pytest

from collector.campaign import configuration_row, open_campaign, package_versions
from collector.experiment import ModelEntry, parse_experiment
from collector.ollama_types import ModelDetails
from collector.plan import build_cases, experiment_suite
from db import Store


def _details(**more: object) -> ModelDetails:
    known = {
        "family": "llama", "parameter_count": 3_000_000, "quantization": "F16", "context_length_trained": 2048,
        "capabilities": None, "parent": None, "base_name": None, "size_label": None, "raw": {},
    }  # fmt: skip
    return ModelDetails(**{**known, **more})


def _row(
    tag: str = "m:1b", digest: str | None = "d1", engine: str = "ollama", options: dict | None = None, **more: object
) -> dict:
    chosen = {"temperature": 0.7, "num_ctx": 4096, "seed": 1, "num_predict": 10, **(options or {})}
    return configuration_row(ModelEntry(tag=tag), _details(**more), digest, 10, chosen, engine, "1.0", {})


def test_seed_and_cap_do_not_make_another_configuration_but_options_and_weights_do() -> None:
    same = _row(options={"seed": 2, "num_predict": 99})["configuration_id"]
    assert same == _row()["configuration_id"]
    assert same.startswith("m:1b#")
    others = [
        _row(options={"temperature": 0.0}),
        _row(options={"num_ctx": 8192}),
        _row(digest="d2"),
        _row(quantization="Q8_0"),
    ]
    assert len({same, *(o["configuration_id"] for o in others)}) == 5


@pytest.mark.parametrize(
    ("tag", "engine", "count", "demo"),
    [
        ("pocket-s:f16", "pocket", 900_000, True), ("anything", "pocket", None, True),
        ("pocket-l:q8_0", "ollama", 3_300_000, True), ("me/pocket-m:latest", "ollama", None, True),
        ("llama3.2:3b", "ollama", 3_200_000_000, False), ("pocket-l:8b", "ollama", 8_000_000_000, False),
    ],
)  # fmt: skip
def test_demonstration_models_are_known_wherever_they_run(tag: str, engine: str, count: int | None, demo: bool) -> None:
    assert _row(tag=tag, engine=engine, parameter_count=count)["demo"] is demo


def test_package_versions_name_what_a_figure_depends_on() -> None:
    assert {"genai-energy-rating", "duckdb", "httpx", "psutil"} <= set(package_versions())


def test_a_campaign_keeps_the_version_of_the_items_it_asks(tmp_path) -> None:
    own = {"task": "qa", "load": "short", "language": "en", "prompt": "Why?"}
    table = {"models": ["m"], "tasks": ["qa"], "loads": ["short"], "languages": ["en"], "items_per_cell": 1, "item": [own]}
    experiment = parse_experiment({"name": "x", **table}, "test")
    suite = experiment_suite(experiment)
    store = Store(tmp_path / "x.duckdb")
    store.ensure()
    facts = {"machine_id": "k", "engine": "ollama"}
    campaign = open_campaign(store, experiment, suite, build_cases(experiment, suite), facts)
    rows = store.query("SELECT suite_version FROM campaigns WHERE campaign_id = ?", [campaign.campaign_id])
    assert rows.suite_version[0] == suite.version
    assert suite.version.startswith("qa 1")
    assert suite.version[-10:-8] == " #"
