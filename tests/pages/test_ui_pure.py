"""Badges, colours, charts and exports: what is drawn and written, without a browser."""

import csv
import io
import itertools
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import rating
from db import Store, reader
from pages._ui import badge, charts, export, table, theme

ROOT = Path(__file__).resolve().parents[2]
WORDS = {"eei": "EEI", "configuration": "Configuration", "grade": "Grade", "interval": "95 %", "joules": "J per success",
         "quality": "Quality", "value": "J", "title": "QA", "time": "s", "chars": "characters", "count": "cells"}  # fmt: skip
NAN = float("nan")
ROWS = pd.DataFrame({
    "label": ["a", "b", "c", "d"], "grade": ["B", None, "E", None], "eei": [0.2, 0.9, 1.5, NAN], "eei_low": [0.15, 0.7, 1.2, NAN],
    "eei_high": [0.3, 1.1, 2.1, NAN], "joules_per_success": [20.0, 90.0, 150.0, NAN], "joules_per_success_low": [15.0, 70.0, 120.0, NAN],
    "joules_per_success_high": [30.0, 110.0, 210.0, NAN], "quality": [0.5, 0.4, 0.9, 0.3], "quality_low": [0.4, 0.3, 0.85, 0.2],
    "quality_high": [0.6, 0.5, 0.95, 0.4], "task": "qa",
})  # fmt: skip
BOUNDS = rating.EEI_BOUNDS


def rows_of(spec: dict[str, object]) -> list[list[dict[str, object]]]:
    return list(spec["datasets"].values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("colour", theme.GRADE_COLOURS.values())
def test_letters_read_well_on_their_colour(colour: str) -> None:
    assert theme.contrast(colour, theme.ink_on(colour)) >= 4.5


def test_contrast_is_that_of_the_standard() -> None:
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("draw", [badge.grade_svg, badge.quality_svg])
@pytest.mark.parametrize("letter", [*theme.GRADES, None, "<script>"])
def test_a_badge_is_a_picture_with_its_letter_and_nothing_else(draw: object, letter: str | None) -> None:
    picture = ElementTree.fromstring(draw(letter))  # type: ignore[operator]
    texts = [element.text for element in picture.iter() if element.text]
    assert texts == [letter if letter in theme.GRADES else "–"]
    assert unquote(badge.data_uri(draw(letter))).endswith("</svg>")  # type: ignore[operator]


def test_better_letters_have_longer_arrows_and_provisional_a_dashed_rim() -> None:
    tips = [float(badge.grade_svg(letter).split("L")[1].split()[0]) for letter in theme.GRADES]
    assert tips == sorted(tips, reverse=True)
    assert len(set(tips)) == 7
    assert "dasharray" in badge.grade_svg("C", provisional=True)
    assert "dasharray" not in badge.grade_svg("C")


def test_a_quality_class_of_few_items_is_not_painted() -> None:
    assert theme.GRADE_COLOURS["B"] in badge.quality_svg("B")
    assert theme.GRADE_COLOURS["B"] not in badge.quality_svg("B", too_few=True)
    assert "dasharray" in badge.quality_svg("B", too_few=True)


def test_class_chart_draws_intervals_on_the_class_scale() -> None:
    spec = charts.classes(ROWS, BOUNDS, WORDS).to_dict()
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert marks == ["rect", "text", "rule", "point"]
    assert spec["layer"][2]["encoding"]["x"]["field"] == "eei_low"
    assert spec["layer"][3]["encoding"]["x"]["axis"]["title"] == "EEI"
    bands, points = sorted(rows_of(spec), key=lambda rows: "label" in rows[0])
    assert [row["label"] for row in points] == ["a", "b", "c"], "a row without an index is not drawn"
    assert all(row["grade"] in theme.GRADES for row in bands)
    assert all(one["to"] == two["from"] for one, two in itertools.pairwise(bands))


@given(some.floats(1e-4, 1e3), some.floats(1.01, 1e4))
def test_class_bands_agree_with_the_rating(low: float, factor: float) -> None:
    bands = charts.class_bands(low, low * factor, rating.EEI_BOUNDS)
    assert [rating.class_of(float(middle)) for middle in bands["middle"]] == list(bands["grade"])
    assert (bands["from"].iloc[0], bands["to"].iloc[-1]) == (low, low * factor)


def test_plane_draws_both_intervals_and_the_front() -> None:
    series = [*reversed(list(ROWS["label"])), "not drawn"]
    kept = charts.quality_energy(ROWS, WORDS, series=series).to_dict()["layer"][-2]["encoding"]["color"]
    assert kept["scale"]["domain"] == series, "a configuration keeps its colour from chart to chart"
    assert "not drawn" not in kept["legend"]["values"]
    spec = charts.quality_energy(ROWS, WORDS).to_dict()
    fields = [layer["encoding"]["x"]["field"] for layer in spec["layer"]]
    assert "joules_per_success_low" in fields
    assert any(layer["encoding"]["y"].get("field") == "quality_low" for layer in spec["layer"])
    front, points = sorted(rows_of(spec), key=len)
    assert [row["label"] for row in front] == ["a", "c"]
    assert [row["label"] for row in points] == ["a", "b", "c"]
    assert spec["layer"][1]["encoding"]["color"]["field"] == spec["layer"][3]["encoding"]["shape"]["field"] == "label"


@settings(deadline=None)
@given(some.lists(some.tuples(some.integers(1, 9), some.integers(0, 9)), max_size=12))
def test_pareto_keeps_exactly_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    frame = pd.DataFrame(points, columns=["cost", "gain"])
    kept = {tuple(row) for row in charts.pareto(frame, "cost", "gain").to_numpy().tolist()}
    beaten = {p for p in points if any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)}
    assert kept == set(points) - beaten


