"""``doctor``: is this machine fit to measure, and what to do where it is not."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from collector.cli.common import add_db, open_store
from collector.doctor import examine
from collector.experiment import load_experiment
from collector.i18n import t

__all__ = ["register"]

_MARKS = {"ok": ("green", "ok  "), "note": ("yellow", "note"), "fail": ("red", "FAIL")}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t(
        "check engine, models, sensors, checkpoints, disk and database", "检查引擎、模型、传感器、检查点、磁盘与数据库"
    )
    parser = commands.add_parser("doctor", help=text, description=text)
    parser.add_argument(
        "experiment",
        nargs="?",
        type=Path,
        metavar="EXPERIMENT.toml",
        help=t("also check its models", "同时检查其中的模型"),
    )
    add_db(parser)
    parser.add_argument("--json", action="store_true", help=t("print JSON", "输出 JSON"))
    parser.set_defaults(func=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    experiment = load_experiment(options.experiment) if options.experiment else None
    console = Console(highlight=False, soft_wrap=True)
    checks = []
    for check in examine(open_store(options, experiment), experiment):
        checks.append(check)
        if not options.json:
            colour, mark = _MARKS[check.outcome]
            console.print(f"[{colour}]{mark}[/] ", end="")
            console.print(f"{check.name}: {check.text}", markup=False)
            if check.cure:
                console.print(f"       → {check.cure}", markup=False)
    failed = any(c.outcome == "fail" for c in checks)
    if options.json:
        print(json.dumps({"fit": not failed, "checks": [c.as_json() for c in checks]}, ensure_ascii=False, indent=2))
    return 3 if failed else 0
