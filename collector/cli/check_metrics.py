"""``check-metrics``: what the quality's BARTScore directions can tell, and what its order owes to the weights."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.cli.common import add_db, open_store
from collector.errors import ScorerError, UsageError
from collector.i18n import current, t

if TYPE_CHECKING:
    from collector.quality.directions import Pair, Scored, Subject
    from collector.quality.metric_check import MetricCheck

__all__ = ["register"]

_ROOT = Path(__file__).resolve().parents[2]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t(
        "how well each BARTScore direction tells good texts from spoilt ones", "检验各 BARTScore 方向区分好坏文本的能力"
    )
    parser = commands.add_parser("check-metrics", help=text, description=text)
    add = parser.add_argument
    add("--checkpoint", default="pocket-bart", metavar="NAME",
        help=t("folder or hub name (default: the shipped pocket-bart)", "文件夹或 hub 名称（默认：自带的 pocket-bart）"))  # fmt: skip
    add("--download", action="store_true", help=t("fetch it from the hub", "从 hub 下载"))
    add(
        "--device",
        metavar="cpu|cuda",
        help=t("where to compute (default: CUDA where it works)", "计算设备（默认：可用时用 CUDA）"),
    )
    add(
        "--limit",
        type=int,
        metavar="N",
        help=t("only N items of each task, load and language", "每个任务、负载与语言只取 N 道题"),
    )
    stability = t(
        "instead: the order of measured configurations under other weights", "改为：在其他权重下已测配置的次序"
    )
    add("--stability", action="store_true", help=stability)
    add_db(parser)
    add("--json", action="store_true", help=t("print JSON", "输出 JSON"))
    parser.set_defaults(func=_check)


def _check(options: argparse.Namespace) -> int:
    if options.limit is not None and options.limit < 1:
        raise UsageError("--limit must be 1 or more.", "--limit 必须不小于 1。")
    return _stability(options) if options.stability else _metrics(options)


def _metrics(options: argparse.Namespace) -> int:
    from collector.quality.checkpoints import judges, locate
    from collector.quality.directions import Subject
    from collector.quality.metric_check import GOAL, check_metrics
    from collector.quality.metric_record import keep_record, record_of
    from collector.suite import load_suite

    checkpoint = locate(options.checkpoint, allow_download=options.download)
    if checkpoint is None:
        raise ScorerError(
            f"The checkpoint {options.checkpoint} is not on this machine; add --download, or give a folder.",
            f"本机没有模型 {options.checkpoint}；请加上 --download，或给出文件夹。",
        )
    whole = [Subject.of(item) for item in load_suite().items if judges(checkpoint.name, item.language)]
    found = check_metrics(_first(whole, options.limit), whole, _scorer(checkpoint, options.device))
    record, store = record_of(checkpoint.label, found), open_store(options)
    if options.limit is None and store.state() == "current":
        keep_record(store, record)
    if options.json:
        print(json.dumps(record, ensure_ascii=False, indent=1))
        return 0
    for line in _lines(checkpoint.label, GOAL, found):
        print(line)
    return 0


def _scorer(checkpoint: Any, device: str | None) -> Any:
    from transformers.utils.logging import disable_progress_bar

    from collector.quality.bartscore import BartScorer
    from collector.quality.cache import PairResult

    disable_progress_bar()
    scorer = BartScorer(checkpoint, device=device)

    def scores(pairs: set[Pair]) -> Mapping[Pair, Scored]:
        ordered = sorted(pairs)
        return dict(zip(ordered, map(PairResult.of, scorer.score_whole(ordered)), strict=True))

    return scores


def _first(subjects: Sequence[Subject], limit: int | None) -> list[Subject]:
    """The first ones of each task, load and language."""
    taken: Counter[tuple[str, str, str]] = Counter()
    found: list[Subject] = []
    for subject in subjects:
        kind = (subject.task, subject.load, subject.language)
        taken[kind] += 1
        if limit is None or taken[kind] <= limit:
            found.append(subject)
    return found


def _lines(label: str, goal: float, found: Sequence[MetricCheck]) -> Iterable[str]:
    yield t(f"{label}: share of couples in which the reference beats its spoilt twin (aim: {goal})",
            f"{label}：参考答案胜过其被破坏版本的比例（目标：{goal}）")  # fmt: skip
    yield t(
        "metric       lang  couples    AUC  held out  floor alone",
        "指标         语言  对数       AUC  留一      仅词面下限",
    )
    for check in found:
        if check.task is None:
            weak = t("  weak", "  弱") if check.weak else ""
            yield (
                f"{check.metric:<12} {check.language:<5} {check.couples:>7}  {check.auc:5.2f}  {_figure(check.held_out):>8}  "
                f"{_figure(check.floor):>11}{weak}"
            )
    below = [f"{check.metric} ({check.language})" for check in found if check.task is None and check.weak]
    if below:
        names, zh_names = ", ".join(below), "、".join(below)
        yield t(f"Below the aim with this checkpoint: {names}. Read these figures with care.",
                f"此模型未达目标：{zh_names}。请谨慎看待这些数值。")  # fmt: skip
    else:
        yield t("Every metric reaches the aim with this checkpoint.", "此模型的各项指标均达到目标。")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _stability(options: argparse.Namespace) -> int:
    store = open_store(options)
    words = ["stability", "--db", str(store.path.resolve()), "--lang", current(), *(["--json"] if options.json else [])]
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "rating", *words], cwd=_ROOT, check=False).returncode
