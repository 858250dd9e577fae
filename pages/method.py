"""Method: how a measurement becomes a letter. Everything here is read out of the code and the database."""

import json
import tomllib

import pandas as pd
import streamlit as st

import rating
from db import FLAGS, StoreError
from pages._ui import badge, i18n, states
from pages._ui.data import Snapshot, snapshot
from pages._ui.i18n import code_text, t

GLOSSARY = ("success", "eqr", "eei", "cohort", "basket", "provisional", "gross", "net", "ttft", "configuration", "item")


def formulas() -> None:
    """The chain from joules to a letter."""
    st.header(t("method.formulas_title"))
    for name, formula in (
        ("x", r"x = \frac{\sum_i E_i}{\sum_i q_i}"),
        ("eqr", r"\mathrm{EQR} = \frac{1000}{x}"),
        ("eei", r"\mathrm{EEI} = \frac{x}{R},\qquad R = \Bigl(\prod_{b=1}^{n} x_b\Bigr)^{1/n}"),
    ):
        st.markdown(t(f"method.{name}_text"))
        st.latex(formula)
    st.markdown(t("method.confidence_text", draws=i18n.count(rating.DRAWS)))


def thresholds(scheme: rating.Scheme) -> None:
    """Classes of energy and of quality side by side."""
    st.header(t("method.classes_title"))
    energy = [*(f"< {i18n.number(b)}" for b in scheme.eei_bounds), f"≥ {i18n.number(scheme.eei_bounds[-1])}"]
    quality = [
        *(f"≥ {i18n.number(b, 2)}" for b in scheme.quality_bounds),
        f"< {i18n.number(scheme.quality_bounds[-1], 2)}",
    ]
    view = pd.DataFrame({
        "grade": [badge.data_uri(badge.grade_svg(letter)) for letter in rating.LETTERS], "letter": list(rating.LETTERS),
        "eei": energy, "tile": [badge.data_uri(badge.quality_svg(letter)) for letter in rating.LETTERS], "quality": quality,
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, row_height=44, width="content", key="classes", alt=t("method.classes_title"), column_config={
        "grade": c.ImageColumn(t("col.grade"), width=95), "letter": c.TextColumn(t("method.letter"), width=60),
        "eei": c.TextColumn("EEI", width=90), "tile": c.ImageColumn(t("col.quality"), width=70),
        "quality": c.TextColumn(t("method.mean_quality"), width=120),
    })  # fmt: skip
    st.markdown(t("method.rules", items=i18n.count(scheme.min_items), successes=i18n.number(scheme.min_successes),
                  probability=i18n.percent(scheme.rated_probability), share=i18n.percent(scheme.functional_minimum),
                  cap=scheme.capped_at))  # fmt: skip


def scheme_card(scheme: rating.Scheme, stored: str | None) -> None:
    """Name, weights and baskets of the scheme."""
    st.header(t("method.scheme_title"))
    st.caption(t("method.scheme_stored", at=stored) if stored else t("method.scheme_default"))
    weights = i18n.joined(f"{code_text('task', task)} {i18n.number(weight, 2)}" for task, weight in scheme.weights)
    st.table({t("method.scheme_name"): scheme.name, t("method.scheme_hash"): scheme.hash[:16],
              t("method.weights"): weights or t("method.equal_weights")}, border="horizontal", width="content")  # fmt: skip
    for basket in scheme.baskets:
        st.caption(
            i18n.joined(
                [t("method.basket", name=basket.name), t("method.own") if basket.own else "", basket.cohort or ""]
            )
        )
        st.dataframe(pd.DataFrame({"model": [m.model for m in basket.members], "quantization": [m.quantization for m in basket.members]}),
                     hide_index=True, width="content", key=f"basket-{basket.name}", alt=t("method.basket", name=basket.name),
                     placeholder=i18n.MISSING,
                     column_config={"model": t("col.model"), "quantization": t("filter.quantization")})  # fmt: skip


def flags() -> None:
    """The one table of flags."""
    st.header(t("method.flags_title"))
    st.caption(t("method.flags_caption"))
    chinese = i18n.language() == "zh"
    view = pd.DataFrame(
        [{"flag": f.name, "meaning": f.zh if chinese else f.en, "effect": t("effect." + f.effect)} for f in FLAGS]
    )
    st.dataframe(view, hide_index=True, height=420, key="flags", alt=t("method.flags_title"), column_config={
        "flag": st.column_config.TextColumn(t("col.flag"), pinned=True), "meaning": t("col.meaning"), "effect": t("col.effect"),
    })  # fmt: skip


def sensors(shot: Snapshot) -> None:
    """What measured the energy of the newest campaign."""
    campaigns = shot.frame("campaigns")
    found = shot.frame("sensors", campaigns["campaign"].iloc[0]) if len(campaigns) else pd.DataFrame()
    st.header(t("method.sensors_title"))
    known = found[found["tier"].notna()] if len(found) else found
    if known.empty:
        st.markdown(t("collection.no_sensors"))
        return
    st.dataframe(pd.DataFrame({
        "sensor": known["sensor"], "field": known["field"], "tier": [code_text("tier", c) for c in known["tier"]],
        "scope": [code_text("scope", c) for c in known["scope"]],
        "status": [t("sensor.works") if s == "ok" else code_text("status", s) for s in known["status"]],
    }), hide_index=True, key="sensors", alt=t("method.sensors_title"), column_config={
        "sensor": t("col.sensor"), "field": t("col.field"), "tier": t("energy.tier"), "scope": t("energy.scope"),
        "status": t("col.status"),
    })  # fmt: skip
    st.page_link("collection.py", label=t("method.all_sensors"), icon=":material/sensors:")


def quality_weights(shot: Snapshot) -> None:
    """What the stored qualities were made of."""
    found = shot.frame("quality_parts")
    if found.empty:
        return
    st.header(t("method.quality_title"))
    rows = [
        {"task": code_text("task", row["task"]), "part": code_text("part", name), "weight": weight * 100}
        for _, row in found.iterrows() for name, weight in json.loads(row["detail"])["weights"].items()
    ]  # fmt: skip
    c = st.column_config
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="content", key="weights", alt=t("method.quality_title"), column_config={
        "task": t("col.task"), "part": t("method.part"), "weight": c.NumberColumn(t("method.weight"), format="%.0f"),
    })  # fmt: skip
    versions = i18n.joined(found["scorer_version"].drop_duplicates())
    st.caption(t("method.quality_caption", version=versions))


