"""Logs of wall meters."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.meter_log import Columns, MeterLog, Row, read_log, wall_energy

_T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)


def _file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "log.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("text", "zone", "power_w", "energy_j"),
    [("time,power,energy_kwh\n2026-05-01T12:00:00Z,97.5,1.5\n2026-05-01T12:00:01Z,98,1.50001\n", None, 97.5, 5.4e6),
     ("Timestamp;Leistung [W];Energie (Wh)\n2026-05-01 14:00:00;97,5;1.500,0\n2026-05-01 14:00:01;98;1500,1\n", "Europe/Berlin", 97.5, 5.4e6),
     ("\ufefftime\tapower\n1777636800\t97.5\n1777636801.5\t98\n", None, 97.5, None),
     ("时间,功率\n2026-05-01 20:00:00,97.5\n2026-05-01 20:00:01,98\n", "Asia/Shanghai", 97.5, None),
     ("date,power_kw,voltage\n1777636800000,0.0975,230\n1777636801000,0.098,230\n", None, 97.5, None),
     ("time,energy_j\n2026-05-01T12:00:00+00:00,5\n2026-05-01T12:00:01+00:00,6\n", None, None, 5.0),
     ('time,power\n2026-05-01T12:00Z,"97,5"\n2026-05-01T12:01Z,98 W\n', None, 97.5, None),
     ('time,power,energy_wh\n2026-05-01T12:00Z,0.0975 kW,"1,500.0"\n2026-05-01T12:01Z,98,1500.1\n', None, 97.5, 5.4e6),
     ("Zeit\tLeistung\n01.05.2026 14:00:00\t97,5\n01.05.2026 14:00:01\t98\n", "Europe/Berlin", 97.5, None),
     ("时间,有功功率(W)\n2026/05/01 20:00,97.5\n2026/05/01 20:01,98\n", "Asia/Shanghai", 97.5, None),
     ("Date;Time;Power\n01.05.2026;14:00:00;97,5\n01.05.2026;14:00:01;98\n", "Europe/Berlin", 97.5, None),
     ("Time (UTC),Power\n2026-05-01 12:00:00,97.5\n2026-05-01 12:00:01,98\n", None, 97.5, None),
     ("time,power\n1777636801000000000,98\n1777636800000000000,97.5\n", None, 97.5, None),
     ("sep=|\n# plug 3\n\ntime|power\n1777636800|97,5\n1777636800.5|unavailable\n1777636801|98\n", None, 97.5, None)],
)  # fmt: skip
def test_the_usual_forms(tmp_path: Path, text: str, zone: str | None, power_w: float | None, energy_j: float | None) -> None:
    log = read_log(_file(tmp_path, text), timezone=zone)
    first = log.rows[0]
    assert first.at == _T0
    assert first.power_w == (None if power_w is None else pytest.approx(power_w))
    assert first.energy_j == (None if energy_j is None else pytest.approx(energy_j))
    assert len(log.rows) == 2


def test_named_columns(tmp_path: Path) -> None:
    path = _file(tmp_path, "a,b,c\n2026-05-01T12:00Z,1,2\n2026-05-01T12:01Z,3,4\n")
    log = read_log(path, Columns(time="a", power="c"))
    assert [row.power_w for row in log.rows] == [2.0, 4.0]
    assert log.period_s == 60.0


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [("", {}, "no column of times"), ("time,power\n", {}, "fewer than two"),
     ("x,power\n1,2\n", {}, "--time-column"), ("time,volts\n1,2\n", {}, "--power-column"),
     ("time,power,watt\n1,2,3\n", {}, "several columns"), ("time,energy\n1,2\n", {}, "does not say its unit"),
     ("time,power\n2026-05-01 12:00:00,5\n", {}, "--timezone"),
     ("time,power\n2026-05-01 12:00:00,5\n", {"timezone": "Mars/Base"}, "Mars/Base"),
     ("time,power\nyesterday,5\n", {}, "line 2"), ("time,power\n2026-05-01T12:00Z,lots\n", {}, "line 2: not a number"),
     ("time,power\n2026-05-01T12:00Z,inf\n", {}, "line 2: not a number"),
     ('time,power\n2026-05-01T12:00Z,"1,234"\n', {}, "line 2: not a number"), ("time,power\n2026-05-01T12:00Z,5 V\n", {}, "line 2: not a number"),
     ("time,power\n05/01/2026 12:00:00,5\n", {"timezone": "UTC"}, "--time-format"),
     ("time,energy_wh\n" + "".join(f"{1777636800 + n},{1 + n % 2}\n" for n in range(20)), {}, "no counter but the energy of each interval"),
     ("time,power\n2026-05-01T12:00Z,-5\n", {}, "cannot be right"),
     ("time,power\n2026-05-01T12:00Z,5\n2026-05-01T12:02Z,5\n2026-05-01T12:01Z,5\n2026-05-01T12:03Z,5\n", {}, "line 4.*before the line above"),
     ("time,power\n1,2\n", {"columns": Columns(power="p")}, "no column 'p'")],
)  # fmt: skip
def test_one_clear_sentence(tmp_path: Path, text: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read_log(_file(tmp_path, text), **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    assert caught.value.zh


def test_a_form_of_the_times_that_is_said(tmp_path: Path) -> None:
    path = _file(tmp_path, "time,power\n05/01/2026 02:00:00 PM,97.5\n05/01/2026 02:00:01 PM,98\n")
    log = read_log(path, Columns(time_form="%m/%d/%Y %I:%M:%S %p"), "Europe/Berlin")
    assert [row.at for row in log.rows] == [_T0, _T0 + timedelta(seconds=1)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_what_spreadsheets_write(tmp_path: Path, encoding: str) -> None:
    path = _file(tmp_path, "时间\t功率\n2026/5/1 20:00:00\t97.5\n2026/5/1 20:00:01\t98\n", encoding)
    log = read_log(path, timezone="Asia/Shanghai")
    assert [(row.at, row.power_w) for row in log.rows] == [(_T0, 97.5), (_T0 + timedelta(seconds=1), 98.0)]


def test_a_counter_may_begin_anew(tmp_path: Path) -> None:
    lines = (f"{1777636800 + n},{n % 20}\n" for n in range(40))
    assert read_log(_file(tmp_path, "time,energy_wh\n" + "".join(lines))).step_j == 3600.0


def test_files_that_are_no_logs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_log(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        read_log(_file(tmp_path, "time,power\n\xff\n", "latin-1"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_log(tmp_path)


def test_the_hour_that_happens_twice(tmp_path: Path) -> None:
    lines = ["2026-10-25 02:59:59", "2026-10-25 02:00:00", "2026-10-25 02:30:00", "2026-10-25 03:00:00"]
    log = read_log(_file(tmp_path, "time,power\n" + "".join(f"{line},5\n" for line in lines)), timezone="Europe/Berlin")
    assert [f"{row.at:%H:%M:%S}" for row in log.rows] == ["00:59:59", "01:00:00", "01:30:00", "02:00:00"]


def test_a_second_that_is_logged_twice_counts_once(tmp_path: Path) -> None:
    log = read_log(_file(tmp_path, "time,power\n1777636800,5\n1777636800,6\n\n1777636801,7\n1777636802,\n"))
    assert [row.power_w for row in log.rows] == [5.0, 7.0]


def _log(power_w: float = 100.0, seconds: int = 60, step_j: float | None = 1.0, gap: range = range(0)) -> MeterLog:
    rows = tuple(
        Row(_T0 + timedelta(seconds=n), power_w, None if step_j is None else power_w * n // step_j * step_j)
        for n in range(seconds)
        if n not in gap
    )
    return MeterLog(rows, 1.0, step_j)


def _window(start_s: float, end_s: float) -> tuple[datetime, datetime]:
    return _T0 + timedelta(seconds=start_s), _T0 + timedelta(seconds=end_s)


@pytest.mark.parametrize("step_j", [None, 1.0, 3600.0])
def test_energy_of_a_window(step_j: float | None) -> None:
    found = wall_energy(_log(step_j=step_j), *_window(10.25, 20.75), 0.0)
    assert found.energy_j == pytest.approx(1050.0)  # 3600 J steps are passed over for the power
    assert (found.tier, found.scope) == ("wall", "machine")
    assert found.energy_low_j is not None
    assert found.energy_high_j is not None
    assert found.energy_low_j < 1050 < found.energy_high_j


def test_a_clock_that_may_be_off_widens_the_interval() -> None:
    widths = []
    for clock_error_s in (0.0, 1.0, 5.0):
        found = wall_energy(_log(), *_window(10, 20), clock_error_s)
        assert found.energy_high_j is not None
        assert found.energy_j is not None
        widths.append(found.energy_high_j - found.energy_j)
    assert widths == sorted(widths)
    assert widths[2] >= 5.0 * 100.0


@pytest.mark.parametrize(
    ("log", "window", "word"),
    [(_log(), (50, 70), "both sides"), (_log(), (-9, 5), "both sides"), (_log(), (500, 510), "no reading"),
     (_log(gap=range(12, 19)), (10, 20), "gap"), (_log(gap=range(0, 59)), (10, 20), "no reading")],
)  # fmt: skip
def test_what_the_log_does_not_cover_is_none(log: MeterLog, window: tuple[float, float], word: str) -> None:
    found = wall_energy(log, *_window(*window), 0.5)
    assert found.energy_j is None
    assert word in (found.reason or "")


def test_a_reset_counter_is_no_energy() -> None:
    rows = tuple(Row(_T0 + timedelta(seconds=n), None, 100.0 * n if n < 15 else 100.0 * (n - 15)) for n in range(60))
    found = wall_energy(MeterLog(rows, 1.0, 1.0), *_window(10, 20), 0.5)
    assert found.energy_j is None
    assert "reset" in (found.reason or "")
    coarse = tuple(Row(_T0 + timedelta(seconds=n), None, float(100 * n // 3600 * 3600)) for n in range(400))
    wide = wall_energy(MeterLog(coarse, 1.0, 3600.0), *_window(100, 200), 0.0)
    assert wide.energy_j is not None
    assert wide.energy_low_j is not None
    assert wide.energy_low_j <= 10_000 <= (wide.energy_high_j or 0.0)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00")), max_size=6))
def test_any_text_is_a_log_or_refused(lines: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        path.write_text("time,power\n" + "\n".join(lines), encoding="utf-8")
        try:
            log = read_log(path, timezone="UTC")
        except UsageError:
            return
        assert all(a.at < b.at for a, b in zip(log.rows, log.rows[1:], strict=False))
