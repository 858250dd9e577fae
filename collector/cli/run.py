"""``run``: measures an experiment, or goes on with it."""

from __future__ import annotations

import argparse

from collector.cli.common import add_db, add_experiment, open_store, read_experiment
from collector.i18n import current, t
from collector.runner import CampaignReport, run_experiment
from db import Store
from db.texts import pick

__all__ = ["print_report", "register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("measure an experiment, or what is left of it", "测量实验，或继续未完成的部分")
    parser = commands.add_parser("run", help=text, description=text)
    add_experiment(parser)
    add_db(parser)
    parser.add_argument(
        "--again",
        action="store_true",
        help=t("start a new campaign although the last one is finished", "即使上次已完成也开始新的测量"),
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help=t("ignore the file's schedule (for cron and the like)", "忽略文件中的计划（用于 cron 等）"),
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=t("begin no further answer after so many minutes", "超过该分钟数后不再开始新的回答"),
    )
    parser.set_defaults(func=_run)


def print_report(report: CampaignReport, store: Store) -> int:
    """Tells what became of a campaign; returns the exit code."""
    if report.status == "already_finished":
        print(t(f"Campaign {report.campaign_id} of this experiment is finished; start another with --again.",
                f"该实验的测量 {report.campaign_id} 已完成；如需再测请加 --again。"))  # fmt: skip
        return 0
    print(t(f"Campaign {report.campaign_id}: {report.answered} answers measured, {report.failed} failed, {report.left} left ({report.status}).",
            f"测量 {report.campaign_id}：完成 {report.answered} 个回答，失败 {report.failed}，剩余 {report.left}（{report.status}）。"))  # fmt: skip
    if report.scored:
        print(report.scored)
    for problem in report.problems:
        print(f"  {pick(problem, current())}")
    if report.left and report.status != "finished":
        print(t("Run the same command again to go on.", "再次运行同一命令即可继续。"))
    print(t(f"Ratings: python -m rating table --db {store.path}", f"评级：python -m rating table --db {store.path}"))
    return 1 if report.failed or report.broken_off else 0


def _run(options: argparse.Namespace) -> int:
    experiment, source = read_experiment(options)
    store = open_store(options, experiment)
    report = run_experiment(store, experiment, source, again=options.again, minutes=options.minutes)
    return print_report(report, store)
