"""``score``: gives the stored answers their quality, in a process of its own that ends before the engine runs again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from collector.cli.common import add_db, open_store
from collector.errors import UsageError
from collector.i18n import current, t
from collector.processes import rate
from db.flags import FLAGS

if TYPE_CHECKING:
    from collector.quality.score import Summary

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("score stored answers that have no quality yet", "为尚无质量分的已存回答评分")
    parser = commands.add_parser("score", help=text, description=text)
    add_db(parser)
    add = parser.add_argument
    add("--campaign", metavar="ID", help=t("only this campaign (default: all)", "仅此测量活动（默认：全部）"))
    add(
        "--checkpoint",
        nargs="+",
        default=[],
        metavar="LANGUAGE=NAME",
        help=t(
            "BART checkpoint per language: a folder or a hub name, e.g. en=facebook/bart-large-cnn; en=none for none",
            "各语言的 BART 模型：文件夹或 hub 名称，例如 zh=fnlp/bart-large-chinese；zh=none 表示不用",
        ),
    )
    add("--download", action="store_true", help=t("fetch missing checkpoints from the hub", "从 hub 下载缺少的模型"))
    device_help = t("where to compute (default: CUDA where it works)", "计算设备（默认：可用时用 CUDA）")
    add("--device", metavar="cpu|cuda", help=device_help)
    add("--rescore", action="store_true", help=t("score again what has a quality", "对已有质量分的回答重新评分"))
    more = parser.add_argument_group(t("optional scorers, shown beside the quality", "可选评分器，与质量分并列显示")).add_argument
    more("--with", nargs="+", dest="extras", choices=("bert-score", "minicheck", "judge"), metavar="bert-score|minicheck|judge",
         help=t("run these over the answers instead", "改为对回答运行这些评分器"))  # fmt: skip
    more("--judge-model", metavar="TAG", help=t("Ollama model that judges; never one of the measured", "担任评审的 Ollama 模型，不评自己的回答"))
    more("--judge-host", metavar="URL", help=t("Ollama server of judge and minicheck", "评审所用的 Ollama 地址"))
    parser.add_argument("--no-rating", action="store_true", help=t("do not renew the ratings", "不更新评级"))
    parser.set_defaults(func=_score)


def _extras(options: argparse.Namespace) -> int:
    from collector.quality.extra import ExtraOptions
    from collector.quality.extra.run import run_extras

    told = ExtraOptions(model=options.judge_model, host=options.judge_host, device=options.device)
    for name, counts in run_extras(open_store(options), options.campaign, options.extras, told).items():
        parts = ", ".join(f"{count} × {what}" for what, count in counts.most_common())
        print(f"{name}: {parts or t('nothing is waiting', '没有等待评分的回答')}")
    return 0


def _score(options: argparse.Namespace) -> int:
    if options.extras:
        return _extras(options)
    # Imported here, so that help and other commands do not wait for the scorer's libraries.
    from collector.quality.score import score_campaign

    chosen = _checkpoints(options.checkpoint)
    store = open_store(options)
    summary = score_campaign(
        store, options.campaign, checkpoints=chosen, allow_download=options.download,
        device=options.device, rescore=options.rescore,
    )  # fmt: skip
    for line in _lines(summary, f" --db {options.db}" if options.db else ""):
        print(line)
    if not options.no_rating and summary.total:
        problem = rate(store)
        if problem:
            print(t(f"The ratings could not be renewed: {problem}", f"评级未能更新：{problem}"))
            return 1
    return 0


def _checkpoints(words: Sequence[str]) -> dict[str, str | None]:
    """``en=NAME`` words as a table; ``none`` leaves a language without a checkpoint.

    Raises:
        UsageError: a word is not of this form or a language is named twice.
    """
    chosen: dict[str, str | None] = {}
    for word in words:
        language, equals, name = word.partition("=")
        if not equals or not language or not name or language in chosen:
            raise UsageError(
                f"--checkpoint {word}: write one LANGUAGE=NAME per language, e.g. en=facebook/bart-large-cnn.",
                f"--checkpoint {word}：请为每种语言写一个 LANGUAGE=NAME，例如 zh=fnlp/bart-large-chinese。",
            )
        chosen[language] = None if name == "none" else name
    return chosen


def _lines(summary: Summary, where: str) -> list[str]:
    """What was scored, what is missing and how to get it; ``where`` names the database in the commands."""
    from collector.quality.judgement import REASONS

    if not summary.total and not summary.outdated:
        return [t("Nothing is waiting for a score.", "没有等待评分的回答。")]
    n, failed, unscored = summary.scored, summary.gates.total(), summary.unscored.total()
    lines = [
        t(
            f"{n} answers scored, {failed} failed (quality 0), {unscored} without a quality.",
            f"已评分 {n} 个回答，{failed} 个不合格（质量 0），{unscored} 个没有质量分。",
        )
    ]
    meanings = {flag.name: (flag.en, flag.zh) for flag in FLAGS} | REASONS
    place = 1 if current() == "zh" else 0
    for name, count in (*summary.gates.most_common(), *summary.unscored.most_common()):
        lines.append(f"    {count} × {name}: {meanings[name][place]}")
    for language, label in sorted(summary.checkpoints.items()):
        lines.append(t(f"    {language} judged by {label}", f"    {language} 由 {label} 评判"))
    joules = [booking.energy_j for booking in summary.bookings if booking.energy_j is not None]
    if joules:
        tiers = ", ".join(sorted({booking.tier for booking in summary.bookings if booking.tier}))
        lines.append(t(f"    scoring itself took {sum(joules):.0f} J ({tiers}), booked apart from the models",
                       f"    评分本身耗能 {sum(joules):.0f} J（{tiers}），与模型能耗分开记账"))  # fmt: skip
    lines += _cures(summary, where)
    return lines


def _cures(summary: Summary, where: str) -> list[str]:
    from collector.quality.checkpoints import POCKET, download_hint

    lines: list[str] = []
    hub = {language: name for language, name in summary.missing.items() if name != POCKET}
    if hub:
        lines.append(t("Missing checkpoints; get them and score with: ", "缺少模型；获取并评分：") + download_hint(hub) + where)
    if POCKET in summary.missing.values():
        lines.append(
            t(
                f"The shipped checkpoint {POCKET} is missing; restore the folder collector/pocket/models.",
                f"缺少自带模型 {POCKET}；请恢复文件夹 collector/pocket/models。",
            )
        )
    if summary.outdated:
        told = t(
            f"{summary.outdated} answers keep a quality of an older scorer or another checkpoint; renew: ",
            f"{summary.outdated} 个回答的质量分来自旧版评分器或其他模型；更新：",
        )
        lines.append(told + "python -m collector score --rescore" + where)
    return lines
