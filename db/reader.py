"""The questions that pages and rating ask. Sums and counts are made in SQL; columns as in docs/data.md.

Every function opens and closes its own read-only connection; ``StoreError`` when the store cannot be read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from db.store import Store, frame_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "answers_for_rating", "campaign", "campaigns", "configurations", "events", "progress", "quality_stacks", "rating_history",
    "ratings", "run", "runs", "samples", "scores", "sensors",
]  # fmt: skip


def campaigns(store: Store) -> pd.DataFrame:
    """One row per campaign, newest first, with its counts of cells and runs.

    ``campaign`` is ``campaign_id`` under its name in the views. ``energy_j``: joules of all its attempts together,
    None where none has an energy.
    """
    return store.query("""
SELECT p.campaign_id, p.campaign_id AS campaign, p.name, p.status, p.started_at, p.finished_at, p.heartbeat_at, p.note,
    p.engine, p.engine_version, p.restart_way, p.suite_version, p.experiment_hash, p.machine_id,
    m.cpu_model, m.os_family,
    (SELECT count(*) FROM cells x WHERE x.campaign_id = p.campaign_id) AS cells,
    (SELECT count(*) FROM cells x WHERE x.campaign_id = p.campaign_id AND x.state = 'done') AS cells_done,
    (SELECT count(*) FROM runs r WHERE r.campaign_id = p.campaign_id) AS runs,
    (SELECT count(*) FROM v_runs_valid v WHERE v.campaign = p.campaign_id) AS runs_valid,
    (SELECT count(quality) FROM v_runs_valid v WHERE v.campaign = p.campaign_id) AS runs_scored,
    (SELECT sum(energy_j) FROM runs r WHERE r.campaign_id = p.campaign_id) AS energy_j
FROM campaigns p LEFT JOIN machines m USING (machine_id)
ORDER BY p.started_at DESC, p.campaign_id
""")


def campaign(store: Store, campaign_id: str) -> dict[str, object]:
    """All of one campaign with its machine: experiment, packages, fingerprint; empty if there is none."""
    return _one(
        store,
        """
SELECT p.*, m.cpu_model, m.os_family, m.fingerprint
FROM campaigns p LEFT JOIN machines m USING (machine_id) WHERE p.campaign_id = ?
""",
        campaign_id,
        ("packages", "engine_environment", "fingerprint"),
    )


def configurations(store: Store) -> pd.DataFrame:
    """One row per configuration with what it is and its number of runs and of runs that count."""
    return store.query("""
SELECT c.configuration_id AS configuration, c.* EXCLUDE (configuration_id),
    (SELECT count(*) FROM runs r WHERE r.configuration_id = c.configuration_id) AS runs,
    (SELECT count(*) FROM v_runs_valid v WHERE v.configuration = c.configuration_id) AS runs_valid
FROM configurations c ORDER BY configuration
""")


def ratings(store: Store, scheme: str | None = None) -> pd.DataFrame:
    """The newest rating of every cohort, task, configuration and scheme (``v_ratings``), best EEI first."""
    return store.query(
        "SELECT * FROM v_ratings WHERE ? IS NULL OR scheme = ? ORDER BY cohort, task, eei NULLS LAST, configuration",
        [scheme, scheme],
    )


def rating_history(store: Store, cohort: str, configuration: str) -> pd.DataFrame:
    """Every rating that a configuration ever had in a cohort, all tasks and schemes, oldest first."""
    return store.query(
        "SELECT * FROM ratings WHERE cohort = ? AND configuration = ? ORDER BY rated_at, scheme, task",
        [cohort, configuration],
    )


def runs(
    store: Store,
    *,
    campaign: str | None = None,
    configuration: str | None = None,
    task: str | None = None,
    load: str | None = None,
    language: str | None = None,
    status: str | None = None,
    flag: str | None = None,
    item: str | None = None,
    limit: int = 500,
    offset: int = 0,
) -> pd.DataFrame:
    """Rows of ``v_runs`` without the long texts, newest first; None means no filter."""
    asked = {
        "campaign": campaign, "configuration": configuration, "task": task, "load": load, "item": item,
        "language": language, "status": status, "flag": flag, "limit": limit, "offset": offset,
    }  # fmt: skip
    with store.read() as con:
        # which ones first, by the few columns asked about: the wide rows of all others are never touched
        found = con.execute(_CHOSEN_RUNS, asked).fetchall()
        oldest = min((started_at for _, started_at in found), default=None)
        return frame_of(con, _SHOWN_RUNS, {"runs": [run_id for run_id, _ in found], "oldest": oldest})


_CHOSEN_RUNS = """
SELECT run_id, started_at FROM v_runs
WHERE ($campaign IS NULL OR campaign = $campaign)
    AND ($configuration IS NULL OR configuration = $configuration)
    AND ($task IS NULL OR task = $task) AND ($load IS NULL OR load = $load)
    AND ($language IS NULL OR language = $language) AND ($status IS NULL OR status = $status)
    AND ($item IS NULL OR item = $item)
    AND ($flag IS NULL OR list_contains(string_split(flags, ','), $flag))
ORDER BY started_at DESC, run_id LIMIT $limit OFFSET $offset
"""
_SHOWN_RUNS = """
SELECT * EXCLUDE (prompt, reference, output_text) FROM v_runs
WHERE started_at >= $oldest AND list_contains($runs, run_id) ORDER BY started_at DESC, run_id
"""


def run(store: Store, run_id: str) -> dict[str, object]:
    """All of one run: the columns of ``v_runs``, and raw answer, chunk times, energy sources, score detail.

    Unknown is None, JSON is decoded, times are UTC without a zone. Empty if there is no such run.
    """
    return _one(
        store,
        """
