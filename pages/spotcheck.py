"""Spot check: people rate a blinded sample, and the page says how far they agree with each other and with the metrics."""

from hashlib import sha256

import pandas as pd
import streamlit as st

from db import Store, StoreError
from pages._ui import export, i18n, roles, spot, states, urls
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t
from pages._ui.page import open_page
from pages._ui.spot_queries import DIMENSIONS, save_rating
from rating.agreement import INCONCLUSIVE_BELOW, Estimate, weighted_mean
from rating.spotcheck import Candidate, choose, order_for

GROUPS = 12
SCALE = (1, 2, 3, 4, 5)


def who() -> str | None:
    """Name of the rater; None where this visitor may not rate or has not said a name."""
    if not roles.may_rate():
        st.info(t("spot.may_not"), icon=":material/lock:")
        return None
    known = roles.person()
    if known:
        return known
    name = st.text_input(t("spot.name"), key="spot-name", max_chars=60, placeholder=t("spot.name_hint")).strip()
    if not name:
        st.info(t("spot.say_name"), icon=":material/badge:")
    return name or None


def marks(dimensions: tuple[str, ...], key: str) -> dict[str, int | None]:
    """One row of marks for each dimension."""
    return {
        name: st.segmented_control(t(f"spot.{name}"), SCALE, key=f"{key}-{name}", help=t(f"spot.{name}_help"))
        for name in dimensions
    }


def save(shot: Snapshot, row: dict[str, object]) -> None:
    """Stores a rating and goes on; what a page cannot write is said and nothing is lost."""
    try:
        save_rating(Store(shot.path), row)
    except StoreError as error:
        states.show_error(error)
        st.stop()
    st.rerun()


def rate_answer(shot: Snapshot, campaign: str, rater: str, ratings: pd.DataFrame) -> None:
    """The next answer of the sample, without its model and its scores."""
    picks = spot.sample_of(shot.frame("candidates", campaign), campaign)
    skipped: set[tuple[str, int]] = st.session_state.setdefault("spot-skipped", set())
    now = spot.next_turn(picks, ratings, rater, skipped)
    if not picks:
        st.info(t("spot.no_answers"), icon=":material/hourglass_empty:")
        return
    st.progress(now.done / now.total, t("spot.progress", done=i18n.count(now.done), total=i18n.count(now.total)))
    if now.pick is None:
        st.success(t("spot.all_done"), icon=":material/task_alt:")
        return
    run = shot.ask("run", now.pick.key)
    st.caption(t("spot.question"))
    st.code(run["prompt"], language=None, wrap_lines=True, height=260 if len(run["prompt"]) > 900 else "content")
    st.caption(t("spot.answer"))
    st.code(run["output_text"], language=None, wrap_lines=True)
    if run["reference"]:
        with st.expander(t("spot.reference")):
            st.code(run["reference"], language=None, wrap_lines=True)
    key = f"spot-{now.pick.key}-{now.turn}"
    with st.form(key):
        given = marks(DIMENSIONS, key)
        note = st.text_area(t("spot.note"), key=f"{key}-note", max_chars=2000, height=80)
        with st.container(horizontal=True):
            saved = st.form_submit_button(t("spot.save"), type="primary", icon=":material/check:")
            skip = st.form_submit_button(t("spot.skip"), icon=":material/skip_next:")
    if skip:
        skipped.add((now.pick.key, now.turn))
        st.rerun()
    if saved:
        if None in given.values():
            st.warning(t("spot.incomplete"), icon=":material/rule:")
            return
        save(shot, {"run_id": now.pick.key, "rater": rater, "pass": now.turn, "campaign_id": campaign, **given,
                    "note": note.strip() or None, "stratum": str(now.pick.stratum), "why": now.pick.why,
                    "weight": now.pick.weight})  # fmt: skip


