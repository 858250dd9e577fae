"""Logs of wall meters as CSV: read them, and give each answer its energy by them.

Columns are found by name and unit (``time``, ``power [W]``, ``energy_kwh`` ...) or named by the caller. Times without a
zone need the zone of the log. Which forms of times, numbers and text are read stands in ``meter_cells``.
"""

from __future__ import annotations

import csv
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collector.energy import request_energy
from collector.errors import UsageError
from collector.meter_cells import Clock, decoded, figure
from collector.telemetry.types import Capability, EnergyResult, Sample
from db.texts import both

__all__ = ["Columns", "MeterLog", "Row", "read_log", "wall_energy"]

_KINDS: dict[str, str] = {
    "time": r"time|timestamp|date|datetime|date time|utc|last changed|zeit|uhrzeit|datum|zeitstempel|(记录)?时间戳?|日期(时间)?",
    "power": r"(active |real )?power|apower|watts?|w|kw|leistung|(有功)?功率",
    "energy": r"(total |active )?energy|total|aenergy|wh|kwh|energie|电能|(用)?电量",
}
_KINDS_ZH = {"time": "时间", "power": "功率", "energy": "电能"}
_DATE = re.compile(r"date|datum|日期", re.IGNORECASE)
_UTC = re.compile(r"\b(utc|gmt)\b", re.IGNORECASE)
_WATT = {"w": 1.0, "watt": 1.0, "watts": 1.0, "kw": 1000.0, "mw": 0.001}
_JOULE = {"j": 1.0, "kj": 1000.0, "wh": 3600.0, "kwh": 3_600_000.0, "mwh": 3.6, "ws": 1.0}
_UNIT = re.compile(r"[\s_]*[\[(_ ]?(kwh|mwh|wh|kj|ws|j|kw|mw|watts?|w)[\])]?$", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\s*[\[(][^\])]*[\])]$")
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # what Excel writes above the header
_PLAUSIBLE_W = 1e5
_RESETS, _RESETS_SHARE = 2, 0.01  # a counter may begin anew that often
_COARSE_J = 50.0  # with larger steps the counter says less about an answer than the power does


class Columns(NamedTuple):
    """Names of the columns as the caller gives them; None: to be found. ``time_form`` is the times' ``strptime`` format."""

    time: str | None = None
    power: str | None = None
    energy: str | None = None
    time_form: str | None = None


class Row(NamedTuple):
    """One reading: UTC, watts, cumulative joules; None where the log has nothing."""

    at: datetime
    power_w: float | None
    energy_j: float | None


@dataclass(frozen=True, slots=True)
class MeterLog:
    """Readings in order of time.

    Attributes:
        rows: at least two.
        period_s: usual time between two readings.
        step_j: smallest step of the counter in joules; None without a counter that moves.
    """

    rows: tuple[Row, ...]
    period_s: float
    step_j: float | None = None

    def near(self, began: datetime, ended: datetime) -> tuple[Row, ...]:
        """The readings of a window and a few around it."""
        margin = timedelta(seconds=4 * self.period_s + 2.0)
        first = bisect_left(self.rows, began - margin, key=lambda row: row.at)
        return self.rows[first : bisect_right(self.rows, ended + margin, key=lambda row: row.at)]


def _wrong(path: Path, en: str, zh: str) -> UsageError:
    return UsageError(f"{path}: {en}.", f"{path}：{zh}。")


def _unit_factor(header: str, known: dict[str, float]) -> float | None:
    found = _UNIT.search(header.strip())
    return known.get(found.group(1).lower()) if found else None


def _find(path: Path, header: Sequence[str], kind: str, named: str | None) -> tuple[int, ...]:
    """Place of a column, or of the two that hold day and time of day; empty when there is none of that kind.

    Raises:
        UsageError: the named one is not there, or several could be meant.
    """
    if named is not None:
        if named not in header:
            shown = ", ".join(header)
            raise _wrong(path, f"has no column {named!r}; it has {shown}", f"没有列 {named!r}；现有：{shown}")
        return (header.index(named),)
    pattern = re.compile(_KINDS[kind], re.IGNORECASE)
    bare = [_IN_BRACKETS.sub("", _UNIT.sub("", name)).replace("_", " ").strip() or name for name in header]
    places = [place for place, name in enumerate(bare) if pattern.fullmatch(name) or pattern.fullmatch(header[place])]
    days = [place for place in places if _DATE.fullmatch(bare[place])]
    if kind == "time" and len(places) == 2 and len(days) == 1:
        return (days[0], *(place for place in places if place not in days))
    if len(places) > 1:
        raise _wrong(path, f"several columns could be the {kind}: {', '.join(header[p] for p in places)}; name one with --{kind}-column",
                     f"有多列可能是{_KINDS_ZH[kind]}：{'、'.join(header[p] for p in places)}；请用 --{kind}-column 指定")  # fmt: skip
    return tuple(places)


