"""The runs page: any run by link or filter, its traces, its flags in words, its text as text."""

from pathlib import Path

import pytest

from db import FLAGS, Store
from pages._ui import i18n
from tests.fakes.sample_store import HOSTILE, configuration_id
from tests.pages.conftest import Open, everything


def the_run(store: Store, where: str) -> str:
    return str(store.query(f"SELECT run_id FROM runs WHERE {where} ORDER BY run_id LIMIT 1").iloc[0, 0])  # noqa: S608


def test_a_link_opens_the_run_with_its_traces(sample: Path, app: Open) -> None:
    at = app(sample, "runs.py", run="run-00000")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 4
    metrics = {metric.label: metric.value for metric in at.metric}
    assert metrics[i18n.catalogue("en")["col.energy_short"]].endswith("J")


def test_without_a_link_it_asks_to_choose(sample: Path, app: Open) -> None:
    at = app(sample, "runs.py")
    assert i18n.catalogue("en")["runs.select_hint"] in everything(at)
    assert not at.get("vega_lite_chart")


def test_an_unknown_run_is_said(sample: Path, app: Open) -> None:
    at = app(sample, "runs.py", run="'; DROP TABLE runs; --")
    assert [warning.value for warning in at.warning] == [i18n.catalogue("en")["runs.unknown"]]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_flags_are_explained_in_the_language(sample: Path, app: Open, lang: str) -> None:
    run = the_run(Store(sample), "list_contains(flags, 'throttled')")
    at = app(sample, "runs.py", lang, run=run)
    flag = next(flag for flag in FLAGS if flag.name == "throttled")
    told = "\n".join(error.value for error in at.error)
    assert (flag.zh if lang == "zh" else flag.en) in told
    assert i18n.catalogue(lang)["effect.left_out"] in told


def test_a_fault_shows_what_the_engine_said_and_why_there_is_no_energy(sample: Path, app: Open) -> None:
    at = app(sample, "runs.py", run=the_run(Store(sample), "fault = 'http_500'"))
    assert not at.exception
    assert "llama runner process has terminated" in [code.value for code in at.code]
    assert "no answer" in [text.value for text in at.text]
    assert not at.get("vega_lite_chart")


def test_an_answer_is_shown_as_text_only(sample: Path, app: Open) -> None:
    at = app(sample, "runs.py", run=the_run(Store(sample), "output_text LIKE '<img%'"))
    assert HOSTILE in [code.value for code in at.code]
    assert not any("onerror" in str(markdown.value) for markdown in at.markdown)
    assert not at.get("html")


def test_a_demonstration_run_with_estimated_energy_is_labelled(sample: Path, app: Open) -> None:
    at = app(sample, "runs.py", run=the_run(Store(sample), "energy_tier = 'estimated'"))
    texts = i18n.catalogue("en")
    assert {texts["notice.demo"], texts["notice.estimated"]} <= {info.value for info in at.info}


def test_filters_narrow_the_list(sample: Path, app: Open) -> None:
    wanted = configuration_id("gemma2:9b-instruct-q4_K_M")
    at = app(sample, "runs.py", configuration=wanted, language="zh", task="qa", status="ok")
    rows = at.dataframe[0].value
    assert set(rows["label"]) == {"gemma2:9b-instruct-q4_K_M"}
    assert set(rows["item"].str[:5]) == {"qa-zh"}
    at.get_by_key("flag-en").set_value("client_lag").run()
    assert at.query_params["flag"] == "client_lag"
    assert all("client_lag" in flags for flags in at.dataframe[0].value["flags"])


def test_filters_that_match_nothing_say_so(sample: Path, app: Open) -> None:
    at = app(sample, "runs.py", campaign="quickstart-1", configuration=configuration_id("gemma2:9b-instruct-q4_K_M"))
    assert [info.value for info in at.info] == [i18n.catalogue("en")["runs.none"]]


@pytest.mark.parametrize("field", ["power_w", "gpu_percent", "memory_bytes"])
def test_what_was_not_measured_is_not_drawn(own: Store, app: Open, field: str) -> None:
    with own.write() as w:
        w.execute(f"UPDATE samples SET {field} = NULL")  # noqa: S608
        w.execute("UPDATE samples SET cpu_percent = NULL, process_cpu_percent = NULL, vram_bytes = NULL")
    at = app(own.path, "runs.py", run="run-00000")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 3


def test_a_run_with_one_sample_and_without_chunks_is_drawn(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("DELETE FROM samples WHERE run_id = 'run-00000' AND t_s > 0")
        w.execute("UPDATE runs SET chunk_t_s = [], chunk_chars = NULL, load_s = 0.05 WHERE run_id = 'run-00000'")
    at = app(own.path, "runs.py", run="run-00000")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 3
