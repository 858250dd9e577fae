"""Both catalogues say the same things, pages say nothing of their own, numbers and dates follow the language."""

import json
import re
import string
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as some

from pages._ui import i18n
from rating.reasons import chance_text, task_words

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*sorted((ROOT / "pages").rglob("*.py")), ROOT / "streamlit_app.py"]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
EN, ZH = i18n.catalogue("en"), i18n.catalogue("zh")
CJK = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "session_state", {"lang": "zh"})


@pytest.fixture
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "session_state", {"lang": "en"})


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_keys() -> None:
    assert EN.keys() == ZH.keys()


def test_no_key_stands_in_two_catalogues() -> None:
    for language in i18n.LANGUAGES:
        files = (ROOT / "pages" / "_ui" / "locales").glob(f"{language}*.json")
        assert sum(len(json.loads(path.read_text(encoding="utf-8"))) for path in files) == len(i18n.catalogue(language))


def test_both_texts_have_the_same_placeholders() -> None:
    assert not [key for key in EN if placeholders(EN[key]) != placeholders(ZH[key])]
    assert not [key for key in EN if not EN[key].strip() or not ZH[key].strip()]


@pytest.mark.parametrize("task", ["qa", "summary", "code", "creative"])
def test_reasons_call_a_task_as_the_pages_do(task: str) -> None:
    words = task_words([task])
    assert words.en.lower() == EN[f"task.{task}"].lower()
    assert words.zh == ZH[f"task.{task}"]


def test_chinese_is_chinese_and_english_is_english() -> None:
    assert not [key for key, text in EN.items() if CJK.search(text)]
    same = {key for key in EN if EN[key] == ZH[key]}
    assert same <= {"col.q", "col.ttft", "unit.C"}, "texts that were not translated"


def test_every_key_that_pages_name_is_there() -> None:
    named = set(re.findall(r'\bt\(\s*"([a-z_.]+[a-z_])"', TEXT))
    assert len(named) > 100
    assert named <= EN.keys()


def test_every_text_is_used() -> None:
    literal = set(re.findall(r'"([a-z_]+(?:\.[a-zA-Z0-9_+]+)+)"', TEXT))
    prefixes = set(re.findall(r"t\(f['\"]([a-z_]+\.[a-z_]*)\{", TEXT)) | {
        group + "." for group in re.findall(r'code_text\("([a-z_]+)"', TEXT)
    }
    prefixes |= {"effect.", "filter.", "load.", "size.", "language.", "campaign.", "configuration."}
    unused = [key for key in EN if key not in literal and not key.startswith(tuple(prefixes))]
    unused = [key for key in unused if not key.endswith(".lead")]
    assert not unused


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_pages_hold_no_chinese(path: Path) -> None:
    assert not CJK.search(path.read_text(encoding="utf-8"))


def test_a_missing_text_is_an_error(english: None) -> None:
    with pytest.raises(KeyError):
        i18n.t("no.such_text")


def test_a_code_without_words_stays_itself(english: None) -> None:
    assert i18n.code_text("task", "qa") == "Knowledge QA"
    assert i18n.code_text("task", "my_own_task") == "my_own_task"
    assert i18n.code_text("task", None) == i18n.MISSING


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), pd.NaT, np.float64("nan")])
def test_unknown_is_a_dash_and_never_zero(english: None, value: object) -> None:
    for show in (i18n.number, i18n.percent, i18n.chance, i18n.count, i18n.memory, i18n.energy, i18n.seconds, i18n.date):
        assert show(value) == i18n.MISSING
    assert i18n.quantity(value, "J") == i18n.MISSING
    assert i18n.interval(value, 1.0) == i18n.MISSING


def test_numbers_carry_three_digits_and_their_unit(english: None) -> None:
    assert i18n.number(1234.5) == "1230"
    assert i18n.number(0.0123456) == "0.0123"
    assert i18n.quantity(96.04, "J") == "96\u00a0J"
    assert i18n.energy(61_662.0) == "61.7\u00a0kJ"
    assert i18n.energy(5.5e6) == "5.5\u00a0MJ"
    assert i18n.memory(3_400_000_000) == "3.4\u00a0GB"
    assert i18n.percent(0.873) == "87\u00a0%"
    assert i18n.seconds(0.0237) == "23.7\u00a0ms"
    assert i18n.seconds(7.356) == "7.36\u00a0s"
    assert i18n.quantity(0.0, "J") == "0\u00a0J"


@pytest.mark.parametrize(("share", "shown"), [(0.004, "<1"), (0.01, "1"), (0.54, "54"), (0.994, "99"), (0.996, ">99"), (1.0, ">99")])
def test_a_share_of_draws_is_never_said_to_be_certain(english: None, share: float, shown: str) -> None:
    assert i18n.chance(share) == f"{shown}\u00a0%"
    assert chance_text(share) == f"{shown} %", "the command says the same"


@given(some.floats(min_value=1e-6, max_value=1e12))
def test_a_shown_number_is_within_half_a_per_cent(value: float) -> None:
    shown = float(i18n.number(value))
    assert shown == pytest.approx(value, rel=0.0051)


def test_dates_follow_the_language(chinese: None) -> None:
    assert i18n.date(datetime(2026, 11, 20, 20, 30)) == "2026年11月20日 20:30:00"  # noqa: DTZ001 (the store's times)
    assert i18n.duration(timedelta(hours=3)) == "3小时"
