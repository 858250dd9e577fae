"""Words, numbers and dates in the language of the session; the catalogues are ``locales/en.json`` and ``locales/zh.json``.

A page with many words of its own keeps them in ``en.<page>.json`` and ``zh.<page>.json`` beside those.

The language lives in the session state, never in a module: two visitors may read different ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from babel.dates import format_datetime, format_time, format_timedelta
from babel.numbers import format_decimal, format_percent

from db.texts import pick

__all__ = [
    "LANGUAGES", "MISSING", "browser_language", "catalogue", "chance", "code_text", "count", "date", "duration", "energy", "interval", "joined",
    "language", "memory", "number", "percent", "quantity", "said", "seconds", "t", "time",
]  # fmt: skip

LANGUAGES = ("zh", "en")
MISSING = "–"
_LOCALES = {"zh": "zh_Hans_CN", "en": "en"}


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every text of one language by its key."""
    texts: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / "locales").glob(f"{language}*.json")):
        texts |= json.loads(path.read_text(encoding="utf-8"))
    return texts


def browser_language() -> str:
    """``zh`` when the browser asks for Chinese, else ``en``."""
    return "zh" if (st.context.locale or "").lower().startswith("zh") else "en"


def language() -> str:
    """Language of this session."""
    chosen = st.session_state.get("lang")
    return chosen if chosen in LANGUAGES else browser_language()


def t(key: str, **fmt: object) -> str:
    """The text of ``key`` with its placeholders filled in; KeyError when the catalogue lacks it."""
    text = catalogue(language())[key]
    return text.format(**fmt) if fmt else text


def code_text(group: str, code: object) -> str:
    """The words for a code out of the data (``task`` ``qa``); the code itself when no words are known for it."""
    if _missing(code):
        return MISSING
    return catalogue(language()).get(f"{group}.{code}", str(code))


def said(text: object) -> str:
    """A sentence that the collector stored, in the language of the session where it is there in both."""
    return MISSING if _missing(text) else pick(str(text), language())


def number(value: object, digits: int = 3) -> str:
    """``value`` with at most so many significant digits."""
    if _missing(value):
        return MISSING
    if value == 0:
        return "0"
    return str(format_decimal(float(value), format="@" + "#" * (digits - 1), locale=_locale()))  # type: ignore[arg-type]


def count(value: object) -> str:
    """A whole number with its thousands separated."""
    return MISSING if _missing(value) else str(format_decimal(int(value), locale=_locale()))  # type: ignore[call-overload]


def percent(value: object) -> str:
    """A share of 1 as per cent without decimals, spaced as the texts of each language are."""
    if _missing(value):
        return MISSING
    text = str(format_percent(float(value), locale=_locale()))  # type: ignore[arg-type]
    return text.replace("%", "\u00a0%") if language() == "en" else text


def chance(value: object) -> str:
    """A probability as per cent; one estimated from draws is never said to be 0 or 100 %."""
    if _missing(value):
        return MISSING
    hundredths = round(100 * float(value))  # type: ignore[arg-type]
    if 0 < hundredths < 100:  # noqa: PLR2004
        return percent(hundredths / 100)
    return f">{percent(0.99)}" if hundredths else f"<{percent(0.01)}"


def quantity(value: object, unit: str, digits: int = 3) -> str:
    """A number with its unit, a no-break space between."""
    return MISSING if _missing(value) else f"{number(value, digits)}\u00a0{unit}"


def interval(low: object, high: object) -> str:
    """``low–high`` with three significant digits."""
    return MISSING if _missing(low) or _missing(high) else f"{number(low)}–{number(high)}"


def memory(value: object) -> str:
    """Bytes in GB or MB (powers of ten)."""
    if _missing(value):
        return MISSING
    size = float(value)  # type: ignore[arg-type]
    return quantity(size / 1e9, "GB") if size >= 1e9 else quantity(size / 1e6, "MB")


def energy(value: object) -> str:
    """Joules in J, kJ or MJ."""
    if _missing(value):
        return MISSING
    joules = float(value)  # type: ignore[arg-type]
    for limit, unit in ((1e6, "MJ"), (1e3, "kJ")):
        if joules >= limit:
            return quantity(joules / limit, unit)
    return quantity(joules, "J")


def seconds(value: object) -> str:
    """Seconds, or milliseconds below one."""
    if _missing(value):
        return MISSING
    span = float(value)  # type: ignore[arg-type]
    return quantity(span * 1000, "ms") if span < 1 else quantity(span, "s")


def duration(value: timedelta) -> str:
    """A time span in its largest unit, as one says it."""
    return str(format_timedelta(value, locale=_locale(), threshold=1.2))


def date(value: object) -> str:
    """A UTC time of the store in the browser's time zone (UTC where it does not tell)."""
    if not isinstance(value, datetime) or _missing(value):
        return MISSING
    return str(format_datetime(value.replace(tzinfo=UTC), "medium", tzinfo=_zone(), locale=_locale()))


def time(value: datetime) -> str:
    """The time of the day of a UTC time of the store, in the browser's time zone (UTC where it does not tell)."""
    return str(format_time(value.replace(tzinfo=UTC), "short", tzinfo=_zone(), locale=_locale()))


def joined(parts: Iterable[str]) -> str:
    """Parts of a list side by side, without the unknown ones; a dash when nothing is known."""
    return " · ".join(part for part in parts if part and part != MISSING) or MISSING


def _locale() -> str:
    return _LOCALES[language()]


def _zone() -> tzinfo:
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _missing(value: object) -> bool:
    # NaT is the one value that differs from itself besides NaN
    return value is None or value != value or (isinstance(value, float) and not math.isfinite(value))  # noqa: PLR0124
