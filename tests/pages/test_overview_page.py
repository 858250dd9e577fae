"""The ratings page: letters with their certainty, nobody hidden, labels where figures need them, links that hold."""

from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from db import Store, reader
from pages._ui import i18n, table
from tests.fakes.sample_store import GPU_COHORT, POCKET_COHORT, build
from tests.pages.conftest import ROUTER, Open, everything


def test_every_configuration_of_the_cohort_has_a_row(sample: Path, app: Open) -> None:
    rows = app(sample).dataframe[0].value
    assert list(rows["label"]) == [
        "llama3.2:3b-instruct-q4_K_M", "llama3.2:3b-instruct-q8_0", "gemma2:9b-instruct-q4_K_M", "phi3:3.8b-mini-q4_0",
    ]  # fmt: skip
    assert list(rows["certainty"]) == ["96\u00a0%", "71\u00a0% · C–D", "93\u00a0% · D–E", i18n.MISSING]
    assert rows["badge"].str.startswith("data:image/svg+xml").all()
    assert rows["speed"].notna().all()


@pytest.mark.parametrize(("lang", "reason"), [("en", "8 items, 30 are needed"), ("zh", "只有 8 道题，需要 30 道")])
def test_the_unrated_says_why_in_words(sample: Path, app: Open, lang: str, reason: str) -> None:
    at = app(sample, lang=lang, task="qa")
    assert reason in everything(at)
    assert i18n.catalogue(lang)["status.unrated"] in list(at.dataframe[0].value["status"])


def test_a_cohort_goes_along_to_the_other_pages(sample: Path, app: Open) -> None:
    at = app(sample, None, cohort=POCKET_COHORT)
    at.query_params.pop("cohort")  # as the menu's links have it
    at.switch_page("model.py").run()
    assert at.query_params["cohort"] == POCKET_COHORT
    assert POCKET_COHORT in [box.value for box in at.selectbox]


