"""Tasks, and quantization and size: letters by task, paired effects, trends, and what their charts draw."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rating
from db import Store, effect_of, reader
from pages._ui import charts_effects, effects, i18n, queries, theme
from tests.fakes import sample_store
from tests.fakes.sample_store import GPU_COHORT, NOW, POCKET_COHORT, configuration_id
from tests.pages.conftest import Open, everything

EN, ZH = i18n.catalogue("en"), i18n.catalogue("zh")
NAN = float("nan")
WORDS = dict.fromkeys(
    ("value", "interval", "none", "size", "joules", "configuration", "family", "task", "grade", "eei", "certainty", "status",
     "why", "title", "level"), "word")  # fmt: skip
BASE = "llama3.2:3b-instruct"


def expected(path: Path) -> list[rating.Effect]:
    columns = rating.columns_of(reader.answers_for_rating(Store(path)))
    measurements = rating.measurements_of(columns, effect_of, 30).measurements
    return rating.factor_effects(measurements, "quantization")


def layer_rows(spec: dict[str, object], field: str) -> list[dict[str, object]]:
    return next(rows for rows in spec["datasets"].values() if field in rows[0])  # type: ignore[attr-defined]


def test_effects_of_the_store_are_those_of_the_rating(sample: Path) -> None:
    found, wanted = queries.effects(Store(sample), "quantization"), expected(sample)
    assert len(found) == len(wanted) == 2
    for row, effect in zip(found.itertuples(), wanted, strict=True):
        c = effect.comparison
        assert c is not None
        assert (row.task, row.subject, row.first, row.second) == (effect.task, BASE, "Q8_0", "Q4_K_M")
        assert (row.x_ratio, row.x_ratio_low, row.x_ratio_high) == (c.x_ratio, c.x_interval.low, c.x_interval.high)
        assert (row.energy_j, row.quality) == (c.energy_difference_j, c.quality_difference)
        assert (row.n_items, row.verdict) == (c.n_items, c.verdict.replace(" ", "_"))


def test_levels_that_must_not_be_compared_say_why_instead_of_figures(own: Store) -> None:
    with own.write() as w:
        w.execute(
            "UPDATE runs SET energy_tier = 'estimated' WHERE configuration_id = ?", [configuration_id(f"{BASE}-q8_0")]
        )
    found = queries.effects(own, "quantization")
    assert set(found["verdict"]) == {"not_comparable"}
    assert found[["x_ratio", "energy_j", "quality", "n_items"]].isna().all(axis=None)
    assert (found["reasons"].str.len() > 2).all()


def test_no_pairs_are_an_empty_table_of_the_same_columns(own: Store) -> None:
    with own.write() as w:
        w.execute("UPDATE configurations SET model_base = NULL")
    found = queries.effects(own, "quantization")
    assert found.empty
    assert {"cohort", "verdict", "x_ratio_low", "reasons"} <= set(found.columns)


@pytest.mark.parametrize(("lang", "texts"), [("en", EN), ("zh", ZH)])
def test_quantization_shows_verdicts_pictures_and_the_table(
    sample: Path, app: Open, lang: str, texts: dict[str, str]
) -> None:
    at = app(sample, "quantization.py", lang)
    assert not at.exception
    counts = {metric.label: metric.value for metric in at.metric}
    assert counts == {texts["verdict.better"]: "1", texts["verdict.worse"]: "0", texts["verdict.no_evidence"]: "1"}
    assert len(at.get("vega_lite_chart")) == 3  # energy, quality, size
    table = at.dataframe[0].value
    assert list(table["verdict"]) == [texts["verdict.better"], texts["verdict.no_evidence"]]
    first = next(effect.comparison for effect in expected(sample) if effect.task == "qa")
    assert first is not None
    assert table["items"].iloc[0] == first.n_items
    assert table["x_ratio"].iloc[0].startswith(f"{first.x_ratio:.3g}")
    assert table["quality"].iloc[0].startswith(f"+{first.quality_difference:.2g}")


def test_quantization_gives_the_trend_of_the_task_asked_for(sample: Path, app: Open) -> None:
    at = app(sample, "quantization.py", task="qa")
    rows = reader.ratings(Store(sample)).query("task == 'qa'").to_dict("records")
    wanted = next(found.trend for found in rating.size_trends(rows) if found.family is None)
    trends = at.dataframe[-1].value
    assert list(trends["n"]) == [wanted.n]
    assert trends["slope"].iloc[0].startswith(f"{wanted.slope:.3g}")
    assert trends["doubling"].iloc[0].startswith(f"{2**wanted.slope:.3g}")
    assert trends["finding"].iloc[0] == EN["trend.no_evidence"]


def test_a_cohort_of_one_model_says_that_there_is_nothing_to_pair(sample: Path, app: Open) -> None:
    at = app(sample, "quantization.py", cohort=POCKET_COHORT)
    words = everything(at)
    for key in ("quantization.no_pairs", "quantization.no_trend", "notice.demo", "notice.estimated"):
        assert EN[key] in words, key


@pytest.mark.parametrize("page", ["tasks.py", "quantization.py"])
@pytest.mark.parametrize(("lang", "texts"), [("en", EN), ("zh", ZH)])
def test_answers_of_which_none_counts_draw_nothing(
    own: Store, app: Open, page: str, lang: str, texts: dict[str, str]
) -> None:
    with own.write() as w:
        w.execute("UPDATE runs SET status = 'fault', fault = 'http_500', flags = ['http_500'], energy_j = NULL")
    at = app(own.path, page, lang)
    assert not at.exception
    assert texts["overview.no_valid"] in everything(at)
    assert not at.get("vega_lite_chart")


@pytest.mark.parametrize("page", ["tasks.py", "quantization.py"])
def test_without_ratings_the_figures_stay_and_the_command_is_named(own: Store, app: Open, page: str) -> None:
    with own.write() as w:
        w.execute("DELETE FROM ratings")
    at = app(own.path, page)
    assert not at.exception
    assert f"python -m rating table --db {own.path}" in [code.value for code in at.code]
    assert at.dataframe


@pytest.mark.parametrize(("lang", "texts"), [("en", EN), ("zh", ZH)])
def test_tasks_shows_the_heat_map_and_why_cells_are_empty(
    sample: Path, app: Open, lang: str, texts: dict[str, str]
) -> None:
    at = app(sample, "tasks.py", lang)
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 4  # heat map; energy, quality and speed by load
    why = [text.value for text in at.text if "phi3:3.8b-mini-q4_0" in text.value]
    assert len(why) == 1
    assert f"phi3:3.8b-mini-q4_0 · {texts['task.qa']}" in why[0]


def test_tasks_gives_the_figures_of_every_level(sample: Path, app: Open) -> None:
    at = app(sample, "tasks.py", by="language", task="qa")
    shown = at.dataframe[-1].value
    wanted = queries.figures(Store(sample), language="zh").query("task == 'qa'").set_index("model")["energy_j"]
    mine = shown[shown["level"] == EN["language.zh"]].set_index("label")["energy"]
    assert len(mine) == 4
    for model, energy in mine.items():
        assert energy == pytest.approx(wanted[model])
    assert not {"grade", "badge"} & set(shown.columns), "figures, never another letter"


def test_a_task_that_was_not_measured_is_a_named_gap(own: Store, app: Open) -> None:
    gemma = configuration_id("gemma2:9b-instruct-q4_K_M")
    with own.write() as w:
        w.execute("DELETE FROM ratings WHERE configuration = ? AND task = 'summary'", [gemma])
        w.execute("UPDATE runs SET status = 'fault', flags = ['http_500'] WHERE configuration_id = ? AND item_hash LIKE 'summary%'",
                  [gemma])  # fmt: skip
    words = everything(app(own.path, "tasks.py"))
    assert f"{EN['tasks.not_measured']} [gemma2:9b-instruct-q4_K_M · {EN['task.summary']}]" in words


def test_intervals_are_drawn_beside_the_line_of_no_change() -> None:
    rows = pd.DataFrame(
        {"label": ["a\nb", "c\nd"], "name": "x", "value": [0.7, NAN], "low": [0.5, NAN], "high": [0.9, NAN]}
    )
    spec = charts_effects.intervals(rows, WORDS, none=1.0, log=True).to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rule", "rule", "point"]
    assert layer_rows(spec, "at")[0]["at"] == 1.0
    assert [row["label"] for row in layer_rows(spec, "label")] == ["a\nb"]
    low, high = spec["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0.5
    assert high > 1.0, "the line of no change is in view"


def test_the_size_line_has_the_slope_of_the_trend() -> None:
    sizes, joules = [1e9, 4e9, 16e9], [10.0, 20.0, 40.0]
    rows = pd.DataFrame({"label": list("abc"), "family": ["f", None, "g"], "parameter_count": sizes, "joules_per_success": joules,
                         "joules_per_success_low": joules, "joules_per_success_high": joules})  # fmt: skip
    spec = charts_effects.size(rows, (0.5, 0.4, 0.6), WORDS).to_dict()
    line = layer_rows(spec, "trend")
    slope = np.polyfit(np.log([p["size"] for p in line]), np.log([p["trend"] for p in line]), 1)[0]
    assert slope == pytest.approx(0.5)
    assert all(p["lower"] <= p["trend"] * (1 + 1e-9) and p["trend"] <= p["upper"] * (1 + 1e-9) for p in line)
    assert len(charts_effects.size(rows, None, WORDS).to_dict()["layer"]) == 2, "no trend, no line"


def test_heat_cells_have_readable_letters_and_empty_ones_no_colour() -> None:
    rows = pd.DataFrame({"label": list("abc"), "task_name": "QA", "grade": ["A", None, "G"], "eei": [0.1, NAN, 5.0],
                         "certainty": "", "status_name": "", "why": "", "provisional": [False, False, True]})  # fmt: skip
    cells = {row["label"]: row for row in layer_rows(charts_effects.heat(rows, WORDS).to_dict(), "letter")}
    assert [cells[label]["letter"] for label in "abc"] == ["A", "–", "G ?"], "G is provisional"
    assert [cells[label]["fill"] for label in "abc"] == [
        theme.GRADE_COLOURS["A"],
        "transparent",
        theme.GRADE_COLOURS["G"],
    ]
    assert [cells[label]["rim"] for label in "abc"] == ["transparent", theme.NEUTRAL, "transparent"]
    for label in "ac":
        assert theme.contrast(str(cells[label]["ink"]), str(cells[label]["fill"])) >= 4.5
    assert cells["b"]["index"] == ""


def test_a_missing_level_is_not_drawn_as_zero() -> None:
    rows = pd.DataFrame({"label": ["a", "a"], "level": ["short", "long"], "energy_j": [3.0, NAN]})
    spec = charts_effects.levels(rows, "energy_j", ["short", "long"], WORDS).to_dict()
    assert [row["level"] for row in layer_rows(spec, "level")] == ["short"]


def test_ranges_keep_their_signs_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.session_state", {"lang": "en"})
    assert effects.with_range(-0.05, -0.1, 0.02, sign=True) == "-0.05 (-0.1 to +0.02)"
    assert effects.with_range(0.004, 0.0, 0.0094, sign=True).startswith("+0.004 (0")
    assert effects.with_range(1.5, 1.25, 1.75) == "1.5 (1.25 to 1.75)"
    assert effects.with_range(0.5, None, 1.0) == "0.5", "no interval, no brackets"
    assert effects.with_range(None, None, None) == i18n.MISSING


def test_tasks_show_pass_at_k_and_diversity_where_there_are_any(own: Store, app: Open) -> None:
    config = configuration_id("gemma2:9b-instruct-q4_K_M")
    with own.write() as w:
        w.execute("UPDATE runs SET task = 'code' WHERE configuration_id = ? AND task = 'qa'", [config])
        w.execute("UPDATE qualities SET passed = run_id IN (SELECT run_id FROM runs WHERE repeat = 0)")
        w.insert("diversity", [{
            "campaign_id": campaign, "configuration_id": config, "task": "summary", "load": "short", "language": "en", "n_items": 4,
            "n_answers": 12, "vendi": vendi, "distinct_2": 0.5, "self_bleu": 0.3, "deterministic": False, "input_hash": "h",
            "computed_at": at,
        } for campaign, vendi, at in (("night-20", 2.5, NOW), ("quickstart-1", 1.5, NOW - timedelta(days=1)))])  # fmt: skip
    at = app(own.path, "tasks.py", "zh", cohort=GPU_COHORT)
    assert not at.exception
    passed = next(table.value for table in at.dataframe if "k1" in table.value)
    assert passed["k1"].iloc[0] == pytest.approx(50, abs=12), "one of two repeats passes; a few items lack one of them"
    assert "k3" not in passed, "nobody was asked three times"
    different = next(table.value for table in at.dataframe if "vendi" in table.value)
    assert list(different["vendi"]) == [2.5], "only the newest"


def test_who_beats_whom_adds_up_to_one(tmp_path: Path, app: Open) -> None:
    store = sample_store.build(tmp_path / "beats.duckdb", items=20, repeats=1, samples_per_run=1)
    found = queries.wins(store, GPU_COHORT, "sample-1")
    pairs = {(row.task, row.first, row.second): row.probability for row in found.itertuples()}
    assert pairs
    assert all(p + pairs[task, second, first] == pytest.approx(1) for (task, first, second), p in pairs.items())
    cheap, dear = (configuration_id(m) for m in ("llama3.2:3b-instruct-q4_K_M", "gemma2:9b-instruct-q4_K_M"))
    assert pairs["qa", cheap, dear] > 0.99
    at = app(store.path, "compare.py", task="qa")
    assert not at.exception
    assert i18n.catalogue("en")["compare.beats_caption"] in everything(at)
