"""``serve``: measures experiments at their cron times, in a process of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from collector.cli.common import add_db, open_store
from collector.i18n import t
from collector.scheduler import Night, serve

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("measure experiments at their scheduled times", "按计划时间测量实验")
    parser = commands.add_parser("serve", help=text, description=text)
    parser.add_argument(
        "experiments",
        nargs="+",
        type=Path,
        metavar="EXPERIMENT.toml",
        help=t("experiment files with [schedule] cron", "含 [schedule] cron 的实验文件"),
    )
    add_db(parser)
    parser.set_defaults(func=_serve)


def _serve(options: argparse.Namespace) -> int:
    nights = [Night.load(path) for path in options.experiments]
    serve([(night, open_store(options, night.experiment)) for night in nights])
    return 0
