"""Ratings: which configuration does the job for the least energy, how sure that is, and why some have no letter."""

import pandas as pd
import streamlit as st

import rating.classes
from pages._ui import badge, charts, draw, export, i18n, states, table, urls
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t
from pages._ui.page import notices, open_page
from rating import best_class_shares, current

OVERALL = "overall"
NARROWING = ("family", "size", "quantization")
VIEW_COLUMNS = {
    "label": "configuration", "joules": "joules_per_success", "joules_interval": "joules_per_success_95", "speed": "decode_tokens_per_s",
    "ttft": "ttft_s", "eqr": "eqr_per_kj", "items": "n_items", "why": "reasons",
}  # fmt: skip


def choose_rows(ratings: pd.DataFrame, figures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Filters that show letters: cohort, scheme, task, family, size, quantization."""
    names = pd.concat([ratings[["cohort", "task"]], figures[["cohort", "task"]]])
    sizes = figures[figures["task"] == OVERALL].groupby("cohort")["demo"].agg(["all", "size"])
    cohorts = list(sizes.sort_values(["all", "size"], ascending=[True, False]).index)
    cohort = cohorts[0]
    if len(cohorts) > 1:
        cohort = urls.choose("cohort", t("filter.cohort"), cohorts, show=str, keep=True) or cohorts[0]
    known = table.schemes(ratings[ratings["cohort"] == cohort])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.container(width="content")
        more = place
        if len(known) > 1 or any(len(values) > 1 for values in choices(ratings[ratings["cohort"] == cohort]).values()):
            active = sum(name in st.query_params for name in ("scheme", *NARROWING))
            more = st.popover(i18n.joined([t("filter.more"), i18n.count(active) if active else ""]), icon=":material/tune:")
    scheme: str | None = known[0] if known else None
    if len(known) > 1:
        with more:
            scheme = urls.choose("scheme", t("filter.scheme"), known, show=str) or scheme
    ratings = ratings[ratings["scheme"] == scheme]
    tasks = sorted(set(names.loc[names["cohort"] == cohort, "task"]), key=lambda name: (name != OVERALL, name))
    default = table.default_task(ratings, tasks)
    with place:
        task = urls.choose("task", t("filter.task"), tasks, show=lambda c: code_text("task", c), default=default,
                           pick="segments") or default  # fmt: skip
    inside = [f[(f["cohort"] == cohort) & (f["task"] == task)] for f in (ratings, figures)]
    with more:
        return narrowed(inside[0]), inside[1]


def choices(ratings: pd.DataFrame) -> dict[str, list[str]]:
    """The families, sizes and quantizations there are."""
    sizes = set(ratings["parameter_count"].map(table.size_class).dropna())
    return {name: [size for size in table.SIZES if size in sizes] if name == "size" else sorted(set(ratings[name].dropna()))
            for name in NARROWING}  # fmt: skip


def narrowed(ratings: pd.DataFrame) -> pd.DataFrame:
    """Only the families, sizes and quantizations asked for; filters with nothing to choose stay away."""
    chosen = ratings.assign(size=ratings["parameter_count"].map(table.size_class))
    for name, values in choices(ratings).items():
        if len(values) > 1:
            wanted = urls.choose_many(name, t(f"filter.{name}"), values, placeholder=t("filter.all"),
                                      show=lambda c, group=name: code_text(group, c))  # fmt: skip
            chosen = chosen[chosen[name].isin(wanted)] if wanted else chosen
    return chosen.drop(columns="size")


def rescale_note(ratings: pd.DataFrame, cohort: str) -> None:
    """Proposes a new scheme where class A has filled up."""
    for found in best_class_shares(current(ratings.to_dict("records"))):
        if found.full and found.cohort == cohort:
            st.info(t("overview.rescale", share=i18n.percent(found.share)), icon=":material/straighten:")


def headline(rows: pd.DataFrame) -> None:
    """The answer at first sight: least energy per success, best quality, how many letters.

    Where nobody has a letter, the figures alone with the status that says so.
    """
    lettered = rows[rows["grade"].notna()] if rows["grade"].notna().any() else rows
    with st.grid(3, min_column_width=220):
        for name, column, best, words in (
            ("least_energy", "joules_per_success", "idxmin", lambda v: i18n.quantity(v, "J")),
            ("best_quality", "quality", "idxmax", lambda v: i18n.number(v, 2)),
        ):
            known = lettered[column].dropna()
            row = rows.loc[getattr(known, best)()] if len(known) else None
            with st.container(border=True, height="stretch"):
                st.caption(t(f"overview.{name}"))
                if row is None:
                    st.markdown(t("overview.no_figure_yet"))
                    continue
                first = name == "least_energy"
                found = row["grade"] if first else row["quality_class"]
                grade = found if isinstance(found, str) else None
                few, provisional = table.too_few(row["reasons"]), row["status"] == "provisional"
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    picture = badge.grade_svg(grade, provisional=provisional) if first else badge.quality_svg(grade, too_few=few)
                    st.image(picture, width=76 if first else 38, alt=t("overview.badge_alt", grade=grade or i18n.MISSING))
                    st.text(row["label"])
                st.caption(i18n.joined([
                    words(row[column]), i18n.interval(row[f"{column}_low"], row[f"{column}_high"]),
                    i18n.joined([code_text("status", row["status"]), table.certainty(row)]) if first or row["status"] in ("unrated", "none") else "",
                ]))  # fmt: skip
        with st.container(border=True, height="stretch"):
            st.caption(t("overview.how_many"))
            counts = rows["status"].value_counts()
            for state in ("rated", "provisional", "unrated", "none"):
                if counts.get(state):
                    st.text(f"{i18n.count(counts[state])}  {code_text('status', state)}")


def columns() -> dict[str, object]:
    """How the columns of the table are headed and drawn."""
    c = st.column_config
    return {
        "badge": c.ImageColumn(t("col.grade"), width=92, pinned=True, help=t("col.grade_help")),
        "label": c.TextColumn(t("col.configuration"), pinned=True, width=185),
        "certainty": c.TextColumn(t("col.certainty"), help=t("col.certainty_help"), width=84),
        "joules": c.NumberColumn(t("col.joules"), format="%.3g", help=t("col.joules_help"), width=86),
        "joules_interval": c.TextColumn(t("col.interval"), width=86),
        "quality_badge": c.ImageColumn(t("col.quality"), width=54, help=t("col.quality_class_help")),
        "quality": c.NumberColumn(t("col.q"), format="%.2f", width=56, help=t("col.q_help")),
        "speed": c.NumberColumn(t("col.speed"), format="%.3g", width=64),
        "ttft": c.NumberColumn(t("col.ttft"), format="%.3g", width=90),
        "status": c.TextColumn(t("col.status"), width=84),
        "notes": c.MultiselectColumn(t("col.notes"), color="orange", options=table.note_options()),
        "eqr": c.NumberColumn(t("col.eqr"), format="%.3g", help=t("col.eqr_help"), width=90),
        "items": c.NumberColumn(t("col.items"), width=60),
        "why": c.TextColumn(t("col.why"), width=420),
    }


def not_rated(rows: pd.DataFrame) -> None:
    """Who has no letter or a provisional one, and why, every reason once and in full view."""
    for status, icon in (
        ("unrated", ":material/block:"),
        ("none", ":material/pending:"),
        ("provisional", ":material/help:"),
    ):
        mine = rows[rows["status"] == status]
        if mine.empty:
            continue
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.badge(code_text("status", status), icon=icon, color="gray" if status == "none" else "orange")
            st.text(", ".join(mine["label"]))
        lines = [
            f"• {words}" if len(who) == len(mine) else f"• {words} [{', '.join(who)}]"
            for words, who in table.shared_reasons(mine)
        ]
        if lines:
            st.text("\n".join(lines))


def detail(row: pd.Series) -> None:
    """Everything behind one letter, for the row selected."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.image(badge.grade_svg(row["grade"], provisional=row["status"] == "provisional"), width=88,
                     alt=t("overview.badge_alt", grade=row["grade"] or i18n.MISSING))  # fmt: skip
            st.text(row["label"])
        st.table({
            t("col.status"): code_text("status", row["status"]),
            t("col.certainty"): table.certainty(row),
            t("col.eei"): i18n.joined([i18n.number(row["eei"]), i18n.interval(row["eei_low"], row["eei_high"])]),
            t("col.joules"): i18n.joined([i18n.quantity(row["joules_per_success"], "J"),
                                          i18n.interval(row["joules_per_success_low"], row["joules_per_success_high"])]),
            t("col.quality"): i18n.joined([i18n.number(row["quality"], 2),
                                           i18n.interval(row["quality_low"], row["quality_high"])]),
            t("ratings.quality_class"): quality_class(row), t("col.items"): i18n.count(row["n_items"]),
            t("col.needed"): i18n.count(row["items_needed"]),
            t("col.scheme"): i18n.MISSING if pd.isna(row["scheme"]) else f"{row['scheme']} · {i18n.date(row['rated_at'])}",
        }, border="horizontal", width="content")  # fmt: skip
        if why := table.reasons(row["reasons"]):
            st.text("\n".join(f"• {words}" for words in why))
        with st.container(horizontal=True):
            st.page_link("model.py", label=t("ratings.see_model"), icon=":material/id_card:", query_params={
                "cohort": row["cohort"], "configuration": row["configuration"], "task": row["task"]})  # fmt: skip
            st.page_link("runs.py", label=t("overview.see_runs"), icon=":material/monitoring:",
                         query_params={"configuration": row["configuration"]})  # fmt: skip


