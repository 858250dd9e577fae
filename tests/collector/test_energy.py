"""Energy of a request from traces whose truth is known."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy import idle_baseline, power_series, request_energy
from collector.telemetry.estimate import watts_per_core
from collector.telemetry.types import Capability, EnergyResult, GpuSample, IdleBaseline, Sample
from db.flags import FLAGS
from tests.collector.telemetry.telemetry_fakes import CPU, ESTIMATE, GPU, GPU_POWER, SECOND, WALL, at, row, trace

_KNOWN_FLAGS = {flag.name for flag in FLAGS}


def _step(t_s: float) -> float:
    return 300.0 if 5.0 <= t_s < 15.0 else 60.0


def _check(result: EnergyResult) -> EnergyResult:
    """What holds for every result."""
    assert set(result.flags) <= _KNOWN_FLAGS
    assert len(set(result.flags)) == len(result.flags)
    if result.energy_j is None:
        assert result.reason
        assert result.tier is result.scope is result.energy_low_j is result.energy_high_j is None
        assert result.flags
    else:
        assert result.tier is not None
        assert result.scope is not None
        assert result.reason is None
        assert result.energy_low_j is not None
        assert result.energy_high_j is not None
        assert 0 <= result.energy_low_j <= result.energy_j <= result.energy_high_j
    return result


def test_counter_and_integral_of_a_steady_gpu() -> None:
    result = _check(request_energy(trace(lambda _t: 200.0), at(2.013), at(6.513), [GPU, GPU_POWER]))
    assert result.energy_j == pytest.approx(900.0)
    assert result.sources == {"nvml.counter_j": pytest.approx(900.0), "nvml.integral_j": pytest.approx(900.0)}
    assert (result.scope, result.tier, result.flags) == ("gpu", "counter", ())
    assert result.gpu_energy_j == result.energy_j
    assert result.cpu_energy_j is None
    assert result.energy_net_j is None


def test_interval_follows_the_formula() -> None:
    baseline = IdleBaseline(60.0, 0.5, 10.0, "gpu", "counter")
    result = _check(request_energy(trace(lambda _t: 200.0), at(2.0), at(6.0), [GPU], baseline=baseline))
    timing_j = 1.959964 * math.sqrt(2) * 0.1 / math.sqrt(12) * (200.0 - 60.0)
    half_j = math.hypot(timing_j, 0.05 * 800.0, 1.959964 * 0.5 * 4.0)
    assert result.energy_high_j == pytest.approx(800.0 + half_j, rel=1e-6)
    assert result.energy_low_j == pytest.approx(800.0 - half_j, rel=1e-6)
    assert result.energy_net_j == pytest.approx(800.0 - 240.0)


def test_the_interval_covers_a_request_that_is_a_step() -> None:
    for shift in range(10):
        t0, t1 = 5.0 - 0.007 * shift, 15.0 + 0.003 * shift
        truth_j = 300.0 * 10.0 + 60.0 * (0.010 * shift)
        result = _check(request_energy(trace(_step), at(t0), at(t1), [GPU, GPU_POWER]))
        assert result.energy_low_j is not None
        assert result.energy_high_j is not None
        assert result.energy_low_j <= truth_j <= result.energy_high_j


def test_a_short_window_is_not_resolvable_but_keeps_its_figure() -> None:
    short = _check(request_energy(trace(lambda _t: 200.0), at(2.0), at(2.3), [GPU]))
    assert short.flags == ("not_resolvable",)
    assert short.energy_j == pytest.approx(60.0)
    assert _check(request_energy(trace(lambda _t: 200.0), at(2.0), at(5.0), [GPU])).flags == ()


def test_disagreeing_counter_is_flagged() -> None:
    samples = [
        Sample(s.t_ns, gpus=(GpuSample(0, power_w=(s.gpus[0].power_w or 0) * 1.08, energy_j=s.gpus[0].energy_j),))
        for s in trace(lambda _t: 200.0)
    ]
    result = _check(request_energy(samples, at(2), at(8), [GPU, GPU_POWER]))
    assert result.flags == ("counter_mismatch",)
    assert result.energy_j == pytest.approx(1200.0)


def test_scope_follows_the_capabilities() -> None:
    samples = trace(lambda _t: 200.0, cpu_w=50.0, process_cores=2.0)
    for capabilities, scope, tier, energy_j in (
        ([GPU, CPU, ESTIMATE], "gpu+cpu", "counter", 1000.0),
        ([GPU, ESTIMATE], "gpu", "counter", 800.0),
        ([CPU, ESTIMATE], "cpu", "counter", 200.0),
        ([ESTIMATE], "process", "estimated", 80.0),
        ([row("gpu_energy_j", tier="calibrated"), CPU], "gpu+cpu", "counter", 1000.0),
        ([row("gpu_energy_j", status="unsupported"), GPU_POWER], "gpu", "counter", 800.0),
    ):
        result = _check(request_energy(samples, at(2), at(6), capabilities))
        assert (result.scope, result.tier) == (scope, tier)
        assert result.energy_j == pytest.approx(energy_j)


def test_parts_of_gpu_and_cpu() -> None:
    result = request_energy(trace(lambda _t: 200.0, cpu_w=50.0), at(2), at(6), [GPU, CPU])
    assert (result.gpu_energy_j, result.cpu_energy_j) == (pytest.approx(800.0), pytest.approx(200.0))


def test_what_is_not_added_up_is_recorded_beside() -> None:
    result = request_energy(trace(lambda _t: 200.0, cpu_w=50.0, process_cores=2.0), at(2), at(6), [GPU, CPU, ESTIMATE])
    assert result.sources == {
        "nvml.counter_j": pytest.approx(800.0), "rapl.counter_j": pytest.approx(200.0),
        "estimate.energy_j": pytest.approx(80.0),
    }  # fmt: skip


def test_a_wall_meter_goes_first() -> None:
    samples = [Sample(at(n), machine_energy_j=400.0 * n, process_cpu_s=1.0 * n) for n in range(20)]
    result = _check(request_energy(samples, at(3.5), at(13.5), [GPU, CPU, WALL, ESTIMATE]))
    assert (result.scope, result.tier, result.energy_j) == ("machine", "wall", pytest.approx(4000.0))
    assert result.flags == ()


def test_a_sensor_that_fails_gives_no_energy_and_no_other_scope() -> None:
    result = _check(request_energy(trace(lambda _t: 200.0, gpu=False, cpu_w=50.0), at(2), at(6), [GPU, CPU]))
    assert result.energy_j is None
    assert result.flags == ("energy_missing",)
    assert "gpu" in (result.reason or "")


def test_no_sensor_at_all_says_why() -> None:
    denied = row("cpu_energy_j", sensor="rapl", status="denied", reason="readable by root only")
    result = _check(request_energy(trace(lambda _t: 1.0), at(2), at(6), [denied]))
    assert result.flags == ("energy_missing",)
    assert "rapl: readable by root only" in (result.reason or "")
    assert _check(request_energy([], at(2), at(6), [])).energy_j is None
    assert _check(request_energy(trace(lambda _t: 1.0), at(6), at(6), [GPU])).energy_j is None


def test_missing_edges_and_long_gaps_are_undersampled() -> None:
    samples = trace(lambda _t: 200.0)
    for t0, t1 in ((-1.0, 5.0), (5.0, 25.0)):
        result = _check(request_energy(samples, at(t0), at(t1), [GPU]))
        assert result.energy_j is None
        assert result.flags == ("undersampled",)
    gap = [s for s in samples if not at(3.01) <= s.t_ns <= at(3.25)]
    result = _check(request_energy(gap, at(2), at(6), [GPU]))
    assert result.energy_j == pytest.approx(800.0)
    assert result.flags == ("undersampled",)
    assert request_energy(gap, at(4), at(6), [GPU]).flags == ()


def test_a_reset_is_flagged_and_the_integral_stands_in() -> None:
    samples = [
        Sample(s.t_ns, gpus=(GpuSample(0, power_w=200.0, energy_j=(s.gpus[0].energy_j or 0) - (5500 if s.t_ns > at(4) else 0)),))
        for s in trace(lambda _t: 200.0)
    ]  # fmt: skip
    with_power = _check(request_energy(samples, at(2), at(6), [GPU, GPU_POWER]))
    assert with_power.flags == ("counter_reset",)
    assert with_power.energy_j == pytest.approx(800.0)
    without = _check(request_energy(samples, at(2), at(6), [GPU]))
    assert without.energy_j is None
    assert "reset" in (without.reason or "")
    assert request_energy(samples, at(5), at(9), [GPU]).energy_j == pytest.approx(800.0)


def _stuck(samples: list[Sample], card: int = 0) -> list[Sample]:
    """The counter of one GPU stands still, its power does not."""
    return [
        replace(s, gpus=tuple(replace(g, energy_j=5000.0) if g.index == card else g for g in s.gpus)) for s in samples
    ]


def test_a_counter_that_stands_still_is_not_believed() -> None:
    samples = _stuck(trace(lambda _t: 200.0))
    result = _check(request_energy(samples, at(2.0), at(6.0), [GPU, GPU_POWER], first_token_ns=at(3.0)))
    assert result.energy_j == pytest.approx(800.0)
    assert result.flags == ("counter_mismatch",)
    assert result.sources["nvml.counter_j"] == 0.0
    assert result.prefill_j == pytest.approx(200.0)
    assert result.decode_j == pytest.approx(600.0)
    alone = _check(request_energy(samples, at(2.0), at(6.0), [GPU]))
    assert alone.flags == ("energy_zero",)
    assert "stood still" in (alone.reason or "")


def test_a_part_that_reads_nothing_does_not_hide_in_the_sum() -> None:
    samples = trace(lambda _t: 200.0, cpu_w=0.0)
    result = _check(request_energy(samples, at(2.0), at(6.0), [GPU, CPU]))
    assert result.energy_j is None
    assert result.flags == ("energy_zero",)
    assert "rapl" in (result.reason or "")


def test_one_stuck_gpu_of_two_does_not_hide_in_the_sum() -> None:
    two = [
        replace(a, gpus=(*a.gpus, replace(a.gpus[0], index=1, uuid="GPU-1"))) for a in trace(lambda _t: 200.0)
    ]
    result = _check(request_energy(_stuck(two, card=1), at(2.0), at(6.0), [GPU, GPU_POWER]))
    assert result.energy_j == pytest.approx(1600.0)
    assert result.flags == ("counter_mismatch",)


def test_no_idle_power_from_a_counter_that_stands_still() -> None:
    samples = _stuck(trace(lambda _t: 60.0))
    assert idle_baseline(samples, at(2.0), at(12.0), [GPU]) is None
    found = idle_baseline(samples, at(2.0), at(12.0), [GPU, GPU_POWER])
    assert found is not None
    assert found.power_w == pytest.approx(60.0)


def test_zero_is_not_an_energy() -> None:
    samples = [Sample(at(n / 10), process_cpu_s=3.0) for n in range(100)]
    result = _check(request_energy(samples, at(2), at(6), [ESTIMATE]))
    assert result.energy_j is None
    assert result.flags == ("energy_zero",)
    assert result.sources == {"estimate.energy_j": 0.0}


def test_the_estimate_states_its_assumption_in_the_interval() -> None:
    samples = trace(lambda _t: 0.0, gpu=False, process_cores=2.0, step_s=0.1)
    result = _check(request_energy(samples, at(2), at(12), [ESTIMATE]))
    assert result.energy_j == pytest.approx(200.0)
    assert result.energy_low_j == pytest.approx(100.0, rel=0.01)
    assert result.energy_high_j == pytest.approx(300.0, rel=0.01)
    assert result.sources == {"estimate.energy_j": pytest.approx(200.0)}


def test_watts_per_core_stand_in_the_row() -> None:
    assert watts_per_core([GPU, ESTIMATE]) == 10.0
    assert watts_per_core([row("process_energy_j", source="process_cpu_s x 7.25 W per core (stated)")]) == 7.25
    assert watts_per_core([row("process_energy_j", source="something else"), GPU]) is None
    assert watts_per_core([row("process_energy_j", status="denied", source="process_cpu_s x 7 W per core")]) is None


def test_two_gpus_are_added() -> None:
    samples = [
        Sample(s.t_ns, gpus=(s.gpus[0], GpuSample(1, power_w=100.0, energy_j=100.0 * (s.t_ns - at(0)) / SECOND)))
        for s in trace(lambda _t: 200.0)
    ]
    result = _check(request_energy(samples, at(2), at(6), [GPU, GPU_POWER]))
    assert result.energy_j == pytest.approx(1200.0)
    assert result.sources["nvml.integral_j"] == pytest.approx(1200.0)


def test_a_counter_that_ticks_slower_than_it_is_read() -> None:
    """Repeated readings say "not yet", not "no power": they must not bend the line."""
    ticks = [
        Sample(at(n / 20), gpus=(GpuSample(0, energy_j=250.0 * math.floor(n / 20 / 0.1 + 1e-9) * 0.1),))
        for n in range(200)
    ]
    result = _check(request_energy(ticks, at(2.05), at(6.15), [GPU]))
    assert result.energy_j == pytest.approx(250.0 * 4.1)
    assert result.flags == ()


def test_split_at_the_first_token() -> None:
    samples = trace(lambda t: 300.0 if t < 6 else 150.0)
    result = _check(request_energy(samples, at(4), at(10), [GPU, GPU_POWER], first_token_ns=at(6)))
    assert result.prefill_j == pytest.approx(600.0, rel=0.02)
    assert result.prefill_j is not None
    assert result.decode_j is not None
    assert result.energy_j == pytest.approx(result.prefill_j + result.decode_j)
    for early in (at(4.2), at(9.9), at(3), at(11)):
        assert request_energy(samples, at(4), at(10), [GPU], first_token_ns=early).prefill_j is None


def test_baseline_of_another_scope_is_not_subtracted() -> None:
    baseline = IdleBaseline(60.0, 0.5, 10.0, "cpu", "counter")
    assert request_energy(trace(lambda _t: 200.0), at(2), at(6), [GPU], baseline=baseline).energy_net_j is None


def test_idle_baseline() -> None:
    found = idle_baseline(trace(lambda t: 60.0 + math.sin(40 * t)), at(2), at(14), [GPU, GPU_POWER])
    assert found is not None
    assert found.power_w == pytest.approx(60.0, abs=0.2)
    assert 0 < found.standard_error_w < 0.5
    assert (found.scope, found.tier, found.duration_s) == ("gpu", "counter", pytest.approx(12.0))


def test_a_restless_idle_has_a_larger_error() -> None:
    def standard_error_w(swing_w: float) -> float:
        found = idle_baseline(trace(lambda t: 60.0 + (swing_w if int(t) % 3 else 0.0)), at(1), at(13), [GPU])
        assert found is not None
        return found.standard_error_w

    assert standard_error_w(0.0) < standard_error_w(5.0) < standard_error_w(20.0)


@pytest.mark.parametrize(("t1", "capabilities"), [(4.5, [GPU]), (25.0, [GPU]), (14.0, [])])
def test_no_baseline(t1: float, capabilities: list[Capability]) -> None:
    assert idle_baseline(trace(lambda _t: 60.0), at(2), at(t1), capabilities) is None


def test_power_series() -> None:
    gpu_only = power_series(trace(lambda _t: 200.0), [GPU, GPU_POWER])
    assert {round(point.power_w) for point in gpu_only} == {200}
    both = power_series(trace(lambda _t: 200.0, cpu_w=50.0), [GPU, GPU_POWER, CPU])
    assert {(round(point.power_w), point.scope) for point in both} == {(250, "gpu+cpu")}
    by_counter = power_series(trace(lambda _t: 200.0), [GPU])
    assert {round(point.power_w) for point in by_counter} == {200}
    estimate = power_series(trace(lambda _t: 0.0, gpu=False, process_cores=1.5), [ESTIMATE])
    assert {(round(point.power_w), point.scope) for point in estimate} == {(15, "process")}
    assert power_series(trace(lambda _t: 0.0), []) == []


_CUTS = st.lists(st.floats(min_value=1.0, max_value=19.0), min_size=2, max_size=6, unique=True).map(sorted)
_LEVELS = st.lists(st.floats(min_value=1.0, max_value=600.0), min_size=20, max_size=20)


@settings(max_examples=40, deadline=None)
@given(cuts=_CUTS, levels=_LEVELS, power_too=st.booleans())
def test_energy_is_additive_over_adjacent_windows(cuts: list[float], levels: list[float], power_too: bool) -> None:
    """Requests and the idle time between them add up to the campaign's total."""
    samples = trace(lambda t: levels[min(int(t), 19)], step_s=0.1)
    rows = [GPU_POWER] if power_too else [GPU]
    stamps = [at(cut) for cut in cuts]
    if any(b - a < 1000 for a, b in zip(stamps, stamps[1:], strict=False)):
        return
    parts = [request_energy(samples, a, b, rows, gpu_rate_hz=10) for a, b in zip(stamps, stamps[1:], strict=False)]
    whole = request_energy(samples, stamps[0], stamps[-1], rows, gpu_rate_hz=10)
    assert whole.energy_j is not None
    total = sum(_check(part).energy_j or 0.0 for part in parts)
    assert total == pytest.approx(whole.energy_j, rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    readings=st.lists(st.none() | st.floats(min_value=0, max_value=1e6), min_size=0, max_size=40),
    window=st.tuples(st.floats(-1, 5), st.floats(-1, 5)).map(sorted),
)
def test_whatever_the_counter_shows_there_is_no_negative_energy(
    readings: list[float | None], window: list[float]
) -> None:
    samples = [Sample(at(n / 10), cpu_energy_j=value) for n, value in enumerate(readings)]
    result = _check(request_energy(samples, at(window[0]), at(window[1]), [CPU]))
    assert result.energy_j is None or result.energy_j > 0
