"""Pictures that leave the page."""

import altair as alt
import pandas as pd
import pytest

from pages._ui import badge, draw, theme


@pytest.fixture(scope="module")
def made() -> alt.LayerChart:
    frame = pd.DataFrame({"x": [1, 2, 3], "name": ["能效", "<b>", "c"]})
    base = alt.Chart(frame).encode(x="x:Q", y="name:N")
    return alt.layer(base.mark_bar(), base.mark_text().encode(text="name:N"))


def test_a_chart_is_saved_as_svg_with_its_words_as_text(made: alt.LayerChart) -> None:
    svg = draw.picture(made, "svg").decode()
    assert svg.startswith("<svg")
    assert "能效" in svg
    assert "<b>" not in svg


def test_a_saved_chart_says_what_it_shows_and_what_its_figures_are_not(made: alt.LayerChart) -> None:
    svg = draw.picture(made.properties(title=alt.TitleParams("Summary")), "svg", "Energy by task", ["estimated <i>"]).decode()
    assert "Summary: Energy by task" in svg
    assert "estimated &lt;i&gt;" in svg
    coloured = alt.Chart(pd.DataFrame({"x": [1, 2]})).mark_point().encode(x="x:Q", color="x:N")
    assert theme.SERIES[0].lower() in draw.picture(coloured, "svg").decode().lower(), "in the colours of the page"


def test_a_chart_is_saved_as_png(made: alt.LayerChart) -> None:
    assert draw.picture(made, "png").startswith(b"\x89PNG\r\n")


def test_more_rows_than_altair_allows_by_itself_are_saved() -> None:
    frame = pd.DataFrame({"x": range(6000)})
    assert draw.picture(alt.Chart(frame).mark_tick().encode(x="x:Q"), "svg")


def test_a_badge_becomes_a_png() -> None:
    assert draw.png_of(badge.grade_svg("A")).startswith(b"\x89PNG\r\n")