def quality_class(row: pd.Series) -> str:
    """The class of the mean quality, and whether too few items stand behind it."""
    known = isinstance(row["quality_class"], str)
    few = t("label.too_few") if known and table.too_few(row["reasons"]) else ""
    return i18n.joined([row["quality_class"] if known else "", few])


def pictures(rows: pd.DataFrame) -> None:
    """Where each stands on the scale of classes, and quality against energy."""
    left, right = st.columns(2)
    with left:
        st.header(t("overview.classes_title"))
        if rows["eei"].notna().any():
            words = {"eei": t("axis.eei"), "configuration": t("col.configuration"), "grade": t("col.grade"),
                     "interval": t("col.interval")}  # fmt: skip
            chart = charts.classes(rows, rating.classes.EEI_BOUNDS, words)
            draw.chart(chart, "classes", alt=t("overview.classes_alt"))
            st.caption(t("overview.classes_caption"))
        else:
            st.markdown(t("overview.no_eei"))
    with right:
        st.header(t("overview.plane_title"))
        if rows[["joules_per_success", "quality"]].notna().all(axis=1).any():
            words = {"joules": t("axis.joules"), "quality": t("axis.quality"), "configuration": t("col.configuration"),
                     "grade": t("col.grade")}  # fmt: skip
            draw.chart(charts.quality_energy(rows, words), "plane", alt=t("overview.plane_alt"))
            st.caption(t("overview.plane_caption"))
        else:
            st.markdown(t("overview.no_plane"))


