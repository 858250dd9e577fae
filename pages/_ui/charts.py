"""Charts as pure functions: a frame and the words in, an Altair chart out. Intervals are drawn, axes carry units.

A frame's ``label`` column names a configuration. Missing values are not drawn, they are never zero. Colours of series come
from the theme (.streamlit/config.toml), which has a set for light and one for dark.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import altair as alt
import pandas as pd

from pages._ui.theme import ACCENT, GRADE_COLOURS, GRADES, NEUTRAL, SERIES

__all__ = ["bars", "class_bands", "classes", "pareto", "quality_energy", "strip", "tokens", "trace"]

_PHASES = ("#E69F00", "#56B4E9", "#009E73")
_NO_LETTER = "–"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")


def pareto(frame: pd.DataFrame, cost: str, gain: str) -> pd.DataFrame:
    """The rows that no other row beats in both ``cost`` (lower is better) and ``gain``, cheapest first."""
    known = frame.dropna(subset=[cost, gain]).sort_values([cost, gain], ascending=[True, False])
    best = known[gain].astype(float).cummax().shift(fill_value=-float("inf"))
    return known[known[gain] > best]


def class_bands(low: float, high: float, bounds: Sequence[float]) -> pd.DataFrame:
    """The part of every class between ``low`` and ``high``: ``from to middle grade``, the best first."""
    edges = [low, *(bound for bound in bounds if low < bound < high), high]
    first = sum(bound <= low for bound in bounds)
    return pd.DataFrame(
        [(a, b, (a * b) ** 0.5, GRADES[first + n]) for n, (a, b) in enumerate(itertools.pairwise(edges))],
        columns=["from", "to", "middle", "grade"],
    )


def classes(frame: pd.DataFrame, bounds: Sequence[float], words: Mapping[str, str]) -> alt.LayerChart:
    """EEI of every configuration with its 95 % interval on the scale of the classes.

    Args:
        frame: ``label eei eei_low eei_high grade``; rows without an EEI are left out.
        bounds: upper ends of the classes A to F.
        words: ``eei`` and ``configuration`` axis titles, ``grade`` and ``interval`` for the tooltip.
    """
    # Only what is drawn: Altair looks at every column once for each layer.
    rows = frame.dropna(subset=["eei"])[["label", "grade", "eei", "eei_low", "eei_high"]].copy()
    rows["letter"] = rows["grade"].fillna(_NO_LETTER)
    rows["range"] = [f"{low:.3g}–{high:.3g}" for low, high in zip(rows["eei_low"], rows["eei_high"], strict=True)]
    low, high = _span([*rows["eei_low"], *rows["eei"]], [*rows["eei_high"], *rows["eei"]], bounds)
    bands = class_bands(low, high, bounds)
    edges = list(bands["to"])
    axis = alt.Axis(title=words["eei"], values=[round(v, 4) for v in edges[:-1]], format="~g", grid=False)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    x = alt.X("eei:Q", scale=scale, axis=axis)
    y = alt.Y("label:N", sort=list(rows["label"]), title=None, axis=alt.Axis(labelLimit=230, ticks=False))
    colour = alt.Color("grade:N", scale=_grade_scale(), legend=None)
    ground = alt.Chart(bands).mark_rect(opacity=0.22).encode(x=alt.X("from:Q", scale=scale), x2="to:Q", color=colour)
    heads = alt.Chart(bands).mark_text(fontSize=15, fontWeight="bold", baseline="bottom", color=NEUTRAL).encode(
        x=alt.X("middle:Q", scale=scale), y=alt.value(-4), text="grade:N"
    )  # fmt: skip
    base = alt.Chart(rows)
    tooltip = [alt.Tooltip("label:N", title=words["configuration"]), alt.Tooltip("letter:N", title=words["grade"]),
               alt.Tooltip("eei:Q", title="EEI", format=",.3~r"), alt.Tooltip("range:N", title=words["interval"])]  # fmt: skip
    rules = base.mark_rule(strokeWidth=3, color=NEUTRAL).encode(x=alt.X("eei_low:Q", scale=scale), x2="eei_high:Q", y=y)
    points = base.mark_point(size=190, filled=True, color=ACCENT, opacity=1, stroke="#ffffff", strokeWidth=1.5).encode(
        x=x, y=y, tooltip=tooltip
    )
    return alt.layer(ground, heads, rules, points).properties(height=110 + 36 * max(1, len(rows)))


def quality_energy(frame: pd.DataFrame, words: Mapping[str, str], *, front: bool = True,
                   series: Sequence[str] = ()) -> alt.LayerChart:  # fmt: skip
    """Quality against joules per success, both with their 95 % intervals; the Pareto front as a line.

    Args:
        frame: ``label joules_per_success{,_low,_high} quality{,_low,_high}`` and optionally ``grade``.
        words: axis titles ``joules``, ``quality``, and ``configuration``, ``grade``.
        front: whether to draw the front.
        series: every label of the page in the order of its colours, so that one keeps its colour; those drawn when empty.
    """
    drawn = [f"{name}{end}" for name in ("joules_per_success", "quality") for end in ("", "_low", "_high")]
    rows = frame.dropna(subset=["joules_per_success", "quality"])[["label", *drawn]].copy()
    rows["letter"] = frame["grade"].fillna(_NO_LETTER) if "grade" in frame else _NO_LETTER
    low, high = _padded([*rows["joules_per_success_low"], *rows["joules_per_success"]],
                        [*rows["joules_per_success_high"], *rows["joules_per_success"]])  # fmt: skip
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    x = alt.X("joules_per_success:Q", scale=scale, axis=alt.Axis(title=words["joules"], format=",.3~r", tickCount=5))
    unit = alt.Scale(
        domain=_tenths(rows["quality_low"].fillna(rows["quality"]), rows["quality_high"].fillna(rows["quality"]))
    )
    y = alt.Y("quality:Q", scale=unit, axis=alt.Axis(title=words["quality"], format=".1f", tickCount=5))
    drawn, order = list(rows["label"]), list(series) or list(rows["label"])
    legend = alt.Legend(
        orient="bottom", columns=1 if len(drawn) <= 6 else 2, title=None, labelLimit=300, symbolSize=110, values=drawn
    )
    colour = alt.Color("label:N", sort=order, legend=legend, scale=alt.Scale(domain=order))
    shape = alt.Shape(
        "label:N",
        sort=order,
        legend=legend,
        scale=alt.Scale(domain=order, range=[_SHAPES[n % len(_SHAPES)] for n in range(len(order))]),
    )
    base = alt.Chart(rows)
    tooltip = [
        alt.Tooltip("label:N", title=words["configuration"]), alt.Tooltip("letter:N", title=words["grade"]),
        alt.Tooltip("joules_per_success:Q", title=words["joules"], format=",.3~r"),
        alt.Tooltip("quality:Q", title=words["quality"], format=".2f"),
    ]  # fmt: skip
    layers: list[alt.Chart] = []
    if front:
        best = pareto(rows, "joules_per_success", "quality")
        layers.append(
            alt.Chart(best).mark_line(interpolate="step-after", strokeDash=[6, 4], color=NEUTRAL).encode(x=x, y=y)
        )
    layers += [
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("joules_per_success_low:Q", scale=scale), x2="joules_per_success_high:Q", y=y, color=colour),
        base.mark_rule(strokeWidth=2).encode(x=x, y=alt.Y("quality_low:Q", scale=unit), y2="quality_high:Q", color=colour),
        base.mark_point(size=140, filled=True, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip, shape=shape),
        base.mark_text(align="left", dx=9, dy=-12, fontSize=15, fontWeight="bold").encode(x=x, y=y, text="letter:N", color=colour),
    ]  # fmt: skip
    return alt.layer(*layers).properties(height=350 + 22 * (len(drawn) if len(drawn) <= 6 else -(-len(drawn) // 2)))


def bars(frame: pd.DataFrame, value: str, words: Mapping[str, str], *, zero_to_one: bool = False,
         series: Sequence[str] = ()) -> alt.LayerChart:  # fmt: skip
    """``value`` of every configuration in one task, with its 95 % interval.

    Args:
        frame: ``label`` and ``value``, ``value_low``, ``value_high``.
        value: the column to draw.
        words: ``title`` of the picture, ``value`` axis title, ``configuration``.
        zero_to_one: whether the axis is that of a quality.
        series: every label of the page in the order of its colours; those drawn when empty.
    """
    rows = frame.dropna(subset=[value])[["label", value, f"{value}_low", f"{value}_high"]]
    order = list(dict.fromkeys(rows["label"]))
    scale = alt.Scale(domain=[0, 1]) if zero_to_one else alt.Scale(zero=True)
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelLimit=190))
    colour = alt.Color("label:N", sort=order, legend=None, scale=alt.Scale(domain=list(series) or order))
    base = alt.Chart(rows)
    tooltip = [alt.Tooltip("label:N", title=words["configuration"]),
               alt.Tooltip(f"{value}:Q", title=words["value"], format=",.3~r")]  # fmt: skip
    bar = base.mark_bar(height={"band": 0.62}, opacity=0.75).encode(
        x=alt.X(f"{value}:Q", scale=scale, axis=alt.Axis(title=words["value"], tickCount=5)),
        y=y,
        color=colour,
        tooltip=tooltip,
    )
    rule = base.mark_rule(strokeWidth=2.5, color=NEUTRAL).encode(x=f"{value}_low:Q", x2=f"{value}_high:Q", y=y)
    title = alt.TitleParams(words["title"], anchor="start", fontSize=14)
    return alt.layer(bar, rule).properties(height=100 + 28 * max(1, len(order)), title=title)


def trace(samples: pd.DataFrame, series: Mapping[str, str], title: str, spans: Mapping[str, tuple[float, float]],
          words: Mapping[str, str], *, baseline: float | None = None) -> alt.LayerChart:  # fmt: skip
    """One or more fields of a run over time, above the spans of its phases.

    Args:
        samples: ``t_s`` and the fields.
        series: field to its name in the legend; fields without any value are left out.
        title: of the y axis, with its unit.
        spans: phase to its start and end (s after the request was sent).
        words: ``time`` axis title.
        baseline: idle power to draw as a dashed line; None for none.
    """
    known = [field for field in series if field in samples and samples[field].notna().any()]
    long = samples.melt("t_s", known, "field", "value").dropna(subset=["value"])
    long["name"] = long["field"].map(dict(series))
    end = max([float(samples["t_s"].max()), *(stop for _, stop in spans.values())], default=1.0)
    start = min(0.0, float(samples["t_s"].min()))
    x, x_from = _time(start, end, words["time"]), _time(start, end, words["time"], "from")
    names = [series[field] for field in known]
    colour = alt.Color("name:N", sort=names, title=None, scale=alt.Scale(domain=names),
                       legend=alt.Legend(orient="top", columns=2, symbolType="stroke", symbolSize=300,
                                         symbolStrokeWidth=3, labelLimit=260) if len(names) > 1 else None)  # fmt: skip
    y = alt.Y("value:Q", axis=alt.Axis(title=title, tickCount=4, format=",.3~r", minExtent=44, maxExtent=44))
    layers = _phases(spans, x_from)
    if baseline is not None:
        layers.append(
            alt.Chart(pd.DataFrame({"value": [baseline]}))
            .mark_rule(strokeDash=[5, 4], color=NEUTRAL)
            .encode(y="value:Q")
        )
    layers.append(alt.Chart(long).mark_line(strokeWidth=2, interpolate="linear", point=len(samples) < 3).encode(
        x=x, y=y, color=colour, strokeDash=alt.StrokeDash("name:N", sort=names, legend=None),
        tooltip=[alt.Tooltip("t_s:Q", title=words["time"], format=".2f"), alt.Tooltip("name:N", title=" "),
                 alt.Tooltip("value:Q", title=title, format=",.4~r")],
    ))  # fmt: skip
    return alt.layer(*layers).properties(height=190 if len(names) < 2 else 240)


def tokens(t_s: Sequence[float], chars: Sequence[int], spans: Mapping[str, tuple[float, float]],
           words: Mapping[str, str], frame: tuple[float, float] | None = None) -> alt.LayerChart:  # fmt: skip
    """Characters of the answer over time: a step for every chunk that came, above the spans of its phases.

    Args:
        t_s: arrival of every chunk (s after the request was sent); ``chars`` its length in characters.
        spans: phase to its start and end.
        words: ``time`` and ``chars`` axis titles.
        frame: first and last moment of the traces above, so that the axes line up; None where there are none.
    """
    rows = pd.DataFrame({"t_s": list(t_s), "chars": pd.Series(list(chars), dtype="int64").cumsum()})
    last = max(
        [*(stop for _, stop in spans.values()), float(rows["t_s"].max()), frame[1] if frame else 0.0], default=1.0
    )
    first = min(0.0, frame[0]) if frame else 0.0
    x, x_from = _time(first, last, words["time"]), _time(first, last, words["time"], "from")
    y = alt.Y("chars:Q", axis=alt.Axis(title=words["chars"], tickCount=4, minExtent=44, maxExtent=44))
    line = alt.Chart(rows).mark_line(interpolate="step-after", strokeWidth=2).encode(x=x, y=y)
    ticks = alt.Chart(rows).mark_tick(thickness=1, height=14, color=NEUTRAL).encode(
        x=x, y=alt.datum(0), tooltip=[alt.Tooltip("t_s:Q", title=words["time"], format=".3f")])  # fmt: skip
    return alt.layer(*_phases(spans, x_from), line, ticks).properties(height=170)


def strip(frame: pd.DataFrame, words: Mapping[str, str]) -> alt.Chart:
    """Counts of states as one stacked bar: ``state_name`` and ``n``, coloured in the order of the rows."""
    order = list(frame["state_name"])
    return alt.Chart(frame).mark_bar(height=26).encode(
        x=alt.X("n:Q", stack="zero", axis=None),
        color=alt.Color("state_name:N", sort=order, title=None, legend=alt.Legend(orient="top"),
                        scale=alt.Scale(domain=order, range=[SERIES[0], "#BDBDBD", SERIES[1], SERIES[3]][: len(order)])),
        order=alt.Order("position:Q"),
        tooltip=[alt.Tooltip("state_name:N", title=" "), alt.Tooltip("n:Q", title=words["count"])],
    ).properties(height=96)  # fmt: skip


def _time(start: float, end: float, title: str, field: str = "t_s") -> alt.X:
    return alt.X(f"{field}:Q", scale=alt.Scale(domain=[start, end], nice=False), axis=alt.Axis(title=title, grid=False))


def _phases(spans: Mapping[str, tuple[float, float]], x: alt.X) -> list[alt.Chart]:
    """A pale ground for each phase; literal colours, so that the layers above keep their own scale."""
    tooltip = [
        alt.Tooltip("phase:N", title=" "),
        alt.Tooltip("from:Q", format=".2f"),
        alt.Tooltip("to:Q", format=".2f"),
    ]
    return [
        alt.Chart(pd.DataFrame([{"phase": phase, "from": start, "to": stop}])).mark_rect(color=colour, opacity=0.15).encode(
            x=x, x2="to:Q", tooltip=tooltip)
        for (phase, (start, stop)), colour in zip(spans.items(), _PHASES, strict=False)
    ]  # fmt: skip


def _grade_scale() -> alt.Scale:
    return alt.Scale(domain=list(GRADES), range=list(GRADE_COLOURS.values()))


def _padded(lows: Sequence[float], highs: Sequence[float], factor: float = 1.35) -> tuple[float, float]:
    """Ends of a log axis around the values, with room on both sides."""
    low = min((v for v in lows if v == v and v > 0), default=1.0)  # noqa: PLR0124 (NaN differs from itself)
    high = max((v for v in highs if v == v and v > 0), default=1.0)  # noqa: PLR0124
    return low / factor, high * factor


def _tenths(lows: Iterable[float], highs: Iterable[float]) -> list[float]:
    """Ends of a quality axis in tenths around the values, at least 0.4 apart."""
    low, high = max(0.0, math.floor(min(lows) * 10 - 0.5) / 10), min(1.0, math.ceil(max(highs) * 10 + 0.5) / 10)
    return [round(max(0.0, min(low, high - 0.4)), 1), round(min(1.0, max(high, low + 0.4)), 1)]


def _span(lows: Sequence[float], highs: Sequence[float], bounds: Sequence[float]) -> tuple[float, float]:
    """Ends of the class axis: all values, and at least half of each class beside the middle ones."""
    low, high = _padded(lows, highs)
    return min(low, bounds[2] / 2**0.5), max(high, bounds[4] * 2**0.5)
