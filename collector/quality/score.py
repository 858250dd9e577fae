"""Scores what a campaign has measured: reads unscored answers from the store and writes their quality.

Without a checkpoint for a language the gates, the matching and the lexical floors are still computed and stored; the
quality stays NULL with its reason until a checkpoint is there and the command runs again. No checkpoint is loaded when
nothing needs one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from collector.errors import UsageError
from collector.quality.anchors import VERSION as ANCHORS_VERSION
from collector.quality.anchors import Anchor, anchors_of
from collector.quality.cache import CachedScorer
from collector.quality.checkpoints import CheckpointChoice, judges
from collector.quality.composite import SCORER_VERSION
from collector.quality.directions import MAIN, Pair, Subject, formulas
from collector.quality.diversity_store import store_diversity
from collector.quality.evaluation import Booking, Evaluation, stated_watts
from collector.quality.judgement import Judgement, Work, judge
from collector.quality.metric_record import keep_record, shipped_record
from collector.quality.pending import pending
from collector.suite import load_suite
from db import Store

__all__ = ["Summary", "score_campaign"]

log = logging.getLogger(__name__)

_CHUNK = 200  # answers between two writes: what an interruption can lose


@dataclass
class Summary:
    """What one call scored.

    Attributes:
        scored: answers that got a quality from their parts.
        gates: answers that failed, by gate; their quality is 0.
        unscored: answers whose quality is NULL, by reason.
        checkpoints: label of the checkpoint of each language that was used.
        missing: checkpoint of each language that is needed and not on this machine.
        outdated: answers that keep a quality of an older scorer or another checkpoint (``--rescore`` renews them).
        bookings: energy of the scoring itself, one entry per campaign and checkpoint.
    """

    scored: int = 0
    gates: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    checkpoints: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    outdated: int = 0
    bookings: list[Booking] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Answers looked at."""
        return self.scored + self.gates.total() + self.unscored.total()


def score_campaign(
    store: Store,
    campaign_id: str | None,
    *,
    checkpoints: Mapping[str, str | None],
    allow_download: bool = False,
    device: str | None = None,
    rescore: bool = False,
) -> Summary:
    """Scores the answers of a campaign that have no quality yet, and keeps the table ``diversity`` up to date.

    Args:
        store: where runs are read and scores written.
        campaign_id: the campaign; None takes all.
        checkpoints: language to checkpoint, over the defaults (those of the embedded engine are its own); None for a
            language leaves it without one.
        allow_download: whether a checkpoint may be fetched from the hub.
        device: ``cpu`` or ``cuda``; None takes what works.
        rescore: score again what has a quality, and compute its anchors again.

    Raises:
        UsageError: there is no such campaign.
        ScorerError: a checkpoint that is here cannot be used, or a download failed.
        StoreError: the store cannot be read or written.
    """
    if store.state() != "missing":  # a wrong path is told by the query, not turned into an empty database
        store.ensure()
    known = store.query("SELECT 1 FROM campaigns WHERE campaign_id = ?", [campaign_id])
    if campaign_id is not None and known.empty:
        raise UsageError(
            f"There is no campaign {campaign_id} in {store.path}; see: python -m collector status",
            f"{store.path} 中没有测量活动 {campaign_id}；请查看：python -m collector status",
        )
    choice = CheckpointChoice(checkpoints, allow_download=allow_download)
    summary = Summary()
    works, summary.outdated = pending(store, campaign_id, choice, rescore=rescore)
    groups: dict[tuple[str, str | None], list[Work]] = {}
    for work in works:
        if work.needs_checkpoint:
            _note_checkpoint(summary, work)
        groups.setdefault((work.campaign_id, work.checkpoint.label if work.checkpoint else None), []).append(work)
    for (campaign, _), group in groups.items():
        evaluation = Evaluation(campaign, stated_watts(store, campaign))
        scorer = _score_group(store, group, summary, device=device, rescore=rescore)
        booking = evaluation.store(
            store, checkpoint=scorer.checkpoint.label if scorer else None, device=scorer.device if scorer else None,
            answers=len(group), pairs=scorer.computed if scorer else 0,
        )  # fmt: skip
        summary.bookings.append(booking)
        if scorer is not None and (record := shipped_record(scorer.checkpoint)) is not None:
            keep_record(store, record)
    store_diversity(store, campaign_id)
    return summary


