"""Paired effects made ready to be shown: a table and two pictures out of the rows of ``queries.effects``."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages._ui import charts_effects, draw, i18n, table
from pages._ui.i18n import code_text, t

__all__ = ["labelled", "pictures", "show", "shown", "with_range"]

_WORTH = {"better": 0, "worse": 1, "no_evidence": 2, "too_few": 3, "not_comparable": 4}


def with_range(
    value: float | None, low: float | None, high: float | None, *, sign: bool = False, digits: int = 3
) -> str:
    """A figure with its 95 % interval in words, so that a minus sign is not taken for a dash; alone where it has none."""
    texts = ["+" * (sign and v is not None and v > 0) + i18n.number(v, digits) for v in (value, low, high)]
    if i18n.MISSING in texts:
        return texts[0]
    return t("effects.range", value=texts[0], low=texts[1], high=texts[2])


def labelled(effects: pd.DataFrame) -> pd.DataFrame:
    """The effects with a unique ``label`` of two lines, those with a verdict first."""
    rows = effects.assign(worth=effects["verdict"].map(_WORTH)).sort_values(["worth", "subject", "task", "second"])
    lines = [
        f"{row.subject}\n{row.first} → {row.second} · {code_text('task', row.task)}"
        for row in rows.itertuples(index=False)
    ]
    label = pd.Series(lines, index=rows.index, dtype="object")
    twice = label.duplicated(keep=False)
    return rows.assign(label=label.where(~twice, label + " · " + rows["second_configuration"]))


def shown(rows: pd.DataFrame, figures: pd.DataFrame) -> pd.DataFrame:
    """The effects as a reader sees them; ``figures`` says which configurations are demonstrations or estimated."""
    labels = figures[figures["task"] == "overall"].set_index("configuration")[["demo", "energy_tier"]]
    pair = [labels.reindex([row.first_configuration, row.second_configuration]) for row in rows.itertuples()]
    return pd.DataFrame({
        "subject": rows["subject"], "change": rows["first"] + " → " + rows["second"],
        "task": [code_text("task", task) for task in rows["task"]],
        "verdict": [code_text("verdict", verdict) for verdict in rows["verdict"]],
        "x_ratio": _ranges(rows, "x_ratio"), "energy": _ranges(rows, "energy_j", sign=True),
        "quality": _ranges(rows, "quality", sign=True, digits=2), "items": rows["n_items"].astype("Int64"),
        "notes": [table.notes(bool(p["demo"].eq(True).any()), ",".join(p["energy_tier"].dropna())) for p in pair],
        "why": [" ".join(table.reasons(reasons)) for reasons in rows["reasons"]],
    })  # fmt: skip


def show(effects: pd.DataFrame, figures: pd.DataFrame) -> None:
    """The table of effects with how the pairs were made."""
    c = st.column_config
    view = shown(labelled(effects), figures)
    if not view["why"].any():
        view = view.drop(columns="why")
    st.dataframe(view, hide_index=True, key="effects", placeholder=i18n.MISSING, alt=t("effects.table_alt"), column_config={
        "subject": c.TextColumn(t("col.model"), pinned=True, width=140),
        "change": c.TextColumn(t("filter.quantization"), width=105), "task": c.TextColumn(t("col.task"), width=95),
        "verdict": c.TextColumn(t("effects.verdict"), width=85, help=t("effects.verdict_help")),
        "x_ratio": c.TextColumn(t("effects.x_ratio"), width=143, help=t("effects.x_ratio_help")),
        "energy": c.TextColumn(t("effects.energy"), width=146, help=t("effects.energy_help")), "quality": c.TextColumn(t("effects.quality"), width=150),
        "items": c.NumberColumn(t("effects.items"), width=95),
        "notes": c.MultiselectColumn(t("col.notes"), color="orange", options=[t("label.demo"), t("label.estimated")]),
        "why": c.TextColumn(t("col.why"), width=420),
    })  # fmt: skip
    st.caption(t("effects.caption"))


def pictures(effects: pd.DataFrame) -> None:
    """Energy as ratios and quality as differences, each effect with its interval beside the line of no change."""
    rows = labelled(effects[effects["n_items"].notna()])
    if rows.empty:
        return
    parts = [(t("effects.per_success"), "x_ratio"), (t("effects.per_answer"), "energy_ratio")]
    energy = pd.concat([_part(rows, name, column) for name, column in parts])
    left, right = st.columns(2)
    words = {"interval": t("col.interval"), "none": t("effects.no_change")}
    with left:
        draw.chart(
            charts_effects.intervals(energy, words | {"value": t("effects.ratio_axis")}, none=1.0, log=True),
            key="effects-energy", alt=t("effects.ratio_alt"),
        )  # fmt: skip
    with right:
        draw.chart(
            charts_effects.intervals(
                _part(rows, t("col.quality"), "quality"), words | {"value": t("effects.quality_axis")}, none=0.0
            ),
            key="effects-quality", alt=t("effects.quality_alt"),
        )  # fmt: skip
    st.caption(t("effects.picture_caption"))


def _ranges(rows: pd.DataFrame, name: str, *, sign: bool = False, digits: int = 3) -> list[str]:
    found = rows[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False)
    return [with_range(*values, sign=sign, digits=digits) for values in found]


def _part(rows: pd.DataFrame, name: str, column: str) -> pd.DataFrame:
    """One figure of every effect as ``label name value low high``."""
    names = {column: "value", f"{column}_low": "low", f"{column}_high": "high"}
    return rows[["label", *names]].rename(columns=names).assign(name=name)