def metrics(shot: Snapshot) -> None:
    """What the metrics of the checkpoints that judged the stored answers can tell, the weak ones named."""
    found = shot.frame("metric_records")
    if found.empty:
        return
    st.subheader(t("method.metrics_title"))
    st.caption(t("method.metrics_caption"))
    for checkpoint, own in found.groupby("checkpoint", sort=True):
        known = own[own["auc"].notna()]
        if known.empty:
            st.caption(t("method.metrics_unknown", checkpoint=checkpoint, name=str(checkpoint).rpartition("@")[0]))
            continue
        weak = known[known["weak"].astype(bool)]
        names = [f"{code_text('part', row.metric)} ({code_text('language', row.language)}) {i18n.number(row.auc, 2)}"
                 for row in weak.itertuples()]  # fmt: skip
        goal = i18n.number(known["goal"].iloc[0], 2)
        st.markdown(t("method.metrics_weak", checkpoint=checkpoint, goal=goal, names=i18n.joined(names)) if names
                    else t("method.metrics_good", checkpoint=checkpoint, goal=goal))  # fmt: skip
        view = known[["auc", "held_out", "floor", "couples"]].copy()
        view.insert(0, "language", [code_text("language", code) for code in known["language"]])
        view.insert(0, "metric", [code_text("part", name) for name in known["metric"]])
        c = st.column_config
        st.dataframe(view, hide_index=True, width="content", key=f"metrics-{checkpoint}", alt=t("method.metrics_title"),
                     placeholder=i18n.MISSING, column_config={
            "metric": c.TextColumn(t("method.part"), pinned=True), "language": t("filter.language"),
            "auc": c.NumberColumn("AUC", format="%.2f"), "held_out": c.NumberColumn(t("method.held_out"), format="%.2f"),
            "floor": c.NumberColumn(t("method.floor"), format="%.2f"), "couples": t("method.couples"),
        })  # fmt: skip


