"""The experiment file: defaults, overrides, and one clear sentence for every mistake."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ExperimentError
from collector.experiment import _PROFILES, Protocol, load_experiment, parse_experiment

ROOT = Path(__file__).resolve().parents[2]


def test_only_models_is_required_and_the_rest_has_the_documented_defaults() -> None:
    found = parse_experiment({"models": ["llama3.2:3b"]}, "x.toml")
    assert found.repeats == 5
    assert found.restart == "per_case"
    assert found.engine.kind == "auto"
    assert found.generation.temperature == 0.7
    assert [found.generation.cap(load) for load in ("short", "medium", "long")] == [160, 640, 2048]


def test_one_cap_changes_only_its_load() -> None:
    found = parse_experiment({"models": ["a"], "generation": {"max_output_tokens": {"short": 80}}}, "x.toml")
    assert [found.generation.cap(load) for load in ("short", "medium", "long")] == [80, 640, 2048]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ["models", "missing"]),
        ({"modles": ["a"]}, ["modles", "models"]),
        ({"models": []}, ["models", "empty"]),
        ({"models": ["a", "a"]}, ["models", "twice"]),
        ({"models": ["a"], "repeats": "five"}, ["repeats", "whole number", "five"]),
        ({"models": ["a"], "repeats": True}, ["repeats"]),
        ({"models": ["a"], "repeats": 0}, ["repeats", "0"]),
        ({"models": ["a"], "loads": ["huge"]}, ["loads", "short"]),
        ({"models": ["a"], "engine": "vllm"}, ["engine", "pocket"]),
        ({"models": ["a"], "generation": {"temprature": 1}}, ["[generation]", "temprature", "temperature"]),
        ({"models": ["a"], "generation": {"temperature": "hot"}}, ["[generation] temperature", "number", "hot"]),
        ({"models": ["a"], "generation": {"max_output_tokens": {"tiny": 1}}}, ["max_output_tokens"]),
        ({"models": [{"tag": "a", "options": {"num_gqu": 1}}]}, ["entry 1", "num_gqu"]),
        ({"models": [{"tag": "a", "options": {"num_gpu": "all"}}]}, ["entry 1", "num_gpu", "int"]),
        ({"models": ["a"], "rating": {"basket": ["a", "b"]}}, ["[rating] basket", "3"]),
        ({"models": ["a"], "schedule": {"cron": "nightly"}}, ["[schedule] cron", "five fields"]),
        ({"models": ["a\x00b"]}, ["models", "control character"]),
    ],
)
def test_a_mistake_names_file_field_and_cure(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(settings, "night.toml")
    for sentence in (caught.value.en, caught.value.zh):
        assert "night.toml" in sentence
        assert "\n" not in sentence
    for word in words:
        assert word in caught.value.en
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["= = =", "models = [", "\x00"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=r"bad\.toml: is not valid TOML"):
        load_experiment(path)


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="no such experiment file"):
        load_experiment(tmp_path / "none.toml")
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_experiment(tmp_path)
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_experiment(binary)


def test_item_files_are_looked_for_beside_the_experiment(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text('models = ["a"]\nsuite = ["mine.toml", "/far/away.toml"]\n[data]\ndb = "night.duckdb"\n')
    found = load_experiment(path)
    assert found.suite == [str(tmp_path / "mine.toml"), "/far/away.toml"]
    assert found.data.db == str(tmp_path / "night.duckdb")


def test_the_name_defaults_to_the_file_and_options_override_it(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_text('models = ["a"]\n[generation]\nseed = 7\n')
    found = load_experiment(path, {"models": ["b"], "generation": {"temperature": 0.0}})
    assert (found.name, found.models[0].tag, found.generation.seed, found.generation.temperature) == (
        "night",
        "b",
        7,
        0.0,
    )


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "experiments").glob("*.toml")), ids=lambda p: p.name)
def test_shipped_examples_are_valid(path: Path) -> None:
    assert load_experiment(path).models


def test_the_hash_follows_the_settings_and_not_where_results_go() -> None:
    one = parse_experiment({"models": ["a"]}, "x")
    assert one.hash() == parse_experiment({"models": ["a"], "data": {"db": "/elsewhere"}}, "x").hash()
    assert one.hash() != parse_experiment({"models": ["a"], "repeats": 4}, "x").hash()


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6), max_size=4))  # fmt: skip
def test_any_settings_end_in_an_experiment_or_one_sentence(settings: dict[str, object]) -> None:
    try:
        parse_experiment(settings, "x.toml")
    except ExperimentError as error:
        assert "x.toml" in error.en


def test_a_wall_meter_lies_in_the_local_network() -> None:
    table = {"models": ["a"], "telemetry": {"meter": "shelly:192.168.1.20"}}
    assert parse_experiment(table, "x.toml").telemetry.meter == "shelly:192.168.1.20"
    for wrong in ("shelly:8.8.8.8", "kasa:192.168.1.20", "shelly:me:secret@192.168.1.20"):
        with pytest.raises(ExperimentError, match=r"x.toml: \[telemetry\] meter") as caught:
            parse_experiment({**table, "telemetry": {"meter": wrong}}, "x.toml")
        assert "secret" not in str(caught.value)


def test_profiles_are_documented_as_they_are() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = text.split("<!-- profiles:")[1].split("\n\n")[0].splitlines()[3:]
    said = {name.strip(" `"): (float(one), float(two)) for _, name, one, two, _ in (row.split("|") for row in table)}
    standard, quick = (Protocol(profile=name) for name in ("standard", "quick"))  # type: ignore[arg-type]
    assert said == {name: (standard.value(name), quick.value(name)) for name in _PROFILES["standard"]}


def test_without_a_baseline_nothing_idle_is_measured() -> None:
    bare = Protocol(baseline_s=0.0)
    assert (bare.value("unloaded_s"), bare.value("spot_every"), bare.value("cooldown_s")) == (0.0, 0.0, 60.0)
    assert Protocol(baseline_s=0.0, spot_every=4, unloaded_s=2.0).value("spot_every") == 4.0


def test_batches_and_a_process_per_answer_exclude_each_other() -> None:
    with pytest.raises(ExperimentError, match="batch_s asks for answers back to back"):
        parse_experiment({"models": ["a"], "restart": "per_run", "protocol": {"batch_s": 5.0}}, "x.toml")


def test_new_settings_left_alone_keep_the_hash_of_a_file() -> None:
    assert "batch_s" not in str(parse_experiment({"models": ["a"]}, "x.toml").resolved())


@pytest.mark.parametrize(
    "settings",
    [{"telemetry": {"meter": "kasa:1"}}, {"generation": {"temperature": 9}}, {"generation": {"temperature": -1}},
     {"engine": "x"}, {"repeats": 0}, {"rating": {"basket": ["a"]}}, {"schedule": {"cron": "often"}}, {"tasks": ["qa", "qa"]},
     {"models": [{"tag": "a", "options": {"num_ctxx": 1}}]}, {"models": ["a", "a"]}, {"models": [{"tag": 1}]}, {"name": "x" * 300},
     {"protocol": {"batch_s": 5}, "restart": "per_run"}, {"telemetry": {"watts_per_core": 0}}, {"telemetry": {"watts_per_core": 900}}],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_told_in_chinese_too(settings: dict[str, Any]) -> None:
    with pytest.raises(ExperimentError) as caught:
        parse_experiment({"models": ["a"], **settings}, "f.toml")
    assert not re.search(r"\b(must|should|than|got|entry|names|has|does|fields|asks|twice)\b", caught.value.zh)
    assert not re.search("[\u4e00-\u9fff]", caught.value.en)
