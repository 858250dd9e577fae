"""``calibrate`` and ``import-meter`` from the command line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.__main__ import main
from collector.calibration_steps import mean_powers, measure_steps
from collector.telemetry.types import Capability, GpuSample, Sample
from db import Store
from tests.collector.telemetry.telemetry_fakes import GPU, SECOND, row
from tests.db.db_rows import START, campaign, configuration, run

_METER = row("machine_power_w", sensor="shelly", scope="machine", tier="wall", period_s=1.0)


class _Machine:
    """Clock, load, card and meter in one; stands in for the sampler as well."""

    def __init__(self) -> None:
        self.ns = 1000 * SECOND
        self.history = [(0, 0.0)]
        self.name = "nvml GPU-0"
        self.gain = 1.07
        self.capabilities: list[Capability] = [GPU, _METER]
        self.meter: str | None = None
        self.silent_from_ns = 1 << 62

    def set(self, share: float) -> None:
        self.history.append((self.ns, share))

    def stop(self) -> None:
        pass

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND)

    def __call__(self, *, meter: str | None, history_s: float) -> "_Machine":
        self.meter = meter
        return self

    def __enter__(self) -> "_Machine":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def samples(self) -> list[Sample]:
        samples, energy_j = [], 0.0
        for t_ns in range(999 * SECOND, self.ns + SECOND, SECOND // 10):
            watts = 30 + 250 * next(share for since, share in reversed(self.history) if since < t_ns)
            energy_j += watts / 10
            wall_w = self.gain * watts + 65 if t_ns % SECOND == 0 and self.meter and t_ns < self.silent_from_ns else None
            samples.append(Sample(t_ns, gpus=(GpuSample(0, "GPU-0", energy_j=energy_j),), machine_power_w=wall_w))
        return samples


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Machine:
    made = _Machine()

    @contextmanager
    def loads(_devices: object) -> Iterator[list[_Machine]]:
        yield [made]

    def steps(_sampler: object, loads: list[Any], step_s: float, settle_s: float, tell: Any) -> Any:
        done = measure_steps(loads, step_s, settle_s, on_step=tell, sleep=made.sleep, now_ns=lambda: made.ns)
        return mean_powers(made.samples(), made.capabilities, done)

    class Print:
        machine_id = "m1"
        gpus = (GpuSample(0, "GPU-0"),)

    @contextmanager
    def alone() -> Iterator[None]:
        yield

    place = "collector.cli.calibrate."
    for name, value in {"Sampler": made, "_loads": loads, "run_steps": steps, "machine_fingerprint": Print,
                        "measuring_alone": alone}.items():  # fmt: skip
        monkeypatch.setattr(place + name, value)
    monkeypatch.setenv("ENERGY_RATING_DB", str(tmp_path / "store.duckdb"))
    return made


def test_live_and_show(machine: _Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--show"]) == 0
    assert "Nothing is calibrated" in capsys.readouterr().out
    assert main(["calibrate", "--meter", "shelly:192.168.1.20"]) == 0
    told = capsys.readouterr()
    assert "gain 1.0700 ± 0.0214, offset 65.0" in told.out
    assert "nvml GPU-0 100%" in told.err
    (kept,) = Store(tmp_path / "store.duckdb").query("SELECT * FROM calibrations").to_dict("records")
    assert (kept["sensor"], kept["device"], kept["covers"], kept["point_count"]) == ("nvml", "GPU-0", "machine", 9)
    assert len(json.loads(kept["points"])) == 9
    assert main(["calibrate", "--show", "--lang", "zh"]) == 0
    shown = capsys.readouterr().out
    assert "1.0700 ± 0.0214" in shown
    assert "偏移包含机器其余部分" in shown


def test_a_meter_that_falls_silent(machine: _Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine.silent_from_ns = 1000 * SECOND + 7 * 25 * SECOND + SECOND
    assert main(["calibrate", "--meter", "shelly:192.168.1.20"]) == 0
    told = capsys.readouterr().out
    assert "gain 1.0700" in told
    assert "(7 steps)" in told
    assert "no reading in 2 of 9 steps: nvml GPU-0 25%, idle" in told
    machine.silent_from_ns = machine.ns + 3 * 25 * SECOND
    assert main(["calibrate", "--meter", "shelly:192.168.1.20"]) == 3
    assert "only 2 of 9 steps" in capsys.readouterr().err


def test_a_dry_run_changes_nothing(machine: _Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--meter", "shelly:192.168.1.20", "--dry-run"]) == 0
    assert "9 steps" in capsys.readouterr().out
    assert machine.history == [(0, 0.0)]
    assert not (tmp_path / "store.duckdb").exists()


def test_by_a_log(machine: _Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps, log = tmp_path / "steps.json", tmp_path / "plug.csv"
    assert main(["calibrate", "--record", str(steps)]) == 0
    kept = json.loads(steps.read_text())
    for number, step in enumerate(kept["steps"]):  # the fake clock of the load is not the wall clock of the log
        step["began_at"] = (START + timedelta(seconds=25 * number)).isoformat()
        step["ended_at"] = (START + timedelta(seconds=25 * number + 20)).isoformat()
    steps.write_text(json.dumps(kept))
    lines = ["time,power"]
    for number, step in enumerate(kept["steps"]):
        watts = 1.07 * step["sensor_w"][0][2] + 65
        lines += [f"{(START + timedelta(seconds=25 * number + k)).isoformat()},{watts}" for k in range(-2, 23)]
    log.write_text("\n".join(lines))
    machine.meter = None
    assert main(["calibrate", "--steps", str(steps), "--csv", str(log), "--dry-run"]) == 0
    assert "gain 1.07" in capsys.readouterr().out
    assert not (tmp_path / "store.duckdb").exists()
    assert main(["calibrate", "--steps", str(steps), "--csv", str(log)]) == 0
    assert Store(tmp_path / "store.duckdb").query("SELECT meter FROM calibrations")["meter"].tolist() == ["plug.csv"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [([], 2, "--meter"), (["--meter", "shelly:10.0.0.1", "--show"], 2, "--meter"), (["--steps", "x.json"], 2, "--csv"),
     (["--meter", "shelly:10.0.0.1", "--step-seconds", "0"], 2, "--step-seconds"),
     (["--meter", "shelly:10.0.0.1", "--meter-accuracy", "0.9"], 2, "--meter-accuracy")],
)  # fmt: skip
def test_wrong_usage(machine: _Machine, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str) -> None:
    assert main(["calibrate", *words]) == code
    assert said in capsys.readouterr().err


def test_environments_that_are_not_fit(machine: _Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine.gain = 0.0
    assert main(["calibrate", "--meter", "shelly:10.0.0.1"]) == 3
    assert "did not differ" in capsys.readouterr().err
    machine.capabilities = [GPU, Capability("shelly", "machine_power_w", "s", "W", "machine", "wall", "missing", "silent", "look", reason_zh="无应答", cure_zh="检查")]  # fmt: skip
    assert main(["calibrate", "--meter", "shelly:10.0.0.1", "--lang", "zh"]) == 3
    assert "无应答；检查" in capsys.readouterr().err
    machine.capabilities = [_METER]
    assert main(["calibrate", "--meter", "shelly:10.0.0.1"]) == 3
    assert "nothing to calibrate" in capsys.readouterr().err
    (tmp_path / "bad.json").write_text("{}")
    log = tmp_path / "log.csv"
    log.write_text("time,power\n1,2\n")
    for name in ("bad.json", "none.json"):
        log.write_text("time,power\n1777636800,2\n1777636801,2\n")
        assert main(["calibrate", "--steps", str(tmp_path / name), "--csv", str(log)]) == 2
        assert name in capsys.readouterr().err


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(tmp_path / "store.duckdb")
    store.ensure()
    with store.write() as writer:
        writer.insert("configurations", [configuration("k1")])
        writer.insert("campaigns", [campaign("c1")])
        writer.insert("runs", [run(10, energy_j=100.0), run(20, energy_j=None, energy_tier=None, energy_scope=None), run(100)])
    monkeypatch.setenv("ENERGY_RATING_DB", str(store.path))
    return store


def _log(path: Path, watts: float = 100.0) -> str:
    path.write_text("time,power\n" + "".join(f"{(START + timedelta(seconds=n / 2)).isoformat()},{watts}\n" for n in range(100)))
    return str(path)


def test_a_log_gives_answers_their_energy_beside_their_own(measured: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = _log(tmp_path / "plug.csv")
    assert main(["import-meter", log, "--campaign", "c1"]) == 0
    told = capsys.readouterr().out
    assert "2 of 3 answers" in told
    assert "1.500" in told
    rows = measured.query("SELECT * FROM v_wall_energy ORDER BY run_id").to_dict("records")
    assert [r["run_id"] for r in rows] == ["r10", "r100", "r20"]
    assert rows[0]["wall_energy_j"] == pytest.approx(150.0)
    assert (rows[0]["energy_j"], rows[0]["ratio"], rows[0]["meter"]) == (100.0, pytest.approx(1.5), "plug")
    assert rows[0]["wall_energy_low_j"] < 150 < rows[0]["wall_energy_high_j"]
    assert rows[1]["reason"] .startswith("the log has no reading in the window")
    assert rows[2]["wall_energy_j"] == pytest.approx(150.0)
    assert measured.query("SELECT energy_j FROM runs WHERE run_id = 'r10'")["energy_j"][0] == 100.0
    _log(tmp_path / "plug.csv", 200.0)  # the same meter again replaces what it said before
    assert main(["import-meter", log, "--campaign", "c1"]) == 0
    assert measured.query("SELECT max(wall_energy_j) AS j, count(*) AS n FROM v_wall_energy").to_dict("records") == [{"j": pytest.approx(300.0), "n": 3}]
    assert measured.query("SELECT count(*) AS n FROM wall_readings")["n"][0] == 100


def test_a_log_of_another_time_or_campaign(measured: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "plug.csv"
    log.write_text("time,power\n1777636800,5\n1777636801,5\n")
    assert main(["import-meter", str(log), "--campaign", "c1"]) == 2
    assert "do not meet" in capsys.readouterr().err
    assert main(["import-meter", _log(log), "--campaign", "c9"]) == 2
    assert "'c9'" in capsys.readouterr().err
    assert main(["import-meter", str(log), "--campaign", "c1", "--clock-error", "-1"]) == 2
    assert measured.query("SELECT count(*) AS n FROM run_wall_energy")["n"][0] == 0