@dataclass(frozen=True, slots=True)
class _Layout:
    time: tuple[int, ...]
    power: int | None
    energy: int | None
    watt: float
    joule: float
    comma_divides: bool

    def moment(self, cells: Sequence[str]) -> str:
        """The text of the time."""
        return " ".join(cells[place].strip() for place in self.time if place < len(cells))

    def power_w(self, cells: Sequence[str]) -> float | None:
        """Watts; None where the line has none. Likewise :meth:`energy_j`. ValueError: not a number."""
        return self._figure(cells, self.power, self.watt, _WATT)

    def energy_j(self, cells: Sequence[str]) -> float | None:
        """Cumulative joules."""
        return self._figure(cells, self.energy, self.joule, _JOULE)

    def _figure(self, cells: Sequence[str], place: int | None, factor: float, units: dict[str, float]) -> float | None:
        if place is None or place >= len(cells):
            return None
        return figure(cells[place], factor, units, self.comma_divides)


def _layout(path: Path, header: Sequence[str], columns: Columns, delimiter: str) -> _Layout:
    time = _find(path, header, "time", columns.time)
    power, energy = (
        next(iter(_find(path, header, kind, named)), None) for kind, named in (("power", columns.power), ("energy", columns.energy))
    )  # fmt: skip
    shown = ", ".join(header)
    if not time:
        raise _wrong(path, f"no column of times among {shown}; name it with --time-column", f"{shown} 中没有时间列；请用 --time-column 指定")
    if power is None and energy is None:
        raise _wrong(path, f"neither power nor energy among {shown}; name the column with --power-column or --energy-column",
                     f"{shown} 中既没有功率也没有电能；请用 --power-column 或 --energy-column 指定")  # fmt: skip
    joule = None if energy is None else _unit_factor(header[energy], _JOULE)
    if energy is not None and joule is None:
        raise _wrong(path, f"column {header[energy]!r} does not say its unit; call it for example energy_kwh or energy_wh",
                     f"列 {header[energy]!r} 没有单位；请改名为 energy_kwh 或 energy_wh 等")  # fmt: skip
    watt = 1.0 if power is None else _unit_factor(header[power], _WATT) or 1.0
    return _Layout(time, power, energy, watt, joule or 1.0, delimiter == ",")


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"--timezone {name!r} is not known; write it like Europe/Berlin, Asia/Shanghai or UTC.",
                         f"--timezone {name!r} 未知；写法如 Europe/Berlin、Asia/Shanghai 或 UTC。") from error  # fmt: skip


_TIME_PROBLEMS = {
    "zone": ("has no time zone: add --timezone, for example --timezone Europe/Berlin", "没有时区：请加 --timezone，例如 --timezone Asia/Shanghai"),
    "order": ("lies before the line above", "早于上一行"),
    "": ("is not a time that can only mean one moment: say how it is written, for example --time-format '%m/%d/%Y %H:%M:%S'",
         "无法唯一确定其时间：请说明写法，例如 --time-format '%m/%d/%Y %H:%M:%S'"),
}  # fmt: skip


_Lines = list[tuple[int, list[str]]]


def _rows(path: Path, lines: _Lines, layout: _Layout, clock: Clock) -> Iterator[Row]:
    last: datetime | None = None
    for number, cells in lines:
        text = layout.moment(cells)
        try:
            at = clock.utc(text)
        except (ValueError, OverflowError, OSError) as error:
            en, zh = _TIME_PROBLEMS.get(str(error), _TIME_PROBLEMS[""])
            raise _wrong(path, f"line {number}: {text!r} {en}", f"第 {number} 行：{text!r} {zh}") from error
        try:
            power_w, energy_j = layout.power_w(cells), layout.energy_j(cells)
        except ValueError as error:
            raise _wrong(path, f"line {number}: not a number ({', '.join(cells)})", f"第 {number} 行：不是数字（{', '.join(cells)}）") from error
        if power_w is not None and not 0 <= power_w <= _PLAUSIBLE_W:
            raise _wrong(path, f"line {number}: {power_w:g} W cannot be right", f"第 {number} 行：{power_w:g} W 不可能正确")
        if at != last and (power_w is not None or energy_j is not None):  # loggers write a second twice
            yield Row(at, power_w, energy_j)
        last = at


def _in_order(lines: _Lines, layout: _Layout, form: str | None) -> _Lines:
    """Oldest first: some meters export the newest reading first."""
    try:
        first, last = (Clock.moment(layout.moment(lines[place][1]), form) for place in (0, -1))
        return lines[::-1] if first > last else lines
    except (ValueError, OverflowError, OSError, LookupError, TypeError):
        return lines  # reading them says what is wrong