SELECT v.*, r.cell_id, r.machine_id, r.http_status, r.nonce, r.thinking_text, r.server_raw,
    r.chunk_t_s, r.chunk_server_t_s, r.chunk_chars, r.effective_context_length, r.engine_memory_bytes,
    r.engine_vram_bytes, r.energy_sources, c.options, q.detail AS quality_detail,
    q.scored_at
FROM v_runs v JOIN runs r USING (run_id) LEFT JOIN configurations c ON c.configuration_id = v.configuration
LEFT JOIN qualities q USING (run_id) WHERE v.run_id = ?
""",
        run_id,
        ("server_raw", "energy_sources", "options", "quality_detail"),
    )


def samples(store: Store, run_id: str) -> pd.DataFrame:
    """Telemetry of one run in the order of time; ``t_s`` is seconds after the request was sent."""
    return store.query("SELECT * FROM v_samples WHERE run_id = ? ORDER BY t_s", [run_id])


def scores(store: Store, run_id: str) -> pd.DataFrame:
    """Every score of one run."""
    return store.query("SELECT * FROM v_scores WHERE run_id = ? ORDER BY metric, direction", [run_id])


def sensors(store: Store, campaign: str) -> pd.DataFrame:
    """What every sensor could do in a campaign, why not, and the cure."""
    return store.query("SELECT * FROM sensors WHERE campaign_id = ? ORDER BY sensor, field", [campaign])


def events(store: Store, campaign: str | None = None, limit: int = 200) -> pd.DataFrame:
    """Faults, restarts and notes, newest first."""
    return store.query(
        'SELECT * FROM events WHERE ? IS NULL OR campaign_id = ? ORDER BY "at" DESC, event_id LIMIT ?',
        [campaign, campaign, limit],
    )


def progress(store: Store, campaign: str) -> dict[str, int]:
    """Cells of a campaign by state: ``planned``, ``done``, ``failed``, ``skipped``, and their ``total``."""
    sql = "SELECT state, count(*) AS n FROM cells WHERE campaign_id = ? GROUP BY state"
    frame = store.query(sql, [campaign])
    counts = {"planned": 0, "done": 0, "failed": 0, "skipped": 0}
    counts.update({str(state): int(n) for state, n in zip(frame["state"], frame["n"], strict=True)})
    return counts | {"total": sum(counts.values())}


def answers_for_rating(store: Store) -> pd.DataFrame:
    """Every attempt with what the rating needs, invalid ones too, with their flags, so that it can name them.

    Joules, seconds, quality 0..1 (None with ``quality_reason``); ``flags`` joined by commas.
    """
    return store.query("""
SELECT v.run_id, v.campaign, p.started_at AS campaign_started_at, p.suite_version, v.cohort, v.task,
    v.configuration, v.model, v.model_base, v.digest, v.family, v.parameter_count, v.quantization,
    v.context_length, v.engine, v.engine_version, v.demo, v.item, v.item_hash, v.repeat, v.attempt, v.load,
    v.language, v.temperature, v.max_output_tokens, v.started_at, v.energy_j, v.energy_net_j, v.energy_tier,
    v.energy_scope, v.cpu_energy_j, v.gpu_energy_j, v.total_s, v.prompt_tokens, v.output_tokens, v.quality,
    v.quality_reason, v.quality_checkpoint, v.scorer_version, v.status, v.flags
FROM v_runs v LEFT JOIN campaigns p ON p.campaign_id = v.campaign
ORDER BY v.started_at, v.run_id
""")


def quality_stacks(store: Store) -> pd.DataFrame:
    """Means of the parts of quality: ``cohort task configuration judged_by answers part value weight``.

    Answers of a configuration are put together where the same parts judged them (``judged_by``, their names); ``value`` and
    ``weight`` are means over these ``answers``. Failed answers have one row without a part. Only answers that count, of the
    configuration's newest campaign in the cohort and task, by the newest scorer version there; code has no parts.
    """
    return store.query("""
WITH found AS (
    SELECT v.cohort, v.task, v.configuration, q.detail, coalesce(json_keys(q.detail, '$.parts'), []) AS names
    FROM v_runs_valid v JOIN qualities q USING (run_id) JOIN campaigns p ON p.campaign_id = v.campaign
    WHERE v.quality IS NOT NULL AND v.task <> 'code'
    QUALIFY q.scorer_version = arg_max(q.scorer_version, q.scored_at) OVER (PARTITION BY v.cohort, v.task)
        AND v.campaign = arg_max(v.campaign, p.started_at) OVER (PARTITION BY v.cohort, v.task, v.configuration)),
parted AS (
    SELECT * EXCLUDE (names), array_to_string(names, ',') AS judged_by,
        unnest(CASE WHEN len(names) = 0 THEN [NULL] ELSE names END) AS part
    FROM found)
SELECT cohort, task, configuration, judged_by, count(*) AS answers, part,
    avg(CAST(detail->'parts'->>part AS DOUBLE)) AS value, avg(CAST(detail->'weights'->>part AS DOUBLE)) AS weight
FROM parted GROUP BY ALL ORDER BY cohort, task, configuration, judged_by, part
""")


def _one(store: Store, sql: str, key: str, json_columns: tuple[str, ...]) -> dict[str, object]:
    """The one row as a dict of plain Python values, JSON decoded; empty if there is none."""
    with store.read() as con:
        cursor = con.execute(sql, [key])
        names = [column[0] for column in cursor.description or []]
        row = cursor.fetchone()
    if row is None:
        return {}
    found = dict(zip(names, row, strict=True))
    for name in json_columns:
        if found[name] is not None:
            found[name] = json.loads(found[name])
    return found
