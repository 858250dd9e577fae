"""Puts a chart on the page, with a way to take it along as SVG or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import altair
import streamlit as st
from altair.utils import schemapi

from pages._ui.i18n import t
from pages._ui.label import wrapped
from pages._ui.theme import SERIES

__all__ = ["chart", "picture", "png_of"]

AnyChart = altair.Chart | altair.LayerChart | altair.HConcatChart | altair.VConcatChart

_WIDTH, _SCALE = 720, 2.0
_FONT = "Noto Sans, Noto Sans CJK SC, Microsoft YaHei, PingFang SC, sans-serif"
# Checking every part against Vega-Lite's schema takes half of a page's time; the tests of the charts check it.
schemapi.disable_debug_mode()


def chart(made: AnyChart, key: str, *, alt: str, **options: Any) -> Any:
    """Shows a chart and, below it, a small menu that saves it.

    Args:
        made: the chart.
        key: of the widget, and name of the saved file.
        alt: what the picture shows, for those who do not see it.
        options: of ``st.altair_chart``, e.g. ``on_select``.

    Returns:
        What ``st.altair_chart`` returns.
    """
    shown = made.copy(deep=False)
    object.__setattr__(shown, "to_dict", partial(shown.to_dict, validate=False))
    answer = st.altair_chart(shown, key=key, alt=alt, **options)
    notes = tuple(st.session_state.get("notes", ()))
    with st.popover(t("export.picture"), icon=":material/image:", type="tertiary", width="content"):
        for kind, mime in (("svg", "image/svg+xml"), ("png", "image/png")):
            st.download_button(
                kind.upper(), data=partial(picture, made, kind, alt, notes), file_name=f"energy-rating-{key}.{kind}", mime=mime,
                on_click="ignore", key=f"save-{key}-{kind}", width="stretch",
            )  # fmt: skip
    return answer


def picture(made: AnyChart, kind: Literal["svg", "png"], title: str = "", notes: Sequence[str] = ()) -> bytes:
    """The chart as a file on a white ground, as wide as a column of a page.

    Args:
        made: the chart.
        kind: of file.
        title: what it shows, as no page stands around it; behind the chart's own title where it has one.
        notes: what its figures are not (demonstration, estimate); below the title.
    """
    import vl_convert  # 80 MB that only a download needs

    with altair.data_transformers.disable_max_rows():
        spec = made.properties(background="white").to_dict()
    spec["config"] = {**spec.get("config", {}), "font": _FONT, "range": {"category": list(SERIES)}}
    own = spec.get("title", "")
    words = [part for part in (own["text"] if isinstance(own, dict) else own, title) if part]
    spec["title"] = {"text": wrapped(": ".join(words), 105, 3), "subtitle": list(notes), "anchor": "start", "fontSize": 13,
                     "subtitleColor": "#8a3b00", "offset": 26}  # fmt: skip
    if "width" not in spec and "hconcat" not in spec and "vconcat" not in spec:
        spec["width"] = _WIDTH
    if kind == "svg":
        return vl_convert.vegalite_to_svg(spec).encode("utf-8")
    return bytes(vl_convert.vegalite_to_png(spec, scale=_SCALE))


def png_of(svg: str, scale: float = _SCALE) -> bytes:
    """An SVG of ours as PNG."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(svg, scale=scale))
