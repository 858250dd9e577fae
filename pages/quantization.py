"""Quantization and size: what a lower precision or a smaller model changes in energy and quality, and how sure that is."""

import pandas as pd
import streamlit as st

import rating
from pages._ui import charts_effects, draw, effects, i18n, states, table, urls
from pages._ui.i18n import code_text, t
from pages._ui.page import choose_cohort, notices, open_page

OVERALL = "overall"


def precision(found: pd.DataFrame, figures: pd.DataFrame) -> None:
    """The same model in several precisions: verdicts, picture, table."""
    st.header(t("quantization.effects_title"))
    if found.empty:
        st.markdown(t("quantization.no_pairs"))
        return
    st.caption(t("quantization.counted", n=i18n.count(len(found))))
    counts = found["verdict"].value_counts()
    with st.container(horizontal=True):
        for verdict in ("better", "worse", "no_evidence"):
            st.metric(code_text("verdict", verdict), i18n.count(counts.get(verdict, 0)), border=True,
                      help=t("effects.verdict_help"))  # fmt: skip
    effects.pictures(found)
    effects.show(found, figures)


def trend_rows(trends: list[rating.SizeTrend]) -> pd.DataFrame:
    """Trends in numbers and words: over all families first."""
    ordered = sorted(trends, key=lambda found: (found.family is not None, found.family or ""))
    return pd.DataFrame([{
        "who": t("quantization.all_families") if found.family is None else found.family,
        "n": found.trend.n,
        "slope": effects.with_range(found.trend.slope, found.trend.low, found.trend.high),
        "doubling": effects.with_range(2**found.trend.slope, 2**found.trend.low, 2**found.trend.high),
        "finding": code_text("trend", finding(found.trend)),
    } for found in ordered])  # fmt: skip


def finding(trend: rating.Trend) -> str:
    """What the interval of a slope leaves open: it grows, it falls, or nothing can be said."""
    if trend.low > 0:
        return "grows"
    return "falls" if trend.high < 0 else "no_evidence"


def model_size(ratings: pd.DataFrame, names: dict[str, str]) -> None:
    """Joules per success over model size for one task, with the trend over all and within every family."""
    st.header(t("quantization.size_title"))
    if ratings.empty:
        st.warning(t("overview.no_ratings"), icon=":material/pending:")
        states.command()
        return
    tasks = sorted(set(ratings["task"]), key=lambda name: (name != OVERALL, name))
    default = table.default_task(ratings, tasks)
    task = urls.choose("task", t("filter.task"), tasks, show=lambda c: code_text("task", c), default=default,
                       pick="segments") or default  # fmt: skip
    rows = ratings[ratings["task"] == task]
    if not rows[["joules_per_success", "parameter_count"]].notna().all(axis=1).any():
        st.markdown(t("quantization.no_sizes"))
        return
    trends = rating.size_trends(rows.to_dict("records"))
    over_all = next((found.trend for found in trends if found.family is None), None)
    words = {"size": t("axis.parameters"), "joules": t("axis.joules"), "configuration": t("col.configuration"),
             "family": t("filter.family")}  # fmt: skip
    slope = None if over_all is None else (over_all.slope, over_all.low, over_all.high)
    left, right = st.columns(2)
    with left:
        made = charts_effects.size(rows.assign(label=rows["configuration"].map(names)), slope, words)
        draw.chart(made, "size", alt=t("quantization.size_alt"))
    with right:
        if over_all is None:
            st.markdown(t("quantization.no_trend"))
        else:
            st.text(t(
                "quantization.doubling",
                factor=effects.with_range(2**over_all.slope, 2**over_all.low, 2**over_all.high), n=over_all.n,
                finding=code_text("trend", finding(over_all)),
            ))  # fmt: skip
        st.caption(t("quantization.size_caption"))
    if trends:
        c = st.column_config
        st.dataframe(trend_rows(trends), hide_index=True, key="trends", alt=t("quantization.trend_alt"), column_config={
            "who": c.TextColumn(t("filter.family"), pinned=True), "n": c.NumberColumn(t("quantization.n"), width=70),
            "doubling": c.TextColumn(t("quantization.per_doubling")), "finding": c.TextColumn(t("effects.verdict")),
            "slope": c.TextColumn(t("quantization.slope"), help=t("quantization.slope_help")),
        })  # fmt: skip


shot = open_page("quantization")
ratings, figures = shot.frame("ratings"), shot.frame("figures")
cohort = choose_cohort(figures)
figures = figures[figures["cohort"] == cohort]
ratings = table.in_force(ratings, cohort)
notices(figures)
found = shot.frame("effects", "quantization")
precision(found[found["cohort"] == cohort], figures)
model_size(ratings, table.labels(figures))