def rate_group(shot: Snapshot, campaign: str, rater: str, ratings: pd.DataFrame) -> None:
    """All answers that one configuration gave to one item, side by side: how much do they differ?"""
    known = shot.frame("groups", campaign)
    if known.empty:
        st.info(t("spot.no_groups"), icon=":material/hourglass_empty:")
        return
    strata = known["configuration"] + "|" + known["task"]
    picks = choose([Candidate(key, stratum, None) for key, stratum in zip(known["group_key"], strata, strict=True)],
                   GROUPS, campaign)  # fmt: skip
    done = set(ratings.loc[(ratings["rater"] == rater) & ratings["group_key"].notna(), "group_key"])
    order = [pick for pick, turn in order_for(picks, rater) if turn == 1]
    left = [pick for pick in order if pick.key not in done]
    st.progress(1 - len(left) / len(order), t("spot.progress", done=i18n.count(len(order) - len(left)), total=i18n.count(len(order))))
    if not left:
        st.success(t("spot.all_done"), icon=":material/task_alt:")
        return
    row = known[known["group_key"] == left[0].key].iloc[0]
    answers = shot.frame("group_answers", campaign, row["configuration"], row["item"])
    st.caption(t("spot.question"))
    st.code(answers["prompt"].iloc[0], language=None, wrap_lines=True, height=200 if len(answers["prompt"].iloc[0]) > 700 else "content")
    with st.grid(min(3, len(answers)), min_column_width=240):
        for text in answers["output_text"]:
            st.code(text, language=None, wrap_lines=True, height=260 if len(text) > 400 else "content")
    key = f"group-{sha256(left[0].key.encode()).hexdigest()[:12]}"  # stands in the page's HTML; the group's own key names the model
    with st.form(key):
        given = marks(("diversity",), key)
        saved = st.form_submit_button(t("spot.save"), type="primary", icon=":material/check:")
    if saved:
        if given["diversity"] is None:
            st.warning(t("spot.incomplete"), icon=":material/rule:")
            return
        save(shot, {"group_key": left[0].key, "rater": rater, "pass": 1, "campaign_id": campaign, **given})


def line(name: str, found: Estimate) -> dict[str, object]:
    """One row of a table of coefficients."""
    return {"name": name, "value": i18n.number(found.value, 2), "interval": i18n.interval(found.low, found.high),
            "n": found.n, "more": found.more}  # fmt: skip


def coefficients(rows: list[dict[str, object]], key: str, title: str) -> None:
    """A table of coefficients with their intervals and how many more are needed."""
    c = st.column_config
    st.dataframe(pd.DataFrame(rows).astype({"more": "Int64"}), hide_index=True, key=key, placeholder=i18n.MISSING, alt=title, column_config={
        "name": c.TextColumn(t("spot.what"), width=300), "value": t("spot.value"), "interval": t("col.interval"),
        "n": t("spot.n"), "more": c.NumberColumn(t("spot.more"), help=t("spot.more_help")),
    })  # fmt: skip


def agreement(shot: Snapshot, campaign: str, ratings: pd.DataFrame) -> None:
    """How far people agree with each other and the metrics with people."""
    if ratings.empty:
        st.info(t("spot.none_yet"), icon=":material/hourglass_empty:")
        return
    st.markdown(t("spot.who_rated", ratings=i18n.count(len(ratings)), raters=i18n.count(ratings["rater"].nunique())))
    people = spot.between_people(ratings)
    st.header(t("spot.people_title"))
    if any(found.value is None or found.value < INCONCLUSIVE_BELOW for name, found in people.items() if found.n and name != "diversity"):
        st.warning(t("spot.inconclusive"), icon=":material/help:")
    coefficients([line(t(f"spot.{name}"), found) for name, found in people.items()], "alpha", t("spot.people_title"))
    st.caption(t("spot.people_caption"))
    st.header(t("spot.metrics_title"))
    metrics = spot.people_and_metrics(ratings, shot.frame("metrics_of_rated", campaign))
    coefficients([line(f"{t(f'spot.{said}')} ↔ {t(f'spot.metric_{metric}')}", found) for (said, metric), found in metrics.items()],
                 "tau", t("spot.metrics_title"))  # fmt: skip
    st.caption(t("spot.metrics_caption"))
    st.header(t("spot.means_title"))
    rated = ratings.dropna(subset=["run_id"])
    st.table({t(f"spot.{name}"): i18n.number(weighted_mean(rated[name].astype(float).tolist(), rated["weight"].astype(float).tolist()), 2)
              for name in DIMENSIONS}, border="horizontal", width="content")  # fmt: skip
    st.caption(t("spot.means_caption"))
    export.view_button(ratings, "spot-check")


shot = open_page("spotcheck")
campaigns = shot.frame("campaigns")
campaign = urls.choose("campaign", t("filter.campaign"), list(campaigns["campaign_id"]), show=lambda c: code_text("campaign", c))
if campaign is None:
    states.empty()
else:
    ratings = shot.frame("human", campaign)
    part = urls.choose("part", t("spot.part"), ["answers", "groups", "agreement"], show=lambda c: t(f"spot.part_{c}"), pick="segments")
    if part == "agreement":
        agreement(shot, campaign, ratings)
    elif rater := who():
        if part == "groups":
            rate_group(shot, campaign, rater, ratings)
        else:
            rate_answer(shot, campaign, rater, ratings)
