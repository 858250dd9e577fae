"""Keeps the table ``diversity`` true to the valid answers of the store."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from collector.quality.diversity import VERSION, Diversity, summarise
from db import Store

__all__ = ["store_diversity"]

# One answer per item and repeat: that of the last attempt that counts.
_ANSWERS = """
WITH answers AS (
    SELECT campaign, configuration, task, load, language, item_hash, run_id, temperature, output_text,
        row_number() OVER (PARTITION BY campaign, configuration, item_hash, repeat ORDER BY attempt DESC) AS place
    FROM v_runs_valid WHERE ?::VARCHAR IS NULL OR campaign = ?
)
"""
_CELLS = (
    _ANSWERS
    + """
SELECT campaign, configuration, task, load, language, md5(? || string_agg(run_id, ',' ORDER BY run_id)),
    bool_and(coalesce(temperature = 0, FALSE))
FROM answers WHERE place = 1 GROUP BY ALL
"""
)
_TEXTS = (
    _ANSWERS
    + """
SELECT item_hash, coalesce(output_text, '') FROM answers
WHERE place = 1 AND configuration = ? AND task = ? AND load = ? AND language = ? ORDER BY item_hash, run_id
"""
)
_STORED = """
SELECT campaign_id, configuration_id, task, load, language, input_hash FROM diversity
WHERE ?::VARCHAR IS NULL OR campaign_id = ?
"""
_DELETE = """
DELETE FROM diversity
WHERE campaign_id = ? AND configuration_id = ? AND task = ? AND load = ? AND language = ?
"""



def store_diversity(store: Store, campaign_id: str | None = None) -> int:
    """Computes the diversity of every cell whose valid answers changed since it was computed last.

    Args:
        store: where answers are read and figures written.
        campaign_id: the campaign; None takes all.

    Returns:
        How many cells were written or removed.

    Raises:
        StoreError: the store cannot be read or written.
    """
    asked = [campaign_id, campaign_id]
    with store.read() as con:
        stored = {tuple(row[:5]): row[5] for row in con.execute(_STORED, asked).fetchall()}
        cells = {tuple(row[:5]): row[5:] for row in con.execute(_CELLS, [*asked, f"{VERSION} "]).fetchall()}
        changed = [cell for cell, (digest, _) in cells.items() if stored.get(cell) != digest]
        texts = {cell: con.execute(_TEXTS, [cell[0], *cell]).fetchall() for cell in changed}
    # The store is free again while the figures are computed.
    rows = [_row(cell, texts[cell], *cells[cell]) for cell in changed]
    gone = [cell for cell in stored if cell not in cells]
    if rows or gone:
        with store.write() as writer:
            writer.upsert("diversity", rows)
            for cell in gone:
                writer.execute(_DELETE, cell)
    return len(rows) + len(gone)


def _row(cell: tuple[Any, ...], texts: list[Any], digest: str, deterministic: bool) -> dict[str, Any]:
    campaign, configuration, task, load, language = cell
    items: dict[str, list[str]] = {}
    for item, text in texts:
        items.setdefault(item, []).append(text)
    found = summarise(items.values(), language)
    figures = asdict(found.figures) if found.figures else {field.name: None for field in fields(Diversity)}
    return {
        "campaign_id": campaign, "configuration_id": configuration, "task": task, "load": load, "language": language,
        "n_items": found.n_items, "n_answers": found.n_answers, "mean_length": found.mean_length, **figures,
        "deterministic": deterministic, "reason": found.reason, "input_hash": digest, "computed_at": datetime.now(UTC),
    }  # fmt: skip
