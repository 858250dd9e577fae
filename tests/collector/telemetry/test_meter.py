"""Wall meters against a meter on the loopback."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.energy import request_energy
from collector.errors import UsageError
from collector.telemetry import Sampler, meter
from collector.telemetry.meter import HttpMeter, MeterAddress, MeterReading, number, parse_meter
from collector.telemetry.sensor import SensorOptions
from collector.telemetry.shelly import ShellySensor
from collector.telemetry.tasmota import TasmotaSensor
from collector.telemetry.types import Capability, Sample
from tests.collector.telemetry.fake_meter import FakeMeter, serving_meter
from tests.collector.telemetry.telemetry_fakes import SECOND, WALL, row


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMeter]:
    monkeypatch.setattr(meter, "_PROBE_STEP_S", 0.005)
    monkeypatch.setattr(meter, "_PROBE_S", 0.2)
    monkeypatch.setattr(meter, "POLL_S", 0.02)
    with serving_meter() as fake:
        yield fake


def _probe(kind: type[HttpMeter], address: str) -> tuple[HttpMeter, dict[str, Capability]]:
    sensor = kind(SensorOptions(meter=address))
    return sensor, {found.field: found for found in sensor.probe()}


def _next(sensor: HttpMeter, limit_s: float = 20.0) -> dict[str, Any]:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if found := sensor.read(0):
            return found
        time.sleep(0.002)
    raise AssertionError("no reading")


@pytest.mark.parametrize(
    ("text", "place"),
    [("shelly:192.168.1.20", "192.168.1.20"), ("tasmota:10.0.0.7:8080", "10.0.0.7:8080"),
     ("shelly:plug.local", "plug.local"), ("shelly:[fd00::1]:81", "[fd00::1]:81"), ("shelly:127.0.0.1", "127.0.0.1"),
     ("shelly:169.254.3.4", "169.254.3.4"), ("shelly:[fd00::1]", "[fd00::1]")],
)  # fmt: skip
def test_addresses(text: str, place: str) -> None:
    assert parse_meter(text).place == place


@pytest.mark.parametrize(
    ("text", "word"),
    [("shelly:8.8.8.8", "public"), ("shelly:[2001:4860:4860::8888]", "public"), ("shelly:0.0.0.0", "public"),
     ("kasa:192.168.1.20", "kind"), ("192.168.1.20", "kind"), ("shelly:", "address"), ("shelly:1.2.3.4/x", "address"),
     ("shelly:192.168.1.20:99999", "address"), ("shelly:admin:secret@192.168.1.20", "password"), ("", "kind")],
)  # fmt: skip
def test_what_is_refused(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        parse_meter(text)
    assert caught.value.exit_code == 2
    assert "secret" not in caught.value.en + caught.value.zh
    with pytest.raises(UsageError):
        Sampler(meter=text)


def test_without_a_meter_there_is_nothing_to_say(plug: FakeMeter) -> None:
    assert ShellySensor(SensorOptions()).probe() == []
    assert ShellySensor(SensorOptions(meter=plug.tasmota)).probe() == []
    assert not plug.asked


def test_shelly_gives_power_and_counter_once_each(plug: FakeMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "_PROBE_S", 20.0)
    plug.answer = plug.live
    sensor, rows = _probe(ShellySensor, plug.shelly)
    assert [(r.scope, r.tier, r.status) for r in rows.values()] == [("machine", "wall", "ok")] * 2
    assert rows["machine_energy_j"].update_period_s == pytest.approx(0.02, rel=5)
    before_ns = time.monotonic_ns()
    _next(sensor)
    first = _next(sensor)
    assert first["machine_power_w"] == pytest.approx(100.0, abs=0.11)
    assert before_ns <= first["machine_t_ns"] <= time.monotonic_ns()
    asked = len(plug.asked)
    plug.delay_s = 0.2  # the next answer is far away: nothing is handed out meanwhile
    while len(plug.asked) < asked + 2:
        time.sleep(0.005)
    sensor.read(0)
    assert sensor.read(0) == {}
    later = _next(sensor)
    assert later["machine_t_ns"] > first["machine_t_ns"]
    assert later["machine_energy_j"] > first["machine_energy_j"]
    sensor.close()


def test_pm1_is_found_where_there_is_no_switch(plug: FakeMeter) -> None:
    plug.answer = lambda path: (200, '{"apower": 42.5}') if "PM1" in path else (404, "No handler")
    sensor, rows = _probe(ShellySensor, plug.shelly)
    assert rows["machine_power_w"].status == "ok"
    assert (rows["machine_energy_j"].status, rows["machine_energy_j"].reason_code) == ("unsupported", "meter_no_counter")
    found = _next(sensor)
    assert (found["machine_power_w"], found["machine_energy_j"]) == (42.5, None)
    sensor.close()


@pytest.mark.parametrize(("component", "field"), [("EM1", "act_power"), ("EM", "total_act_power")])
def test_clamp_meters_give_their_power(plug: FakeMeter, component: str, field: str) -> None:
    plug.answer = lambda path: (200, f'{{"id": 0, "{field}": 512.5}}') if f"/{component}.Get" in path else (404, "No handler")
    sensor, rows = _probe(ShellySensor, plug.shelly)
    assert (rows["machine_power_w"].status, rows["machine_energy_j"].reason_code) == ("ok", "meter_no_counter")
    assert _next(sensor)["machine_power_w"] == 512.5
    sensor.close()


def _tasmota(power: Any, total: str) -> str:
    return f'{{"StatusSNS":{{"Time":"2026-01-01T00:00:00","ENERGY":{{"Total":{total},"Power":{json.dumps(power)}}}}}}}'


def test_tasmotas_coarse_counter_is_not_used(plug: FakeMeter) -> None:
    plug.answer = lambda _path: (200, _tasmota(97, "3.185"))
    sensor, rows = _probe(TasmotaSensor, plug.tasmota)
    assert rows["machine_power_w"].status == "ok"
    row = rows["machine_energy_j"]
    assert (row.status, row.reason_code) == ("unsupported", "meter_coarse_counter")
    assert "3600 J" in (row.reason or "")
    assert "EnergyRes" in (row.cure or "")
    assert _next(sensor)["machine_power_w"] == 97.0
    sensor.close()


def test_tasmotas_fine_counter_older_command_and_channels(plug: FakeMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "_PROBE_S", 20.0)
    count = iter(range(10**6))
    plug.answer = lambda path: (
        (200, _tasmota([40, 2 + len(plug.asked) % 2], f"1.{next(count):05d}")) if path.endswith("8") else (200, '{"Command":"Unknown"}')
    )
    sensor, rows = _probe(TasmotaSensor, plug.tasmota)
    assert rows["machine_energy_j"].status == "ok"
    found = _next(sensor)
    assert found["machine_power_w"] in (42.0, 43.0)
    assert found["machine_energy_j"] >= 3_600_000
    sensor.close()


@pytest.mark.parametrize(
    ("kind", "answer", "status", "code"),
    [(ShellySensor, (500, "oops"), "missing", "meter_nonsense"), (ShellySensor, (200, "<html>"), "missing", "meter_nonsense"),
     (ShellySensor, (200, "[1, 2]"), "missing", "meter_nonsense"), (ShellySensor, (200, '{"output":true}'), "missing", "meter_nonsense"),
     (ShellySensor, (200, '{"apower":NaN}'), "missing", "meter_nonsense"), (ShellySensor, (200, '{"apower":-3}'), "missing", "meter_nonsense"),
     (ShellySensor, (200, "x" * 70_000), "missing", "meter_nonsense"), (ShellySensor, (302, "http://8.8.8.8/"), "missing", "meter_nonsense"),
     (ShellySensor, (200, "[" * 60_000), "missing", "meter_nonsense"), (ShellySensor, (200, '{"apower":null}'), "missing", "meter_nonsense"),
     (ShellySensor, (401, ""), "denied", "meter_denied"),
     (TasmotaSensor, (200, '{"WARNING":"Need user=<username>&password=<password>"}'), "denied", "meter_denied"),
     (TasmotaSensor, (200, '{"StatusSNS":{"Time":"x"}}'), "missing", "meter_nonsense")],
    ids=str,
)  # fmt: skip
def test_what_is_no_meter(plug: FakeMeter, kind: type[HttpMeter], answer: tuple[int, str], status: str, code: str) -> None:
    plug.answer = lambda _path: answer
    sensor, rows = _probe(kind, plug.shelly if kind is ShellySensor else plug.tasmota)
    assert {(r.status, r.reason_code) for r in rows.values()} == {(status, code)}
    assert all(r.reason and r.reason_zh and r.cure and r.cure_zh for r in rows.values())
    assert sensor.read(0) == {}


def test_nobody_there() -> None:
    with serving_meter() as gone:
        address = gone.shelly
    sensor, rows = _probe(ShellySensor, address)
    assert {(r.status, r.reason_code) for r in rows.values()} == {("missing", "meter_unreachable")}
    assert "curl http://127.0.0.1" in (rows["machine_power_w"].cure or "")
    assert sensor.read(0) == {}


def test_headers_that_drip_for_ever_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "_DEADLINE_S", 0.2)
    given_up = threading.Event()

    def drip() -> None:
        line, _ = listener.accept()
        with line, contextlib.suppress(OSError):
            line.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not given_up.wait(0.01):
                line.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        sensor, rows = _probe(ShellySensor, f"shelly:127.0.0.1:{listener.getsockname()[1]}")
    given_up.set()
    thread.join(10)
    assert {r.reason_code for r in rows.values()} == {"meter_unreachable"}
    assert sensor.read(0) == {}


def test_a_name_that_leads_out_of_the_network_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter.socket, "getaddrinfo", lambda *_a, **_k: [(2, 1, 6, "", ("8.8.8.8", 80))])
    _, rows = _probe(ShellySensor, "shelly:plug.example")
    assert {r.reason_code for r in rows.values()} == {"meter_public"}


def test_a_slow_answer_is_dropped_and_the_next_good_one_taken(plug: FakeMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    plug.answer = plug.live
    sensor, _ = _probe(ShellySensor, plug.shelly)
    _next(sensor)
    monkeypatch.setattr(meter, "_DEADLINE_S", 0.1)
    plug.delay_s = 0.3
    asked = len(plug.asked)
    while len(plug.asked) < asked + 2:
        time.sleep(0.005)
    sensor.read(0)  # what came before it became slow
    asked = len(plug.asked)
    while len(plug.asked) < asked + 2:
        time.sleep(0.005)
    assert sensor.read(0) == {}
    monkeypatch.setattr(meter, "_DEADLINE_S", 5.0)
    plug.delay_s = 0.0
    assert _next(sensor)["machine_power_w"] == pytest.approx(100.0, abs=0.11)
    sensor.close()


def test_a_counter_that_stands_still_is_not_used(plug: FakeMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "_PROBE_S", 0.1)
    plug.answer = lambda _path: (200, '{"apower": 10.0, "aenergy": {"total": 5.001}}')
    sensor, rows = _probe(ShellySensor, plug.shelly)
    assert rows["machine_energy_j"].reason_code == "meter_slow_counter"
    sensor.close()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(), s, max_size=3)))  # fmt: skip
def test_any_json_is_a_reading_or_refused(value: Any) -> None:
    text = json.dumps({"apower": value, "aenergy": {"total": value}, "StatusSNS": {"ENERGY": {"Power": value, "Total": value}}})
    answer = json.loads(text, parse_float=Decimal, parse_constant=lambda _: None)
    for sensor in (ShellySensor(SensorOptions()), TasmotaSensor(SensorOptions())):
        try:
            found = sensor.parse(answer)
        except LookupError:
            continue
        assert found.power_w is None or found.power_w >= 0
        assert found.energy_j is None or (found.energy_j >= 0 and found.step_j)


def test_steps_come_from_the_digits() -> None:
    assert number(Decimal("23.142")) == (23.142, Decimal("0.001"))
    assert number(7) == (7.0, Decimal(1))
    assert number(True) == (None, None)
    assert number([1, None]) == (None, None)


def _wall(*points: tuple[float, float, float | None]) -> list[Sample]:
    return [
        Sample(round(t * SECOND) + 80_000_000, machine_power_w=w, machine_energy_j=j, machine_t_ns=round(t * SECOND))
        for t, w, j in points
    ]


def test_energy_uses_the_meters_moment() -> None:
    samples = _wall(*((t / 2, 100.0, 50.0 * t) for t in range(41)))
    found = request_energy(samples, 5 * SECOND, 15 * SECOND, [WALL, row("machine_power_w", sensor="shelly", scope="machine", tier="wall")])
    assert found.energy_j == pytest.approx(1000.0)
    assert (found.scope, found.tier) == ("machine", "wall")
    assert found.flags == ()


def test_a_reset_of_the_meter_is_no_energy() -> None:
    samples = _wall(*((t / 2, 100.0, 50.0 * t if t < 20 else 50.0 * (t - 20)) for t in range(41)))
    found = request_energy(samples, 5 * SECOND, 15 * SECOND, [WALL])
    assert found.energy_j is None
    assert found.flags == ("counter_reset",)


def test_the_sampler_carries_the_meter(plug: FakeMeter) -> None:
    plug.answer = plug.live
    with Sampler(rate_hz=20, meter=plug.shelly) as sampler:
        assert {r.status for r in sampler.capabilities if r.sensor == "shelly"} == {"ok"}
        end_ns = time.monotonic_ns() + SECOND
        assert sampler.wait_until(end_ns, timeout_s=30)
        answers = [s for s in sampler.between(0, end_ns) if s.machine_t_ns is not None]
    assert len(answers) >= 2
    assert len({s.machine_t_ns for s in answers}) == len(answers)
    assert all(99.9 < (s.machine_power_w or 0.0) < 100.2 for s in answers)


def test_addresses_print_without_what_is_usual() -> None:
    assert MeterAddress("shelly", "10.0.0.1", 80).place == "10.0.0.1"
    assert MeterReading(1.0, None, None).power_w == 1.0
