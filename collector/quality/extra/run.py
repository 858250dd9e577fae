"""Runs optional scorers over a campaign's answers and stores their figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from collector.hostlock import measuring_alone
from collector.quality.evaluation import Evaluation, stated_watts
from collector.quality.extra import EXTRAS
from collector.quality.extra.base import Asked, ExtraOptions, ExtraScorer, Verdict
from db import Store

__all__ = ["run_extras"]

_CHUNK = 16  # answers between two writes: what an interruption can lose
_NOTHING = "nothing_to_score"

_ANSWERS = """
SELECT r.campaign_id, r.run_id, c.model, r.task, r.language, coalesce(i.prompt, r.prompt) AS prompt, r.output_text AS answer, r.reference,
    CAST(i.payload AS VARCHAR) AS payload
FROM runs r JOIN configurations c USING (configuration_id) LEFT JOIN items i USING (item_hash)
WHERE r.status = 'ok' AND r.output_text IS NOT NULL AND (?::VARCHAR IS NULL OR r.campaign_id = ?)
    AND NOT EXISTS (SELECT 1 FROM scores s WHERE s.run_id = r.run_id AND s.metric = ? AND s.checkpoint = ?)
ORDER BY r.campaign_id, r.run_id
"""


def run_extras(
    store: Store, campaign_id: str | None, names: Sequence[str], options: ExtraOptions
) -> dict[str, Counter[str]]:
    """Scores what each named scorer has not scored yet.

    Args:
        store: where answers are read and figures written.
        campaign_id: the campaign; None takes all.
        names: keys of :data:`EXTRAS`.
        options: for all of them.

    Returns:
        Per scorer how many figures were stored (``scored``), and how many answers got a reason instead.

    Raises:
        Busy: a campaign is measuring on this machine; a judge's model would disturb it.
        CollectorError: a scorer lacks what it needs, or its engine failed; what was scored by then is stored.
    """
    found: dict[str, Counter[str]] = {}
    with measuring_alone():
        for name in names:
            found[name] = Counter()
            with EXTRAS[name](options) as scorer:
                waiting = _asked(store, campaign_id, name, scorer.label)
                for campaign, rows in groupby(waiting, itemgetter(0)):
                    found[name] += _score(store, campaign, scorer, [asked for _, asked in rows])
    return found


def _score(store: Store, campaign_id: str, scorer: ExtraScorer, asked: Sequence[Asked]) -> Counter[str]:
    """Scores the answers of one campaign, and books what that took even when it breaks off."""
    counts: Counter[str] = Counter()
    evaluation = Evaluation(campaign_id, stated_watts(store, campaign_id), server=scorer.server)
    done = 0
    try:
        for chunk in (asked[at : at + _CHUNK] for at in range(0, len(asked), _CHUNK)):
            verdicts = scorer.verdicts(chunk)
            evaluation.look()
            _store(store, scorer.name, scorer.label, chunk, verdicts)
            counts.update(v.reason or "scored" for own in verdicts for v in own)
            done += len(chunk)
    finally:
        device = scorer.device()
        evaluation.store(store, checkpoint=scorer.label, device=device, answers=done, pairs=counts["scored"])
    return counts


def _asked(store: Store, campaign_id: str | None, name: str, label: str) -> list[tuple[str, Asked]]:
    frame = store.query(_ANSWERS, [campaign_id, campaign_id, name, label])
    asked: list[tuple[str, Asked]] = []
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        payload: dict[str, Any] = json.loads(row["payload"]) if row["payload"] else {}
        references = payload.get("references") or ([row["reference"]] if row["reference"] else [])
        asked.append((row["campaign_id"], Asked(
            row["run_id"], row["model"], row["task"], row["language"], row["prompt"], row["answer"], tuple(references),
            payload.get("source"),
        )))  # fmt: skip
    return asked


def _store(store: Store, name: str, label: str, asked: Sequence[Asked], verdicts: Sequence[Sequence[Verdict]]) -> None:
    now = datetime.now(UTC)
    rows = [
        {"run_id": one.run_id, "metric": name, "direction": verdict.direction, "raw": verdict.raw, "value": verdict.value,
         "checkpoint": label, "reason": verdict.reason, "scored_at": now}
        for one, own in zip(asked, verdicts, strict=True)
        for verdict in own or [Verdict("answer", reason=_NOTHING)]
    ]  # fmt: skip
    with store.write() as writer:
        writer.upsert("scores", rows)