def part_figures(shot: Snapshot, cohort: str) -> None:
    """Figures, not letters, for one load, language or campaign."""
    facets = shot.frame("facets")
    asked: dict[str, str | None] = {}
    with st.container(horizontal=True):
        for name in ("load", "language", "campaign"):
            values = list(facets.loc[facets["facet"] == name, "value"])
            asked[name] = urls.choose(name, t(f"filter.{name}"), values, anything=t("filter.all"),
                                      show=lambda c, group=name: code_text(group, c))  # fmt: skip
    part = shot.frame("figures", asked["campaign"], asked["load"], asked["language"])
    part = part[(part["cohort"] == cohort)]
    view = pd.DataFrame({
        "label": part["configuration"].map(table.labels(part)),
        "task": [code_text("task", c) for c in part["task"]],
        "answers": part["answers"], "energy": part["energy_j"].round(3), "quality": part["quality"].round(3),
        "speed": part["decode_tokens_per_s"].round(1), "ttft": part["ttft_s"].round(3),
        "notes": [table.notes(d, e) for d, e in zip(part["demo"], part["energy_tier"], strict=True)],
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, key="part", placeholder=i18n.MISSING, alt=t("overview.part_title"), column_config={
        "label": c.TextColumn(t("col.configuration"), pinned=True), "task": t("col.task"), "answers": t("col.answers"),
        "energy": c.NumberColumn(t("col.energy"), format="%.3g"), "quality": c.NumberColumn(t("col.quality"), format="%.2f"),
        "speed": c.NumberColumn(t("col.speed"), format="%.1f"), "ttft": c.NumberColumn(t("col.ttft"), format="%.3f"),
        "notes": c.MultiselectColumn(t("col.notes"), color="orange", options=table.note_options()),
    })  # fmt: skip


shot = open_page("overview")
ratings, figures = table.standing(shot.frame("ratings")), shot.frame("figures")
if figures.empty:
    st.info(t("overview.no_valid"), icon=":material/hourglass_empty:")
    st.page_link("collection.py", label=t("overview.see_collection"), icon=":material/sensors:")
    st.stop()
picked, speeds = choose_rows(ratings, figures)
if len(picked) and len(picked) < len(speeds):
    speeds = speeds[speeds["configuration"].isin(picked["configuration"])]
rows = table.leaderboard(picked, speeds)
notices(rows)
rescale_note(ratings, rows["cohort"].iloc[0])
if ratings.empty:
    st.warning(t("overview.no_ratings"), icon=":material/pending:")
    states.command()
headline(rows)
view = table.shown(rows)
event = st.dataframe(view, hide_index=True, row_height=46, column_config=columns(), on_select="rerun",
                     selection_mode="single-row", key="leaderboard", placeholder=i18n.MISSING, alt=t("overview.table_alt"))  # fmt: skip
st.caption(t("overview.select_hint"))
for position in event.selection.rows[:1]:
    if position < len(rows):
        detail(rows.iloc[position])
with st.container(horizontal=True):
    if len(ratings):
        export.rating_table_button(shot.frame("ratings"))
    export.view_button(view.drop(columns=["badge", "quality_badge"]).assign(
        grade=rows["grade"], quality_class=rows["quality_class"]).rename(columns=VIEW_COLUMNS), "ratings-view")  # fmt: skip
if (rows["status"] != "rated").any():
    with st.expander(t("overview.why_title"), expanded=bool((rows["status"] == "unrated").any())):
        not_rated(rows)
pictures(rows)
with st.expander(
    t("overview.part_title"), expanded=bool(rows["joules_per_success"].isna().all()), on_change="rerun", key="part-open"
) as part:
    if part.open:
        st.caption(t("overview.part_caption"))
        part_figures(shot, rows["cohort"].iloc[0])
