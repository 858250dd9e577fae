"""Which answers wait for a score."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from collector.quality.checkpoints import CheckpointChoice
from collector.quality.composite import SCORER_VERSION
from collector.quality.directions import Subject
from collector.quality.gates import Answer, failed_gates
from collector.quality.judgement import Work
from db import Store

__all__ = ["pending"]

_ANSWERS = """
SELECT r.run_id, r.campaign_id, p.engine, r.task, r.load, r.language, r.item_hash, r.done_reason, r.reference, r.prompt AS sent_prompt,
    coalesce(r.output_text, '') AS answer, i.prompt, CAST(i.payload AS VARCHAR) AS payload,
    q.run_id IS NOT NULL AS judged, q.quality, q.quality_reason, q.checkpoint, q.scorer_version
FROM runs r
JOIN campaigns p USING (campaign_id)
LEFT JOIN items i USING (item_hash)
LEFT JOIN qualities q USING (run_id)
WHERE r.status = 'ok' AND (?::VARCHAR IS NULL OR r.campaign_id = ?)
ORDER BY r.item_hash, r.run_id
"""


def pending(
    store: Store, campaign_id: str | None, choice: CheckpointChoice, *, rescore: bool
) -> tuple[list[Work], int]:
    """Answers to be scored, and how many others keep a quality of an older scorer or another checkpoint.

    To be scored is what was never judged, and what has no quality although its checkpoint, or a sandbox, may be here by now.

    Args:
        store: where they are.
        campaign_id: the campaign; None takes all.
        choice: the checkpoint of each language.
        rescore: whether everything is scored again.

    Raises:
        ScorerError: a download failed.
    """
    frame = store.query(_ANSWERS, [campaign_id, campaign_id])
    works: list[Work] = []
    outdated = 0
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        work = _work(row, choice)
        waits = rescore or not row["judged"] or (row["quality"] is None and row["scorer_version"] != SCORER_VERSION)
        waits = waits or row["quality_reason"] == "no_sandbox"  # there may be one by now
        if work.needs_checkpoint:
            undecided = waits or row["quality_reason"] in ("no_checkpoint", "language_without_checkpoint")
            found = choice.find(work.engine, work.subject.language, needed=undecided)
            work = replace(work, checkpoint=found)
            if found is not None and row["quality"] is None and found.label != row["checkpoint"]:
                waits = True
        if waits:
            works.append(work)
        elif row["quality"] is not None and _differs(row, work):
            outdated += 1
    return works, outdated


def _differs(row: dict[Any, Any], work: Work) -> bool:
    """Whether a stored quality came from an older scorer or from another checkpoint than the one chosen now."""
    if row["scorer_version"] != SCORER_VERSION:
        return True
    return work.checkpoint is not None and work.checkpoint.label != row["checkpoint"]


def _work(row: dict[Any, Any], choice: CheckpointChoice) -> Work:
    payload: dict[str, Any] = json.loads(row["payload"]) if row["payload"] else {}
    references = payload.get("references") or ([row["reference"]] if row["reference"] else [])
    subject = Subject(
        item_hash=row["item_hash"], task=row["task"], load=row["load"], language=row["language"],
        prompt=row["prompt"] or row["sent_prompt"], references=tuple(references), source=payload.get("source"),
    )  # fmt: skip
    answer = Answer(row["answer"], row["done_reason"], subject.language, subject.task)
    return Work(
        run_id=row["run_id"],
        campaign_id=row["campaign_id"],
        engine=row["engine"],
        subject=subject,
        answer=row["answer"],
        answers=tuple(payload.get("answers") or ()),
        key_facts=tuple(tuple(fact) for fact in payload.get("key_facts") or ()),
        failed=tuple(failed_gates(answer)),
        checkpoint_name=choice.name(row["engine"], subject.language),
        payload=payload,
    )
