"""The books: they close when every joule is billed once, and say so when one is not."""

from __future__ import annotations

import pytest

from collector.closure import Ledger, joules
from db.texts import both
from tests.collector.telemetry.telemetry_fakes import CPU, GPU, GPU_POWER, SECOND, at, trace
from tests.fakes.bench import Clock, FakeSampler


def _ledger() -> tuple[Ledger, FakeSampler]:
    sampler = FakeSampler(Clock(), idle_w=100.0)
    ledger = Ledger(sampler, tuple(sampler.capabilities))  # type: ignore[arg-type]
    ledger.begin(1000 * SECOND)
    return ledger, sampler


def _s(seconds: float) -> int:
    return round((1000 + seconds) * SECOND)


def test_every_joule_is_billed_once() -> None:
    ledger, _ = _ledger()
    ledger.book("loads", _s(1), _s(3), 200.0)
    ledger.book("baselines", _s(3.5), _s(6.5), 300.0)
    ledger.book("runs", _s(7), _s(9), 200.0)
    ledger.book("runs", _s(9), _s(10), None)
    row = ledger.close(_s(20), "c1")
    assert (row["loads_j"], row["baselines_j"], row["runs_j"]) == (200.0, 300.0, 200.0)
    assert row["between_j"] == pytest.approx(2000.0 - 700.0)
    assert row["total_j"] == pytest.approx(2000.0)
    assert row["mismatch"] == pytest.approx(0.0, abs=1e-9)
    assert (row["scope"], row["tier"], row["reason"], row["campaign_id"]) == ("gpu", "counter", None, "c1")


@pytest.mark.parametrize(("billed", "mismatch"), [(220.0, 0.02), (100.0, -0.1), (400.0, 0.2)])
def test_a_wrong_bill_shows(billed: float, mismatch: float) -> None:
    ledger, _ = _ledger()
    ledger.book("runs", _s(2), _s(4), billed)
    assert ledger.close(_s(10), "c1")["mismatch"] == pytest.approx(mismatch)


def test_a_window_billed_twice_shows() -> None:
    ledger, _ = _ledger()
    for _ in range(2):
        ledger.book("runs", _s(2), _s(4), 200.0)
    assert ledger.close(_s(10), "c1")["mismatch"] == pytest.approx(0.2)


def test_what_no_sensor_covers_is_in_no_sum_and_said() -> None:
    ledger, sampler = _ledger()
    sampler.missing = lambda s: 1000.2 < s < 1006.0
    sampler.levels = [(0, 100.0)]
    ledger.book("runs", _s(4), _s(8), 400.0)
    ledger.book("runs", _s(12), _s(14), 200.0)
    row = ledger.close(_s(15), "c1")
    assert row["mismatch"] == pytest.approx(0.0, abs=1e-9)
    sampler.missing = lambda s: s > 1016
    assert row["reason"] is None
    ledger.book("runs", _s(18), _s(19), 100.0)
    row = ledger.close(_s(20), "c1")
    assert "are in no sum" in row["reason"]
    assert row["total_j"] == pytest.approx(1500.0)


def test_without_a_sensor_there_are_no_books() -> None:
    ledger = Ledger(FakeSampler(Clock()), ())  # type: ignore[arg-type]
    ledger.book("runs", _s(0), _s(1), None)
    row = ledger.close(_s(5), "c1")
    assert (row["total_j"], row["runs_j"], row["mismatch"], row["reason"]) == (None, None, None, both("no energy sensor", "没有能量传感器"))


def test_joules_of_a_window() -> None:
    samples = trace(lambda _t: 200.0, cpu_w=50.0)
    assert joules(samples, at(2), at(4), [GPU]) == pytest.approx(400.0)
    assert joules(samples, at(2), at(4), [GPU_POWER]) == pytest.approx(400.0)
    assert joules(samples, at(2), at(4), [GPU, CPU]) == pytest.approx(500.0)
    assert joules(samples, at(2), at(99), [GPU]) is None
    assert joules(samples, at(4), at(4), [GPU]) is None
    assert joules(trace(lambda _t: 0.0), at(2), at(4), [GPU_POWER]) == 0.0