def test_without_any_letter_the_figures_answer_with_their_status(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("UPDATE ratings SET grade = NULL, grade_low = NULL, grade_high = NULL, grade_probability = NULL, status = 'unrated'")
    at = app(own.path, cohort=GPU_COHORT, task="overall")
    assert not at.exception
    least = [caption.value for caption in at.caption if caption.value.startswith("134\u00a0J")]
    assert least == [f"134\u00a0J · 116–157 · {i18n.catalogue('en')['status.unrated']}"]


def test_an_address_that_names_what_is_not_there_is_said(sample: Path, app: Open) -> None:
    at = app(sample, None, cohort=GPU_COHORT, task="poetry")
    words = i18n.catalogue("en")
    assert words["state.not_here"].format(label=words["filter.task"]) in [caption.value for caption in at.caption]
    assert not any("state.not_here" in caption.value for caption in app(sample, None, cohort=GPU_COHORT).caption)


def test_demonstration_and_estimate_are_labelled(sample: Path, app: Open) -> None:
    at = app(sample, cohort=POCKET_COHORT)
    texts = i18n.catalogue("en")
    assert list(at.dataframe[0].value["notes"].iloc[0]) == [texts["label.demo"], texts["label.estimated"]]
    assert f"{texts['notice.demo']}\n\n{texts['notice.estimated']}" in [info.value for info in at.info]


def test_measured_configurations_carry_no_such_label(sample: Path, app: Open) -> None:
    at = app(sample, cohort=GPU_COHORT)
    notes = dict(zip(at.dataframe[0].value["label"], at.dataframe[0].value["notes"], strict=True))
    few = notes.pop("phi3:3.8b-mini-q4_0")
    assert not [each for each in notes.values() if len(each)]
    assert list(few) == [i18n.catalogue("en")["label.too_few"]], "a quality of few items does not look decided"
    assert not at.info


def test_the_size_filter_knows_classes_of_parameters(sample: Path, app: Open) -> None:
    at = app(sample, size=["4b_to_10b"], family=["gemma2", "phi3"], task="qa")
    assert list(at.dataframe[0].value["label"]) == ["gemma2:9b-instruct-q4_K_M"]
    at.get_by_key("size-en").set_value(["1b_to_4b"]).run()
    assert at.query_params["size"] == "1b_to_4b"
    assert list(at.dataframe[0].value["label"]) == ["phi3:3.8b-mini-q4_0"]


@pytest.mark.parametrize(
    ("parameters", "size"),
    [(8_100_000, "under_1b"), (1e9, "1b_to_4b"), (3.9e9, "1b_to_4b"), (4e9, "4b_to_10b"), (10e9, "from_10b"), (None, None)],
)
def test_a_size_class_begins_at_its_lower_end(parameters: float | None, size: str | None) -> None:
    assert table.size_class(parameters) == size


def test_filters_come_from_the_address_and_go_into_it(sample: Path, app: Open) -> None:
    at = app(sample, task="summary", family=["gemma2"])
    assert list(at.dataframe[0].value["label"]) == ["gemma2:9b-instruct-q4_K_M"]
    at.get_by_key("task-en").set_value("qa").run()
    assert at.query_params["task"] == "qa"
    at.get_by_key("task-en").set_value("overall").run()
    assert "task" not in at.query_params


@pytest.mark.parametrize("query", [{"task": "sudoku"}, {"cohort": "x"}, {"family": ["<script>"]}, {"lang": "fr"}])
def test_nonsense_in_the_address_is_ignored(sample: Path, app: Open, query: dict[str, str]) -> None:
    at = app(sample, **query)
    assert not at.exception
    assert len(at.dataframe[0].value) == 4


def test_switching_the_language_keeps_the_choice(sample: Path, app: Open) -> None:
    at = app(sample, task="qa")
    at.get_by_key("lang").set_value("zh").run()
    assert not at.exception
    assert at.get_by_key("task-zh").value == "qa"
    assert at.title[0].value == i18n.catalogue("zh")["nav.overview"]


def test_browser_language_is_the_default(sample: Path, app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENERGY_RATING_DB", str(sample))
    at = AppTest.from_file(str(ROUTER), default_timeout=180)
    at.context = {"locale": "zh-CN"}
    assert at.run().title[0].value == i18n.catalogue("zh")["nav.overview"]


def test_a_model_name_is_never_markup(own: Store, app: Open) -> None:
    evil = "<b>x</b> **y** :red[z]"
    with own.write() as w:
        for name in ("ratings", "configurations"):
            assert w.update(name, {"model": "phi3:3.8b-mini-q4_0"}, {"model": evil})
    at = app(own.path, task="qa")
    assert not at.exception
    assert evil in [text.value for text in at.text]
    assert evil not in [markdown.value for markdown in at.markdown]


def test_a_scheme_without_letters_stands_behind_one_with(own: Store) -> None:
    with own.write() as w:
        w.execute(
            "INSERT INTO ratings SELECT * REPLACE ('later' AS scheme, NULL AS grade, now()::TIMESTAMP AS rated_at) FROM ratings"
        )
    assert table.schemes(reader.ratings(own)) == ["sample-1", "later"]


def test_equal_models_are_told_apart_by_their_identifier() -> None:
    frame = pd.DataFrame({"configuration": ["a#1", "a#2", "b#3", "c"], "model": ["a", "a", "b", None]})
    assert table.labels(frame) == {"a#1": "a#1", "a#2": "a#2", "b#3": "b", "c": "c"}


def test_the_page_opens_where_letters_are() -> None:
    frame = pd.DataFrame({"task": ["overall", "qa", "summary"], "grade": [None, "C", "B"], "quality": [None, 0.5, 0.5]})
    assert table.default_task(frame, ["overall", "qa", "summary"]) == "qa"
    assert table.default_task(frame.assign(grade=None), ["overall", "qa"]) == "qa"
    assert table.default_task(frame.iloc[:0], ["overall", "qa"]) == "overall"


def test_a_reason_of_many_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "session_state", {"lang": "zh"})
    both = '[{"code": "x", "text": "why", "text_zh": "原因"}]'
    more = '[{"code": "x", "text": "why", "text_zh": "原因"}, {"code": "y", "text": "only English"}]'
    rows = pd.DataFrame({"label": ["a", "b"], "reasons": [both, more]})
    assert table.shared_reasons(rows) == [("原因", ["a", "b"]), ("only English", ["b"])]


def test_a_full_best_class_proposes_a_new_scheme(tmp_path: Path, app: Open) -> None:
    store = build(tmp_path / "full.duckdb")
    with store.write() as writer:
        writer.execute("UPDATE ratings SET grade = 'A' WHERE cohort = ? AND grade IS NOT NULL", [GPU_COHORT])
    words = i18n.catalogue("en")["overview.rescale"].split("{share}")[1]
    assert any(words in info.value for info in app(store.path, cohort=GPU_COHORT).info)
    assert not any(words in info.value for info in app(store.path, cohort=POCKET_COHORT).info)
