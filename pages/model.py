"""Model: everything about one configuration: its label card, letters by task, history, where the energy goes."""

from typing import Any

import pandas as pd
import streamlit as st

import rating.classes
from pages._ui import badge, charts_model, draw, i18n, states, table, urls
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t
from pages._ui.label import Card, card_svg
from pages._ui.page import choose_cohort, notices, open_page
from rating.advice import saving_to_next_class

OVERALL, LOADS = "overall", ("short", "medium", "long")


def size_of(row: pd.Series) -> str:
    """What the configuration is: quantization, number of parameters, context, digest."""
    known = pd.notna(row["parameter_count"])
    count = float(row["parameter_count"]) if known else 0.0
    size = i18n.quantity(count / 1e9, "B") if count >= 1e9 else i18n.quantity(count / 1e6, "M")
    context = t("model.context", n=i18n.count(row["context_length"])) if pd.notna(row["context_length"]) else ""
    return i18n.joined([str(row["quantization"] or ""), size if known else "", context, str(row["digest"] or "")[:12]])


def card_of(row: pd.Series, what: pd.Series) -> Card:
    """The label card of one rating row."""
    sure = [t("model.sure", share=i18n.chance(row["grade_probability"]), grade=row["grade"])] if row["grade"] else []
    if row["grade"] and row["grade_low"] != row["grade_high"]:
        sure.append(t("model.range", range=table.grade_range(row["grade_low"], row["grade_high"])))
    few, estimated = table.too_few(row["reasons"]), "estimated" in str(row["energy_tier"])
    return Card(
        title=t("model.card_title"), foot=t("model.card_foot"), energy=t("col.grade"), quality=t("col.quality"),
        model=str(row["label"]), what=size_of(what), grade=row["grade"], grade_low=row["grade_low"],
        grade_high=row["grade_high"], certainty=[*sure, code_text("status", row["status"])],
        quality_class=row["quality_class"] if isinstance(row["quality_class"], str) else None, quality_sure=not few,
        figures={
            t("col.joules"): table.with_interval(row, "joules_per_success", "J"), t("col.quality"): table.with_interval(row, "quality"),
            t("col.speed"): i18n.number(row["decode_tokens_per_s"]), t("col.ttft_short"): i18n.seconds(row["ttft_s"]),
        },
        conditions={
            t("col.task"): code_text("task", row["task"]), t("filter.cohort"): str(row["cohort"]),
            t("energy.tier"): code_text("tier", row["energy_tier"]),
            t("col.items"): i18n.joined([i18n.count(row["n_items"]), t("model.repeats", n=i18n.number(row["n_repeats"]))]),
            t("col.scheme"): i18n.joined([str(row["scheme"]), i18n.date(row["rated_at"])]),
        },
        notes=[words for applies, words in (
            (row["status"] == "provisional", t("model.note_provisional")), (bool(row.get("demo")), t("notice.demo_short")),
            (estimated, t("notice.estimated_short")), (few, t("model.note_few"))) if applies],
    )  # fmt: skip


def card(row: pd.Series, what: pd.Series) -> None:
    """The card with its two downloads."""
    svg = card_svg(card_of(row, what))
    st.image(svg, width=400, alt=t("model.card_alt", model=row["label"], grade=row["grade"] or i18n.MISSING))
    with st.container(horizontal=True):
        name = f"label-{row['model']}-{row['task']}".replace(":", "-").replace("/", "-")
        st.download_button(t("model.svg"), data=svg.encode(), file_name=f"{name}.svg", mime="image/svg+xml",
                           on_click="ignore", icon=":material/download:")  # fmt: skip
        st.download_button(t("model.png"), data=lambda: draw.png_of(svg), file_name=f"{name}.png", mime="image/png",
                           on_click="ignore", icon=":material/download:")  # fmt: skip


