"""Questions about tasks: how answers differ from repeat to repeat, pass@k of code, what quality is made of and owes to it."""

from __future__ import annotations

import json

import pandas as pd

import rating
from db import Store, reader

__all__ = ["diversity", "metric_records", "pass_at", "quality_parts", "stability"]

_KS = (1, 3, 5, 10)


def diversity(store: Store, cohort: str) -> pd.DataFrame:
    """How much answers to one item differ: ``configuration task items answers vendi distinct_2 self_bleu deterministic``.

    The newest figures of every load and language, averaged over items; ``vendi`` is the effective number of different
    answers. Parts that were asked too seldom have no figure and are left out.
    """
    return store.query(
        """
WITH newest AS (
    SELECT * FROM v_diversity WHERE vendi IS NOT NULL
        AND configuration IN (SELECT DISTINCT configuration_id FROM runs WHERE cohort = ?)
    QUALIFY row_number() OVER (PARTITION BY configuration, task, load, language ORDER BY computed_at DESC) = 1)
SELECT configuration, task, CAST(sum(n_items) AS BIGINT) AS items, CAST(sum(n_answers) AS BIGINT) AS answers,
    sum(vendi * n_items) / sum(n_items) AS vendi, sum(distinct_2 * n_items) / sum(n_items) AS distinct_2,
    sum(self_bleu * n_items) / sum(n_items) AS self_bleu, bool_and(deterministic) AS deterministic
FROM newest GROUP BY configuration, task ORDER BY task, vendi DESC, configuration
""",
        [cohort],
    )


def pass_at(store: Store, cohort: str) -> pd.DataFrame:
    """pass@k of the code answers (``rating.pass_at_k_by``): ``configuration k value items``, k as far as there are repeats."""
    answers = store.query(
        "SELECT configuration, item, passed FROM v_runs_valid WHERE cohort = ? AND task = 'code' AND passed IS NOT NULL"
        " ORDER BY configuration, item, repeat",
        [cohort],
    )
    rows = [(str(a.configuration), str(a.item), bool(a.passed)) for a in answers.itertuples(index=False)]
    found = [
        (configuration, k, result.value, result.n_items)
        for k in _KS
        for configuration, result in rating.pass_at_k_by(rows, k).items()
        if result.value is not None
    ]
    return pd.DataFrame(found, columns=["configuration", "k", "value", "items"])


def quality_parts(store: Store) -> pd.DataFrame:
    """What the newest scores were made of: ``task scorer_version detail``; ``detail`` is JSON with the ``weights`` of its parts.

    Of each task's answers the one with most parts, as a part that an item does not define drops out.
    """
    return store.query("""
WITH found AS (
    SELECT r.task, q.scorer_version, q.detail, q.scored_at, coalesce(len(json_keys(q.detail, '$.weights')), 0) AS parts
    FROM qualities q JOIN runs r USING (run_id) WHERE q.detail IS NOT NULL)
SELECT task, scorer_version, detail FROM found WHERE parts > 0
QUALIFY row_number() OVER (PARTITION BY task ORDER BY scored_at DESC, parts DESC) = 1 ORDER BY task
""")


def metric_records(store: Store) -> pd.DataFrame:
    """What the metrics of each checkpoint that judged answers can tell, as ``check-metrics`` found it.

    Columns ``checkpoint metric language couples auc held_out floor weak goal``; a checkpoint that was never checked has one row
    with nothing but its name.
    """
    found = store.query("""
SELECT checkpoint, value FROM (SELECT DISTINCT checkpoint FROM qualities WHERE checkpoint IS NOT NULL)
LEFT JOIN meta ON key = 'metrics/' || checkpoint ORDER BY checkpoint
""")
    columns = ["checkpoint", "metric", "language", "couples", "auc", "held_out", "floor", "weak", "goal"]
    rows: list[dict[str, object]] = []
    for checkpoint, value in found.itertuples(index=False, name=None):
        record = json.loads(value) if isinstance(value, str) else {"checks": [{}]}
        rows += [{"checkpoint": checkpoint, "goal": record.get("goal"), **check} for check in record["checks"]]
    return pd.DataFrame(rows, columns=columns)


def stability(store: Store) -> pd.DataFrame:
    """What the order by quality owes to the weights (``rating.Stability``), by cohort and task.

    Columns ``cohort task order same_order same_best tau pair swapped``; ``order`` and ``pair`` are lists of configurations,
    ``swapped`` is how often the pair changes places.
    """
    stacks = reader.quality_stacks(store)
    found = rating.stability_by(stacks.astype(object).where(stacks.notna(), None).itertuples(index=False, name=None))
    rows = [
        (cohort, task, list(one.order), one.same_order, one.same_best, one.tau, *_pair(one))
        for (cohort, task), one in found.items()
    ]
    return pd.DataFrame(rows, columns=["cohort", "task", "order", "same_order", "same_best", "tau", "pair", "swapped"])


def _pair(found: rating.Stability) -> tuple[list[str], float]:
    return ([], 0.0) if found.worst_pair is None else (list(found.worst_pair[:2]), found.worst_pair[2])
