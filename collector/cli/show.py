"""``show``: the experiment file that repeats a campaign, with the circumstances it was measured under."""

from __future__ import annotations

import argparse
import json

import pandas as pd

from collector.cli.balance import balance_lines
from collector.cli.common import add_db, open_store
from collector.errors import UsageError
from collector.i18n import t
from collector.quality.evaluation import evaluation_line
from db import Store

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("print an experiment file that repeats a campaign", "打印可重复某次测量的实验文件")
    parser = commands.add_parser("show", help=text, description=text)
    parser.add_argument(
        "campaign", metavar="CAMPAIGN", help=t("campaign id, or the beginning of it", "测量编号或其开头")
    )
    parser.add_argument(
        "--log", action="store_true",
        help=t("print what our own engine processes wrote instead", "改为打印本程序引擎进程的日志"),
    )  # fmt: skip
    add_db(parser)
    parser.set_defaults(func=_show)


def _print_logs(store: Store, campaign_id: str) -> None:
    """Every process of our own engine in turn, with how it ended."""
    rows = store.query("SELECT * FROM engine_logs WHERE campaign_id = ? ORDER BY started_at", [campaign_id])
    if rows.empty:
        print(t("# no engine process of our own belongs to this campaign: its server keeps its log itself",
                "# 该测量没有本程序启动的引擎进程：日志由服务器自己保存"))  # fmt: skip
    for row in rows.to_dict("records"):
        ended = {"us": t("ended by us", "由本程序结束"), "itself": t("ended by itself", "自行退出")}[row["ended_by"]]
        code = "-" if pd.isna(row["exit_code"]) else str(int(row["exit_code"]))
        print(f"# {row['way']}, {row['started_at']:%Y-%m-%d %H:%M:%S}Z - {row['ended_at']:%H:%M:%S}Z, {ended} ({code})")
        print(str(row["text"]).rstrip("\n"))


def _show(options: argparse.Namespace) -> int:
    store = open_store(options)
    rows = store.query(
        "SELECT * FROM campaigns WHERE starts_with(campaign_id, ?) ORDER BY started_at", [options.campaign]
    )
    if rows.empty:
        raise UsageError(f"{options.campaign}: no campaign of that name in {store.path}; see: python -m collector status",
                         f"{options.campaign}：{store.path} 中没有该测量；请看：python -m collector status")  # fmt: skip
    if len(rows) > 1 and options.campaign not in set(rows.campaign_id):
        raise UsageError(f"{options.campaign}: several campaigns begin like that: {', '.join(rows.campaign_id)}.",
                         f"{options.campaign}：有多个测量以此开头：{'、'.join(rows.campaign_id)}。")  # fmt: skip
    row = rows[rows.campaign_id == options.campaign].iloc[0] if len(rows) > 1 else rows.iloc[0]
    if options.log:
        _print_logs(store, row.campaign_id)
        return 0
    print(f"# campaign {row.campaign_id}, {row.started_at:%Y-%m-%d %H:%M}Z, {row.status}")
    print(f"# experiment hash {row.experiment_hash}, suite {row.suite_version}")
    print(f"# engine {row.engine} {row.engine_version}, restarted {row.restart_way}, machine {row.machine_id}")
    packages = json.loads(row.packages)
    print("# " + ", ".join(f"{name} {version}" for name, version in packages.items()))
    for line in balance_lines(store, row.campaign_id):
        print("# " + line)
    if scoring := evaluation_line(store, row.campaign_id):
        print("# " + scoring)
    print(row.experiment_toml, end="")
    return 0
