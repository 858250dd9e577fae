"""Questions only pages ask; everything else is in ``db.reader``. Sums and medians are made in SQL."""

from __future__ import annotations

import json

import pandas as pd

import rating
from db import Store, effect_of, figures, reader
from pages._ui.collection_queries import (
    calibrations,
    closures,
    conditions,
    evaluations,
    latest,
    plans,
    queue,
    restarts,
    undone,
)  # fmt: skip
from pages._ui.task_queries import diversity, metric_records, pass_at, quality_parts, stability
from rating.factors import Factor

__all__ = [
    "calibrations", "cell_states", "closures", "conditions", "diversity", "effects", "evaluations", "facets", "faults", "figures", "latest",
    "latest_schemes", "metric_records", "pass_at", "plans", "quality_parts", "queue", "restarts", "stability", "totals", "undone", "wall_energy", "wins",
]  # fmt: skip

_CHANGES = ("energy_j", "energy_ratio", "quality", "x_ratio")
_FIGURES = [f"{name}{end}" for name in _CHANGES for end in ("", "_low", "_high")]
_EFFECT = ["cohort", "task", "subject", "first", "second", "first_configuration", "second_configuration", "verdict",
           "reasons", "n_items", "paired", *_FIGURES]  # fmt: skip


def totals(store: Store) -> dict[str, int]:
    """Numbers of answers, of answers that count, of configurations, of ratings and of campaigns."""
    row = store.query("""
SELECT (SELECT count(*) FROM runs) AS runs, (SELECT count(DISTINCT configuration_id) FROM runs) AS configurations,
    (SELECT count(*) FROM ratings) AS ratings, (SELECT count(*) FROM campaigns) AS campaigns
""").iloc[0]
    known = figures(store)
    valid = known.loc[known["task"] == "overall", "answers"].sum()
    return {name: int(row[name]) for name in row.index} | {"valid": int(valid)}


def facets(store: Store) -> pd.DataFrame:
    """Which campaigns, configurations, tasks, loads, languages, flags and statuses runs have: ``facet value n``."""
    return store.query("""
WITH r AS (SELECT campaign, configuration, task, load, language, status, flags FROM v_runs)
SELECT 'campaign' AS facet, campaign AS value, count(*) AS n FROM r GROUP BY value
UNION ALL SELECT 'configuration', configuration, count(*) FROM r GROUP BY configuration
UNION ALL SELECT 'task', task, count(*) FROM r GROUP BY task
UNION ALL SELECT 'load', load, count(*) FROM r GROUP BY load
UNION ALL SELECT 'language', language, count(*) FROM r GROUP BY language
UNION ALL SELECT 'status', status, count(*) FROM r GROUP BY status
UNION ALL SELECT 'flag', flag, count(*) FROM (SELECT unnest(string_split(flags, ',')) AS flag FROM r WHERE flags <> '')
    GROUP BY flag
ORDER BY facet, n DESC, value
""")


def faults(store: Store, campaign: str) -> pd.DataFrame:
    """Flags of a campaign's attempts: ``flag runs last_at example detail``, most frequent first."""
    return store.query(
        """
SELECT flag, count(*) AS runs, max(started_at) AS last_at, arg_max(run_id, started_at) AS example,
    arg_max(CASE WHEN starts_with(flag, 'energy_') OR flag = 'counter_reset' THEN energy_reason ELSE fault_detail END, started_at) AS detail
FROM (SELECT run_id, started_at, fault_detail, energy_reason, unnest(string_split(flags, ',')) AS flag FROM v_runs
      WHERE campaign = ? AND flags <> '')
GROUP BY flag ORDER BY runs DESC, flag
""",
        [campaign],
    )


def cell_states(store: Store, campaign: str) -> pd.DataFrame:
    """Cells of a campaign by model, task and load: ``model task load planned done failed skipped``."""
    return store.query(
        """
SELECT model, task, load, count(*) AS cells, count(*) FILTER (state = 'done') AS done,
    count(*) FILTER (state = 'failed') AS failed, count(*) FILTER (state = 'skipped') AS skipped,
    count(*) FILTER (state = 'planned') AS planned
FROM cells WHERE campaign_id = ? GROUP BY model, task, load ORDER BY min(position)
""",
        [campaign],
    )


