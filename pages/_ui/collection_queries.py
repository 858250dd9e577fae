"""Questions of the page about collecting: what runs now, what is left, what it takes, and what was booked beside it."""

from __future__ import annotations

import pandas as pd

from db import Store

__all__ = ["calibrations", "closures", "conditions", "evaluations", "latest", "plans", "queue", "restarts", "undone"]


def latest(store: Store, campaign: str) -> pd.DataFrame:
    """The newest attempt of a campaign and its case; no row before the first.

    ``model task load`` are the case, ``cells`` its cells and ``through`` those that are not planned any more.
    """
    return store.query(
        """
WITH last AS (
    SELECT c.model, c.task, c.load, r.run_id, r.started_at, r.status, r.fault, r.total_s, r.energy_j, r.decode_tokens_per_s
    FROM runs r JOIN cells c USING (cell_id) WHERE r.campaign_id = $campaign ORDER BY r.started_at DESC, r.run_id LIMIT 1)
SELECT last.*, count(*) AS cells, count(*) FILTER (x.state <> 'planned') AS through
FROM last JOIN cells x ON x.campaign_id = $campaign AND x.model = last.model AND x.task = last.task AND x.load = last.load
GROUP BY ALL
""",
        {"campaign": campaign},
    )


def queue(store: Store, campaign: str) -> pd.DataFrame:
    """Cases with planned cells in their order: ``model task load planned each_s``.

    ``each_s`` is the mean time from one attempt to the next per cell, of the case itself, else of its model, else of the
    whole campaign; None before anything was measured. Pauses of more than 15 minutes, as between two nights, do not count.
    """
    return store.query(
        """
WITH steps AS (
    SELECT cell_id, epoch(lead(started_at) OVER (ORDER BY started_at, run_id) - started_at) AS seconds
    FROM runs WHERE campaign_id = $campaign),
known AS (
    SELECT c.model, c.task, c.load, sum(s.seconds) AS seconds, count(DISTINCT s.cell_id) AS cells
    FROM steps s JOIN cells c USING (cell_id) WHERE s.seconds BETWEEN 0 AND 900 GROUP BY ALL),
models AS (SELECT model, sum(seconds) / sum(cells) AS each_s FROM known GROUP BY model),
planned AS (
    SELECT model, task, load, count(*) AS planned, min(position) AS place
    FROM cells WHERE campaign_id = $campaign AND state = 'planned' GROUP BY ALL)
SELECT p.model, p.task, p.load, p.planned,
    coalesce(k.seconds / k.cells, m.each_s, (SELECT sum(seconds) / sum(cells) FROM known)) AS each_s
FROM planned p LEFT JOIN known k USING (model, task, load) LEFT JOIN models m USING (model) ORDER BY p.place
""",
        {"campaign": campaign},
    )


def undone(store: Store, campaign: str) -> pd.DataFrame:
    """Cells without an answer by model and reason: ``model state reason cells``; ``skipped`` ones were parked."""
    return store.query(
        """
SELECT model, state, reason, count(*) AS cells FROM cells
WHERE campaign_id = ? AND state IN ('failed', 'skipped') GROUP BY ALL ORDER BY cells DESC, model, state, reason
""",
        [campaign],
    )


def plans(store: Store) -> pd.DataFrame:
    """The newest experiment of every name: ``name campaign engine experiment_toml``, the latest first."""
    return store.query("""
SELECT name, arg_max(campaign_id, started_at) AS campaign, arg_max(engine, started_at) AS engine,
    arg_max(experiment_toml, started_at) AS experiment_toml
FROM campaigns GROUP BY name ORDER BY max(started_at) DESC
""")


def conditions(store: Store, campaign: str) -> pd.DataFrame:
    """What was found before the first load: ``restart_way load_average reference_temperature_c idle_vram_bytes machine_id``."""
    return store.query(
        "SELECT restart_way, load_average, reference_temperature_c, idle_vram_bytes, machine_id, suite_version"
        " FROM campaigns WHERE campaign_id = ?",
        [campaign],
    )


def restarts(store: Store, campaign: str) -> int:
    """How often the engine was restarted in a campaign."""
    sql = "SELECT count(*) AS n FROM events WHERE campaign_id = ? AND kind = 'restart'"
    return int(store.query(sql, [campaign])["n"].iloc[0])


def closures(store: Store, campaign: str) -> pd.DataFrame:
    """Whether the joules add up: one row per call that measured, oldest first."""
    return store.query("SELECT * FROM closures WHERE campaign_id = ? ORDER BY started_at", [campaign])


def evaluations(store: Store, campaign: str) -> pd.DataFrame:
    """What scoring took, which is not in the models' energy: one row per call of the scorer, oldest first."""
    return store.query("SELECT * FROM evaluations WHERE campaign_id = ? ORDER BY started_at", [campaign])


def calibrations(store: Store, campaign: str) -> pd.DataFrame:
    """The calibration in force of every device of a campaign's machine; ``applied``: the campaign's figures hold it.

    A GPU is known by its UUID, wherever it was calibrated.
    """
    return store.query(
        """
WITH here AS (
    SELECT m.machine_id, json_extract_string(m.fingerprint, '$.gpus[*].uuid') AS gpus
    FROM campaigns p JOIN machines m USING (machine_id) WHERE p.campaign_id = $campaign),
used AS (
    SELECT s.sensor, unnest(json_extract(s.calibrations, '$[*][1]')::DOUBLE[]) AS gain
    FROM sensors s WHERE s.campaign_id = $campaign AND s.tier = 'calibrated')
SELECT c.sensor, c.device, c.gain, c.gain_half_width, c.offset_w, c.offset_half_width_w, c.covers, c.point_count, c.meter,
    c.calibrated_at, EXISTS (SELECT 1 FROM used u WHERE u.sensor = c.sensor AND u.gain = c.gain) AS applied
FROM calibrations c, here h
WHERE CASE WHEN c.device IS NULL THEN c.machine_id = h.machine_id ELSE list_contains(h.gpus, c.device) END
QUALIFY row_number() OVER (PARTITION BY c.sensor, c.device ORDER BY c.calibrated_at DESC) = 1 ORDER BY c.sensor, c.device
""",
        {"campaign": campaign},
    )