def _content(path: Path) -> tuple[list[str], str, _Lines]:
    """Header, delimiter, and the lines below with their numbers; blank lines and comments are passed over.

    Raises:
        UsageError: not a file that can be read as CSV.
    """
    try:
        lines = list(enumerate(decoded(path.read_bytes()).splitlines(), 1))
        if lines and (said := _SEPARATOR.fullmatch(lines[0][1].strip())):
            del lines[0]
        lines = [(number, line) for number, line in lines if line.strip(" \t,;") and not line.startswith("#")]
        head = lines[0][1] if lines else ""
        delimiter = said.group(1) if lines and said else max(";\t,", key=head.count)
        cells = [(number, next(csv.reader([line], delimiter=delimiter))) for number, line in lines]
    except FileNotFoundError as error:
        raise _wrong(path, "there is no such file", "没有这个文件") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong(path, f"cannot be read as CSV ({error})", f"无法作为 CSV 读取（{error}）") from error
    return [name.strip() for name in cells[0][1]] if cells else [], delimiter, cells[1:]


def read_log(path: Path, columns: Columns = Columns(), timezone: str | None = None) -> MeterLog:  # noqa: B008
    """Reads a meter's log.

    Raises:
        UsageError: not readable, not such a log, or wrong in a line; names file, line and cure.
    """
    zone = _zone(timezone)
    header, delimiter, lines = _content(path)
    layout = _layout(path, header, columns, delimiter)
    if zone is None and any(_UTC.search(header[place]) for place in layout.time):
        zone = ZoneInfo("UTC")
    rows = tuple(_rows(path, _in_order(lines, layout, columns.time_form), layout, Clock(zone, columns.time_form)))
    if len(rows) < 2:
        raise _wrong(path, "fewer than two readings", "读数少于两条")
    gaps = sorted((b.at - a.at).total_seconds() for a, b in zip(rows, rows[1:], strict=False))
    steps = [b.energy_j - a.energy_j for a, b in zip(rows, rows[1:], strict=False)
             if a.energy_j is not None and b.energy_j is not None]  # fmt: skip
    falls = sum(step < 0 for step in steps)
    if falls > max(_RESETS, _RESETS_SHARE * len(steps)):
        raise _wrong(path, f"the energy falls {falls} times, so it is no counter but the energy of each interval: delete that column",
                     f"电能下降了 {falls} 次，说明它不是累计计数而是每个区间的电能：请删除该列")  # fmt: skip
    return MeterLog(rows, gaps[len(gaps) // 2], min((step for step in steps if step > 0), default=None))


# A clock that may be off by c (95 %) moves both edges; the interval reads an edge as uniform over a width Q, whose
# 95 % half-width is 1.96 Q / sqrt(12).
_EDGE_PER_CLOCK_ERROR: float = math.sqrt(12.0) / 1.959964
_Field = Literal["machine_energy_j", "machine_power_w"]


def wall_energy(log: MeterLog, began: datetime, ended: datetime, clock_error_s: float) -> EnergyResult:
    """Energy of a window by the log: its counter where it has one, else the trapezoid of its power.

    Args:
        log: readings, UTC.
        began: start of the window, aware; likewise ended.
        clock_error_s: 95 % half-width of how far the two clocks may differ.

    Returns:
        the figure with its 95 % interval, or None with the reason.
    """
    near = log.near(began, ended)
    has_power = any(row.power_w is not None for row in near)
    counts = log.step_j is not None and (log.step_j <= _COARSE_J or not has_power)
    samples = [
        Sample(_ns(row.at), machine_power_w=row.power_w, machine_energy_j=row.energy_j, machine_t_ns=_ns(row.at))
        for row in near
    ]
    width_s = math.hypot(log.period_s, clock_error_s * _EDGE_PER_CLOCK_ERROR, _step_s(log, near) if counts else 0.0)
    fields: list[_Field] = []
    if counts and any(row.energy_j is not None for row in near):
        fields.append("machine_energy_j")
    if has_power:
        fields.append("machine_power_w")
    rows = [
        Capability("log", field, "imported log", "J" if field == "machine_energy_j" else "W", "machine", "wall", "ok",
                   update_period_s=width_s)
        for field in fields
    ]  # fmt: skip
    if not rows:
        return EnergyResult(reason=both("the log has no reading in the window", "日志在此时段内没有读数"))
    found = request_energy(samples, _ns(began), _ns(ended), rows, rate_hz=1.0 / max(log.period_s, 1e-3))
    if found.energy_j is not None and "undersampled" in found.flags:
        return EnergyResult(reason=both("the log has a gap in the window", "日志在此时段内有缺口"), flags=found.flags)
    return found


def _step_s(log: MeterLog, near: Sequence[Row]) -> float:
    """How long the counter stands still between two steps, at the mean power around the window."""
    counted = [(row.at, row.energy_j) for row in near if row.energy_j is not None]
    if len(counted) < 2 or log.step_j is None or counted[-1][1] <= counted[0][1]:
        return 0.0
    mean_w = (counted[-1][1] - counted[0][1]) / (counted[-1][0] - counted[0][0]).total_seconds()
    return log.step_j / mean_w


def _ns(at: datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond."""
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000