def letters(rows: pd.DataFrame) -> None:
    """The letter of every task with its figures."""
    st.header(t("model.letters_title"))
    view = pd.DataFrame({
        "badge": [badge.data_uri(badge.grade_svg(g if isinstance(g, str) else None, provisional=s == "provisional"))
                  for g, s in zip(rows["grade"], rows["status"], strict=True)],
        "task": [code_text("task", task) for task in rows["task"]],
        "certainty": [table.certainty(row) for _, row in rows.iterrows()],
        "eei": [table.with_interval(row, "eei") for _, row in rows.iterrows()],
        "joules": [table.with_interval(row, "joules_per_success", "J") for _, row in rows.iterrows()],
        "quality": [table.with_interval(row, "quality") for _, row in rows.iterrows()],
        "items": rows["n_items"].astype("Int64"), "status": [code_text("status", s) for s in rows["status"]],
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, row_height=46, key="letters", placeholder=i18n.MISSING, alt=t("model.letters_title"),
                 column_config={"badge": c.ImageColumn(t("col.grade"), width=104), "task": t("col.task"),
                                "certainty": t("col.certainty"), "eei": "EEI", "joules": t("col.joules"),
                                "quality": t("col.quality"), "items": t("col.items"), "status": t("col.status")})  # fmt: skip


def next_class(row: pd.Series) -> None:
    """What is missing to the next better class."""
    if pd.isna(row["eei"]):
        return
    share = saving_to_next_class(float(row["eei"]))
    if share is None:
        st.markdown(t("model.best_class"))
    else:
        letter = "ABCDEFG"[max(0, "ABCDEFG".index(row["grade"]) - 1)] if row["grade"] in set("BCDEFG") else None
        words = t("model.next_class", share=i18n.percent(share), grade=letter) if letter else t(
            "model.next_step", share=i18n.percent(share))  # fmt: skip
        st.markdown(words)


def curves(known: pd.DataFrame, configuration: str) -> None:
    """Energy and quality over the load; a mark that is picked leads to its runs."""
    st.header(t("model.curve_title"))
    order = [load for load in LOADS if load in set(known["load"])]
    rows = known.assign(
        task_code=known["task"], load_code=known["load"], task=[code_text("task", c) for c in known["task"]],
        load=[code_text("load", c) for c in known["load"]],
    )  # fmt: skip
    picked: list[dict[str, str]] = []
    for (name, axis), side in zip({"energy_j": "col.energy", "quality": "axis.quality"}.items(), st.columns(2), strict=True):
        if rows[name].notna().any():
            words = {"load": t("col.load"), "value": t(axis), "task": t("col.task")}
            with side:
                made = charts_model.curve(rows, name, [code_text("load", c) for c in order], words)
                event = draw.chart(made, f"curve-{name}", alt=t("model.curve_alt", figure=t(axis)), on_select="rerun",
                                   selection_mode="picked")  # fmt: skip
                picked += event.selection.get("picked", [])
    st.caption(t("model.curve_caption"))
    for mark in picked[:1]:
        task, load = mark["task_code"], mark["load_code"]
        st.page_link("runs.py", icon=":material/monitoring:",
                     label=t("model.picked", task=code_text("task", task), load=code_text("load", load)),
                     query_params={"configuration": configuration, "task": task, "load": load})  # fmt: skip


def breakdown(known: pd.DataFrame) -> None:
    """Where the joules of an answer go: waiting power, prefill, decode."""
    st.header(t("model.parts_title"))
    names = {name: t(f"model.part_{name}") for name in ("idle", "prefill", "decode", "rest")}
    rows: list[dict[str, Any]] = []
    for _, row in known.iterrows():
        if pd.isna(row["energy_j"]):
            continue
        task = code_text("task", row["task"])
        idle = float(row["idle_j"]) if pd.notna(row["idle_j"]) else None
        split = pd.notna(row["prefill_j"])
        # parts of the answers that can be split, as shares of the mean of all
        share = float(row["prefill_j"] / row["split_j"]) if split else None
        active = float(row["energy_j"]) - (idle or 0.0)
        rows.append({"task": task, "part": names["idle"], "joules": idle})
        if share is None:
            rows.append({"task": task, "part": names["rest"], "joules": active})
        else:
            rows.append({"task": task, "part": names["prefill"], "joules": active * share})
            rows.append({"task": task, "part": names["decode"], "joules": active * (1 - share)})
    frame = pd.DataFrame(rows, columns=["task", "part", "joules"])
    if frame["joules"].notna().any():
        used = [name for name in names.values() if name in set(frame.dropna()["part"])]
        words = {"joules": t("model.parts_axis"), "task": t("col.task")}
        draw.chart(charts_model.parts(frame, used, words), "parts", alt=t("model.parts_alt"))
    st.caption(t("model.parts_caption"))


def history(rows: pd.DataFrame) -> None:
    """Every rating of the configuration in one task."""
    st.header(t("model.history_title"))
    rows = rows.dropna(subset=["eei"])
    if rows.empty:
        st.markdown(t("overview.no_eei"))
        return
    frame = pd.DataFrame({
        "at": [i18n.date(at) for at in rows["rated_at"]], "eei": rows["eei"], "eei_low": rows["eei_low"],
        "eei_high": rows["eei_high"], "letter": rows["grade"].fillna(i18n.MISSING),
        "campaign": rows["campaign_id"].fillna(i18n.MISSING),
    })  # fmt: skip
    words = {"at": t("model.rated_at"), "eei": t("axis.eei"), "campaign": t("filter.campaign"), "grade": t("col.grade")}
    draw.chart(charts_model.history(frame, rating.classes.EEI_BOUNDS, words), "history", alt=t("model.history_alt"))


def answers(found: pd.DataFrame) -> None:
    """A good, a usual and a poor answer, as text."""
    st.header(t("model.answers_title"))
    if found.empty:
        st.markdown(t("model.no_answers"))
        return
    st.caption(t("model.answers_caption"))
    for _, row in found.iterrows():
        title = i18n.joined([t("model.answer_quality", q=i18n.number(row["quality"], 2)), i18n.quantity(row["energy_j"], "J"),
                             str(row["item"]), code_text("language", row["language"]), code_text("load", row["load"])])  # fmt: skip
        with st.container(border=True):
            st.text(title)
            st.code(
                row["output_text"],
                language=None,
                wrap_lines=True,
                height=220 if len(row["output_text"]) > 600 else "content",
            )
            st.page_link(
                "runs.py", label=t("model.see_run"), icon=":material/monitoring:", query_params={"run": row["run_id"]}
            )


def show(shot: Snapshot, cohort: str, configuration: str, rows: pd.DataFrame, what: pd.Series) -> None:
    """The page of one configuration, from the card down."""
    tasks = list(rows["task"])
    task = urls.choose("task", t("filter.task"), tasks, show=lambda c: code_text("task", c), pick="segments",
                       default=table.default_task(rows, tasks)) or tasks[0]  # fmt: skip
    row = rows[rows["task"] == task].iloc[0]
    left, right = st.columns([5, 7])
    with left:
        card(row, what)
    with right:
        next_class(row)
        if why := table.reasons(row["reasons"]):
            st.text("\n".join(f"• {words}" for words in why))
        with st.container(horizontal=True):
            st.page_link("runs.py", label=t("overview.see_runs"), icon=":material/monitoring:",
                         query_params={"configuration": configuration})  # fmt: skip
            st.page_link("compare.py", label=t("model.compare"), icon=":material/compare_arrows:")
        past = shot.frame("rating_history", cohort, configuration)
        history(past[(past["task"] == task) & (past["scheme"] == row["scheme"])])
    letters(rows)
    curves(shot.frame("load_curve", cohort, configuration), configuration)
    breakdown(shot.frame("energy_parts", cohort, configuration))
    if task != OVERALL:
        answers(shot.frame("sample_answers", cohort, configuration, task))
    else:
        st.caption(t("model.choose_task"))


shot = open_page("model")
ratings, figures = shot.frame("ratings"), shot.frame("figures")
cohort = choose_cohort(figures)
figures = figures[figures["cohort"] == cohort]
ratings = table.in_force(ratings, cohort)
board = pd.concat([table.leaderboard(ratings[ratings["task"] == task], figures[figures["task"] == task])
                   for task in sorted(set(figures["task"]), key=lambda name: (name != OVERALL, name))])  # fmt: skip
names = table.labels(board)
first = table.default_task(ratings, list(dict.fromkeys(board["task"])))
best = board.sort_values(["task", "eei"], key=lambda c: c != first if c.name == "task" else c)  # as the ratings page has it
order = list(dict.fromkeys(best["configuration"]))
chosen = urls.choose("configuration", t("filter.configuration"), order, show=lambda c: names[c]) or order[0]
board["label"] = board["configuration"].map(names)
mine = board[board["configuration"] == chosen]
notices(mine)
known = shot.frame("configurations").set_index("configuration")
if mine["status"].eq("none").all():
    st.warning(t("overview.no_ratings"), icon=":material/pending:")
    states.command()
show(shot, cohort, chosen, mine.astype({"grade": object}).where(mine.notna(), None), known.loc[chosen])
