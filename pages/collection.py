"""Collection: what is and was measured, how far it is, what went wrong, and what the sensors can see."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from db import StoreError, effect_of
from pages._ui import charts, collection_parts, draw, i18n, states, urls
from pages._ui.data import Snapshot, snapshot
from pages._ui.i18n import code_text, t
from pages._ui.page import open_page

REFRESH = timedelta(seconds=30)
SILENT = timedelta(minutes=10)


def campaign_choice(campaigns: pd.DataFrame) -> pd.Series:
    """The campaign in the address, else the newest."""
    ids = list(campaigns["campaign"])
    rows = campaigns.set_index("campaign", drop=False)
    chosen = urls.choose("campaign", t("filter.campaign"), ids, show=lambda c: i18n.joined([
        c, code_text("status", rows.loc[c, "status"]), i18n.date(rows.loc[c, "started_at"])]))  # fmt: skip
    return rows.loc[chosen or ids[0]]


def silent(campaign: pd.Series) -> bool:
    """Whether a campaign that should be running gave no sign of life for long."""
    beat = campaign["heartbeat_at"]
    late = not pd.isna(beat) and datetime.now(UTC).replace(tzinfo=None) - beat > SILENT
    return campaign["status"] == "running" and bool(late)


def now(shot: Snapshot, campaign: pd.Series) -> None:
    """How far it is and when it will be through."""
    progress = shot.ask("progress", campaign["campaign"])
    with st.grid(4, min_column_width=150):
        st.metric(t("col.status"), code_text("status", campaign["status"]), border=True, height="stretch")
        through = progress["done"] + progress["failed"] + progress["skipped"]
        st.metric(t("collection.cells"), f"{i18n.count(through)} / {i18n.count(progress['total'])}", border=True,
                  height="stretch", help=t("collection.cells_help"))  # fmt: skip
        if campaign["status"] == "running":
            left = collection_parts.left(shot.frame("queue", campaign["campaign"]))
            end = None if left is None or silent(campaign) else (datetime.now(UTC) + left).replace(tzinfo=None)
            st.metric(t("collection.left"), i18n.MISSING if left is None else i18n.duration(left), border=True, height="stretch",
                      delta=None if end is None else t("collection.until", at=i18n.time(end)), delta_color="off",
                      delta_arrow="off")  # fmt: skip
        else:
            st.metric(t("collection.answers"), i18n.count(campaign["runs_valid"]), border=True, height="stretch",
                      delta=t("collection.of_attempts", n=i18n.count(campaign["runs"])), delta_color="off", delta_arrow="off")  # fmt: skip
        st.metric(t("collection.energy"), i18n.energy(campaign["energy_j"]), border=True, height="stretch")
    counts = pd.DataFrame([
        {"state_name": code_text("cell", name), "n": progress[name], "position": n}
        for n, name in enumerate(("done", "planned", "failed", "skipped")) if progress[name]
    ])  # fmt: skip
    if len(counts) > 1:
        draw.chart(charts.strip(counts, {"count": t("collection.cells")}), "cells", alt=t("collection.cells_alt"))


@st.fragment(run_every=REFRESH)
def live(path: str, campaign_id: str) -> None:
    """What a running campaign does, read anew every half minute, so that looking disturbs it little."""
    try:
        shot = snapshot()
        if shot.path != path:
            return
        campaign = shot.frame("campaigns").set_index("campaign", drop=False).loc[campaign_id]
        if campaign["status"] != "running":
            st.rerun()  # it ended while the page was open: the whole page tells another story now
        if silent(campaign):
            st.warning(t("collection.silent", at=i18n.date(campaign["heartbeat_at"])), icon=":material/heart_broken:")
        collection_parts.current(shot, campaign_id, alive=not silent(campaign))
        now(shot, campaign)
    except StoreError as error:
        states.show_error(error)


def cases(shot: Snapshot, campaign_id: str) -> None:
    """Cells by model, task and load."""
    found = shot.frame("cell_states", campaign_id)
    if found.empty:
        return
    st.header(t("collection.cases_title"))
    pace = shot.frame("queue", campaign_id)[["model", "task", "load", "each_s"]]
    found = found.merge(pace, on=["model", "task", "load"], how="left")
    view = found.assign(
        minutes=found["planned"] * found["each_s"] / 60,
        task=[code_text("task", c) for c in found["task"]], load=[code_text("load", c) for c in found["load"]],
        share=((found["cells"] - found["planned"]) / found["cells"]).round(2),
    )[["model", "task", "load", "share", "cells", "done", "failed", "skipped", "planned", "minutes"]]  # fmt: skip
    if not found["planned"].any():
        view = view.drop(columns=["planned", "minutes"])
    c = st.column_config
    st.dataframe(view, hide_index=True, key="cases", placeholder=i18n.MISSING, alt=t("collection.cases_title"), column_config={
        "model": c.TextColumn(t("col.model"), pinned=True), "task": t("col.task"), "load": t("col.load"),
        "share": c.ProgressColumn(t("collection.progress"), format="percent"), "cells": t("collection.cells"),
        "done": t("cell.done"), "failed": t("cell.failed"), "skipped": t("cell.skipped"), "planned": t("cell.planned"),
        "minutes": c.NumberColumn(t("collection.minutes_left"), format="%.3g"),
    })  # fmt: skip


def faults(shot: Snapshot, campaign_id: str) -> None:
    """Flags and faults of the campaign by name, with what each does and an example."""
    st.header(t("collection.faults_title"))
    found = shot.frame("faults", campaign_id)
    if found.empty:
        st.markdown(t("collection.no_faults"))
        return
    view = pd.DataFrame({
        "flag": found["flag"], "runs": found["runs"], "example": [f"runs?run={run}" for run in found["example"]],
        "meaning": [collection_parts.meaning(f) for f in found["flag"]],
        "effect": [t("effect." + effect_of(f)) for f in found["flag"]], "last": found["last_at"],
        "detail": [i18n.said(detail) for detail in found["detail"]],
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, key="faults", alt=t("collection.faults_title"), placeholder=i18n.MISSING, column_config={
        "flag": c.TextColumn(t("col.flag"), pinned=True), "runs": t("col.runs"), "meaning": t("col.meaning"),
        "effect": t("col.effect"), "last": c.DatetimeColumn(t("col.last_utc"), format="YYYY-MM-DD HH:mm:ss"),
        "detail": t("col.detail"), "example": c.LinkColumn(t("col.example"), display_text=t("collection.open_run")),
    })  # fmt: skip


def events(shot: Snapshot, campaign_id: str) -> None:
    """What the collector noted, newest first."""
    found = shot.frame("events", campaign_id)
    if found.empty:
        return
    st.header(t("collection.events_title"))
    c = st.column_config
    named = [code_text("way", name) if kind == "restart" else collection_parts.event(name)
             for kind, name in zip(found["kind"], found["name"], strict=True)]  # fmt: skip
    view = found.assign(kind=[code_text("event", k) for k in found["kind"]], name=named,
                        detail=[i18n.said(detail) for detail in found["detail"]])[["at", "kind", "name", "detail"]]  # fmt: skip
    st.dataframe(view, hide_index=True, key="events", alt=t("collection.events_title"), placeholder=i18n.MISSING, column_config={
        "at": c.DatetimeColumn(t("col.at_utc"), format="YYYY-MM-DD HH:mm:ss"), "kind": t("col.kind"), "name": t("col.name"),
        "detail": c.TextColumn(t("col.detail"), width="large"),
    })  # fmt: skip


def history(campaigns: pd.DataFrame) -> None:
    """All campaigns."""
    st.header(t("collection.history_title"))
    view = pd.DataFrame({
        "campaign": campaigns["campaign"], "name": campaigns["name"],
        "status": [code_text("status", s) for s in campaigns["status"]],
        "engine": campaigns["engine"].str.cat(campaigns["engine_version"], sep=" ", na_rep=""),
        "started": campaigns["started_at"], "finished": campaigns["finished_at"], "runs": campaigns["runs"],
        "valid": campaigns["runs_valid"], "scored": campaigns["runs_scored"], "energy": campaigns["energy_j"] / 3600,
    })  # fmt: skip
    c = st.column_config
    when = "YYYY-MM-DD HH:mm"
    st.dataframe(view, hide_index=True, key="history", alt=t("collection.history_title"), placeholder=i18n.MISSING, column_config={
        "campaign": c.TextColumn(t("filter.campaign"), pinned=True), "name": t("col.name"), "status": t("col.status"),
        "engine": t("col.engine"), "started": c.DatetimeColumn(t("col.started_utc"), format=when),
        "finished": c.DatetimeColumn(t("col.finished_utc"), format=when), "runs": t("col.attempts"),
        "valid": t("collection.answers"), "scored": t("col.scored"), "energy": c.NumberColumn(t("col.energy_wh"), format="%.2f"),
    })  # fmt: skip


shot = open_page("collection", needs="campaigns")
campaigns = shot.frame("campaigns")
campaign = campaign_choice(campaigns)
chosen = campaign["campaign"]
if campaign["status"] == "running":
    live(shot.path, chosen)
    collection_parts.last_result(shot, campaigns)
else:
    now(shot, campaign)
cases(shot, chosen)
collection_parts.undone(shot, chosen)
faults(shot, chosen)
collection_parts.plans(shot)
collection_parts.conditions(shot, chosen)
collection_parts.books(shot, chosen)
collection_parts.sensors(shot, chosen)
collection_parts.calibration(shot, chosen)
events(shot, chosen)
collection_parts.disk(shot, campaigns, shot.ask("progress", chosen)["planned"])
history(campaigns)
