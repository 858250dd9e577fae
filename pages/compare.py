"""Compare: two to six configurations side by side, by quality, energy, task and quantization."""

import pandas as pd
import streamlit as st

from pages._ui import badge, charts, charts_effects, draw, effects, i18n, states, table, urls
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t
from pages._ui.page import notices, open_page

OVERALL = "overall"
MOST = 6


def choose(ratings: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """Up to six configurations; at first those with the least energy per success."""
    order = ratings.sort_values(["eei", "configuration"])["configuration"].drop_duplicates()
    return urls.choose_many("with", t("compare.choose"), list(names), show=lambda c: names[c], default=list(order[:4]),
                            most=MOST, placeholder=t("compare.choose"))  # fmt: skip


def cards(rows: pd.DataFrame) -> None:
    """One card for each: letter, quality class and the figures that decide."""
    with st.grid(2 if len(rows) in (2, 4) else 3, min_column_width=230):
        for _, row in rows.iterrows():
            with st.container(border=True, height="stretch"):
                st.text(row["label"])
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.image(badge.grade_svg(row["grade"], provisional=row["status"] == "provisional"), width=80,
                             alt=t("overview.badge_alt", grade=row["grade"] or i18n.MISSING))  # fmt: skip
                    few = table.too_few(row["reasons"])
                    st.image(badge.quality_svg(row["quality_class"], too_few=few), width=36,
                             alt=t("compare.quality_alt", grade=row["quality_class"] or i18n.MISSING))  # fmt: skip
                    st.caption(
                        i18n.joined([code_text("status", row["status"]), table.certainty(row).strip(i18n.MISSING)])
                    )
                st.table({
                    t("col.joules"): table.with_interval(row, "joules_per_success", "J"),
                    t("col.quality"): table.with_interval(row, "quality"),
                    t("col.eqr"): i18n.number(row["eqr_per_kj"]), t("col.speed"): i18n.number(row["decode_tokens_per_s"]),
                    t("col.ttft"): i18n.number(row["ttft_s"]), t("col.answers"): i18n.count(row["answers"]),
                }, border="horizontal")  # fmt: skip
                with st.container(horizontal=True, gap="small"):
                    for note in table.notes(row["demo"], row["energy_tier"], few=few):
                        st.badge(note, color="orange")


def plane(rows: pd.DataFrame, series: list[str]) -> None:
    """Quality against energy with the Pareto front."""
    st.header(t("overview.plane_title"))
    if not rows[["joules_per_success", "quality"]].notna().all(axis=1).any():
        st.markdown(t("overview.no_plane"))
        return
    words = {"joules": t("axis.joules"), "quality": t("axis.quality"), "configuration": t("col.configuration"),
             "grade": t("col.grade")}  # fmt: skip
    draw.chart(charts.quality_energy(rows, words, series=series), "plane", alt=t("overview.plane_alt"))
    st.caption(t("overview.plane_caption"))


def beats(found: pd.DataFrame, names: dict[str, str], chosen: list[str]) -> None:
    """How surely each of the chosen takes less energy per success than each other."""
    st.header(t("compare.beats_title"))
    pairs = found[found["first"].isin(chosen) & found["second"].isin(chosen)].copy()
    if pairs.empty:
        st.markdown(t("compare.no_beats"))
        return
    pairs["place"] = pairs["first"].map({name: n for n, name in enumerate(chosen)})
    pairs["shown"] = [i18n.chance(p) for p in pairs["probability"]]
    pairs = pairs.assign(first=pairs["first"].map(names), second=pairs["second"].map(names)).sort_values("place", kind="stable")
    words = {"first": t("compare.beats_first"), "second": t("compare.beats_second"), "probability": t("compare.beats_p")}
    told = [t("compare.beats_pair", first=a, second=b, p=p) for a, b, p in zip(pairs["first"], pairs["second"], pairs["shown"], strict=True)]
    draw.chart(charts_effects.matrix(pairs, words), "beats", alt=" ".join([t("compare.beats_alt"), *told]))
    st.caption(t("compare.beats_caption"))


def by_task(rows: pd.DataFrame, series: list[str]) -> None:
    """Energy and quality of every task."""
    tasks = rows[rows["task"] != OVERALL].sort_values(["task", "eei"])
    if tasks.empty:
        return
    st.header(t("compare.tasks_title"))
    for code, group in tasks.groupby("task"):
        for name, side in zip(("joules_per_success", "quality"), st.columns(2), strict=True):
            if group[name].notna().any():
                quality = name == "quality"
                words = {"value": t("axis.quality" if quality else "axis.joules_plain"),
                         "configuration": t("col.configuration"), "title": code_text("task", code)}  # fmt: skip
                with side:
                    draw.chart(charts.bars(group, name, words, zero_to_one=quality, series=series), f"{code}-{name}",
                               alt=t("compare.qualities_alt" if quality else "compare.joules_alt"))  # fmt: skip
    st.caption(t("compare.tasks_caption"))


def quantization(shot: Snapshot, chosen: list[str], figures: pd.DataFrame) -> None:
    """Paired effects between those of the chosen configurations that differ in precision only."""
    found = shot.frame("effects", "quantization")
    both = found["first_configuration"].isin(chosen) & found["second_configuration"].isin(chosen)
    found = found[both & found["cohort"].isin(figures["cohort"])]
    st.header(t("compare.quantization_title"))
    if found.empty:
        st.markdown(t("compare.no_pairs"))
    else:
        effects.show(found, figures)
    st.page_link("quantization.py", label=t("compare.all_pairs"), icon=":material/compress:")


shot = open_page("compare")
ratings, figures = shot.frame("ratings"), shot.frame("figures")
if ratings.empty:
    st.warning(t("overview.no_ratings"), icon=":material/pending:")
    states.command()
    st.stop()
counts = ratings.groupby("cohort")["configuration"].nunique().sort_values(ascending=False)
cohort = counts.index[0]
if len(counts) > 1:
    cohort = urls.choose("cohort", t("filter.cohort"), list(counts.index), show=str, keep=True) or cohort
ratings, figures = table.in_force(ratings, cohort), figures[figures["cohort"] == cohort]
tasks = sorted(set(ratings["task"]), key=lambda name: (name != OVERALL, name))
task = urls.choose("task", t("filter.task"), tasks, show=lambda c: code_text("task", c),
                   default=table.default_task(ratings, tasks), pick="segments") or tasks[0]  # fmt: skip
names = table.labels(ratings)
chosen = choose(ratings[ratings["task"] == task], names)
mine = ratings[ratings["configuration"].isin(chosen)]
speeds = figures[figures["configuration"].isin(chosen)]
if len(chosen) < 2:
    st.info(t("compare.too_few"), icon=":material/compare_arrows:")
else:
    rows = table.leaderboard(mine[mine["task"] == task], speeds[speeds["task"] == task])
    rows["label"] = rows["configuration"].map(names)
    notices(rows)
    cards(rows)
    series = [names[c] for c in chosen]
    plane(rows, series)
    by_task(mine.assign(label=mine["configuration"].map(names)), series)
    with st.spinner(t("compare.beats_wait")):
        found = shot.frame("wins", cohort, ratings["scheme"].iloc[0])
    beats(found[found["task"] == task], names, [c for c in rows["configuration"] if c in chosen])
quantization(shot, chosen, figures)
