"""Gain and offset against a wall meter."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.calibration import Device, Fit, Point, calibrate, factors, fit, save, stored
from collector.calibration_steps import LEVELS, ProcessLoad, Step, devices, mean_powers, measure_steps, plan
from collector.energy import idle_baseline, request_energy
from collector.errors import SensorError
from collector.telemetry.sampler import _calibrated
from collector.telemetry.types import Capability, Factor, GpuSample, IdleBaseline, Sample
from db import Store
from tests.collector.telemetry.telemetry_fakes import CPU, ESTIMATE, GPU, GPU_POWER, SECOND, WALL, at, row, trace

_CARD, _OTHER, _CHIP = Device("nvml", "GPU-0"), Device("nvml", "GPU-1"), Device("rapl", None)
_T0 = datetime(2026, 5, 1, tzinfo=UTC)
_SHARES = (0.0, *LEVELS, 0.0)


def _points(wall: object = None, card: object = None, shares: tuple[float, ...] = _SHARES) -> list[Point]:
    wall_of = wall if callable(wall) else lambda watts, _n: 1.08 * watts + 60
    card_of = card if callable(card) else lambda share: 20 + 300 * share
    return [
        Point(f"{share:.0%}", _T0 + timedelta(seconds=30 * n), _T0 + timedelta(seconds=30 * n + 20),
              {_CARD: card_of(share)}, wall_of(card_of(share), n))
        for n, share in enumerate(shares)
    ]  # fmt: skip


def test_an_exact_line_is_found() -> None:
    found = calibrate(_points(), meter_accuracy=0.0)[_CARD]
    assert found.gain == pytest.approx(1.08, rel=1e-9)
    assert found.offset_w == pytest.approx(60.0, rel=1e-6)
    assert found.gain_half_width < 1e-6
    assert found.point_count == 9


def test_the_meters_own_accuracy_stays_in_the_gain() -> None:
    found = calibrate(_points())[_CARD]
    assert found.gain_half_width == pytest.approx(0.02 * 1.08, rel=1e-6)


def test_one_disturbed_step_does_not_tilt_the_line() -> None:
    clean = calibrate(_points(lambda watts, n: 1.08 * watts + 60 + (0.4, -0.7, 0.2, 0.6, -0.5, 0.1, -0.3, 0.5, -0.2)[n]))
    bent = calibrate(_points(lambda watts, n: 1.08 * watts + 60 + (0.4, -0.7, 0.2, 0.6, -0.5, 80.0, -0.3, 0.5, -0.2)[n]))
    least_squares = np.polyfit([p.sensor_w[_CARD] for p in _points()], [1.08 * p.sensor_w[_CARD] + 60 + 80 * (n == 5) for n, p in enumerate(_points())], 1)[0]  # fmt: skip
    assert bent[_CARD].gain == pytest.approx(clean[_CARD].gain, abs=0.02)
    assert abs(least_squares - 1.08) > 0.02


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    sensor_w = 20 + 300 * np.array(_SHARES)
    held = 0
    for _ in range(400):
        gain = rng.uniform(0.9, 1.15)
        found, half = fit(sensor_w[:, None], gain * sensor_w + 50 + rng.normal(0, 3, len(sensor_w)))
        held += bool(abs(found[0] - gain) <= half[0])
    assert 0.90 <= held / 400 <= 0.99


def test_sensors_are_told_apart_by_their_own_steps() -> None:
    points, gains = [], {_CARD: 1.1, _OTHER: 0.95, _CHIP: 1.2}
    for n, (which, level) in enumerate(plan(3)):
        watts = {_CARD: 20.0, _OTHER: 30.0, _CHIP: 15.0}
        if which is not None:
            watts[list(gains)[which]] += 200 * level
            watts[_CHIP] += 4 * (which != 2)  # every load keeps a core busy
        wall_w = 55 + sum(gains[device] * w for device, w in watts.items())
        points.append(Point(str(n), _T0, _T0, watts, wall_w))
    found = calibrate(points)
    assert {device: f.gain for device, f in found.items()} == pytest.approx(gains)
    assert [f.offset_w for f in found.values()] == pytest.approx([55.0] * 3)


def test_a_sensor_that_did_not_move_is_left_out() -> None:
    points = [Point(p.label, p.began_at, p.ended_at, {**p.sensor_w, _CHIP: 15.0 + n / 10}, p.wall_w) for n, p in enumerate(_points())]
    assert set(calibrate(points)) == {_CARD}


@pytest.mark.parametrize(
    ("points", "word"),
    [(_points(card=lambda share: 20 + share), "differ"), (_points(lambda _w, _n: 80.0), "differ"), ([], "differ"),
     (_points(shares=(0.0, 0.5, 1.0)), "too few"), (_points(lambda watts, _n: 0.1 * watts), "gain"),
     (_points(lambda watts, _n: 3 * watts), "gain"),
     (_points(lambda watts, n: watts + 60 + (90, -80, 70, -90, 85, -75, 95, -60, 70)[n]), "uncertain")],
)  # fmt: skip
def test_what_is_no_calibration_is_refused(points: list[Point], word: str) -> None:
    with pytest.raises(SensorError, match=word) as caught:
        calibrate(points)
    assert caught.value.zh


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store.duckdb")
    made.ensure()
    return made


def test_the_newest_counts_and_a_card_is_known_by_its_uuid(store: Store) -> None:
    points = _points()
    save(store, "m1", "shelly:10.0.0.2", points, {_CARD: Fit(1.2, 0.05, 70, 2, 9)}, "machine")
    save(store, "m1", "shelly:10.0.0.2", points, {_CARD: Fit(1.1, 0.022, 60, 1, 9), _CHIP: Fit(1.3, 0.026, 60, 1, 9)}, "machine")
    assert [(r["sensor"], r["gain"]) for r in stored(store)] == [("nvml", 1.1), ("rapl", 1.3)]
    expected = {"nvml": (Factor("GPU-0", 1.1, pytest.approx(0.02)),), "rapl": (Factor(None, 1.3, pytest.approx(0.02)),)}
    assert factors(store, "m1", ["GPU-0"]) == expected
    assert factors(store, "other", ["GPU-0"]) == {"nvml": expected["nvml"]}
    assert factors(store, "m1", []) == {"rapl": expected["rapl"]}
    assert factors(store, "m1", ["GPU-0", "GPU-1"]) == {"rapl": expected["rapl"]}  # the sum of both has one tier
    assert store.query("SELECT points FROM calibrations")["points"].str.contains("nvml GPU-0").all()


def test_the_offset_is_applied_only_where_the_meter_saw_the_device_alone(store: Store) -> None:
    save(store, "m1", "riser", _points(), {_CARD: Fit(1.05, 0.02, -12.4, 1, 9)}, "device")
    assert factors(store, "m1", ["GPU-0"])["nvml"][0].offset_w == -12.4
    save(store, "m1", "plug", _points(), {_CARD: Fit(1.05, 0.02, 55.0, 1, 9)}, "machine")
    assert factors(store, "m1", ["GPU-0"])["nvml"][0].offset_w == 0.0


def _calibrated_rows(*rows: Capability, gain: float, uncertainty: float, offset_w: float = 0.0) -> list[Capability]:
    given = {"nvml": (Factor("GPU-0", gain, uncertainty, offset_w),), "rapl": (Factor(None, 2.0, 0.1),)}
    return [_calibrated(found, given) for found in rows]


def test_energies_are_corrected_and_say_so() -> None:
    samples = trace(lambda t: 200.0 if 5 <= t < 15 else 50.0)
    rows = _calibrated_rows(GPU, GPU_POWER, gain=1.1, uncertainty=0.01)
    raw = request_energy(samples, at(6), at(14), [GPU, GPU_POWER])
    found = request_energy(samples, at(6), at(14), rows)
    assert (found.tier, raw.tier, found.scope) == ("calibrated", "counter", "gpu")
    assert raw.energy_j == pytest.approx(1600.0)
    assert found.energy_j == pytest.approx(1760.0)
    assert found.sources["nvml.integral_j"] == pytest.approx(1760.0)
    assert raw.energy_high_j is not None
    assert found.energy_high_j is not None
    assert raw.energy_high_j - 1600 > 0.049 * 1600
    assert 0.01 * 1760 <= found.energy_high_j - 1760 < 0.03 * 1760


def test_the_baseline_is_corrected_alike_so_that_net_is_gain_times_net() -> None:
    samples = trace(lambda t: 200.0 if 10 <= t < 15 else 50.0)
    net = []
    for rows in ([GPU], _calibrated_rows(GPU, gain=1.1, uncertainty=0.01), _calibrated_rows(GPU, gain=1.1, uncertainty=0.01, offset_w=-12.0)):
        baseline = idle_baseline(samples, at(1), at(9), rows)
        assert isinstance(baseline, IdleBaseline)
        net.append(request_energy(samples, at(10), at(15), rows, baseline=baseline).energy_net_j)
    assert net[0] == pytest.approx(750.0)
    assert net[1] == net[2] == pytest.approx(825.0)  # an offset cancels in the net energy


def test_a_negative_offset_is_no_reset() -> None:
    samples = trace(lambda _t: 13.0)
    rows = _calibrated_rows(GPU, gain=1.0, uncertainty=0.01, offset_w=-12.4)
    found = request_energy(samples, at(5), at(15), rows)
    assert found.energy_j == pytest.approx(6.0)
    assert "counter_reset" not in found.flags


def test_mixed_scopes_have_the_lower_tier() -> None:
    samples = trace(lambda _t: 100.0, cpu_w=50.0)
    both = request_energy(samples, at(5), at(15), _calibrated_rows(GPU, CPU, gain=1.1, uncertainty=0.01))
    assert (both.tier, both.energy_j) == ("calibrated", pytest.approx(1100.0 + 1000.0))
    one = request_energy(samples, at(5), at(15), [*_calibrated_rows(GPU, gain=1.1, uncertainty=0.01), CPU])
    assert one.tier == "counter"


def test_only_counters_are_calibrated() -> None:
    given = {"nvml": (Factor("GPU-0", 1.1, 0.01),), "estimate": (Factor(None, 2.0, 0.1),), "shelly": (Factor(None, 2.0, 0.1),)}
    for untouched in (ESTIMATE, WALL, row("gpu_energy_j", status="unsupported"), CPU):
        assert _calibrated(untouched, given) == untouched


class _Clock:
    def __init__(self) -> None:
        self.ns = 1000 * SECOND

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND)


class _Load:
    def __init__(self, name: str, clock: _Clock) -> None:
        self.name, self.clock, self.history = name, clock, [(0, 0.0)]

    def set(self, share: float) -> None:
        self.history.append((self.clock.ns, share))

    def stop(self) -> None:
        pass

    def share(self, t_ns: int) -> float:
        return next(share for since, share in reversed(self.history) if since <= t_ns)


def test_steps_rise_and_fall_one_load_at_a_time() -> None:
    clock = _Clock()
    loads = [_Load("a", clock), _Load("b", clock)]
    told: list[str] = []
    steps = measure_steps(loads, 20, 5, on_step=told.append, sleep=clock.sleep, now_ns=lambda: clock.ns)
    assert [step.label for step in steps] == told
    assert told[:4] == ["idle", "a 25%", "a 50%", "a 75%"]
    assert len(steps) == 2 * 8 + 1
    for step in steps:
        assert step.end_ns - step.start_ns == 20 * SECOND
        shares = [load.share(step.start_ns - 5 * SECOND) for load in loads]
        assert shares == [load.share(step.end_ns - 1) for load in loads]  # nothing changes from settling to the end
        assert min(shares) == 0.0


def _two_cards(loads: list[_Load], first_ns: int, last_ns: int) -> list[Sample]:
    samples, energy_j = [], [0.0, 0.0]
    for t_ns in range(first_ns - SECOND, last_ns + SECOND, SECOND // 10):
        watts = [25 + 200 * loads[0].share(t_ns - 1), 30 + 100 * loads[1].share(t_ns - 1)]
        energy_j = [j + w / 10 for j, w in zip(energy_j, watts, strict=True)]
        cards = tuple(GpuSample(n, f"GPU-{n}", power_w=w, energy_j=j) for n, (w, j) in enumerate(zip(watts, energy_j, strict=True)))
        wall_w = 1.1 * watts[0] + 0.96 * watts[1] + 70
        whole = t_ns % SECOND == 0
        samples.append(Sample(t_ns, gpus=cards, machine_power_w=wall_w if whole else None, machine_t_ns=t_ns if whole else None, sampler_cpu_s=0.0))  # fmt: skip
    return samples


def test_every_card_and_the_meter_are_read_in_each_step() -> None:
    clock = _Clock()
    loads = [_Load("a", clock), _Load("b", clock)]
    steps = measure_steps(loads, 20, 5, sleep=clock.sleep, now_ns=lambda: clock.ns)
    samples = _two_cards(loads, 1000 * SECOND, clock.ns)
    rows = [GPU, GPU_POWER, row("machine_power_w", sensor="tasmota", scope="machine", tier="wall", period_s=1.0)]
    points = mean_powers(samples, rows, steps)
    assert points[4].label == "a 100%"
    assert points[4].sensor_w == {_CARD: pytest.approx(225.0, rel=1e-3), _OTHER: pytest.approx(30.0, rel=5e-3)}
    found = calibrate(points)
    assert found[_CARD].gain == pytest.approx(1.1, rel=1e-3)
    assert found[_OTHER].gain == pytest.approx(0.96, rel=1e-3)
    without_meter = mean_powers(samples, [GPU], steps)
    assert {point.wall_w for point in without_meter} == {None}


def test_a_sensor_that_failed_in_a_step_is_missing_there() -> None:
    step = Step("idle", at(5), at(15), _T0, _T0)
    (point,) = mean_powers(trace(lambda _t: 50.0, seconds=10.0), [GPU, CPU], [step])
    assert point.sensor_w == {}


def test_what_can_be_calibrated() -> None:
    assert devices([GPU, CPU, WALL, ESTIMATE], ["GPU-0", None]) == [_CARD, _CHIP]
    assert devices([ESTIMATE], ["GPU-0"]) == []


def test_the_load_is_a_process_that_ends_with_us() -> None:
    load = ProcessLoad("cpu", "cpu", 1)
    load.set(0.2)
    (process,) = load._processes
    assert process.poll() is None
    load.stop()
    assert process.returncode is not None


def test_a_load_that_does_not_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "torch.py").write_text("class cuda:\n    is_available = staticmethod(lambda: False)\n")
    with pytest.raises(SensorError, match="did not start"):
        ProcessLoad("nvml GPU-0", "gpu", 1, {"PYTHONPATH": str(tmp_path)})
    assert "CUDA" in capfd.readouterr().err


def test_the_record_of_the_sensors_keeps_the_calibration(store: Store) -> None:
    (found,) = _calibrated_rows(GPU, gain=1.1, uncertainty=0.02)
    with store.write() as writer:
        writer.upsert("sensors", [{**found.row(), "machine_id": "m1", "campaign_id": "c1"}])
    (kept,) = store.query("SELECT tier, calibrations FROM sensors").to_dict("records")
    assert (kept["tier"], json.loads(kept["calibrations"])) == ("calibrated", [["GPU-0", 1.1, 0.02, 0.0]])
