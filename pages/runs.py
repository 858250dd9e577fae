"""Runs: find one answer and see all that was recorded while it was made."""

from typing import Any

import pandas as pd
import streamlit as st

from db import FLAGS, effect_of
from pages._ui import charts, draw, i18n, runs_export, table, urls
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t
from pages._ui.page import notices, open_page

FILTERS = ("campaign", "configuration", "task", "load", "language", "status", "flag")
MOST_ROWS = 500
MEANINGS = {flag.name: flag for flag in FLAGS}


def find(shot: Snapshot) -> tuple[dict[str, str | None], pd.DataFrame]:
    """What was asked for, and the runs that match, newest first."""
    facets = shot.frame("facets")
    asked: dict[str, str | None] = {}
    with st.grid(4, min_column_width=170):
        for name in FILTERS:
            values = list(facets.loc[facets["facet"] == name, "value"])
            words = flag_words if name == "flag" else lambda c, group=name: code_text(group, c)
            asked[name] = urls.choose(name, t(f"filter.{name}"), values, anything=t("filter.all"), show=words)
    return asked, shot.frame("runs", **asked, limit=MOST_ROWS)


def meaning(name: str) -> str:
    """What a flag means, in the reader's language; its bare name when this version does not know it."""
    flag = MEANINGS.get(name)
    return name if flag is None else (flag.zh if i18n.language() == "zh" else flag.en)


def why(reason: str | None) -> str:
    """Why a quality is missing or 0: a reason of the scorer, or the flag of an answer that failed."""
    words = code_text("quality_reason", reason)
    return meaning(words) if words == reason else words


def flag_words(name: str) -> str:
    """A flag by its name and its meaning."""
    return name if name not in MEANINGS else f"{name}: {meaning(name)}"


def listing(found: pd.DataFrame) -> None:
    """The table of runs; a row selected goes into the address."""
    view = pd.DataFrame({
        "label": found["configuration"].map(table.labels(found)),
        "task": [code_text("task", c) for c in found["task"]], "load": [code_text("load", c) for c in found["load"]],
        "language": [code_text("language", c) for c in found["language"]], "item": found["item"],
        "status": [code_text("status", c) for c in found["status"]], "energy": found["energy_j"],
        "quality": found["quality"], "ttft": found["ttft_s"], "speed": found["decode_tokens_per_s"],
        "flags": [f.split(",") if f else [] for f in found["flags"]], "started": found["started_at"],
        "run": found["run_id"],
    })  # fmt: skip
    c = st.column_config
    ids = list(found["run_id"])

    def select() -> None:
        rows = st.session_state["runs-table"].selection.rows
        urls.remember("run", [ids[rows[0]]] if rows else [])

    st.dataframe(view, hide_index=True, height=290, key="runs-table", placeholder=i18n.MISSING, on_select=select, selection_mode="single-row",
                 alt=t("runs.table_alt"), column_config={
        "label": c.TextColumn(t("col.configuration"), pinned=True, width=190), "task": t("col.task"),
        "load": t("col.load"), "language": t("col.language"), "item": t("col.item"), "status": t("col.status"),
        "energy": c.NumberColumn(t("col.energy"), format="%.4g"), "quality": c.NumberColumn(t("col.quality"), format="%.2f"),
        "ttft": c.NumberColumn(t("col.ttft"), format="%.3f"), "speed": c.NumberColumn(t("col.speed"), format="%.1f"),
        "flags": c.MultiselectColumn(t("col.flags"), options=sorted(MEANINGS), color="gray"),
        "started": c.DatetimeColumn(t("col.started_utc"), format="YYYY-MM-DD HH:mm:ss"), "run": t("col.run"),
    })  # fmt: skip
    st.caption(t("runs.most", n=i18n.count(len(found))) if len(found) == MOST_ROWS
               else t("runs.count", n=i18n.count(len(found))))  # fmt: skip


