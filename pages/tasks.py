"""Tasks: how configurations differ by task, load and language; letters by task, figures for parts of a task."""

import pandas as pd
import streamlit as st

from pages._ui import charts_effects, draw, i18n, states, table, urls
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t
from pages._ui.page import choose_cohort, notices, open_page

OVERALL = "overall"
LOADS = ("short", "medium", "long")
FIGURES = {"energy_j": "col.energy", "quality": "axis.quality", "decode_tokens_per_s": "col.speed"}


def grid(ratings: pd.DataFrame, figures: pd.DataFrame) -> pd.DataFrame:
    """Every configuration in every task, the most efficient first; ``why`` says what a missing letter lacks."""
    tasks = sorted({*ratings["task"], *figures["task"]}, key=lambda name: (name != OVERALL, name))
    who = figures[["configuration", "model"]].drop_duplicates("configuration")
    cells = who.merge(pd.DataFrame({"task": tasks}), how="cross")
    cells = cells.merge(figures[["configuration", "task", "answers"]], on=["configuration", "task"], how="left")
    cells = cells.merge(ratings.drop(columns="model"), on=["configuration", "task"], how="left")
    cells["grade"] = cells["grade"].where(cells["grade"].notna(), None)
    cells["status"] = cells["status"].where(cells["status"].notna(), None).fillna("none")
    cells["label"] = cells["configuration"].map(table.labels(figures))
    cells["task_name"] = [code_text("task", task) for task in cells["task"]]
    cells["status_name"] = [code_text("status", status) for status in cells["status"]]
    cells["certainty"] = [table.certainty(row) for _, row in cells.iterrows()]
    cells["provisional"] = cells["status"] == "provisional"
    cells["why"] = [" ".join(reasons(row)) for _, row in cells.iterrows()]
    mean = cells.groupby("label")["eei"].transform("mean")
    column = cells["task"].map({task: n for n, task in enumerate(tasks)})
    return cells.assign(mean=mean, column=column).sort_values(["mean", "label", "column"], na_position="last")


def reasons(row: pd.Series) -> list[str]:
    """Why a cell has no letter or one to be read with care."""
    if row["status"] != "none":
        return table.reasons(row["reasons"])
    return [t("tasks.not_measured") if pd.isna(row["answers"]) else code_text("status", "none")]


def heat(cells: pd.DataFrame) -> None:
    """The heat map, and below it every reason for a missing letter once."""
    st.header(t("tasks.heat_title"))
    if cells["eei"].isna().all() and cells["grade"].isna().all():
        st.markdown(t("overview.no_eei"))
    else:
        words = {"configuration": t("col.configuration"), "task": t("col.task"), "grade": t("col.grade"), "eei": "EEI",
                 "certainty": t("col.certainty"), "status": t("col.status"), "why": t("col.why")}  # fmt: skip
        draw.chart(charts_effects.heat(cells, words), "heat", alt=t("tasks.heat_alt"))
        st.caption(t("tasks.heat_caption"))
    empty = cells[cells["grade"].isna()]
    if empty.empty:
        return
    found: dict[str, list[str]] = {}
    for _, row in empty.iterrows():
        for words_of_reason in reasons(row):
            found.setdefault(words_of_reason, []).append(f"{row['label']} · {row['task_name']}")
    with st.expander(t("tasks.why_title"), expanded=len(found) <= 4):
        st.text("\n".join(f"• {words} [{', '.join(who)}]" for words, who in found.items()))


def parts(shot: Snapshot, cohort: str, by: str) -> pd.DataFrame:
    """The figures of every level of ``by`` (``load`` or ``language``) in one frame with its ``level``."""
    facets = shot.frame("facets")
    values = list(facets.loc[facets["facet"] == by, "value"].dropna())
    values.sort(key=lambda value: (LOADS.index(value) if value in LOADS else len(LOADS), value))
    frames = [shot.frame("figures", **{by: value}).assign(code=value, level=code_text(by, value)) for value in values]
    frames = [frame for frame in frames if len(frame)]
    together = pd.concat(frames) if frames else shot.frame("figures").head(0).assign(code="", level="")
    return together[together["cohort"] == cohort]


