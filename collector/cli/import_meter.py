"""``import-meter``: a wall meter's log beside the answers of a campaign."""

from __future__ import annotations

import argparse
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.cli.common import add_db, open_store
from collector.errors import UsageError
from collector.i18n import t
from collector.meter_log import Columns, MeterLog, read_log, wall_energy
from db import Store

__all__ = ["add_log_options", "import_log", "log_of", "register"]

_CLOCK_ERROR_S = 1.0
_BESIDE = timedelta(minutes=5)  # readings kept before and after a campaign


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """How the columns of a log are named, and how far its clock may be trusted."""
    add = parser.add_argument_group(t("the log", "电表日志")).add_argument
    named = t("its column (found by name where not given)", "相应的列名（缺省时按名称识别）")
    for kind in ("time", "power", "energy"):
        add(f"--{kind}-column", metavar="NAME", help=named)
    add("--time-format", metavar="FORMAT", help=t("how its times are written, e.g. '%%m/%%d/%%Y %%H:%%M:%%S' (found by itself where only one reading is possible)",
                                                  "时间的写法，如 '%%m/%%d/%%Y %%H:%%M:%%S'（只有一种读法时自动识别）"))  # fmt: skip
    add("--timezone", metavar="ZONE", help=t("zone of times that name none, e.g. Europe/Berlin", "未注明时区的时间所属时区，如 Asia/Shanghai"))
    add("--clock-error", type=float, default=_CLOCK_ERROR_S, metavar="S",
        help=t("how far the meter's clock may be off, in seconds (default 1)", "电表时钟可能的偏差（秒，默认 1）"))  # fmt: skip


def log_of(options: argparse.Namespace, path: Path) -> MeterLog:
    """The log that the options describe.

    Raises:
        UsageError: it cannot be read, or an option is wrong.
    """
    if options.clock_error < 0:
        raise UsageError("--clock-error must not be negative.", "--clock-error 不能为负。")
    return read_log(path, Columns(options.time_column, options.power_column, options.energy_column, options.time_format), options.timezone)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("give the answers of a campaign their energy by a wall meter's CSV log", "用墙插电表的 CSV 日志为一次测量的回答补充能耗")
    parser = commands.add_parser("import-meter", help=text, description=text)
    parser.add_argument("log", type=Path, metavar="FILE.csv", help=t("the meter's log", "电表日志"))
    parser.add_argument("--campaign", required=True, metavar="ID", help=t("campaign that was measured meanwhile", "记录期间的测量"))
    parser.add_argument("--meter", metavar="NAME", help=t("name of the meter (default: the file's name)", "电表名称（默认取文件名）"))
    add_log_options(parser)
    add_db(parser)
    parser.set_defaults(func=_import)


def import_log(store: Store, campaign_id: str, meter: str, log: MeterLog, clock_error_s: float) -> dict[str, Any]:
    """Stores the readings around a campaign and the energy of each of its answers; an earlier import is replaced.

    Returns:
        ``runs``, ``with_energy`` and ``ratios`` (wall over own figure, where the run has one).

    Raises:
        UsageError: no such campaign, or the log lies at another time.
    """
    with store.read() as con:
        runs = con.execute(
            "SELECT run_id, started_at, total_s, energy_j FROM runs WHERE campaign_id = ? AND total_s > 0 ORDER BY started_at",
            [campaign_id],
        ).fetchall()
    if not runs:
        raise UsageError(f"Campaign {campaign_id!r} has no answers; python -m collector status lists the campaigns.",
                         f"测量 {campaign_id!r} 没有回答；python -m collector status 列出所有测量。")  # fmt: skip
    windows = [(run_id, at.replace(tzinfo=UTC), total_s, own_j) for run_id, at, total_s, own_j in runs]
    first, last = windows[0][1], max(at + timedelta(seconds=total_s) for _, at, total_s, _ in windows)
    kept = [row for row in log.rows if first - _BESIDE <= row.at <= last + _BESIDE]
    if not kept:
        raise UsageError(
            f"The log covers {_span(log.rows[0].at, log.rows[-1].at)}, the campaign {_span(first, last)}: they do not meet. "
            "Is --timezone right?",
            f"日志覆盖 {_span(log.rows[0].at, log.rows[-1].at)}，测量在 {_span(first, last)}：两者不重合。--timezone 是否正确？",
        )
    now = datetime.now(UTC)
    rows, ratios = [], []
    for run_id, at, total_s, own_j in windows:
        found = wall_energy(log, at, at + timedelta(seconds=total_s), clock_error_s)
        rows.append({"run_id": run_id, "meter": meter, "wall_energy_j": found.energy_j, "imported_at": now,
                     "wall_energy_low_j": found.energy_low_j, "wall_energy_high_j": found.energy_high_j,
                     "reason": found.reason})  # fmt: skip
        if found.energy_j is not None and own_j:
            ratios.append(found.energy_j / own_j)
    with store.write() as writer:
        writer.execute("DELETE FROM wall_readings WHERE campaign_id = ? AND meter = ?", [campaign_id, meter])
        writer.insert("wall_readings", [{"campaign_id": campaign_id, "meter": meter, **row._asdict()} for row in kept])
        writer.upsert("run_wall_energy", rows)
    return {"runs": len(rows), "with_energy": sum(row["reason"] is None for row in rows), "ratios": ratios}


def _span(first: datetime, last: datetime) -> str:
    return f"{first:%Y-%m-%d %H:%M:%S} .. {last:%Y-%m-%d %H:%M:%S} UTC"


def _import(options: argparse.Namespace) -> int:
    log = log_of(options, options.log)
    store = open_store(options)
    store.ensure()
    meter = options.meter or options.log.stem
    told = import_log(store, options.campaign, meter, log, options.clock_error)
    print(t(f"{told['with_energy']} of {told['runs']} answers have an energy by {meter} (view v_wall_energy).",
            f"{told['runs']} 个回答中有 {told['with_energy']} 个获得 {meter} 的能耗（视图 v_wall_energy）。"))  # fmt: skip
    if told["ratios"]:
        ratio = statistics.median(told["ratios"])
        print(t(f"Median of wall over the runs' own figures: {ratio:.3f}.", f"电表与自身读数之比的中位数：{ratio:.3f}。"))
    return 0 if told["with_energy"] else 1
