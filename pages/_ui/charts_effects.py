"""Charts of effects, trends and tasks: pure functions like those of :mod:`pages._ui.charts`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from pages._ui.theme import GRADE_COLOURS, NEUTRAL, ink_on

__all__ = ["heat", "intervals", "levels", "matrix", "size"]

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")
_SIZES = "replace(format(datum.value, '.2~s'), 'G', ' B')"  # models are named by billions
_LINES = "split(datum.label, '\\n')"


def intervals(frame: pd.DataFrame, words: Mapping[str, str], *, none: float, log: bool = False) -> alt.LayerChart:
    """Effects with their 95 % intervals beside the dashed line of no change.

    Args:
        frame: ``label name value low high``; ``label`` may have two lines, several ``name`` stand below each other.
        words: ``value`` axis title, ``interval`` for the tooltip, ``none`` what the line means.
        none: value of no change.
        log: whether the values are ratios.
    """
    rows = frame.dropna(subset=["value"]).copy()
    rows["range"] = [f"{low:.3g} … {high:.3g}" for low, high in zip(rows["low"], rows["high"], strict=True)]
    ends = [none, *rows[["value", "low", "high"]].stack().dropna().astype(float)]
    room = 1.15 if log else max(0.02, 0.08 * (max(ends) - min(ends)))
    domain = [min(ends) / room, max(ends) * room] if log else [min(ends) - room, max(ends) + room]
    scale = alt.Scale(type="log" if log else "linear", domain=domain, nice=False)
    axis = alt.Axis(title=words["value"], tickCount=5, format="~g" if log else "+.2~f")
    names = list(dict.fromkeys(rows["name"]))
    y = alt.Y("label:N", sort=list(dict.fromkeys(rows["label"])), title=None,
              axis=alt.Axis(ticks=False, labelExpr=_LINES, labelLimit=230, labelLineHeight=14))  # fmt: skip
    offset = alt.YOffset("name:N", sort=names)
    legend = alt.Legend(orient="bottom", columns=1, title=None, symbolSize=110) if len(names) > 1 else None
    colour = alt.Color("name:N", sort=names, legend=legend, scale=alt.Scale(domain=names))
    shapes = alt.Scale(domain=names, range=list(_SHAPES[: len(names)]))
    shape = alt.Shape("name:N", sort=names, legend=legend, scale=shapes)
    base = alt.Chart(rows)
    tooltip = [alt.Tooltip("label:N", title=" "), alt.Tooltip("name:N", title=" "),
               alt.Tooltip("value:Q", title=words["value"], format=".3~g"), alt.Tooltip("range:N", title=words["interval"])]  # fmt: skip
    line = alt.Chart(pd.DataFrame({"at": [none], "none": [words["none"]]})).mark_rule(strokeDash=[5, 4], color=NEUTRAL).encode(
        x=alt.X("at:Q", scale=scale), tooltip=alt.Tooltip("none:N", title=" "))  # fmt: skip
    rules = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, yOffset=offset, color=colour
    )
    points = base.mark_point(size=130, filled=True, opacity=1).encode(
        x=alt.X("value:Q", scale=scale, axis=axis), y=y, yOffset=offset, color=colour, shape=shape, tooltip=tooltip
    )
    return alt.layer(line, rules, points).properties(
        height=90 + 46 * max(1, rows["label"].nunique()) + (36 * len(names) if legend else 0)
    )


def size(frame: pd.DataFrame, slope: tuple[float, float, float] | None, words: Mapping[str, str]) -> alt.LayerChart:
    """Joules per success over model size, both in logarithms, with the trend and the 95 % interval of its slope.

    Args:
        frame: ``label family parameter_count joules_per_success{,_low,_high}``.
        slope: of the trend and the ends of its interval; None for none. The line goes through the middle of the points.
        words: ``size`` and ``joules`` axis titles, ``configuration``, ``family``.
    """
    drawn = ["joules_per_success", "joules_per_success_low", "joules_per_success_high"]
    rows = frame.dropna(subset=["joules_per_success", "parameter_count"])
    rows = rows[["label", "family", "parameter_count", *drawn]].copy()
    rows["family"] = rows["family"].fillna("–")
    rows["parameters"] = [f"{n / 1e9:.3g} B" if n >= 1e9 else f"{n / 1e6:.3g} M" for n in rows["parameter_count"]]
    low, high = _ends(rows["parameter_count"], 1.3)
    bottom, top = _ends(rows[drawn].stack(), 1.35)
    x_scale = alt.Scale(type="log", domain=[low, high], nice=False)
    y_scale = alt.Scale(type="log", domain=[bottom, top], nice=False)
    x = alt.X("parameter_count:Q", scale=x_scale, axis=alt.Axis(title=words["size"], labelExpr=_SIZES, tickCount=5))
    y = alt.Y("joules_per_success:Q", scale=y_scale, axis=alt.Axis(title=words["joules"], format=",.3~r", tickCount=5))
    families = sorted(rows["family"].unique())
    legend = alt.Legend(orient="bottom", title=None, symbolSize=110, columns=4) if len(families) > 1 else None
    colour = alt.Color("family:N", legend=legend, scale=alt.Scale(domain=families))
    shapes = [_SHAPES[n % len(_SHAPES)] for n in range(len(families))]
    shape = alt.Shape("family:N", legend=legend, scale=alt.Scale(domain=families, range=shapes))
    layers: list[alt.Chart] = []
    if slope is not None:
        fit = pd.DataFrame(_fit(rows, slope, (low, high)))
        at = alt.X("size:Q", scale=x_scale)
        layers = [
            alt.Chart(fit).mark_area(opacity=0.14, color=NEUTRAL, clip=True).encode(
                x=at, y=alt.Y("lower:Q", scale=y_scale), y2="upper:Q"),
            alt.Chart(fit).mark_line(color=NEUTRAL, strokeDash=[6, 4], clip=True).encode(
                x=at, y=alt.Y("trend:Q", scale=y_scale)),
        ]  # fmt: skip
    base = alt.Chart(rows)
    tooltip = [alt.Tooltip("label:N", title=words["configuration"]), alt.Tooltip("family:N", title=words["family"]),
               alt.Tooltip("parameters:N", title=words["size"]),
               alt.Tooltip("joules_per_success:Q", title=words["joules"], format=",.3~r")]  # fmt: skip
    layers += [
        base.mark_rule(strokeWidth=2).encode(
            x=x, y=alt.Y("joules_per_success_low:Q", scale=y_scale), y2="joules_per_success_high:Q", color=colour),
        base.mark_point(size=140, filled=True, opacity=1).encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip),
    ]  # fmt: skip
    return alt.layer(*layers).properties(height=340)


def heat(frame: pd.DataFrame, words: Mapping[str, str]) -> alt.LayerChart:
    """The letter and the EEI of every configuration in every task; a cell without a letter is empty, its tooltip says why.

    A provisional letter has a question mark (rectangles are not drawn with dashed rims).

    Args:
        frame: ``label task_name grade eei certainty status_name why provisional`` in the order of rows and columns.
        words: ``configuration``, ``task``, ``grade``, ``eei``, ``certainty``, ``status``, ``why``.
    """
    rows = frame.copy()
    known = rows["grade"].isin(list(GRADE_COLOURS))
    rows["letter"] = rows["grade"].where(known, "–").where(~(known & rows["provisional"]), rows["grade"] + " ?")
    rows["fill"] = rows["grade"].map(GRADE_COLOURS).where(known, "transparent")
    rows["ink"] = [ink_on(fill) if lettered else NEUTRAL for fill, lettered in zip(rows["fill"], known, strict=True)]
    rows["rim"] = pd.Series(NEUTRAL, index=rows.index).where(~known, "transparent")
    rows["index"] = ["" if pd.isna(value) else f"{value:.3g}" for value in rows["eei"]]
    labels, tasks = list(dict.fromkeys(rows["label"])), list(dict.fromkeys(rows["task_name"]))
    apart = alt.Scale(paddingInner=0.06, paddingOuter=0.03)
    axis = alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False)
    x = alt.X("task_name:N", sort=tasks, title=None, scale=apart, axis=axis)
    axis = alt.Axis(ticks=False, domain=False, labelLimit=230)
    y = alt.Y("label:N", sort=labels, title=None, scale=apart, axis=axis)
    tooltip = [alt.Tooltip(f"{field}:N", title=words[word]) for field, word in (
        ("label", "configuration"), ("task_name", "task"), ("letter", "grade"), ("index", "eei"),
        ("certainty", "certainty"), ("status_name", "status"), ("why", "why"))]  # fmt: skip
    base = alt.Chart(rows).encode(x=x, y=y, tooltip=tooltip)
    ink = alt.Color("ink:N", scale=None)
    cells = base.mark_rect(strokeWidth=2, cornerRadius=6).encode(
        fill=alt.Fill("fill:N", scale=None), stroke=alt.Stroke("rim:N", scale=None)
    )
    letters = base.mark_text(fontSize=18, fontWeight="bold", dy=-6).encode(text="letter:N", color=ink)
    below = base.mark_text(fontSize=11.5, dy=11).encode(text="index:N", color=ink)
    return alt.layer(cells, letters, below).properties(height=50 + 48 * max(1, len(labels)))


def matrix(frame: pd.DataFrame, words: Mapping[str, str]) -> alt.LayerChart:
    """P(row beats column) of every pair in words and colour: blue likely, orange unlikely, none even.

    Args:
        frame: ``first second probability shown`` in the order of the rows; columns are numbered like the rows, which have
            room for their names.
        words: ``first``, ``second`` axis titles, ``probability`` for the tooltip.
    """
    order = list(dict.fromkeys(frame["first"]))
    number = {name: str(n) for n, name in enumerate(order, 1)}
    rows = frame.assign(row=[f"{number[name]}  {name}" for name in frame["first"]], column=frame["second"].map(number))
    scale = alt.Scale(domain=[0, 0.5, 1], range=["#E6550D", "#F4F4F4", "#3182BD"])
    apart = alt.Scale(paddingInner=0.06, paddingOuter=0.03, domain=list(number.values()))
    x = alt.X("column:N", title=words["second"], scale=apart, axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False))
    y = alt.Y("row:N", title=None, sort=[f"{number[name]}  {name}" for name in order],
              axis=alt.Axis(ticks=False, domain=False, labelLimit=230))  # fmt: skip
    tooltip = [alt.Tooltip("first:N", title=words["first"]), alt.Tooltip("second:N", title=words["second"]),
               alt.Tooltip("shown:N", title=words["probability"])]  # fmt: skip
    base = alt.Chart(rows).encode(x=x, y=y, tooltip=tooltip)
    cells = base.mark_rect(cornerRadius=6).encode(color=alt.Color("probability:Q", scale=scale, legend=None))
    texts = base.mark_text(fontSize=14, fontWeight="bold").encode(text="shown:N", color=alt.value("#000000"))
    return alt.layer(cells, texts).properties(height=60 + 44 * len(order))


def levels(frame: pd.DataFrame, value: str, order: Sequence[str], words: Mapping[str, str], *,
           zero_to_one: bool = False) -> alt.LayerChart:  # fmt: skip
    """One figure of every configuration at every level (a load, a language).

    Args:
        frame: ``label level`` and ``value``.
        value: the column to draw.
        order: of the levels.
        words: ``title`` with the unit, ``configuration``, ``level``.
        zero_to_one: whether the axis is that of a quality.
    """
    rows = frame.dropna(subset=[value])[["label", "level", value]]
    labels = list(dict.fromkeys(frame["label"]))
    legend = alt.Legend(orient="bottom", columns=1, title=None, labelLimit=230, symbolSize=90)
    colour = alt.Color("label:N", sort=labels, legend=legend, scale=alt.Scale(domain=labels))
    shapes = [_SHAPES[n % len(_SHAPES)] for n in range(len(labels))]
    shape = alt.Shape("label:N", sort=labels, legend=legend, scale=alt.Scale(domain=labels, range=shapes))
    scale = alt.Scale(domain=[0, 1]) if zero_to_one else alt.Scale(zero=True)
    base = alt.Chart(rows).encode(
        x=alt.X("level:N", sort=list(order), title=words["level"], axis=alt.Axis(labelAngle=0)),
        y=alt.Y(f"{value}:Q", scale=scale, title=None, axis=alt.Axis(tickCount=5)),
        color=colour,
    )
    tooltip = [alt.Tooltip("label:N", title=words["configuration"]), alt.Tooltip("level:N", title=words["level"]),
               alt.Tooltip(f"{value}:Q", title=words["title"], format=",.3~r")]  # fmt: skip
    lines = base.mark_line(strokeWidth=2, opacity=0.6)
    points = base.mark_point(size=90, filled=True, opacity=1).encode(shape=shape, tooltip=tooltip)
    title = alt.TitleParams(words["title"], anchor="start", fontSize=14)
    return alt.layer(lines, points).properties(height=280 + 28 * len(labels), title=title)


def _ends(values: pd.Series, factor: float) -> tuple[float, float]:
    """Ends of a log axis around the positive values, with room on both sides."""
    positive = values[values > 0].astype(float)
    return float(positive.min()) / factor, float(positive.max()) * factor


def _fit(rows: pd.DataFrame, slope: tuple[float, float, float], ends: tuple[float, float]) -> list[dict[str, float]]:
    """The trend through the geometric middle of the points, with the lines of the interval's two slopes around it."""
    middle = math.exp(sum(map(math.log, rows["parameter_count"])) / len(rows))
    height = math.exp(sum(map(math.log, rows["joules_per_success"])) / len(rows))
    found = []
    for at in (ends[0], middle, ends[1]):
        trend, *sides = (height * (at / middle) ** b for b in slope)
        found.append({"size": at, "trend": trend, "lower": min(sides), "upper": max(sides)})
    return found