def wall_energy(store: Store, run_id: str) -> pd.DataFrame:
    """What imported wall meters say of a run: ``meter wall_energy_j{,_low,_high} ratio reason``; joules, None with a reason."""
    return store.query(
        "SELECT meter, wall_energy_j, wall_energy_low_j, wall_energy_high_j, ratio, reason FROM v_wall_energy WHERE run_id = ?"
        " ORDER BY meter",
        [run_id],
    )


def latest_schemes(store: Store) -> pd.DataFrame:
    """The stored rating schemes, newest first."""
    return store.query("SELECT scheme, definition, hash, created_at FROM schemes ORDER BY created_at DESC, scheme")


def effects(store: Store, factor: Factor) -> pd.DataFrame:
    """Paired effects of a factor (``rating.factor_effects``), one row each.

    ``energy_j``, ``energy_ratio``, ``quality`` and ``x_ratio`` are the second level against the first, each with ``_low``
    and ``_high`` of its 95 % interval; differences but for the two ratios.
    ``verdict`` is ``better``, ``worse``, ``no_evidence``, ``not_comparable`` (``reasons`` say why, as in a rating row) or
    ``too_few`` shared items; figures of the last two are None.
    """
    columns = rating.columns_of(reader.answers_for_rating(store))
    measurements = rating.measurements_of(columns, effect_of, rating.default_scheme().min_items).measurements
    found = pd.DataFrame([_flat(effect) for effect in rating.factor_effects(measurements, factor)], columns=_EFFECT)
    return found.astype(dict.fromkeys(_FIGURES, "float64"))


def wins(store: Store, cohort: str, scheme: str) -> pd.DataFrame:
    """P(first beats second), from the very draws behind the letters: ``task first second probability``.

    Args:
        store: where the answers are.
        cohort: whose configurations.
        scheme: name of the stored scheme; one that cannot be read is replaced by that of the code.
    """
    answers = reader.answers_for_rating(store)
    used = _scheme(store, scheme)
    columns = rating.columns_of(answers[answers["cohort"] == cohort])
    measurements = rating.measurements_of(columns, effect_of, used.min_items).measurements
    rows = [
        (found.task, first, second, float(found.probability[i, j]))
        for found in rating.wins(measurements, used)
        for i, first in enumerate(found.configurations)
        for j, second in enumerate(found.configurations)
        if i != j
    ]
    return pd.DataFrame(rows, columns=["task", "first", "second", "probability"])


def _scheme(store: Store, name: str) -> rating.Scheme:
    stored = latest_schemes(store).set_index("scheme")["definition"]
    try:
        return rating.scheme_from_json(json.loads(stored[name])) if name in stored else rating.default_scheme()
    except rating.SchemeError:
        return rating.default_scheme()


def _flat(effect: rating.Effect) -> dict[str, object]:
    row: dict[str, object] = {
        "cohort": effect.cohort, "task": effect.task, "subject": effect.subject, "first": effect.first,
        "second": effect.second, "first_configuration": effect.configurations[0],
        "second_configuration": effect.configurations[1], "verdict": "not_comparable" if effect.reasons else "too_few",
        "reasons": json.dumps([{"text": r.text("en"), "text_zh": r.text("zh")} for r in effect.reasons]),
    }  # fmt: skip
    if (c := effect.comparison) is None:
        return row
    row |= {"verdict": c.verdict.replace(" ", "_"), "n_items": c.n_items, "paired": c.paired}
    for name, value, spread in (
        ("energy_j", c.energy_difference_j, c.energy_difference_interval),
        ("energy_ratio", c.energy_ratio, c.energy_interval),
        ("quality", c.quality_difference, c.quality_interval),
        ("x_ratio", c.x_ratio, c.x_interval),
    ):
        row |= {name: value, f"{name}_low": spread.low, f"{name}_high": spread.high}
    return row