def spans(run: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Start and end of loading, prefill and decode, seconds after the request was sent; only what is known."""
    found, start = {}, 0.0
    if (run["load_s"] or 0) > 0.02:
        found[t("phase.load")] = (0.0, float(run["load_s"]))
        start = float(run["load_s"])
    if run["ttft_s"] is not None:
        found[t("phase.prefill")] = (min(start, run["ttft_s"]), float(run["ttft_s"]))
        if run["total_s"] is not None:
            found[t("phase.decode")] = (float(run["ttft_s"]), float(run["total_s"]))
    return found


def figures(run: dict[str, Any]) -> None:
    """The main figures of a run."""
    energy = i18n.quantity(run["energy_j"], "J")
    with st.grid(6, min_column_width=120):
        st.metric(t("col.energy_short"), energy, border=True, height="stretch", help=t("runs.energy_help"),
                  delta=None if run["energy_j"] is None else i18n.interval(run["energy_low_j"], run["energy_high_j"]),
                  delta_color="off", delta_arrow="off")  # fmt: skip
        st.metric(t("col.quality"), i18n.number(run["quality"], 2), border=True, height="stretch",
                  delta=why(run["quality_reason"]) if run["quality"] is None and run["quality_reason"] else None,
                  delta_color="off", delta_arrow="off")  # fmt: skip
        st.metric(t("col.ttft_short"), i18n.seconds(run["ttft_s"]), border=True, height="stretch")
        st.metric(t("col.total"), i18n.seconds(run["total_s"]), border=True, height="stretch")
        st.metric(t("col.speed"), i18n.number(run["decode_tokens_per_s"]), border=True, height="stretch")
        st.metric(t("col.tokens"), i18n.count(run["output_tokens"]), border=True, height="stretch")
    batch = "" if run["batch_size"] is None else t("runs.batch", n=i18n.count(run["batch_size"]))
    cache = "" if run["cache_state"] is None else t("runs.cache", state=code_text("cache", run["cache_state"]))
    thinking = "" if run["ttft_thinking_s"] is None else t(
        "runs.thinking_first", thinking=i18n.seconds(run["ttft_thinking_s"]), answer=i18n.seconds(run["ttft_answer_s"]))  # fmt: skip
    for note in filter(None, (thinking, batch, cache)):
        st.caption(note)


def flags(run: dict[str, Any]) -> None:
    """Every flag with its meaning and what it does to the row; the fault in the engine's words."""
    for name in filter(None, run["flags"].split(",")):
        effect = effect_of(name)
        show = {"shown": st.info, "failure": st.warning}.get(effect, st.error)
        show(t("runs.flag", name=name, meaning=meaning(name), effect=t("effect." + effect)), icon=":material/flag:")
    if run["fault_detail"]:
        st.caption(t("runs.fault_detail"))
        st.code(run["fault_detail"], language=None, wrap_lines=True)


def traces(shot: Snapshot, run: dict[str, Any]) -> None:
    """Power, load, memory and the arrival of the answer, on one axis of time."""
    samples, phases, words = (
        shot.frame("samples", run["run_id"]),
        spans(run),
        {"time": t("axis.time"), "chars": t("axis.chars")},
    )
    st.header(t("runs.trace_title"))
    if phases:
        st.caption(t("runs.trace_caption", phases=i18n.joined(
            f"{name} {i18n.seconds(stop - start)}" for name, (start, stop) in phases.items())))  # fmt: skip
    if samples.empty:
        st.markdown(t("runs.no_samples"))
    samples = samples.assign(memory_gb=samples["memory_bytes"] / 1e9, vram_gb=samples["vram_bytes"] / 1e9)
    panels = (
        ("power", {"power_w": t("series.power")}, run["baseline_power_w"]),
        ("use", {"process_cpu_percent": t("series.process_cpu"), "cpu_percent": t("series.cpu"), "gpu_percent": t("series.gpu")}, None),
        ("memory", {"memory_gb": t("series.memory"), "vram_gb": t("series.vram")}, None),
    )  # fmt: skip
    for name, series, baseline in panels:
        if any(samples[field].notna().any() for field in series):
            chart = charts.trace(samples, series, t(f"axis.{name}"), phases, words, baseline=baseline)
            draw.chart(chart, f"trace-{name}", alt=t(f"runs.{name}_alt"))
        elif len(samples):
            st.caption(t("runs.not_measured", name=t(f"axis.{name}")))
    if run["chunk_t_s"]:
        frame = None if samples.empty else (float(samples["t_s"].min()), float(samples["t_s"].max()))
        chars = run["chunk_chars"] or [0] * len(run["chunk_t_s"])
        draw.chart(charts.tokens(run["chunk_t_s"], chars, phases, words, frame), "trace-tokens", alt=t("runs.tokens_alt"))


def wall(shot: Snapshot, run_id: str) -> None:
    """What an imported wall meter says of the same answer."""
    for _, row in shot.frame("wall_energy", run_id).iterrows():
        spread = i18n.interval(row["wall_energy_low_j"], row["wall_energy_high_j"])
        known = i18n.joined([i18n.quantity(row["wall_energy_j"], "J"), spread,
                             "" if pd.isna(row["ratio"]) else t("runs.wall_ratio", ratio=i18n.number(row["ratio"]))])  # fmt: skip
        st.text(t("runs.wall", meter=row["meter"], energy=known if known != i18n.MISSING else i18n.said(row["reason"])))


def energy(shot: Snapshot, run: dict[str, Any]) -> None:
    """Where the energy figure comes from: tier, scope, interval, parts and every sensor's own figure."""
    st.header(t("runs.energy_title"))
    if run["energy_j"] is None:
        st.markdown(t("runs.no_energy"))
        st.text(i18n.said(run["energy_reason"]) if run["energy_reason"] else t("runs.reason_unknown"))
        return
    samples = "" if run["sample_count"] is None else t("energy.samples", n=i18n.count(run["sample_count"]))
    known = {
        t("energy.gross"): i18n.joined([i18n.quantity(run["energy_j"], "J"), i18n.interval(run["energy_low_j"], run["energy_high_j"])]),
        t("energy.net"): i18n.quantity(run["energy_net_j"], "J"),
        t("energy.tier"): code_text("tier", run["energy_tier"]),
        t("energy.scope"): code_text("scope", run["energy_scope"]),
        t("energy.gpu"): i18n.quantity(run["gpu_energy_j"], "J"), t("energy.cpu"): i18n.quantity(run["cpu_energy_j"], "J"),
        t("energy.prefill"): i18n.quantity(run["energy_prefill_j"], "J"),
        t("energy.decode"): i18n.quantity(run["energy_decode_j"], "J"),
        t("energy.baseline"): i18n.quantity(run["baseline_power_w"], "W"),
        t("energy.coverage"): i18n.joined([i18n.percent(run["sample_coverage"]), samples]),
    }  # fmt: skip
    st.table({name: value for name, value in known.items() if value != i18n.MISSING}, border="horizontal", width="content")
    if run["energy_prefill_j"] is None:
        st.caption(t("runs.not_split"))
    if run["energy_net_j"] is None:
        st.caption(t("runs.no_net"))
    wall(shot, run["run_id"])
    if run["energy_sources"]:
        st.caption(t("runs.sources"))
        st.dataframe(
            pd.DataFrame({"sensor": list(run["energy_sources"]), "joules": list(run["energy_sources"].values())}),
            hide_index=True, width="content", alt=t("runs.sources"), key="sources",
            column_config={"sensor": t("col.sensor"), "joules": st.column_config.NumberColumn("J", format="%.4g")},
        )  # fmt: skip


def texts(run: dict[str, Any]) -> None:
    """Prompt and answer exactly as they were: shown as text, never as markup."""
    st.header(t("runs.texts_title"))
    for name, column in (
        ("prompt", "prompt"),
        ("answer", "output_text"),
        ("thinking", "thinking_text"),
        ("reference", "reference"),
    ):
        if run[column]:
            st.caption(t(f"runs.{name}"))
            st.code(run[column], language=None, wrap_lines=True)
        elif name == "answer":
            st.caption(t("runs.no_answer"))


def quality(shot: Snapshot, run: dict[str, Any]) -> None:
    """The quality of the answer, its parts and every score."""
    st.header(t("runs.scores_title"))
    parts = {t(f"quality.{name}"): i18n.number(run[name], 2) for name in ("factuality", "relevance", "fluency")}
    known = {t("col.quality"): i18n.number(run["quality"], 2)} | parts | {
        t("quality.bartscore"): i18n.number(run["bartscore"]),
        t("quality.checkpoint"): run["quality_checkpoint"] or i18n.MISSING, t("quality.reason"): why(run["quality_reason"]),
    }  # fmt: skip
    st.table({name: value for name, value in known.items() if value != i18n.MISSING}, border="horizontal", width="content")
    scores = shot.frame("scores", run["run_id"])
    if scores.empty:
        return
    c = st.column_config
    view = pd.DataFrame({
        "metric": [code_text("metric", m) for m in scores["metric"]],
        "direction": [code_text("direction", d) for d in scores["direction"]],
        "value": scores["value"], "raw": scores["raw"], "floor": scores["floor"], "checkpoint": scores["checkpoint"],
        "reason": [None if pd.isna(r) else why(r) for r in scores["reason"]],
    }).dropna(axis="columns", how="all")  # fmt: skip
    st.dataframe(view, hide_index=True, alt=t("runs.scores_title"), key="scores", placeholder=i18n.MISSING, column_config={
        "metric": c.TextColumn(t("runs.metric"), pinned=True, width=200), "direction": t("runs.direction"),
        "value": c.NumberColumn(t("col.q"), format="%.2f"), "raw": c.NumberColumn(t("runs.raw_score"), format="%.3f"),
        "floor": c.NumberColumn(t("runs.floor"), format="%.2f", help=t("runs.floor_help")),
        "checkpoint": t("quality.checkpoint"), "reason": t("col.why"),
    })  # fmt: skip
    if scores["floor"].notna().any():
        st.caption(t("runs.floor_help"))


def show(shot: Snapshot, run: dict[str, Any]) -> None:
    """One run from top to bottom."""
    st.divider()
    st.header(t("runs.run_title"))
    st.text(i18n.joined([run["model"], code_text("task", run["task"]), code_text("load", run["load"]),
                         code_text("language", run["language"]), run["item"], i18n.date(run["started_at"])]))  # fmt: skip
    notices(pd.DataFrame([{"demo": run["demo"], "energy_tier": run["energy_tier"]}]))
    figures(run)
    flags(run)
    traces(shot, run)
    left, right = st.columns(2)
    with left:
        texts(run)
    with right:
        energy(shot, run)
    quality(shot, run)
    with st.expander(t("runs.raw")):
        st.json({"server": run["server_raw"], "options": run["options"], "quality": run["quality_detail"]}, expanded=1)


shot = open_page("runs")
asked, found = find(shot)
if found.empty:
    st.info(t("runs.none"), icon=":material/search_off:")
else:
    listing(found)
    runs_export.buttons(shot.path, asked)
wanted = st.query_params.get("run")
if wanted is None:
    st.caption(t("runs.select_hint"))
elif run := shot.ask("run", wanted):
    show(shot, run)
else:
    st.warning(t("runs.unknown"), icon=":material/search_off:")
