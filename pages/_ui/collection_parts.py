"""Parts of the page about collecting: what runs now, the queue, the plan, the last result, the books, the disk."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import streamlit as st

from db import FLAGS
from pages._ui import i18n, schedule
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t

__all__ = ["books", "calibration", "conditions", "current", "disk", "event", "last_result", "left", "meaning", "plans", "sensors", "undone"]

_MEANINGS = {flag.name: flag for flag in FLAGS}
_CLOSED = 0.01
_MARKS = {"ok": "✓", "denied": "✕", "missing": "–", "unsupported": "–"}


def meaning(name: str) -> str:
    """What a flag or fault means; its bare name when this version does not know it."""
    flag = _MEANINGS.get(name)
    return name if flag is None else (flag.zh if i18n.language() == "zh" else flag.en)


def event(name: str) -> str:
    """Words for an event, which may be named like a flag."""
    words = code_text("event_name", name)
    return meaning(name) if words == name else words


def left(queue: pd.DataFrame) -> timedelta | None:
    """Time that the planned cells will take at the measured pace; None while that is not known."""
    if queue.empty or queue["each_s"].isna().any():
        return None
    return timedelta(seconds=float((queue["planned"] * queue["each_s"]).sum()))


def current(shot: Snapshot, campaign_id: str, *, alive: bool) -> None:
    """Which case is being measured (or was, where the campaign is not ``alive``), how far it is, and what came last."""
    found, queue = shot.frame("latest", campaign_id), shot.frame("queue", campaign_id)
    with st.container(border=True):
        if found.empty:
            st.text(t("collection.preparing"))
            return
        row = found.iloc[0]
        case = i18n.joined([row["model"], code_text("task", row["task"]), code_text("load", row["load"])])
        if alive and row["through"] == row["cells"] and len(queue):
            upcoming = queue.iloc[0]
            st.caption(t("collection.case_done"))
            case = i18n.joined([upcoming["model"], code_text("task", upcoming["task"]), code_text("load", upcoming["load"])])
        else:
            st.caption(t("collection.now" if alive else "collection.was"))
        st.text(case)
        st.progress(float(row["through"] / row["cells"]),
                    text=t("collection.of_case", n=i18n.count(row["through"]), m=i18n.count(row["cells"])))  # fmt: skip
        said = code_text("status", row["status"]) if pd.isna(row["fault"]) else meaning(row["fault"])
        st.text(t("collection.last", what=i18n.joined([
            i18n.date(row["started_at"]), said, i18n.seconds(row["total_s"]), i18n.quantity(row["energy_j"], "J"),
        ])))  # fmt: skip
        st.caption(t("collection.refreshed", at=i18n.date(datetime.now(UTC).replace(tzinfo=None))))


def conditions(shot: Snapshot, campaign_id: str) -> None:
    """How the engine is restarted, how often it was, and how the machine was found."""
    row = shot.frame("conditions", campaign_id).iloc[0]
    policy, _, way = (row["restart_way"] or "").partition(" by ")
    found = {
        t("collection.restart"): i18n.joined([code_text("restart", policy or None), code_text("way", way or None)]),
        t("collection.restarts"): i18n.count(shot.ask("restarts", campaign_id)),
        t("collection.load_average"): i18n.number(row["load_average"]),
        t("collection.reference_temperature"): i18n.quantity(row["reference_temperature_c"], "°C"),
        t("collection.idle_vram"): i18n.memory(row["idle_vram_bytes"]),
    }
    known = {name: value for name, value in found.items() if value != i18n.MISSING}
    st.header(t("collection.conditions_title"))
    st.table(known, border="horizontal", width="content")


def plans(shot: Snapshot) -> None:
    """Every experiment with a plan: when it starts next."""
    st.header(t("collection.plan_title"))
    now = datetime.now(UTC)
    rows = []
    for _, row in shot.frame("plans").iterrows():
        plan = schedule.plan_of(row["experiment_toml"], now)
        if plan is not None:
            start = None if plan.next_start is None else plan.next_start.astimezone(UTC).replace(tzinfo=None)
            rows.append({"name": row["name"], "engine": row["engine"], "cron": plan.cron, "next": i18n.date(start)})
    if not rows:
        st.markdown(t("collection.no_plan"))
    else:
        st.dataframe(pd.DataFrame(rows), hide_index=True, key="plans", width="content", alt=t("collection.plan_title"), column_config={
            "name": t("collection.experiment"), "engine": t("col.engine"), "cron": t("collection.cron"),
            "next": t("collection.next"),
        })  # fmt: skip
    st.caption(t("collection.plan_caption"))
    st.code("python -m collector serve EXPERIMENT.toml", language="bash")


def undone(shot: Snapshot, campaign_id: str) -> None:
    """Cells that got no answer, by model and reason; parked models first."""
    found = shot.frame("undone", campaign_id)
    if found.empty:
        return
    st.header(t("collection.undone_title"))
    for model in found.loc[found["state"] == "skipped", "model"].drop_duplicates():
        st.warning(t("collection.parked"), icon=":material/pause_circle:")
        st.text(model)
    view = pd.DataFrame({
        "model": found["model"], "state": [code_text("cell", c) for c in found["state"]], "cells": found["cells"],
        "reason": found["reason"],
        "meaning": ["; ".join(meaning(name) for name in str(r).split(", ")) if isinstance(r, str) else None for r in found["reason"]],
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, key="undone", placeholder=i18n.MISSING, alt=t("collection.undone_title"), column_config={
        "model": c.TextColumn(t("col.model"), pinned=True), "state": t("col.status"), "cells": t("collection.cells"),
        "reason": t("col.flag"), "meaning": t("col.meaning"),
    })  # fmt: skip


def last_result(shot: Snapshot, campaigns: pd.DataFrame) -> None:
    """While something runs: what came of the campaign that ended last."""
    ended = campaigns[campaigns["finished_at"].notna() & (campaigns["status"] != "running")]
    if ended.empty:
        return
    row = ended.sort_values("finished_at").iloc[-1]
    progress, faults = shot.ask("progress", row["campaign"]), shot.frame("undone", row["campaign"])
    st.header(t("collection.last_title"))
    with st.container(border=True):
        st.text(i18n.joined([row["campaign"], code_text("status", row["status"]), i18n.date(row["finished_at"])]))
        st.text(t("collection.last_counts", done=i18n.count(progress["done"]), failed=i18n.count(progress["failed"]),
                  skipped=i18n.count(progress["skipped"]), left=i18n.count(progress["planned"])))  # fmt: skip
        counts = faults.groupby("reason")["cells"].sum().sort_values(ascending=False).head(5)
        if len(counts):
            st.text("\n".join(f"• {name} × {i18n.count(n)}: {meaning(str(name))}" for name, n in counts.items()))
        if isinstance(row["note"], str):
            st.text(i18n.said(row["note"]))


def books(shot: Snapshot, campaign_id: str) -> None:
    """Whether the joules add up, and what scoring took beside them."""
    closures, evaluations = shot.frame("closures", campaign_id), shot.frame("evaluations", campaign_id)
    if closures.empty and evaluations.empty:
        return
    st.header(t("collection.books_title"))
    c = st.column_config
    if len(closures):
        parts = ("runs", "loads", "baselines", "between")
        view = pd.DataFrame({
            "ended": closures["ended_at"], "tier": [code_text("tier", x) for x in closures["tier"]],
            "scope": [code_text("scope", x) for x in closures["scope"]], "total": closures["total_j"],
            **{name: closures[f"{name}_j"] for name in parts}, "mismatch": closures["mismatch"] * 100,
            "verdict": [i18n.MISSING if pd.isna(m) else t("collection.closed" if abs(m) <= _CLOSED else "collection.open")
                        for m in closures["mismatch"]],
            "reason": [i18n.said(reason) for reason in closures["reason"]],
        })  # fmt: skip
        st.dataframe(view, hide_index=True, key="closures", placeholder=i18n.MISSING, alt=t("collection.books_title"), column_config={
            "ended": c.DatetimeColumn(t("col.finished_utc"), format="YYYY-MM-DD HH:mm"), "tier": t("energy.tier"),
            "scope": t("energy.scope"), "total": c.NumberColumn(t("collection.total_j"), format="%.4g"),
            **{name: c.NumberColumn(t(f"collection.{name}_j"), format="%.4g") for name in parts},
            "mismatch": c.NumberColumn(t("collection.mismatch"), format="%.2f"), "verdict": t("effects.verdict"),
            "reason": t("col.why"),
        })  # fmt: skip
        st.caption(t("collection.books_caption"))
    if len(evaluations):
        known = evaluations["energy_j"].sum(min_count=1)
        st.text(t("collection.evaluations", calls=i18n.count(len(evaluations)), answers=i18n.count(evaluations["answers"].sum()),
                  time=i18n.duration(timedelta(seconds=float(evaluations["duration_s"].sum()))), energy=i18n.energy(known)))  # fmt: skip


def sensors(shot: Snapshot, campaign_id: str) -> None:
    """Every sensor: whether it works here, why not, and the cure; below it every field by itself."""
    st.header(t("collection.sensors_title"))
    found = shot.frame("sensors", campaign_id)
    if found.empty:
        st.markdown(t("collection.no_sensors"))
        return
    if i18n.language() == "zh":  # told in both languages since schema 3; older campaigns have English only
        found = found.assign(**{name: found[f"{name}_zh"].fillna(found[name]) for name in ("reason", "cure")})
    found = found.assign(
        state=[f"{_MARKS.get(s, '?')} {t('sensor.works') if s == 'ok' else code_text('status', s)}" for s in found["status"]],
        tier=[code_text("tier", c) for c in found["tier"]], scope=[code_text("scope", c) for c in found["scope"]],
        unit=[code_text("unit", u) for u in found["unit"]],
    )  # fmt: skip
    groups = found.groupby(["sensor", "state", "reason", "cure"], dropna=False, sort=False)
    view = groups.agg(scope=("scope", _each), tier=("tier", _each), field=("field", ", ".join)).reset_index()
    c = st.column_config
    heads = {
        "sensor": c.TextColumn(t("col.sensor"), pinned=True), "state": t("col.status"), "reason": c.TextColumn(t("col.why"), width=260),
        "cure": c.TextColumn(t("col.cure"), width=200), "tier": c.TextColumn(t("energy.tier"), width=170), "scope": t("energy.scope"),
        "field": t("col.field"), "unit": t("col.unit"), "period": c.NumberColumn(t("col.period"), format="%.3g"), "source": t("col.source"),
    }  # fmt: skip
    st.dataframe(view, hide_index=True, key="sensors", alt=t("collection.sensors_title"), placeholder=i18n.MISSING, column_config=heads)
    for words in dict.fromkeys(found.loc[found["status"] == "denied", "cure"].dropna()):
        st.caption(t("collection.cure"))
        st.code(words, language="bash", wrap_lines=True)
    with st.expander(t("collection.fields_title")):
        fields = found.rename(columns={"update_period_s": "period"})
        fields = fields[["sensor", "field", "state", "unit", "period", "tier", "scope", "source"]]
        st.dataframe(fields, hide_index=True, key="sensor-fields", alt=t("collection.fields_title"), placeholder=i18n.MISSING,
                     column_config={name: heads[name] for name in fields.columns})  # fmt: skip


def _each(words: pd.Series) -> str:
    """Every known word once."""
    return i18n.joined(dict.fromkeys(words))


def calibration(shot: Snapshot, campaign_id: str) -> None:
    """Sensors of the machine that were held against a wall meter."""
    found = shot.frame("calibrations", campaign_id)
    st.header(t("collection.calibration_title"))
    if found.empty:
        st.markdown(t("collection.no_calibration"))
        return
    c = st.column_config
    view = pd.DataFrame({
        "sensor": found["sensor"], "device": found["device"], "gain": found["gain"], "half": found["gain_half_width"],
        "offset": found["offset_w"], "half_w": found["offset_half_width_w"], "covers": [code_text("covers", c) for c in found["covers"]],
        "applied": [t("collection.applied_yes" if used else "collection.applied_no") for used in found["applied"]],
        "points": found["point_count"], "meter": found["meter"], "at": found["calibrated_at"],
    })  # fmt: skip
    st.dataframe(view, hide_index=True, key="calibrations", placeholder=i18n.MISSING, alt=t("collection.calibration_title"), column_config={
        "sensor": t("col.sensor"), "device": t("collection.device"), "gain": c.NumberColumn(t("collection.gain"), format="%.4f"),
        "half": c.NumberColumn("± 95 %", format="%.4f"), "offset": c.NumberColumn(t("collection.offset"), format="%.2f"),
        "half_w": c.NumberColumn("± 95 %, W", format="%.2f"), "covers": t("collection.covers"), "applied": t("collection.applied"),
        "points": t("collection.points"), "meter": t("collection.meter"),
        "at": c.DatetimeColumn(t("col.at_utc"), format="YYYY-MM-DD HH:mm"),
    })  # fmt: skip


def disk(shot: Snapshot, campaigns: pd.DataFrame, planned: int) -> None:
    """Size of the store, room on its disk, and how the store grows."""
    path = Path(shot.path)
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    runs = shot.ask("totals")["runs"]
    each = size / runs if runs else None
    st.header(t("collection.disk_title"))
    with st.grid(4, min_column_width=150):
        st.metric(t("collection.size"), i18n.memory(size), border=True, height="stretch")
        st.metric(t("collection.free"), i18n.memory(free), border=True, height="stretch")
        st.metric(t("collection.per_run"), i18n.quantity(None if each is None else each / 1000, "kB"), border=True, height="stretch")
        st.metric(t("collection.growth"), i18n.memory(None if each is None else each * planned), border=True, height="stretch",
                  help=t("collection.growth_help"))  # fmt: skip
    if each is not None and each * max(planned, int(campaigns["runs"].max())) > free / 2:
        st.warning(t("collection.disk_low"), icon=":material/hard_drive:")
