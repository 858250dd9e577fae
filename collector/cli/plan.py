"""``plan``: what an experiment would measure, how long it takes, and which letters can come of it."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table

from collector.cli.common import add_db, add_experiment, open_store, read_experiment
from collector.estimate import Estimate, estimate
from collector.i18n import t

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("cells, time, disk and possible letters of an experiment", "实验的单元、时间、磁盘与可得的等级")
    parser = commands.add_parser("plan", help=text, description=text)
    add_experiment(parser)
    add_db(parser)
    parser.add_argument("--json", action="store_true", help=t("print JSON", "输出 JSON"))
    parser.set_defaults(func=_plan)


def _print(found: Estimate) -> None:
    console = Console(highlight=False)
    table = Table(title=t(f"{found.name}: {found.cells} answers", f"{found.name}：{found.cells} 个回答"))
    for column in (t("model", "模型"), t("task", "任务"), t("load", "负载"), t("items", "题目"), t("repeats", "重复"),
                   t("minutes", "分钟"), t("letter", "等级")):  # fmt: skip
        table.add_column(column)
    for case in found.cases:
        table.add_row(case.model, case.task, case.load, str(case.items), str(case.repeats), f"{case.seconds / 60:.1f}",
                      case.letter)  # fmt: skip
    console.print(table)
    console.print(t(f"About {found.seconds / 60:.0f} min ({found.basis}), {found.disk_bytes / 1e6:.0f} MB of database.",
                    f"约 {found.seconds / 60:.0f} 分钟（{found.basis}），数据库约 {found.disk_bytes / 1e6:.0f} MB。"))  # fmt: skip
    for line in found.notes:
        console.print(f"- {line}", markup=False)


def _plan(options: argparse.Namespace) -> int:
    experiment, source = read_experiment(options)
    found = estimate(experiment, source, open_store(options, experiment))
    if options.json:
        print(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
    else:
        _print(found)
    return 0 if found.engine_fit else 3
