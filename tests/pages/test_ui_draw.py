"""Pictures that leave the page."""

import altair as alt
import pandas as pd
import pytest

from pages._ui import badge, draw


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


def test_a_chart_is_saved_as_png(made: alt.LayerChart) -> None:
    assert draw.picture(made, "png").startswith(b"\x89PNG\r\n")


def test_more_rows_than_altair_allows_by_itself_are_saved() -> None:
    frame = pd.DataFrame({"x": range(6000)})
    assert draw.picture(alt.Chart(frame).mark_tick().encode(x="x:Q"), "svg")


def test_a_badge_becomes_a_png() -> None:
    assert draw.png_of(badge.grade_svg("A")).startswith(b"\x89PNG\r\n")
