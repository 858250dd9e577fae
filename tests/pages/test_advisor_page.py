"""The advisor: the known best is named, limits exclude with a reason, loading breaks even where it was measured."""

from pathlib import Path

import pytest

from db import Store
from pages._ui import advisor_queries, i18n
from rating.advice import keep_loaded
from tests.fakes.sample_store import GPU_COHORT, POCKET_COHORT, configuration_id
from tests.pages.conftest import Open, everything

EN = i18n.catalogue("en")
GEMMA, PHI = configuration_id("gemma2:9b-instruct-q4_K_M"), configuration_id("phi3:3.8b-mini-q4_0")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_names_the_least_joules_per_success_and_how_sure_that_is(sample: Path, app: Open, lang: str) -> None:
    weights = (("qa", 1.0), ("summary", 1.0))
    best = advisor_queries.advice(Store(sample), GPU_COHORT, weights, None, None, None, None).options[0]
    at = app(sample, "advisor.py", lang)
    assert not at.exception
    assert best.configuration.partition("#")[0] in [text.value for text in at.text]
    metrics = {metric.label: metric.value for metric in at.metric}
    assert metrics[i18n.catalogue(lang)["col.joules"]].endswith("J")


def test_a_quality_floor_in_the_address_changes_the_choice_and_says_why_the_others_are_out(
    sample: Path, app: Open
) -> None:
    at = app(sample, "advisor.py", quality="0.75")
    assert not at.exception
    assert "gemma2:9b-instruct-q4_K_M" in [text.value for text in at.text]
    assert EN["advisor.excluded_title"].format(n=3) in [expander.label for expander in at.expander]


def test_limits_that_nothing_meets_are_said(sample: Path, app: Open) -> None:
    at = app(sample, "advisor.py", latency="0.001")
    assert EN["advisor.nothing"] in [warning.value for warning in at.warning]


@pytest.mark.parametrize("query", [{"quality": "1.5"}, {"price": "abc"}, {"w_qa": "x"}, {"hours": "nan"}, {"vram": "inf"}, {"per_day": "1e400"}])
def test_nonsense_in_the_address_is_not_an_error(sample: Path, app: Open, query: dict[str, str]) -> None:
    assert not app(sample, "advisor.py", **query).exception


def test_the_choice_stands_above_the_wishes_with_what_its_figures_are(sample: Path, app: Open) -> None:
    at = app(sample, "advisor.py", cohort=POCKET_COHORT)
    blocks = list(at.main)
    metrics = [n for n, element in enumerate(blocks) if element.type == "metric"]
    wishes = [n for n, element in enumerate(blocks) if element.type in ("slider", "number_input")]
    assert max(metrics) < min(wishes)
    badges = everything(at)
    assert EN["label.demo"] in badges
    assert EN["label.estimated"] in badges


def test_without_any_weight_it_asks_for_one(sample: Path, app: Open) -> None:
    at = app(sample, "advisor.py", w_qa="0", w_summary="0")
    assert EN["advisor.no_weight"] in [info.value for info in at.info]


def test_keeping_loaded_follows_the_measured_loads(sample: Path, app: Open) -> None:
    known = advisor_queries.loading(Store(sample), GPU_COHORT).set_index("configuration").loc[GEMMA]
    found = keep_loaded(100, known["energy_j"], known["holding_power_w"])
    at = app(sample, "advisor.py", configuration=GEMMA, per_day="100")
    assert EN["advisor.keep_yes" if found.keep else "advisor.keep_no"] in [markdown.value for markdown in at.markdown]


def test_what_was_not_measured_gives_no_advice_on_loading(sample: Path, app: Open) -> None:
    at = app(sample, "advisor.py", configuration=PHI)
    assert EN["advisor.keep_unknown"] in everything(at)


def test_needs_are_none_where_nothing_was_measured(own: Store) -> None:
    with own.write() as writer:
        writer.execute("UPDATE runs SET vram_bytes_max = NULL")
    advice = advisor_queries.advice(own, GPU_COHORT, (("qa", 1.0),), None, 8e9, None, None)
    assert not advice.options
    assert {reason.code for one in advice.excluded for reason in one.reasons} == {"advice_vram_unknown"}
