"""Advisor: which configuration to run under the reader's own weights and limits, and whether to keep it loaded."""

import pandas as pd
import streamlit as st

import rating
from pages._ui import i18n, table, urls
from pages._ui.data import Snapshot
from pages._ui.i18n import code_text, t
from pages._ui.page import choose_cohort, notices, open_page
from rating.advice import co2e_g_per_1000, keep_loaded

OVERALL = "overall"
PRICE, GRID, PER_DAY, HOURS = 0.30, 400.0, 100.0, 24.0
MOST = 1e9  # more than any wish without an end of its own; what an address names beyond it is not taken


def figure(name: str, standard: float | None, *, least: float = 0.0, most: float | None = None, step: float = 1.0) -> float | None:
    """A number that lives in the address; None where it is left empty."""
    asked = st.query_params.get(name)
    try:
        value = standard if asked is None else float(asked)
    except ValueError:
        value = standard
    if value is not None and not least <= value <= (MOST if most is None else most):
        value = standard
    chosen = st.number_input(t(f"advisor.{name}"), min_value=least, max_value=MOST if most is None else most, value=value, step=step, key=f"advisor-{name}",
                             placeholder=t("advisor.no_limit"), help=t(f"advisor.{name}_help"))  # fmt: skip
    urls.remember(name, [] if chosen == standard or chosen is None else [f"{chosen:g}"])
    return None if chosen is None else float(chosen)


def weights(tasks: list[str]) -> dict[str, float]:
    """How much each task matters."""
    st.header(t("advisor.weights_title"))
    found = {}
    with st.grid(min(4, max(1, len(tasks))), min_column_width=170):
        for task in tasks:
            name = f"w_{task}"
            try:
                standard = min(10, max(0, int(st.query_params.get(name, 1))))
            except ValueError:
                standard = 1
            found[task] = float(st.slider(code_text("task", task), 0, 10, standard, key=f"advisor-{name}"))
            urls.remember(name, [] if found[task] == 1 else [f"{found[task]:g}"])
    return found


def limits() -> dict[str, float | None]:
    """The reader's limits and prices."""
    st.header(t("advisor.limits_title"))
    with st.grid(3, min_column_width=200):
        return {
            "quality": figure("quality", None, most=1.0, step=0.05), "vram": figure("vram", None),
            "latency": figure("latency", None), "price": figure("price", PRICE, step=0.01),
            "grid": figure("grid", GRID, step=10.0),
        }  # fmt: skip


def choice(advice: rating.Advice, names: dict[str, str], notes: dict[str, list[str]], grid: float | None) -> None:
    """The choice, why, and what to keep in mind."""
    best = advice.choice
    language = i18n.language()
    if best is None:
        st.warning(t("advisor.nothing"), icon=":material/search_off:")
    else:
        with st.container(border=True):
            st.caption(t("advisor.choice"))
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.text(names.get(best.configuration, best.configuration))
                for note in notes.get(best.configuration, []):
                    st.badge(note, color="orange")
            with st.grid(4, min_column_width=150):
                st.metric(t("col.joules"), i18n.quantity(best.joules_per_success, "J"))
                st.metric(t("col.quality"), i18n.number(best.quality, 2))
                st.metric(t("advisor.cost"), i18n.number(best.cost_per_1000))
                grams = None if grid is None else co2e_g_per_1000(best.joules_per_success, grid)
                st.metric(t("advisor.co2e"), i18n.quantity(grams, "g"))
            if advice.probability is not None:
                st.markdown(t("advisor.sure", share=i18n.chance(advice.probability)))
    reasons = [reason.text(language) for reason in advice.reasons]
    # identifiers are long; the reader knows the short names
    for configuration, label in names.items():
        reasons = [words.replace(configuration, label) for words in reasons]
    st.text("\n".join(f"• {words}" for words in reasons))


