"""Effects of factors on known truths: paired where items are shared, refused where nothing may be compared."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import db
from db import reader
from rating import (
    Condition,
    Configuration,
    Effect,
    Measurements,
    Wish,
    advise,
    campaign_changes,
    columns_of,
    factor_effects,
    measurements_of,
    rate,
    size_trends,
)
from rating.factors import Factor
from tests.fakes import sample_store
from tests.rating.rating_data import Answer, measurements, scheme, steady


def found(data: Measurements, factor: Factor) -> list[Effect]:
    return factor_effects(data, factor, draws=200)


def described(answers: list[Answer], *configurations: Configuration, **changes: object) -> Measurements:
    return replace(measurements(answers), configurations=configurations, **changes)  # type: ignore[arg-type]


def test_quantization_compares_each_precision_with_the_most_precise_of_its_base() -> None:
    answers = steady({"q4": 1.0, "f16": 4.0, "q8": 2.0, "other": 9.0}, {"q4": 0.6, "f16": 0.8, "q8": 0.8})
    data = described(
        answers,
        Configuration("q4", quantization="Q4_K_M", model_base="m"),
        Configuration("f16", quantization="F16", model_base="m"),
        Configuration("q8", quantization="Q8_0", model_base="m"),
        Configuration("other", quantization="F16", model_base="n"),
    )
    effects = found(data, "quantization")
    assert [(e.subject, e.first, e.second) for e in effects] == [("m", "F16", "Q4_K_M"), ("m", "F16", "Q8_0")]
    four = effects[0].comparison
    assert four is not None
    assert (four.paired, four.verdict, four.n_items) == (True, "better", 40)
    assert four.energy_ratio == pytest.approx(0.25)
    assert four.quality_difference == pytest.approx(-0.2)
    assert four.x_ratio == pytest.approx(0.25 * 0.8 / 0.6)
    assert effects[1].configurations == ("f16", "q8")


def test_another_context_or_an_unknown_base_is_no_quantization_pair() -> None:
    answers = steady({"a": 1.0, "b": 4.0, "c": 4.0})
    one = Configuration("a", quantization="Q4_0", model_base="m", context_length=2048)
    data = described(answers, one, replace(one, configuration="b", quantization="F16", context_length=4096),
                     Configuration("c", quantization="F16"))  # fmt: skip
    assert found(data, "quantization") == []


@pytest.mark.parametrize(("factor", "low", "high"), [("context_length", 2048, 16384), ("temperature", 0.0, 0.7)])
def test_context_and_temperature_within_one_model(factor: Factor, low: float, high: float) -> None:
    base = Configuration("a", model="m", digest="d")
    data = described(
        steady({"a": 3.0, "b": 1.0}),
        replace(base, **{factor: high}),  # type: ignore[arg-type]
        replace(base, configuration="b", **{factor: low}),  # type: ignore[arg-type]
    )
    (effect,) = found(data, factor)
    assert (effect.first, effect.second) == (str(low), str(high))
    assert effect.comparison is not None
    assert effect.comparison.x_ratio == pytest.approx(3.0)
    assert effect.comparison.verdict == "worse"


def test_scopes_that_do_not_meet_are_refused_by_name() -> None:
    data = measurements(steady({"a": 1.0, "b": 1.0}), conditions={"b": Condition(tier="counter", scope="machine")})
    data = replace(data, configurations=(Configuration("a", quantization="F16", model_base="m"),
                                         Configuration("b", quantization="Q8_0", model_base="m")))  # fmt: skip
    (effect,) = found(data, "quantization")
    assert effect.comparison is None
    assert {reason.code for reason in effect.reasons} == {"mixed_scope"}


def levels(first: str, second: str, energies: tuple[float, float], *, same_items: bool, factor: str) -> Measurements:
    """One model measured at two levels of load or language, on the same or on other items."""
    count, (one, two) = 40, energies
    rng = np.random.default_rng(1)
    hardness = np.exp(rng.normal(size=2 * count))
    own = np.arange(2 * count)
    bare = [f"i{index % count if same_items else index:03}" for index in own]
    hard = [hardness[index % count if same_items else index] for index in own]
    energy = np.array([h * (one if index < count else two) for h, index in zip(hard, own, strict=True)])
    answers: list[Answer] = [
        ("m", f"{name} [{index // count}]", 0, 1.0, 1.0) for name, index in zip(bare, own, strict=True)
    ]
    return replace(
        measurements(answers),
        energy_j=energy,
        bare_items=tuple(bare),
        conditions=(Condition(**{factor: first}), Condition(**{factor: second})),
        condition=own // count,
    )


@pytest.mark.parametrize("factor", ["load", "language"])
def test_levels_on_the_same_items_are_paired_and_so_sharper(factor: Factor) -> None:
    (same,) = found(levels("a", "b", (1.0, 1.2), same_items=True, factor=factor), factor)
    (other,) = found(levels("a", "b", (1.0, 1.2), same_items=False, factor=factor), factor)
    assert same.comparison is not None
    assert other.comparison is not None
    assert (same.comparison.paired, other.comparison.paired) == (True, False)
    assert same.comparison.energy_ratio == pytest.approx(1.2)
    assert same.comparison.verdict == "worse"
    assert other.comparison.verdict == "no evidence"
    low, high = other.comparison.energy_interval.low, other.comparison.energy_interval.high
    assert low is not None
    assert high is not None
    assert low < other.comparison.energy_ratio < high
    assert (same.subject, same.first, same.second, same.task) == ("m", "a", "b", "qa")


def test_tasks_of_one_configuration() -> None:
    data = measurements([*steady({"m": 1.0}), *[(m, f"s{i}", r, 5.0, q) for m, i, r, _, q in steady({"m": 1.0})]])
    items = np.array([name.startswith("s") for name in data.items])
    data = replace(data, tasks=("qa", "summary"), task=items[data.item].astype(np.int64))
    (effect,) = found(data, "task")
    assert (effect.task, effect.first, effect.second) == (None, "qa", "summary")
    assert effect.comparison is not None
    assert effect.comparison.x_ratio == pytest.approx(5.0)


def test_energy_that_is_missing_forbids_the_comparison() -> None:
    data = levels("a", "b", (1.0, 2.0), same_items=True, factor="load")
    energy = data.energy_j.copy()
    energy[0] = math.nan
    (effect,) = found(replace(data, energy_j=energy), "load")
    assert effect.comparison is None
    assert {reason.code for reason in effect.reasons} == {"energy_missing"}


def stored(campaigns: dict[str, float], **changes: Any) -> dict[str, list[Any]]:
    """Columns as the store gives them: one configuration in several campaigns."""
    rows = [
        {"campaign": name, "campaign_started_at": datetime(2026, 11, day, tzinfo=UTC), "cohort": "here", "task": "qa",
         "configuration": "m#1", "model": "m", "model_base": "m", "digest": "d", "family": "f", "parameter_count": 10,
         "quantization": "F16", "context_length": 4096, "engine": "e", "engine_version": "1", "demo": False,
         "item": f"i{item}", "item_hash": f"{item:08}", "repeat": 0, "load": "short", "language": "en",
         "temperature": 0.0, "max_output_tokens": 10, "energy_j": joules * (1 + item), "energy_tier": "counter",
         "energy_scope": "gpu", "cpu_energy_j": None, "gpu_energy_j": None, "total_s": 1.0, "quality": 1.0,
         "quality_checkpoint": None, "scorer_version": "1", "status": "ok", "flags": ""}
        for day, (name, joules) in enumerate(campaigns.items(), start=1) for item in range(30)
    ]  # fmt: skip
    return columns_of(pd.DataFrame([row | changes.get(str(row["campaign"]), {}) for row in rows]))


def test_the_newest_campaign_is_held_against_the_one_before() -> None:
    (change,) = campaign_changes(stored({"oldest": 9.0, "old": 1.0, "new": 1.1}), lambda _: "shown", draws=200)
    assert (change.subject, change.first, change.second) == ("m#1", "old", "new")
    assert change.comparison is not None
    assert (change.comparison.verdict, change.comparison.n_items) == ("worse", 30)
    assert change.comparison.x_ratio == pytest.approx(1.1)
    assert campaign_changes(stored({"only": 1.0}), lambda _: "shown", draws=200) == []


def test_campaigns_of_other_scorers_are_not_compared() -> None:
    columns = stored({"old": 1.0, "new": 1.0}, new={"scorer_version": "2"})
    (change,) = campaign_changes(columns, lambda _: "shown", draws=200)
    assert change.comparison is None
    assert {reason.code for reason in change.reasons} == {"mixed_suite"}


def test_the_trend_over_size_within_families_and_over_all() -> None:
    sizes = {"f-1": 1e9, "f-2": 2e9, "f-4": 4e9, "g-1": 1e9}
    data = measurements(steady({name: (size / 1e9) ** 0.5 for name, size in sizes.items()}))
    data = replace(data, configurations=tuple(
        Configuration(name, name, family=name[0], parameter_count=int(size)) for name, size in sizes.items()
    ))  # fmt: skip
    rows = [rating.as_row() for rating in rate(data, scheme(("f-1", "f-2", "f-4")), draws=100) if rating.task == "qa"]
    trends = {trend.family: trend.trend for trend in size_trends([*rows, rows[0] | {"parameter_count": None}])}
    assert set(trends) == {None, "f"}
    assert trends["f"].slope == pytest.approx(0.5)
    assert (trends["f"].n, trends[None].n) == (3, 4)
    frame = pd.DataFrame(rows).astype({"parameter_count": float})
    assert size_trends(frame.to_dict("records")) == size_trends(rows)


def test_frames_of_the_store_feed_effects_changes_and_advice(tmp_path: Path) -> None:
    store = sample_store.build(tmp_path / "s.duckdb", samples_per_run=1)
    columns = columns_of(reader.answers_for_rating(store))
    data = measurements_of(columns, db.effect_of, 30).measurements
    assert {(e.subject, e.first, e.second) for e in found(data, "quantization")} == {
        ("llama3.2:3b-instruct", "Q8_0", "Q4_K_M")
    }
    loads = found(data, "load")
    assert {(e.first, e.second) for e in loads} == {("short", "medium")}
    assert all(e.comparison is not None or e.reasons for e in loads)
    assert {(e.first, e.second) for e in found(data, "language")} == {("en", "zh")}
    assert [(c.first, c.second) for c in campaign_changes(columns, db.effect_of, draws=200)] == [
        ("night-20", "night-22")
    ]
    advice = advise(data, sample_store.GPU_COHORT, Wish({"qa": 2.0, "summary": 1.0}), {}, draws=200)
    assert advice.choice is not None
    assert advice.choice.configuration == sample_store.configuration_id("llama3.2:3b-instruct-q4_K_M")