def by_level(shot: Snapshot, cohort: str, names: dict[str, str]) -> None:
    """Figures by load or language: pictures side by side, then the table."""
    st.header(t("tasks.parts_title"))
    st.caption(t("overview.part_caption"))
    with st.container(horizontal=True):
        by = urls.choose("by", t("tasks.by"), ["load", "language"], show=lambda c: code_text("filter", c),
                         pick="segments") or "load"  # fmt: skip
        known = parts(shot, cohort, by)
        tasks = sorted(set(known["task"]), key=lambda name: (name != OVERALL, name))
        task = urls.choose("task", t("filter.task"), tasks, show=lambda c: code_text("task", c),
                           pick="segments") or OVERALL  # fmt: skip
    rows = known[known["task"] == task].copy()
    rows["label"] = rows["configuration"].map(names)
    rows["at"] = rows["code"].map({code: n for n, code in enumerate(dict.fromkeys(known["code"]))})
    order = list(dict.fromkeys(known["level"]))
    for (name, title), side in zip(FIGURES.items(), st.columns(3), strict=True):
        if rows[name].notna().any():
            words = {"title": t(title), "configuration": t("col.configuration"), "level": t(f"filter.{by}")}
            chart = charts_effects.levels(rows, name, order, words, zero_to_one=name == "quality")
            alt = t("tasks.parts_alt", figure=t(title), by=t(f"filter.{by}"))
            with side:
                draw.chart(chart, f"part-{name}", alt=alt)
    rows = rows.sort_values(["label", "at"])
    view = pd.DataFrame({
        "label": rows["label"], "level": rows["level"], "answers": rows["answers"], "energy": rows["energy_j"],
        "quality": rows["quality"], "speed": rows["decode_tokens_per_s"], "tokens": rows["output_tokens"],
        "notes": [table.notes(d, e) for d, e in zip(rows["demo"], rows["energy_tier"], strict=True)],
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, key="parts", placeholder=i18n.MISSING, alt=t("tasks.parts_title"), column_config={
        "label": c.TextColumn(t("col.configuration"), pinned=True), "level": t(f"filter.{by}"), "answers": t("col.answers"),
        "energy": c.NumberColumn(t("col.energy"), format="%.3g"), "quality": c.NumberColumn(t("col.q"), format="%.2f"),
        "speed": c.NumberColumn(t("col.speed"), format="%.3g"), "tokens": c.NumberColumn(t("col.tokens"), format="%.0f"),
        "notes": c.MultiselectColumn(t("col.notes"), color="orange", options=[t("label.demo"), t("label.estimated")]),
    })  # fmt: skip
    st.caption(t("tasks.parts_caption"))


def diversity(shot: Snapshot, cohort: str, names: dict[str, str]) -> None:
    """How much the answers to one item differ when it is asked again."""
    found = shot.frame("diversity", cohort)
    if found.empty:
        return
    st.header(t("tasks.diversity_title"))
    view = pd.DataFrame({
        "label": found["configuration"].map(names), "task": [code_text("task", c) for c in found["task"]],
        "vendi": found["vendi"], "distinct": found["distinct_2"], "bleu": found["self_bleu"], "items": found["items"],
        "answers": found["answers"],
        "how": [t("tasks.deterministic" if d else "tasks.sampled") for d in found["deterministic"]],
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, key="diversity", placeholder=i18n.MISSING, alt=t("tasks.diversity_title"), column_config={
        "label": c.TextColumn(t("col.configuration"), pinned=True), "task": t("col.task"),
        "vendi": c.NumberColumn(t("tasks.vendi"), format="%.2f", help=t("tasks.vendi_help")),
        "distinct": c.NumberColumn(t("tasks.distinct"), format="%.2f"), "bleu": c.NumberColumn("Self-BLEU", format="%.2f"),
        "items": t("col.items"), "answers": t("col.answers"), "how": t("tasks.how"),
    })  # fmt: skip
    st.caption(t("tasks.diversity_caption"))


def pass_at(shot: Snapshot, cohort: str, names: dict[str, str]) -> None:
    """The chance that one of k programs passes."""
    found = shot.frame("pass_at", cohort)
    if found.empty:
        return
    st.header(t("tasks.pass_title"))
    wide = found.pivot(index="configuration", columns="k", values="value")
    columns = {f"k{k}": wide[k] * 100 for k in wide.columns}
    items = found[found["k"] == 1].set_index("configuration")["items"]
    view = pd.DataFrame({"label": wide.index.map(names), **columns, "items": items.reindex(wide.index)}).sort_values("k1", ascending=False)
    c = st.column_config
    st.dataframe(view, hide_index=True, key="pass-at", placeholder=i18n.MISSING, alt=t("tasks.pass_title"), width="content", column_config={
        "label": c.TextColumn(t("col.configuration"), pinned=True), "items": t("col.items"),
        **{f"k{k}": c.NumberColumn(f"pass@{k}, %", format="%.1f") for k in wide.columns},
    })  # fmt: skip
    st.caption(t("tasks.pass_caption"))


shot = open_page("tasks")
ratings, figures = shot.frame("ratings"), shot.frame("figures")
cohort = choose_cohort(figures)
figures = figures[figures["cohort"] == cohort]
notices(figures)
if ratings.empty:
    st.warning(t("overview.no_ratings"), icon=":material/pending:")
    states.command()
ratings = table.in_force(ratings, cohort)
heat(grid(ratings, figures))
by_level(shot, cohort, table.labels(figures))
pass_at(shot, cohort, table.labels(figures))
diversity(shot, cohort, table.labels(figures))
