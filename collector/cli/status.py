"""``status``: what is being measured, how far it is, what went wrong."""

from __future__ import annotations

import argparse
import json

from collector.cli.balance import balance, balance_lines
from collector.cli.common import add_db, open_store
from collector.i18n import current, t
from collector.quality.evaluation import evaluation_line, evaluations_of
from db import Store, StoreMissing, reader
from db.texts import pick

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("campaigns, their progress and their faults", "测量活动、进度与故障")
    parser = commands.add_parser("status", help=text, description=text)
    add_db(parser)
    parser.add_argument("--json", action="store_true", help=t("print JSON", "输出 JSON"))
    parser.add_argument(
        "--last", type=int, default=5, metavar="N", help=t("so many newest campaigns (5)", "最近 N 次测量（5）")
    )
    parser.set_defaults(func=_status)


def _parked(store: Store, campaign_id: str) -> list[str]:
    """What the circuit breaker left, in its own words."""
    rows = store.query(
        "SELECT detail FROM events WHERE campaign_id = ? AND name = 'parked' ORDER BY \"at\"", [campaign_id]
    )
    return [pick(str(text), current()) for text in rows.detail]


def _status(options: argparse.Namespace) -> int:
    store = open_store(options)
    try:
        campaigns = reader.campaigns(store).head(options.last)
    except StoreMissing:
        campaigns = None
    found = []
    for row in [] if campaigns is None else campaigns.to_dict("records"):
        # what happened to an answer stands with the answer, what happened between answers only in the events
        faults = store.query(
            "SELECT fault, count(*) AS n FROM (SELECT fault FROM runs WHERE campaign_id = $1 AND fault IS NOT NULL"
            " UNION ALL SELECT name FROM events WHERE campaign_id = $1 AND kind = 'fault' AND run_id IS NULL AND name <> 'parked')"
            " GROUP BY fault ORDER BY n DESC, fault", [row["campaign_id"]],
        )  # fmt: skip
        found.append({
            "campaign": row["campaign_id"], "status": row["status"], "engine": row["engine"],
            "engine_version": row["engine_version"], "started_at": f"{row['started_at']:%Y-%m-%d %H:%M:%S}Z",
            "progress": reader.progress(store, row["campaign_id"]),
            "faults": {str(f): int(n) for f, n in zip(faults.fault, faults.n, strict=True)},
            "parked": _parked(store, row["campaign_id"]), "energy_balance": balance(store, row["campaign_id"]),
            "note": pick(row["note"], current()) if isinstance(row["note"], str) else None,
            "scoring": evaluations_of(store, row["campaign_id"]),
        })  # fmt: skip
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2, default=str))
        return 0
    if not found:
        print(t(f"Nothing is stored at {store.path} yet; start with: python -m collector quickstart",
                f"{store.path} 中还没有数据；请先运行：python -m collector quickstart"))  # fmt: skip
    for entry in found:
        counts = entry["progress"]
        print(
            f"{entry['campaign']}  {entry['status']}  {counts['done']}/{counts['total']}  {entry['engine']} {entry['engine_version']}"
        )
        for name, n in entry["faults"].items():
            print(f"    {name} × {n}")
        for line in [*entry["parked"], *balance_lines(store, entry["campaign"])]:
            print(f"    {line}")
        if scoring := evaluation_line(store, entry["campaign"]):
            print(f"    {scoring}")
        if entry["note"]:
            print(f"    {entry['note']}")
    return 0
