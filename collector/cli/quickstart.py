"""``quickstart``: measures within minutes what this machine has, and prints the rating table."""

from __future__ import annotations

import argparse
import subprocess
import sys

from collector.cli.common import add_db, open_store
from collector.cli.run import print_report
from collector.i18n import current, t
from collector.quickstart import QUICKSTART_MINUTES, quickstart_experiment
from collector.runner import run_experiment

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t(
        "measure what this machine has, within minutes, and print the ratings", "几分钟内测量本机已有的模型并打印评级"
    )
    parser = commands.add_parser("quickstart", help=text, description=text)
    add_db(parser)
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=t("time limit (3 for the embedded engine, else 30)", "时间上限（内置引擎 3，其他 30）"),
    )
    parser.set_defaults(func=_quickstart)


def _quickstart(options: argparse.Namespace) -> int:
    experiment = quickstart_experiment()
    store = open_store(options, experiment)
    minutes = options.minutes or QUICKSTART_MINUTES[experiment.engine.kind]
    models = ", ".join(m.tag for m in experiment.models)
    print(t(f"Measuring {models} on the {experiment.engine.kind} engine, at most {minutes:g} min.",
            f"在 {experiment.engine.kind} 引擎上测量 {models}，最多 {minutes:g} 分钟。"))  # fmt: skip
    if experiment.engine.kind == "pocket":
        print(t("These are small demonstration models: their letters say nothing about real language models.",
                "这些是演示用小模型：其等级不代表真实的语言模型。"))  # fmt: skip
    report = run_experiment(store, experiment, "quickstart", again=True, minutes=minutes)
    code = print_report(report, store)
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "rating", "table", "--db", str(store.path), "--lang", current()], check=False)
    return code
