"""Questions of the spot check: which answers may be rated, what people said, what the metrics say of the same answers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd

from db import Store

__all__ = ["candidates", "groups", "group_answers", "human", "metrics_of_rated", "save_rating"]

JOINT = " · "
"""Between model, task and load in the name of a stratum."""
DIMENSIONS = ("factuality", "relevance", "fluency")


def candidates(store: Store, campaign: str) -> pd.DataFrame:
    """Answers of a campaign that people may rate: ``run_id stratum factuality relevance fluency floor``.

    ``floor`` is the lexical floor of relevance: a metric that disagrees with it is worth a look.
    """
    return store.query(
        """
SELECT v.run_id, v.model || ? || v.task || ? || v.load AS stratum, v.factuality, v.relevance, v.fluency,
    s.floor AS floor
FROM v_runs_valid v
LEFT JOIN (SELECT run_id, max(floor) AS floor FROM v_scores WHERE metric = 'bartscore' AND direction = 'relevance' GROUP BY run_id) s
    USING (run_id)
WHERE v.campaign = ? AND length(trim(v.output_text)) > 0 ORDER BY v.run_id
""",
        [JOINT, JOINT, campaign],
    )


def groups(store: Store, campaign: str) -> pd.DataFrame:
    """Items of which a configuration has three answers or more: ``group_key configuration item task load answers``."""
    return store.query(
        """
SELECT campaign || '|' || configuration || '|' || item AS group_key, configuration, item, task, load, count(*) AS answers
FROM v_runs_valid WHERE campaign = ? AND length(trim(output_text)) > 0 AND task <> 'code'
GROUP BY campaign, configuration, item, task, load HAVING count(*) >= 3 ORDER BY group_key
""",
        [campaign],
    )


def group_answers(store: Store, campaign: str, configuration: str, item: str) -> pd.DataFrame:
    """The answers of one group: ``prompt output_text``, in the order of the repeats."""
    return store.query(
        "SELECT prompt, output_text FROM v_runs_valid WHERE campaign = ? AND configuration = ? AND item = ?"
        " ORDER BY repeat, attempt",
        [campaign, configuration, item],
    )


def human(store: Store, campaign: str) -> pd.DataFrame:
    """What people said of a campaign, oldest first."""
    return store.query("SELECT * FROM v_human_ratings WHERE campaign = ? ORDER BY rated_at, rating_id", [campaign])


def metrics_of_rated(store: Store, campaign: str) -> pd.DataFrame:
    """Metrics of the answers that people rated: ``run_id quality factuality relevance fluency floor_factuality floor_relevance``."""
    return store.query(
        """
SELECT v.run_id, v.quality, v.factuality, v.relevance, v.fluency,
    max(s.floor) FILTER (s.direction = 'factuality') AS floor_factuality,
    max(s.floor) FILTER (s.direction = 'relevance') AS floor_relevance
FROM v_runs v LEFT JOIN v_scores s USING (run_id)
WHERE v.run_id IN (SELECT run_id FROM human_ratings WHERE campaign_id = ?)
GROUP BY ALL ORDER BY v.run_id
""",
        [campaign],
    )


def save_rating(store: Store, rating: Mapping[str, object]) -> None:
    """Stores one rating, the only thing that a page ever writes.

    Raises:
        StoreError: the store cannot be written, or is held by a measurement for too long.
    """
    row = {"rating_id": uuid.uuid4().hex[:20], "rated_at": datetime.now(UTC), **rating}
    with store.write(timeout_s=15.0) as writer:
        writer.insert("human_ratings", [row])