def stability(shot: Snapshot) -> None:
    """What the order of configurations by quality owes to those weights."""
    found = shot.frame("stability")
    if found.empty:
        return
    st.subheader(t("method.stability_title"))
    st.caption(t("method.stability_caption", spread=i18n.percent(rating.SPREAD), draws=i18n.count(rating.WEIGHT_DRAWS)))
    several = found["cohort"].nunique() > 1
    view = pd.DataFrame({
        **({"cohort": found["cohort"]} if several else {}), "task": [code_text("task", task) for task in found["task"]],
        "order": [" > ".join(_names(order)) for order in found["order"]],
        "same_order": found["same_order"] * 100, "same_best": found["same_best"] * 100, "tau": found["tau"],
        "pair": [" ↔ ".join(_names(pair)) or i18n.MISSING for pair in found["pair"]],
    })  # fmt: skip
    c = st.column_config
    st.dataframe(view, hide_index=True, key="stability", alt=t("method.stability_title"), column_config={
        "cohort": t("filter.cohort"), "task": c.TextColumn(t("col.task"), pinned=True), "order": t("method.stability_order"),
        "same_order": c.NumberColumn(t("method.same_order"), format="%.0f"),
        "same_best": c.NumberColumn(t("method.same_best"), format="%.0f"),
        "tau": c.NumberColumn("Kendall τ", format="%.2f"), "pair": t("method.stability_pair"),
    })  # fmt: skip


def _names(configurations: list[str]) -> list[str]:
    """Configurations by what stands before their number, where that tells them apart."""
    short = [name.partition("#")[0] for name in configurations]
    return short if len(set(short)) == len(short) else configurations


def protocol(shot: Snapshot) -> None:
    """How the newest campaign measured, as its experiment file says it."""
    plans = shot.frame("plans")
    if plans.empty:
        return
    try:
        experiment = tomllib.loads(plans["experiment_toml"].iloc[0])
    except tomllib.TOMLDecodeError:
        return
    asked = {"restart": experiment.get("restart"), "repeats": experiment.get("repeats"), "order": experiment.get("order"),
             **experiment.get("generation", {}), **experiment.get("protocol", {})}  # fmt: skip
    rows = [{"setting": name, "value": str(value), "meaning": code_text("setting", name)} for name, value in asked.items()
            if value not in (None, {}, [])]  # fmt: skip
    if not rows:
        return
    view = pd.DataFrame(rows)
    view["meaning"] = view["meaning"].where(view["meaning"] != view["setting"], i18n.MISSING)
    st.header(t("method.protocol_title"))
    st.caption(t("method.protocol_caption"))
    st.dataframe(view, hide_index=True, key="protocol", alt=t("method.protocol_title"), column_config={
        "setting": st.column_config.TextColumn(t("method.setting"), pinned=True, width=180), "value": t("method.value"),
        "meaning": t("col.meaning"),
    })  # fmt: skip


def current_scheme(shot: Snapshot | None) -> tuple[rating.Scheme, str | None]:
    """The newest stored scheme with the time it was stored, else the one in the code."""
    stored = shot.frame("latest_schemes") if shot else pd.DataFrame()
    for _, row in stored.iterrows():
        try:
            return rating.scheme_from_json(json.loads(row["definition"])), i18n.date(row["created_at"])
        except rating.SchemeError:
            st.caption(t("method.scheme_unknown", name=row["scheme"]))
    return rating.default_scheme(), None


st.title(t("nav.method"))
st.caption(t("method.lead"))
try:
    shot: Snapshot | None = snapshot()
except StoreError:
    shot = None
if shot and shot.stale:
    states.stale_note()
left, right = st.columns(2)
scheme, stored = current_scheme(shot)
with left:
    formulas()
with right:
    thresholds(scheme)
scheme_card(scheme, stored)
if shot:
    quality_weights(shot)
    metrics(shot)
    stability(shot)
    protocol(shot)
flags()
if shot:
    sensors(shot)
st.header(t("method.glossary_title"))
for word in GLOSSARY:
    st.markdown(f"**{t(f'glossary.{word}')}** {t(f'glossary.{word}_text')}")
