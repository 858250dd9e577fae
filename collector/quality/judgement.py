"""The judgement of one answer: gates, matching, BARTScore directions, one quality or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collector.quality.anchors import Anchor, mapped
from collector.quality.cache import CachedScorer
from collector.quality.checkpoints import Checkpoint, judges
from collector.quality.code import CodeVerdict, code_verdict
from collector.quality.composite import WEIGHTS, composite
from collector.quality.constraints import share_held
from collector.quality.directions import DIRECTIONS, MAIN, Evaluated, Pair, Scored, Subject, evaluated, floor, formulas
from collector.quality.length import length_kept
from collector.quality.lexical import variety
from collector.quality.match import informativeness, match

__all__ = ["REASONS", "Judgement", "Work", "judge"]

REASONS: dict[str, tuple[str, str]] = {
    "no_checkpoint": ("the BART checkpoint is not on this machine", "本机没有所需的 BART 模型"),
    "language_without_checkpoint": ("no checkpoint is named for this language", "没有为该语言指定模型"),
    "checkpoint_language": ("the checkpoint is not made for this language", "所用模型不适用于该语言"),
    "anchors": (
        "the checkpoint cannot tell the reference from a wrong answer here",
        "模型在此题上无法区分参考答案与错误答案",
    ),
    "no_reference": ("the item has no reference", "题目没有参考答案"),
    "no_source": ("the item has no source text", "题目没有原文"),
    "no_cases": ("the item has no entry point or no cases", "题目没有入口函数或测试用例"),
    "bad_cases": ("a case of the item cannot be read", "题目的测试用例无法解析"),
    "unknown_task": ("this version does not score the task", "此版本不对该任务评分"),
    "no_sandbox": ("generated code is not run without a proven sandbox", "没有通过验证的沙箱，不运行生成的代码"),
}
"""Why a quality is NULL, in both languages."""


@dataclass(frozen=True, slots=True)
class Work:
    """One answer to be judged.

    Attributes:
        failed: names of the gates it fails.
        checkpoint_name: what should judge it; None when nothing is named for its language.
        checkpoint: the same on this machine; None when it is not here or not needed.
        payload: what the item holds beyond its texts (code: ``entry_point`` and ``cases``).
    """

    run_id: str
    campaign_id: str
    engine: str
    subject: Subject
    answer: str
    answers: tuple[str, ...]
    key_facts: tuple[tuple[str, ...], ...]
    failed: tuple[str, ...]
    checkpoint_name: str | None
    checkpoint: Checkpoint | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_checkpoint(self) -> bool:
        """Whether BARTScore has a say: not for a failed answer, nor for a task or item without its texts."""
        return not self.failed and self.lacking is None and self.subject.task in DIRECTIONS

    @property
    def lacking(self) -> str | None:
        """Reason for which the item itself forbids a quality, None when it has what is needed."""
        if self.subject.task == "code":
            return None if self.payload.get("entry_point") and self.payload.get("cases") else "no_cases"
        if self.subject.task not in WEIGHTS:
            return "unknown_task"
        if not self.subject.references:
            return "no_reference"
        return "no_source" if self.subject.task == "summary" and not self.subject.source else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Rows for the tables ``scores`` and ``qualities``.

    Attributes:
        failed: the gate that decided, None when all passed.
        reason: why the quality is NULL, None when it is not.
    """

    scores: list[dict[str, Any]]
    quality_row: dict[str, Any]
    failed: str | None
    reason: str | None


def judge(
    work: Work,
    scorer: CachedScorer | None,
    scores: Mapping[Pair, Scored],
    anchors: Mapping[tuple[str, str], Anchor],
) -> Judgement:
    """Judges one answer.

    Args:
        work: the answer.
        scorer: what scored its pairs, None when nothing did.
        scores: score of every pair of its directions.
        anchors: by (item hash, direction); without an entry a direction has a raw score but no value.
    """
    found: dict[str, Evaluated] = {}
    values: dict[str, float | None] = {}
    if scorer is not None and work.needs_checkpoint:
        for direction, formula in formulas(work.subject, work.answer).items():
            found[direction] = evaluated(formula, scores)
            anchor = anchors.get((work.subject.item_hash, direction), Anchor(None, None))
            values[direction] = mapped(found[direction].raw, anchor)
    checked = _checked(work)
    failed = work.failed[0] if work.failed else None
    program = None
    if work.subject.task == "code" and not failed and not work.lacking:
        program = code_verdict(work.answer, work.subject.prompt, work.payload)
    quality, reason, detail = _quality(work, scorer, {**checked, **values}, program)
    rows = [_row(work, "gates", "answer", value=float(failed is None), reason=failed)]
    rows += [_row(work, name, _LOOKS_FOR[name], raw=value, value=value) for name, value in checked.items()]
    if program is not None:
        value = None if program.passed is None else float(program.passed)
        rows.append(_row(work, "cases", "answer", raw=program.share, value=value, reason=program.reason))
    rows += _bartscore_rows(work, scorer, found, values, failed or reason)
    main = found.get(MAIN.get(work.subject.task, ""))
    quality_row = {
        "run_id": work.run_id, "quality": quality, "quality_reason": failed or reason,
        "factuality": values.get("factuality"), "relevance": values.get("relevance"), "fluency": values.get("fluency"),
        "bartscore": main.raw if main else None, "passed": program.passed if program else None, "flags": list(work.failed),
        "checkpoint": scorer.checkpoint.label if scorer and found else None, "detail": detail,
    }  # fmt: skip
    return Judgement(rows, quality_row, failed, reason)