@pytest.mark.parametrize("frame", [ROWS, ROWS.iloc[:1], ROWS.iloc[3:]], ids=["several", "one", "without figures"])
def test_charts_of_any_size_are_valid(frame: pd.DataFrame) -> None:
    assert charts.bars(frame, "quality", WORDS, zero_to_one=True).to_dict()["layer"]
    if frame["eei"].notna().any():
        assert charts.classes(frame, BOUNDS, WORDS).to_dict()
        assert charts.quality_energy(frame, WORDS).to_dict()


def test_trace_draws_phases_baseline_and_only_known_fields() -> None:
    samples = pd.DataFrame({"t_s": [0.0, 0.1, 0.2], "cpu": [1.0, 2.0, NAN], "gpu": [NAN, NAN, NAN]})
    spec = charts.trace(samples, {"cpu": "CPU", "gpu": "GPU"}, "Use (%)", {"prefill": (0.0, 0.1), "decode": (0.1, 0.3)},
                        WORDS, baseline=5.0).to_dict()  # fmt: skip
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rect", "rect", "rule", "line"]
    line = spec["layer"][3]
    assert line["encoding"]["y"]["axis"]["title"] == "Use (%)"
    assert line["encoding"]["x"]["scale"]["domain"] == [0.0, 0.3]
    drawn = next(rows for rows in rows_of(spec) if "value" in rows[0] and "name" in rows[0])
    assert [(row["name"], row["value"]) for row in drawn] == [("CPU", 1.0), ("CPU", 2.0)], "missing is not zero"


def test_tokens_add_up_to_the_answer() -> None:
    spec = charts.tokens([0.1, 0.2, 0.4], [3, 1, 2], {"decode": (0.1, 0.4)}, WORDS, (-0.2, 0.5)).to_dict()
    drawn = next(rows for rows in rows_of(spec) if "chars" in rows[0])
    assert [row["chars"] for row in drawn] == [3, 4, 6]
    assert spec["layer"][1]["encoding"]["x"]["scale"]["domain"] == [-0.2, 0.5]


def test_download_is_byte_for_byte_the_commands_file(own: Store, tmp_path: Path) -> None:
    with own.write() as w:
        w.execute("UPDATE ratings SET model = '=cmd|calc' WHERE task = 'qa' AND model LIKE 'phi3%'")
        w.execute("INSERT INTO ratings SELECT * REPLACE ('sample-1+own-0a1b' AS scheme) FROM ratings WHERE task = 'qa'")
    written = tmp_path / "table.csv"
    done = subprocess.run(
        [sys.executable, "-m", "rating", "table", "--db", str(own.path), "--csv", str(written)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ratings = reader.ratings(own)
    assert set(ratings["scheme"]) > {"sample-1", "sample-1+own-0a1b"}, "the command rated and stored"
    assert b"sample-1+own" not in written.read_bytes(), "what served before the basket is history"
    assert "sample-1+own-0a1b" not in set(table.standing(ratings)["scheme"])
    assert export.rating_csv(ratings) == written.read_bytes()
    assert written.read_bytes().startswith(b"\xef\xbb\xbf")
    assert ",'=cmd|calc," in written.read_text(encoding="utf-8-sig")


def test_view_download_is_safe_for_spreadsheets() -> None:
    frame = pd.DataFrame({"label": ["=1+1", "@x", "-3", "plain", None], "value": [-1.5, 2.0, NAN, 3.0, 4.0],
                          "notes": [["a", "b"], [], [], [], []]})  # fmt: skip
    data = export.view_csv(frame)
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["label"] for row in rows] == ["'=1+1", "'@x", "'-3", "plain", ""]
    assert rows[0]["value"] == "-1.5", "a number stays a number"
    assert rows[2]["value"] == "", "missing stays empty"
    assert rows[0]["notes"] == "a; b"
