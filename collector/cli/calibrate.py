"""``calibrate``: gain and offset of the energy sensors against a wall meter, under a load that rises and falls."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from collector.calibration import METER_ACCURACY, Covers, Device, Fit, Point, calibrate, save, stored
from collector.calibration_steps import Load, devices, loads_for, plan, run_steps
from collector.cli.common import add_db, open_store
from collector.cli.import_meter import add_log_options, log_of
from collector.errors import SensorError, UsageError
from collector.fingerprint import machine_fingerprint
from collector.hostlock import measuring_alone
from collector.i18n import t
from collector.meter_log import MeterLog, wall_energy
from collector.telemetry.sampler import Sampler, require_meter
from db import Store

__all__ = ["register"]

_STEP_S, _SETTLE_S = 20.0, 5.0
_HISTORY_S = 8 * 3600.0  # the first step is looked at when the last one is over


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("calibrate the energy sensors against a wall meter", "用墙插电表校准能量传感器")
    parser = commands.add_parser("calibrate", help=text, description=text)
    add = parser.add_argument
    add("--meter", metavar="KIND:ADDRESS", help=t("meter to read live, e.g. shelly:192.168.1.20", "实时读取的电表，如 shelly:192.168.1.20"))
    add("--record", type=Path, metavar="FILE.json", help=t("run the steps and keep them, for a meter that only logs", "运行负载并保存，供只能导出日志的电表使用"))
    add("--steps", type=Path, metavar="FILE.json", help=t("steps kept by --record, with --csv", "--record 保存的负载，与 --csv 合用"))
    add("--csv", type=Path, metavar="FILE.csv", help=t("the meter's log of these steps", "这些负载期间的电表日志"))
    add("--show", action="store_true", help=t("show what is calibrated", "显示已有校准"))
    add("--dry-run", action="store_true", help=t("check sensors and meter, and show the plan; no load, nothing stored", "检查传感器与电表并显示计划；不加负载，不存储"))
    add("--step-seconds", type=float, default=_STEP_S, metavar="S", help=t("length of one step (default 20)", "每级负载的时长（默认 20 秒）"))
    add("--meter-accuracy", type=float, default=METER_ACCURACY, metavar="X", help=t("the meter's own 95 %% accuracy (default 0.02)", "电表自身的 95%% 准确度（默认 0.02）"))
    add("--meter-on-device", action="store_true", help=t("the meter feeds the one calibrated device alone: apply the offset too", "电表只为被校准的器件供电：同时应用偏移"))
    add_log_options(parser)
    add_db(parser)
    parser.set_defaults(func=_calibrate)


def _calibrate(options: argparse.Namespace) -> int:
    chosen = [name for name in ("meter", "record", "steps", "show") if getattr(options, name)]
    if len(chosen) != 1 or bool(options.steps) != bool(options.csv):
        raise UsageError(
            "Choose one: --meter KIND:ADDRESS, --record FILE.json, --steps FILE.json with --csv FILE.csv, or --show.",
            "请选择其一：--meter 类型:地址、--record FILE.json、--steps FILE.json 与 --csv FILE.csv、或 --show。",
        )
    if options.step_seconds < 1 or not 0 <= options.meter_accuracy < 0.5:
        raise UsageError("--step-seconds must be at least 1 and --meter-accuracy from 0 to 0.5.",
                         "--step-seconds 至少为 1，--meter-accuracy 须在 0 到 0.5 之间。")  # fmt: skip
    store = open_store(options)
    if options.show:
        return _show(store)
    if options.steps:
        machine_id, points = _with_log(_read_steps(options.steps), log_of(options, options.csv), options.clock_error)
        return _finish(options, store, machine_id, options.csv.name, points)
    return _live(options, store)


def _live(options: argparse.Namespace, store: Store) -> int:
    fingerprint = machine_fingerprint()
    with measuring_alone(), Sampler(meter=options.meter, history_s=_HISTORY_S) as sampler:
        found = devices(sampler.capabilities, [gpu.uuid for gpu in fingerprint.gpus])
        _check_ready(sampler, found, options.meter)
        count = len(plan(len(found)))
        minutes = count * (options.step_seconds + _SETTLE_S) / 60
        print(t(f"{', '.join(map(str, found))}: {count} steps, about {minutes:.0f} min; let nothing else run meanwhile.",
                f"{'、'.join(map(str, found))}：共 {count} 级，约 {minutes:.0f} 分钟；期间请勿运行其他程序。"))  # fmt: skip
        if options.dry_run:
            return 0
        with _loads(found) as loads:
            points = run_steps(sampler, loads, options.step_seconds, _SETTLE_S, _tell)
    if options.record:
        return _write_steps(options.record, fingerprint.machine_id, points)
    return _finish(options, store, fingerprint.machine_id, options.meter, points)


def _loads(found: Sequence[Device]) -> AbstractContextManager[list[Load]]:
    return loads_for(found)


def _tell(label: str) -> None:
    print(f"  {label}", file=sys.stderr)


def _check_ready(sampler: Sampler, found: Sequence[Device], meter: str | None) -> None:
    """Raises SensorError where there is nothing to calibrate, or the meter does not answer."""
    if not found:
        raise SensorError("No energy sensor works here, so there is nothing to calibrate; see python -m collector doctor.",
                          "本机没有可用的能量传感器，无可校准；请运行 python -m collector doctor。")  # fmt: skip
    if meter:
        require_meter(sampler.capabilities)


def _finish(options: argparse.Namespace, store: Store, machine_id: str, meter: str, points: Sequence[Point]) -> int:
    fits = calibrate(points, options.meter_accuracy)
    covers: Covers = "device" if options.meter_on_device else "machine"
    if options.meter_on_device and len(fits) > 1:
        raise UsageError("--meter-on-device needs a single device, but several moved with the load.",
                         "--meter-on-device 只适用于单个器件，但随负载变化的不止一个。")  # fmt: skip
    for device, found in fits.items():
        print(_sentence(device, found))
    if silent := [point.label for point in points if point.wall_w is None]:
        print(t(f"The meter gave no reading in {len(silent)} of {len(points)} steps: {', '.join(silent)}.",
                f"{len(points)} 级负载中有 {len(silent)} 级没有电表读数：{'、'.join(silent)}。"))  # fmt: skip
    if options.dry_run:
        return 0
    store.ensure()
    save(store, machine_id, meter, points, fits, covers)
    print(t("Stored; campaigns from now on use it (tier calibrated).", "已保存；此后的测量将使用该校准（级别 calibrated）。"))
    return 0


def _sentence(device: Device, found: Fit) -> str:
    figures = (f"{found.gain:.4f} ± {found.gain_half_width:.4f}", f"{found.offset_w:.1f} ± {found.offset_half_width_w:.1f} W")
    return t(f"{device}: gain {figures[0]}, offset {figures[1]} ({found.point_count} steps)",
             f"{device}：增益 {figures[0]}，偏移 {figures[1]}（{found.point_count} 级）")  # fmt: skip


def _show(store: Store) -> int:
    rows = stored(store) if store.state() == "current" else []
    if not rows:
        print(t("Nothing is calibrated yet: python -m collector calibrate --meter shelly:ADDRESS",
                "尚未校准：python -m collector calibrate --meter shelly:地址"))  # fmt: skip
        return 0
    for row in rows:
        device = Device(row["sensor"], row["device"])
        print(_sentence(device, Fit(*(row[name] for name in Fit._fields))))
        applied = row["covers"] == "device"
        print(t(f"  {row['meter']}, {row['calibrated_at']:%Y-%m-%d %H:%M} UTC, machine {row['machine_id']}; "
                + ("the offset is applied" if applied else "the offset holds the rest of the machine and is not applied"),
                f"  {row['meter']}，{row['calibrated_at']:%Y-%m-%d %H:%M} UTC，机器 {row['machine_id']}；"
                + ("偏移已应用" if applied else "偏移包含机器其余部分，不应用")))  # fmt: skip
    return 0


def _write_steps(path: Path, machine_id: str, points: Sequence[Point]) -> int:
    kept = [{**point.as_json(), "sensor_w": [[*device, watts] for device, watts in point.sensor_w.items()]} for point in points]
    try:
        path.write_text(json.dumps({"machine_id": machine_id, "steps": kept}, indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}).", f"{path}：无法写入（{error.strerror}）。") from error
    print(t(f"Kept in {path}. With the meter's log: python -m collector calibrate --steps {path} --csv LOG.csv",
            f"已保存到 {path}。取得电表日志后：python -m collector calibrate --steps {path} --csv LOG.csv"))  # fmt: skip
    return 0


def _read_steps(path: Path) -> tuple[str, list[Point]]:
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        points = [
            Point(
                str(step["label"]), datetime.fromisoformat(step["began_at"]), datetime.fromisoformat(step["ended_at"]),
                {Device(str(sensor), device): float(watts) for sensor, device, watts in step["sensor_w"]}, None,
            )
            for step in kept["steps"]
        ]  # fmt: skip
        return str(kept["machine_id"]), points
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{path}: holds no steps of calibrate --record ({error}).",
                         f"{path}：不是 calibrate --record 保存的负载（{error}）。") from error  # fmt: skip


def _with_log(steps: tuple[str, list[Point]], log: MeterLog, clock_error_s: float) -> tuple[str, list[Point]]:
    """The steps with the meter's mean power in each; a step that the log does not cover has none."""
    machine_id, points = steps
    full = []
    for point in points:
        joules = wall_energy(log, point.began_at, point.ended_at, clock_error_s).energy_j
        seconds = (point.ended_at - point.began_at).total_seconds()
        wall_w = None if joules is None else joules / seconds
        full.append(Point(point.label, point.began_at, point.ended_at, point.sensor_w, wall_w))
    return machine_id, full
