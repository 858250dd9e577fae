"""Reasons in both languages."""

import re
from string import Formatter

import pytest

from collector.telemetry.reasons import REASONS, why
from collector.telemetry.sampler import probe


def _names(text: str | None) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text or "") if name}


@pytest.mark.parametrize("code", REASONS)
def test_both_languages_say_it(code: str) -> None:
    reason = REASONS[code]
    assert re.fullmatch(r"[a-z0-9_]+", code)
    assert re.search(r"[\u4e00-\u9fff]", reason.zh)
    assert not re.search(r"[\u4e00-\u9fff]", reason.en)
    assert (reason.cure_en is None) == (reason.cure_zh is None)
    assert {name.removesuffix("_zh") for name in _names(reason.zh)} == _names(reason.en)
    assert _names(reason.cure_zh) == _names(reason.cure_en)


def test_details_are_filled_in() -> None:
    found = why("gpu_field_unsupported", index=3)
    assert found["reason"] == "GPU 3 does not report it"
    assert "GPU 3" in found["reason_zh"]
    assert found["cure"] is None
    with pytest.raises(KeyError):
        why("gpu_field_unsupported")


def test_every_row_that_is_not_ok_says_why_in_both_languages() -> None:
    rows = probe()
    assert {row.status for row in rows} - {"ok"}
    for row in rows:
        told = (row.reason_code in REASONS, bool(row.reason), bool(row.reason_zh))
        assert told == ((False,) * 3 if row.status == "ok" else (True,) * 3), row
