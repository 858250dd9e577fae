"""Means and medians per configuration and task, kept in the store so that the first page need not look at every answer.

``python -m rating table`` keeps them whenever it rates; a stamp says of which data they are. Where it does not fit, or where
only a part is asked for, they are made from the answers, by the same statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.store import Store, frame_of
from db.writer import Writer

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["figures", "keep_figures", "kept_figures"]

_FIGURES = """
SELECT cohort, configuration, any_value(model) AS model, any_value(quantization) AS quantization,
    CASE WHEN grouping(task) = 1 THEN 'overall' ELSE task END AS task, count(*) AS answers, bool_or(demo) AS demo,
    string_agg(DISTINCT energy_tier, ',' ORDER BY energy_tier) AS energy_tier,
    avg(energy_j) AS energy_j, avg(energy_net_j) AS energy_net_j, avg(quality) AS quality,
    count(quality) AS scored, median(decode_tokens_per_s) AS decode_tokens_per_s, median(ttft_s) AS ttft_s,
    median(total_s) AS total_s, avg(output_tokens) AS output_tokens
FROM v_runs_valid
WHERE ($campaign IS NULL OR campaign = $campaign) AND ($load IS NULL OR load = $load)
    AND ($language IS NULL OR language = $language)
GROUP BY GROUPING SETS ((cohort, configuration, task), (cohort, configuration))
ORDER BY cohort, configuration, task
"""
# What the figures depend on: answers, scores (scoring again renews scored_at) and what the flags mean.
_STAMP = """
SELECT concat_ws('/', (SELECT count(*) FROM runs), (SELECT max(started_at) FROM runs),
    (SELECT count(*) FROM qualities), (SELECT max(scored_at) FROM qualities),
    (SELECT md5(string_agg(flag || effect, ',' ORDER BY flag)) FROM flag_effects),
    (SELECT value FROM meta WHERE key = 'views'))
"""


def figures(
    store: Store, campaign: str | None = None, load: str | None = None, language: str | None = None
) -> pd.DataFrame:
    """Medians and means of the answers that count, by cohort, configuration and task, and over all tasks (``overall``).

    ``energy_j`` is the mean of one answer, ``quality`` the mean over the scored ones; None where nothing is known.
    """
    asked = {"campaign": campaign, "load": load, "language": language}
    with store.read() as con:
        if asked == dict.fromkeys(asked) and _fits(con):
            return frame_of(con, "SELECT * FROM figures ORDER BY cohort, configuration, task", None)
        return frame_of(con, _FIGURES, asked)


def kept_figures(store: Store) -> bool:
    """Whether the kept figures are those of the answers as they stand."""
    with store.read() as con:
        return _fits(con)


def keep_figures(writer: Writer) -> None:
    """Makes the figures anew and keeps them, in the writer's transaction."""
    everything = _FIGURES.replace("$campaign", "NULL").replace("$load", "NULL").replace("$language", "NULL")
    writer.execute("DELETE FROM figures")
    writer.execute(f"INSERT INTO figures BY NAME {everything}")
    writer.execute(f"INSERT OR REPLACE INTO meta VALUES ('figures', ({_STAMP}))")  # noqa: S608  constants


def _fits(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute(f"SELECT value = ({_STAMP}) FROM meta WHERE key = 'figures'").fetchall() == [(True,)]  # noqa: S608
