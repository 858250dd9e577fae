"""Charts of the page about one model: pure functions like those of :mod:`pages._ui.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from pages._ui.charts import class_bands
from pages._ui.theme import ACCENT, GRADE_COLOURS, GRADES, NEUTRAL, SERIES

__all__ = ["curve", "history", "parts"]


def curve(frame: pd.DataFrame, value: str, loads: Sequence[str], words: Mapping[str, str]) -> alt.LayerChart:
    """``value`` over the loads, one line for each task, with 95 % intervals.

    A mark can be picked (selection ``picked``: ``task_code load_code``).

    Args:
        frame: ``task load`` in words, ``task_code load_code``, and ``value``, ``value_low``, ``value_high``; an unknown
            interval is not drawn.
        value: ``energy_j`` (from zero) or ``quality`` (0 to 1).
        loads: words of the loads in their order.
        words: ``load`` and ``value`` axis titles, ``task``.
    """
    rows = frame.dropna(subset=[value])[["task", "load", "task_code", "load_code", value, f"{value}_low", f"{value}_high"]]
    tasks = list(dict.fromkeys(rows["task"]))
    scale = alt.Scale(domain=[0, 1]) if value == "quality" else alt.Scale(zero=True)
    x = alt.X("load:N", sort=list(loads), title=words["load"], axis=alt.Axis(labelAngle=0))
    offset = alt.XOffset("task:N", sort=tasks)
    y = alt.Y(f"{value}:Q", scale=scale, axis=alt.Axis(title=words["value"], tickCount=5))
    legend = alt.Legend(orient="bottom", title=None, symbolSize=110)
    colour = alt.Color("task:N", sort=tasks, legend=legend, scale=alt.Scale(domain=tasks))
    shape = alt.Shape("task:N", sort=tasks, legend=legend, scale=alt.Scale(domain=tasks))
    base = alt.Chart(rows)
    rules = base.mark_rule(strokeWidth=3).encode(x=x, xOffset=offset, y=alt.Y(f"{value}_low:Q", scale=scale),
                                                 y2=f"{value}_high:Q", color=colour)  # fmt: skip
    picked = alt.selection_point(name="picked", fields=["task_code", "load_code"])
    points = base.mark_point(size=120, filled=True).encode(
        x=x, xOffset=offset, y=y, color=colour, shape=shape, opacity=alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.35)),
        tooltip=[alt.Tooltip("task:N", title=words["task"]), alt.Tooltip("load:N", title=words["load"]),
                 alt.Tooltip(f"{value}:Q", title=words["value"], format=",.3~r")],
    ).add_params(picked)  # fmt: skip
    return alt.layer(rules, points).properties(height=280)


def history(frame: pd.DataFrame, bounds: Sequence[float], words: Mapping[str, str]) -> alt.LayerChart:
    """EEI of every rating over time with its 95 % interval, on the bands of the classes.

    Args:
        frame: ``at eei eei_low eei_high letter campaign``, each rating one row; ``at`` in words, in their order.
        bounds: upper ends of the classes A to F.
        words: ``at`` and ``eei`` axis titles, ``campaign``, ``grade``.
    """
    rows = frame.dropna(subset=["eei"])
    low = min(rows[["eei", "eei_low"]].min().min(), bounds[2]) / 1.3
    high = max(rows[["eei", "eei_high"]].max().max(), bounds[4]) * 1.3
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    bands = class_bands(low, high, bounds)
    colour = alt.Color("grade:N", legend=None, scale=alt.Scale(domain=list(GRADES), range=list(GRADE_COLOURS.values())))
    ground = alt.Chart(bands).mark_rect(opacity=0.22).encode(y=alt.Y("from:Q", scale=scale), y2="to:Q", color=colour)
    heads = alt.Chart(bands).mark_text(fontSize=14, fontWeight="bold", align="left", dx=6, color=NEUTRAL).encode(
        y=alt.Y("middle:Q", scale=scale), x=alt.value(0), text="grade:N")  # fmt: skip
    x = alt.X("at:N", sort=list(rows["at"]), title=words["at"], axis=alt.Axis(labelAngle=-25, labelLimit=150))
    y = alt.Y(
        "eei:Q", scale=scale, axis=alt.Axis(title=words["eei"], values=list(bands["to"])[:-1], format="~g", grid=False)
    )
    base = alt.Chart(rows)
    rules = base.mark_rule(strokeWidth=3, color=NEUTRAL).encode(x=x, y=alt.Y("eei_low:Q", scale=scale), y2="eei_high:Q")
    points = base.mark_point(size=150, filled=True, opacity=1, color=ACCENT).encode(
        x=x, y=y, tooltip=[alt.Tooltip("at:N", title=words["at"]), alt.Tooltip("letter:N", title=words["grade"]),
                           alt.Tooltip("eei:Q", title="EEI", format=",.3~r"),
                           alt.Tooltip("campaign:N", title=words["campaign"])],
    )  # fmt: skip
    return alt.layer(ground, heads, rules, points).properties(height=300)


def parts(frame: pd.DataFrame, names: Sequence[str], words: Mapping[str, str]) -> alt.Chart:
    """Joules of one answer by task as stacked bars.

    Args:
        frame: ``task part joules``; ``names`` are the parts in their order.
        words: ``joules`` axis title, ``task``.
    """
    order = {name: number for number, name in enumerate(names)}
    rows = frame.dropna(subset=["joules"]).assign(at=lambda f: f["part"].map(order))
    colours = (NEUTRAL, SERIES[0], SERIES[1], SERIES[2])[: len(names)]
    return alt.Chart(rows).mark_bar(height={"band": 0.6}).encode(
        x=alt.X("joules:Q", stack="zero", axis=alt.Axis(title=words["joules"], tickCount=5)),
        y=alt.Y("task:N", title=None, sort=None, axis=alt.Axis(ticks=False, labelLimit=190)),
        color=alt.Color("part:N", sort=list(names), title=None, legend=alt.Legend(orient="bottom", columns=1, labelLimit=300),
                        scale=alt.Scale(domain=list(names), range=list(colours))),
        order=alt.Order("at:Q"),
        tooltip=[alt.Tooltip("task:N", title=words["task"]), alt.Tooltip("part:N", title=" "),
                 alt.Tooltip("joules:Q", title=words["joules"], format=",.3~r")],
    ).properties(height=150 + 46 * max(1, rows["task"].nunique()))  # fmt: skip