def _note_checkpoint(summary: Summary, work: Work) -> None:
    if work.checkpoint is not None:
        summary.checkpoints[work.subject.language] = work.checkpoint.label
    elif work.checkpoint_name is not None:
        summary.missing[work.subject.language] = work.checkpoint_name


def _score_group(
    store: Store, works: list[Work], summary: Summary, *, device: str | None, rescore: bool
) -> CachedScorer | None:
    """Scores answers of a campaign that share a checkpoint, or have none; returns what scored them."""
    checkpoint = works[0].checkpoint
    scorer = CachedScorer(store, checkpoint, device) if checkpoint else None
    anchors: dict[tuple[str, str], Anchor] = {}
    if scorer is not None:
        subjects = {w.subject.item_hash: w.subject for w in works if judges(scorer.checkpoint.name, w.subject.language)}
        anchors = _anchors(store, scorer, list(subjects.values()), rescore=rescore)
    for chunk in (works[at : at + _CHUNK] for at in range(0, len(works), _CHUNK)):
        scores = scorer.scores(_pairs(chunk)) if scorer else {}
        judgements = [judge(work, scorer, scores, anchors) for work in chunk]
        _write(store, judgements)
        for judgement in judgements:
            _count(summary, judgement)
    return scorer


def _pairs(works: Sequence[Work]) -> Iterator[Pair]:
    for work in works:
        for formula in formulas(work.subject, work.answer).values():
            yield from formula.pairs()


def _anchors(
    store: Store, scorer: CachedScorer, subjects: list[Subject], *, rescore: bool
) -> dict[tuple[str, str], Anchor]:
    """Anchors of the subjects, from the store where they are there."""
    label = scorer.checkpoint.label
    anchors: dict[tuple[str, str], Anchor] = {}
    if not rescore:
        frame = store.query(
            "SELECT item_hash, direction, lo, hi FROM anchors WHERE checkpoint = ? AND version = ?",
            [label, ANCHORS_VERSION],
        )
        for item_hash, direction, lo, hi in frame.itertuples(index=False):
            anchors[str(item_hash), str(direction)] = Anchor(_number(lo), _number(hi))
    new = [s for s in subjects if s.references and (s.item_hash, MAIN[s.task]) not in anchors]
    shipped = [Subject.of(item) for item in load_suite().items]
    computed = anchors_of(new, [shipped, [*shipped, *subjects]], scorer.scores)
    if not computed:
        return anchors
    now = datetime.now(UTC)
    with store.write() as writer:
        writer.upsert("anchors", [
            {"item_hash": item_hash, "direction": direction, "checkpoint": label, "lo": a.lo, "hi": a.hi,
             "computed_at": now, "version": ANCHORS_VERSION}
            for (item_hash, direction), a in computed.items()
        ])  # fmt: skip
    return anchors | computed


def _number(value: float) -> float | None:
    return None if value != value else float(value)  # noqa: PLR0124 - NaN is the frame's NULL


def _write(store: Store, judgements: Sequence[Judgement]) -> None:
    now = datetime.now(UTC)
    with store.write() as writer:
        writer.upsert("scores", [{**row, "scored_at": now} for j in judgements for row in j.scores])
        writer.upsert("qualities", [
            {**j.quality_row, "scorer_version": SCORER_VERSION, "scored_at": now} for j in judgements
        ])  # fmt: skip


def _count(summary: Summary, judgement: Judgement) -> None:
    if judgement.failed:
        summary.gates[judgement.failed] += 1
    elif judgement.reason:
        summary.unscored[judgement.reason] += 1
    else:
        summary.scored += 1