def options(advice: rating.Advice, names: dict[str, str], notes: dict[str, list[str]], grid: float | None) -> None:
    """Everything that meets the wish, and what does not with the reasons."""
    if advice.options:
        st.header(t("advisor.options_title"))
        view = pd.DataFrame({
            "label": [names.get(o.configuration, o.configuration) for o in advice.options],
            "joules": [o.joules_per_success for o in advice.options], "quality": [o.quality for o in advice.options],
            "cost": [o.cost_per_1000 for o in advice.options],
            "co2e": [None if grid is None else co2e_g_per_1000(o.joules_per_success, grid) for o in advice.options],
            "vram": [None if o.resources.vram_bytes is None else o.resources.vram_bytes / 1e9 for o in advice.options],
            "latency": [o.resources.latency_s for o in advice.options],
            "sure": [i18n.chance(o.quality_probability) for o in advice.options], "items": [o.n_items for o in advice.options],
            "notes": [notes.get(o.configuration, []) for o in advice.options],
        })  # fmt: skip
        c = st.column_config
        st.dataframe(view, hide_index=True, key="options", placeholder=i18n.MISSING, alt=t("advisor.options_title"), column_config={
            "label": c.TextColumn(t("col.configuration"), pinned=True), "joules": c.NumberColumn(t("col.joules"), format="%.3g"),
            "quality": c.NumberColumn(t("col.q"), format="%.2f"), "cost": c.NumberColumn(t("advisor.cost_short"), format="%.3g", help=t("advisor.cost")),
            "co2e": c.NumberColumn(t("advisor.co2e_short"), format="%.3g", help=t("advisor.co2e")), "vram": c.NumberColumn(t("advisor.vram_gb"), format="%.3g"),
            "latency": c.NumberColumn(t("advisor.latency_s"), format="%.3g"),
            "sure": t("advisor.quality_sure"), "items": t("col.items"),
            "notes": c.MultiselectColumn(t("col.notes"), color="orange", options=table.note_options()),
        })  # fmt: skip
    if advice.excluded:
        with st.expander(t("advisor.excluded_title", n=i18n.count(len(advice.excluded))), expanded=not advice.options):
            lines = [f"• {names.get(one.configuration, one.configuration)}: " + " ".join(r.text(i18n.language()) for r in one.reasons)
                     for one in advice.excluded]  # fmt: skip
            st.text("\n".join(lines))


def residency(shot: Snapshot, cohort: str, names: dict[str, str], first: str | None) -> None:
    """Whether to keep a model loaded between answers."""
    st.header(t("advisor.keep_title"))
    st.caption(t("advisor.keep_caption"))
    known = shot.frame("loading", cohort).set_index("configuration")
    order = [*([first] if first else []), *(name for name in names if name != first)]
    with st.grid(3, min_column_width=200):
        chosen = urls.choose("configuration", t("filter.configuration"), order, show=lambda c: names[c]) or order[0]
        per_day = figure("per_day", PER_DAY, step=10.0)
        hours = figure("hours", HOURS, most=24.0)
    row = known.loc[chosen] if chosen in known.index else None
    if row is None or per_day is None or hours is None or pd.isna(row["energy_j"]) or pd.isna(row["holding_power_w"]):
        st.info(t("advisor.keep_unknown"), icon=":material/help:")
        return
    holding = max(0.0, float(row["holding_power_w"]))
    found = keep_loaded(per_day, max(0.0, float(row["energy_j"])), holding, hours)
    st.markdown(t("advisor.keep_yes" if found.keep else "advisor.keep_no"))
    st.table({
        t("advisor.load_energy"): i18n.joined([i18n.energy(row["energy_j"]), i18n.seconds(row["load_s"])]),
        t("advisor.holding_power"): i18n.quantity(row["holding_power_w"], "W"),
        t("advisor.keep_day"): i18n.energy(found.keep_j_per_day), t("advisor.reload_day"): i18n.energy(found.reload_j_per_day),
        t("advisor.break_even"): i18n.number(found.break_even_per_day), t("advisor.break_gap"): i18n.seconds(found.break_even_gap_s),
    }, border="horizontal", width="content")  # fmt: skip
    if bool(row["estimated"]):
        st.caption(t("notice.estimated"))


shot = open_page("advisor")
figures = shot.frame("figures")
cohort = choose_cohort(figures)
figures = figures[figures["cohort"] == cohort]
notices(figures)
names = table.labels(figures)
overall = figures[figures["task"] == OVERALL]
notes = {str(row.configuration): table.notes(row.demo, row.energy_tier) for row in overall.itertuples()}
answer = st.container()  # the answer stands above the wishes that it follows from
wanted = weights(sorted(set(figures["task"]) - {OVERALL}))
asked = limits()
if not any(wanted.values()):
    answer.info(t("advisor.no_weight"), icon=":material/tune:")
    st.stop()
gigabytes = asked["vram"]
advice = shot.ask("advice", cohort, tuple(sorted(wanted.items())), asked["quality"],
                  None if gigabytes is None else gigabytes * 1e9, asked["latency"], asked["price"])  # fmt: skip
with answer:
    choice(advice, names, notes, asked["grid"])
options(advice, names, notes, asked["grid"])
residency(shot, cohort, names, advice.choice.configuration if advice.choice else None)
