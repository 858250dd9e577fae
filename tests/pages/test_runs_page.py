"""The runs page: any run by link or filter, its traces, its flags in words, its text as text."""

import csv
import io
from pathlib import Path

import pyarrow.parquet
import pytest

from db import FLAGS, Store, reader
from pages._ui import i18n, runs_export
from tests.fakes.sample_store import HOSTILE, NOW, configuration_id
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
    assert f"{texts['notice.demo']}\n\n{texts['notice.estimated']}" in [info.value for info in at.info]


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


EVERYTHING: dict[str, str | None] = dict.fromkeys(
    ("campaign", "configuration", "task", "load", "language", "status", "flag")
)


def test_the_parquet_of_the_runs_is_the_view_as_filtered(own: Store) -> None:
    with own.write() as w:
        w.execute("UPDATE runs SET output_text = '=1+1' WHERE run_id = 'run-00000'")
    asked = EVERYTHING | {"task": "qa", "flag": "client_lag"}
    runs = pyarrow.parquet.read_table(io.BytesIO(runs_export.as_parquet(runs_export.table(own, asked))))
    assert runs.column_names == list(own.query("SELECT * FROM v_runs LIMIT 0").columns)
    assert runs["run_id"].to_pylist() == list(reader.runs(own, task="qa", flag="client_lag", limit=10_000)["run_id"])
    assert runs_export.table(own, EVERYTHING, limit=3).num_rows == 3
    assert "=1+1" in runs_export.table(own, EVERYTHING)["output_text"].to_pylist(), "a file for programs is not changed"


def test_the_csv_of_the_runs_is_safe_for_spreadsheets(own: Store) -> None:
    with own.write() as w:
        w.execute("UPDATE runs SET output_text = '=cmd|calc', prompt = '-3 \u4e00' WHERE run_id = 'run-00000'")
    written = runs_export.as_csv(runs_export.table(own, EVERYTHING))
    assert written.startswith(b"\xef\xbb\xbf")
    rows = {row["run_id"]: row for row in csv.DictReader(io.StringIO(written.decode("utf-8-sig"), newline=""))}
    assert (rows["run-00000"]["output_text"], rows["run-00000"]["prompt"]) == ("'=cmd|calc", "'-3 \u4e00")
    assert rows["run-00000"]["ttft_thinking_s"] == "", "missing stays empty"
    assert float(rows["run-00000"]["energy_j"]) > 0


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_special_about_a_run_is_said(own: Store, app: Open, lang: str) -> None:
    with own.write() as w:
        w.execute("UPDATE runs SET ttft_thinking_s = 0.05, batch_size = 4, batch_id = 'b', cache_state = 'cached' WHERE run_id = 'run-00000'")
        w.insert("run_wall_energy", [{"run_id": "run-00000", "meter": "plug", "wall_energy_j": 99.0, "imported_at": NOW}])
    at = app(own.path, "runs.py", lang, run="run-00000")
    assert not at.exception
    words, texts = everything(at), i18n.catalogue(lang)
    assert texts["runs.batch"].format(n=4) in words
    assert texts["cache.cached"] in words
    assert texts["runs.thinking_first"].split("{")[0] in words
    assert "plug" in words
    assert "99\u00a0J" in words
    scores = next(table.value for table in at.dataframe if "direction" in table.value)
    assert set(scores["metric"]) == {texts["metric.bartscore"]}
