"""Cells of a meter's log: the file's text, its times and its numbers, in the forms that meters and spreadsheets write."""

from __future__ import annotations

import codecs
import math
import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["Clock", "decoded", "figure"]

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NUMERIC_TIME: Final = re.compile(r"\d{9,19}(\.\d+)?")
_SECONDS_END: Final = 1e11  # larger figures are milli-, micro- or nanoseconds: in seconds that would be the year 5138
# Forms that can mean one day only: the year first, or a day with dots. 03/04/2026 can mean two and needs --time-format.
_FORMS: Final = (
    "%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M",
)  # fmt: skip
_NOTHING: Final = frozenset({"", "-", "--", "nan", "n/a", "na", "null", "none", "unavailable", "unknown"})
_WITH_UNIT: Final = re.compile(r"([-+]?[\d.,]+(?:e[-+]?\d+)?)\s*([a-z]*)", re.IGNORECASE)


def decoded(content: bytes) -> str:
    """The text of a log: UTF-8 or UTF-16 with or without its mark, else GB 18030, which Chinese Windows writes.

    Raises:
        UnicodeDecodeError: none of them.
    """
    if content.startswith(_UTF_16):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030")


class Clock:
    """Turns the log's times into UTC; a local hour that happens twice is told apart by the order of the rows.

    Args:
        zone: of times that name none; None where all of them have to.
        form: ``strptime`` format of the times; None for the usual ones.
    """

    def __init__(self, zone: ZoneInfo | None, form: str | None = None) -> None:
        self._zone, self._form = zone, form
        self._last: datetime | None = None

    def utc(self, text: str) -> datetime:
        """The moment.

        Raises:
            ValueError: not a time (or ``zone``: one without a zone where none was given; ``order``: before the last one).
        """
        at = self.moment(text.strip(), self._form)
        if at.tzinfo is None:
            if self._zone is None:
                raise ValueError("zone")
            local = at.replace(tzinfo=self._zone)
            at = local.astimezone(UTC)
            if self._last is not None and at < self._last:
                at = max(at, local.replace(fold=1).astimezone(UTC))
        at = at.astimezone(UTC)
        if self._last is not None and at < self._last:
            raise ValueError("order")
        self._last = at
        return at

    @staticmethod
    def moment(text: str, form: str | None = None) -> datetime:
        """The time as it stands there, with a zone only where it names one.

        Raises:
            ValueError, OverflowError, OSError: not a time.
        """
        if form is not None:
            return datetime.strptime(text, form)  # noqa: DTZ007  the zone is looked at by the caller
        if _NUMERIC_TIME.fullmatch(text):
            seconds = float(text)
            while seconds > _SECONDS_END:
                seconds /= 1000
            return datetime.fromtimestamp(seconds, UTC)
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            for known in _FORMS:
                try:
                    return datetime.strptime(text, known)  # noqa: DTZ007  likewise
                except ValueError:
                    continue
            raise


def figure(text: str, factor: float, units: dict[str, float], comma_divides: bool) -> float | None:
    """The number in a cell times its factor; None where the cell says that there is none.

    Args:
        text: the cell.
        factor: of the column's unit.
        units: factors of units that may stand in the cell itself (``12,5 W``) and then count instead.
        comma_divides: the file's own cells are divided by commas, so that a comma in a number may group thousands.

    Raises:
        ValueError: not a number, or one that can be read in two ways.
    """
    text = text.strip()
    if text.lower() in _NOTHING:
        return None
    found = _WITH_UNIT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    number, unit = found.groups()
    if unit and unit.lower() not in units:
        raise ValueError(text)
    value = float(_plain(number, comma_divides))
    if not math.isfinite(value):
        raise ValueError(text)
    return value * (units[unit.lower()] if unit else factor)


def _plain(number: str, comma_divides: bool) -> str:
    """The number with a point and without groups: the last of two different signs is the decimal one."""
    if "," not in number:
        return number
    if "." in number:
        group = "," if number.rindex(".") > number.rindex(",") else "."
        return number.replace(group, "").replace(",", ".")
    whole, _, rest = number.partition(",")
    if "," in rest or (comma_divides and len(rest) == 3 and whole.lstrip("+-0")):
        raise ValueError(number)  # 1,234: one and a bit, or more than a thousand
    return f"{whole}.{rest}"