_LOOKS_FOR = {
    "match": "answers", "informativeness": "key_facts", "length": "answer", "constraints": "answer", "repetition": "answer",
}  # fmt: skip


# A part that the checkpoint cannot judge on an item drops out, the same for every model; with less left there is no quality.
_SMALLEST_SHARE = 0.5


def _checked(work: Work) -> dict[str, float]:
    """Parts that need no checkpoint; a part that the item does not define is left out."""
    found: dict[str, float | None] = {}
    if work.subject.task == "qa":
        held = match(work.answer, work.answers)
        found["match"] = None if held is None else float(held)
        found["informativeness"] = informativeness(work.answer, work.key_facts)
    elif work.subject.task == "summary":
        found["length"] = length_kept(work.answer, work.payload.get("length"))
    elif work.subject.task == "creative":
        constraints = work.payload.get("constraints") or ()
        found["constraints"] = share_held(constraints, work.answer, work.subject.language)
        found["repetition"] = variety(work.answer)  # the share that does not repeat
    return {name: value for name, value in found.items() if value is not None}


def _quality(
    work: Work, scorer: CachedScorer | None, parts: Mapping[str, float | None], program: CodeVerdict | None
) -> tuple[float | None, str | None, dict[str, Any] | None]:
    """Quality, the reason when it is NULL, and the detail to store."""
    if work.failed:
        return 0.0, None, None
    if work.lacking:
        return None, work.lacking, None
    if program is not None:
        return (None if program.passed is None else float(program.passed)), program.reason, program.detail
    if scorer is None:
        return None, "no_checkpoint" if work.checkpoint_name else "language_without_checkpoint", None
    if not judges(scorer.checkpoint.name, work.subject.language):
        return None, "checkpoint_language", None
    task = work.subject.task
    wanted = {name: value for name, value in parts.items() if name in WEIGHTS[task]}
    known = {name: value for name, value in wanted.items() if value is not None}
    left_out = sorted(wanted.keys() - known.keys())
    enough = sum(WEIGHTS[task][name] for name in known) >= _SMALLEST_SHARE * sum(WEIGHTS[task][name] for name in wanted)
    result = composite(task, known) if enough and MAIN[task] in known else None
    if result is None:
        return None, "anchors", {"left_out": left_out}
    quality, weights = result
    return quality, None, {"parts": known, "weights": weights} | ({"left_out": left_out} if left_out else {})


def _bartscore_rows(
    work: Work,
    scorer: CachedScorer | None,
    found: Mapping[str, Evaluated],
    values: Mapping[str, float | None],
    reason: str | None,
) -> list[dict[str, Any]]:
    """One row per direction of the task, also where nothing could be scored: its floor and the reason."""
    rows: list[dict[str, Any]] = []
    for direction in DIRECTIONS.get(work.subject.task, ()):
        lexical = floor(direction, work.subject, work.answer)
        score = found.get(direction)
        if score is None or scorer is None:
            rows.append(_row(work, "bartscore", direction, floor=lexical, reason=reason))
            continue
        value = values.get(direction)
        rows.append(_row(
            work, "bartscore", direction, raw=score.raw, value=value, sum_logprob=score.sum_logprob,
            token_count=score.token_count, truncated=score.truncated, windowed=score.windowed, pairs=score.pairs,
            checkpoint=scorer.checkpoint.name,
            revision=scorer.checkpoint.revision, dtype=scorer.dtype, floor=lexical,
            reason=None if value is not None else (reason or "anchors"),
        ))  # fmt: skip
    return rows


def _row(work: Work, metric: str, direction: str, **fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys((
        "raw", "value", "checkpoint", "revision", "dtype", "sum_logprob", "token_count", "truncated", "windowed", "pairs",
        "floor", "reason",
    ))  # fmt: skip
    return {"run_id": work.run_id, "metric": metric, "direction": direction, **empty, **fields}
