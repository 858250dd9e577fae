"""Questions of the page about one model; means are made over items, so that repeats do not count as items."""

from __future__ import annotations

import pandas as pd

from db import Store

__all__ = ["energy_parts", "load_curve", "sample_answers"]

_ENDS = {"energy_j_low": None, "quality_low": None, "quality_high": 1.0}
"""Ends of intervals that cannot lie below 0, and the most they can be."""


def load_curve(store: Store, cohort: str, configuration: str) -> pd.DataFrame:
    """Figures by task and load: ``task load answers items energy_j{,_low,_high} quality{,_low,_high} total_s output_tokens``.

    Means over items with their 95 % interval (1.96 standard errors of the items' means, not beyond what can be); None with
    one item only.
    """
    found = store.query(
        """
WITH items AS (
    SELECT task, load, item, count(*) AS answers, avg(energy_j) AS joules, avg(quality) AS q,
        avg(total_s) AS seconds, avg(output_tokens) AS tokens
    FROM v_runs_valid WHERE cohort = ? AND configuration = ? GROUP BY task, load, item),
means AS (
    SELECT task, load, CAST(sum(answers) AS BIGINT) AS answers, count(*) AS items, avg(joules) AS energy_j, avg(q) AS quality,
        1.96 * stddev_samp(joules) / sqrt(count(joules)) AS half_j, 1.96 * stddev_samp(q) / sqrt(count(q)) AS half_q,
        avg(seconds) AS total_s, avg(tokens) AS output_tokens
    FROM items GROUP BY task, load)
SELECT task, load, answers, items, energy_j, energy_j - half_j AS energy_j_low, energy_j + half_j AS energy_j_high,
    quality, quality - half_q AS quality_low, quality + half_q AS quality_high, total_s, output_tokens
FROM means ORDER BY task, load
""",
        [cohort, configuration],
    )
    return found.assign(**{name: found[name].clip(0, most) for name, most in _ENDS.items()})


def energy_parts(store: Store, cohort: str, configuration: str) -> pd.DataFrame:
    """Where the energy of an answer goes, by task: ``task answers energy_j idle_j prefill_j decode_j split_answers split_j``.

    Means of one answer. ``idle_j`` is what the machine with the loaded model takes meanwhile anyway (None without a
    baseline). ``prefill_j`` and ``decode_j`` only over the answers long enough to be split, whose mean is ``split_j``.
    """
    return store.query(
        """
SELECT v.task, count(*) AS answers, avg(v.energy_j) AS energy_j, avg(v.baseline_power_w * v.total_s) AS idle_j,
    avg(v.energy_prefill_j) AS prefill_j, avg(v.energy_decode_j) AS decode_j,
    count(v.energy_prefill_j) AS split_answers, avg(v.energy_j) FILTER (v.energy_prefill_j IS NOT NULL) AS split_j
FROM v_runs_valid v WHERE v.cohort = ? AND v.configuration = ? GROUP BY v.task ORDER BY v.task
""",
        [cohort, configuration],
    )


def sample_answers(store: Store, cohort: str, configuration: str, task: str) -> pd.DataFrame:
    """A good, a usual and a poor answer: ``run_id item language load quality energy_j prompt output_text`` by falling quality.

    Those nearest to the 90th, 50th and 10th percentile of quality; unscored answers do not stand here.
    """
    return store.query(
        """
WITH scored AS (
    SELECT run_id, item, language, load, quality, energy_j, prompt, output_text FROM v_runs_valid
    WHERE cohort = ? AND configuration = ? AND task = ? AND quality IS NOT NULL),
ends AS (SELECT unnest(quantile_cont(quality, [0.9, 0.5, 0.1])) AS aim FROM scored),
nearest AS (SELECT aim, (SELECT arg_min(run_id, abs(s.quality - aim) + 1e-9 * hash(run_id) / 1.8e19) FROM scored s) AS run_id FROM ends)
SELECT DISTINCT s.* FROM scored s SEMI JOIN nearest USING (run_id) ORDER BY quality DESC, run_id
""",
        [cohort, configuration, task],
    )
