"""What wall meters that answer over HTTP have in common; each kind is one file beside this one.

A meter is asked by a thread of its own, so that a slow or dead one never delays a sample. An answer is handed out
once, with the moment halfway between question and answer; one that takes longer than a second is dropped, because its
moment would not be known. Only addresses of a private network are asked, without proxy and without redirects.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import math
import socket
import threading
import time
from abc import abstractmethod
from collections import deque
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from collector.errors import UsageError
from collector.telemetry.reasons import Why, why
from collector.telemetry.sensor import Sensor, SensorOptions
from collector.telemetry.types import Capability, Status

__all__ = ["HttpMeter", "MeterAddress", "MeterReading", "number", "parse_meter"]

KINDS = ("shelly", "tasmota")
POLL_S = 0.5
_DEADLINE_S = 1.0
_PROBE_S = 5.0
_PROBE_STEP_S = 0.2
_CHANGES = 3  # so many changes of a value tell its period
_COARSE_J = 50.0  # a counter that moves in larger steps says less about an answer than the power does
_MAX_BYTES = 65_536
_NOT_A_METER = (ValueError, LookupError, TypeError, AttributeError, RecursionError, http.client.HTTPException)


class MeterAddress(NamedTuple):
    """Kind, host and port of a meter."""

    kind: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """``host:port``, without the port where it is 80."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


class MeterReading(NamedTuple):
    """One answer: watts, cumulative joules and the counter's step in joules; None where the meter does not tell."""

    power_w: float | None
    energy_j: float | None
    step_j: float | None


class _Refused(Exception):
    """The meter wants a password."""


def _wrong(text: str, en: str, zh: str) -> UsageError:
    example = "shelly:192.168.1.20"
    return UsageError(f"meter {text!r} {en}; write it like {example}.", f"电表 {text!r} {zh}；写法如 {example}。")


def parse_meter(text: str) -> MeterAddress:
    """Reads ``shelly:192.168.1.20`` or ``tasmota:plug.local:8080``.

    Raises:
        UsageError: unknown kind, no address, credentials (they would end up in the record), or a public address.
    """
    kind, _, rest = text.strip().partition(":")
    if kind not in KINDS:
        raise _wrong(text, f"names no kind that is known here ({', '.join(KINDS)})", f"的类型未知（{'、'.join(KINDS)}）")
    if "@" in rest:  # not repeated in the message
        raise _wrong(f"{kind}:...", "holds a user name or password, which would be stored with the campaign",
                     "含有用户名或密码，会随测量一起存储")  # fmt: skip
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.query or parts.fragment:
        raise _wrong(text, "has no address", "没有有效地址")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return MeterAddress(kind, host, port or 80)
    if not _is_local(address):
        raise _wrong(text, "is a public address: only meters in your own network are asked",
                     "是公网地址：只会访问本地网络中的电表")  # fmt: skip
    return MeterAddress(kind, host, port or 80)


def _is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    useless = address.is_unspecified or address.is_multicast or address.is_reserved
    return (address.is_private or address.is_loopback or address.is_link_local) and not useless


def number(value: object) -> tuple[float | None, Decimal | None]:
    """A JSON number (a list of them is summed: channels) and the step of its last digit; None for anything else."""
    if isinstance(value, list):
        parts = [number(part) for part in value]
        known = [part for part, _ in parts if part is not None]
        steps = [step for _, step in parts if step is not None]
        return (sum(known), max(steps)) if known and len(known) == len(parts) else (None, None)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None, None
    exact = Decimal(value)
    figure = float(exact)
    if not math.isfinite(figure) or figure < 0:
        return None, None
    return figure, Decimal(1).scaleb(int(exact.as_tuple().exponent))


def _get(address: MeterAddress, host: str, path: str) -> Any:
    """The JSON that the meter answers within the deadline.

    Raises:
        OSError, ValueError, http.client.HTTPException: no answer, too late, too long, not JSON, or not status 200.
        _Refused: it wants a password.
    """
    limit = time.monotonic() + _DEADLINE_S
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_DEADLINE_S)
    # the timeout is that of one read: headers that drip would hold us for as long as they please
    overdue = threading.Timer(_DEADLINE_S, _hang_up, (connection,))
    overdue.daemon = True
    overdue.start()
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        answer = connection.getresponse()
        if time.monotonic() > limit:
            raise TimeoutError("it answers too slowly")
        if answer.status in (401, 403):
            raise _Refused
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        body = bytearray()
        while part := answer.read1(_MAX_BYTES):
            body += part
            if len(body) > _MAX_BYTES:
                raise ValueError("the answer is too long")
            if time.monotonic() > limit:
                raise TimeoutError("it answers too slowly")
    finally:
        overdue.cancel()
        connection.close()
    return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=lambda _: None)


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """Ends what another thread waits for."""
    line = connection.sock
    if line is not None:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


class HttpMeter(Sensor):
    """A wall meter; subclasses say which paths to ask and how to read the answer."""

    kind: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]

    def __init__(self, options: SensorOptions) -> None:
        super().__init__(options)
        self._address = MeterAddress(self.kind, "", 80)
        self._path = ""
        self._latest: deque[tuple[int, MeterReading]] = deque(maxlen=1)
        self._end = threading.Event()
        self._counts = False

    @abstractmethod
    def parse(self, answer: Any) -> MeterReading:
        """What the decoded JSON says.

        Raises:
            LookupError, TypeError: it is not the answer of such a meter.
            PermissionError: it asks for a password.
        """

    def probe(self) -> list[Capability]:
        """Power and counter, where this kind of meter is configured; nothing otherwise."""
        if self.options.meter is None or not self.options.meter.startswith(f"{self.kind}:"):
            return []
        self._address = parse_meter(self.options.meter)
        source = f"{self.kind} meter at {self._address.place}, {POLL_S:g} s apart"
        power = Capability(self.name, "machine_power_w", source, "W", "machine", "wall", "ok")
        energy = Capability(self.name, "machine_energy_j", source, "J", "machine", "wall", "ok")
        problem = self._find()
        if problem is not None:
            status: Status = "denied" if problem["reason_code"] == "meter_denied" else "missing"
            return [replace(row, status=status, **problem) for row in (power, energy)]
        readings = self._watch()
        rows = self._power_row(power, readings), self._energy_row(energy, readings)
        self._counts = rows[1].status == "ok"
        threading.Thread(target=self._poll, daemon=True, name=self.name).start()
        return list(rows)

    def _find(self) -> Why | None:
        """Which of the paths answers; None when one does, else why not."""
        asked = self._address
        try:
            found = str(socket.getaddrinfo(asked.host, asked.port, type=socket.SOCK_STREAM)[0][4][0]).partition("%")[0]
        except OSError as error:
            return why("meter_unreachable", address=asked.place, error=error.strerror, url=f"http://{asked.place}/")
        if not _is_local(ipaddress.ip_address(found)):
            return why("meter_public", host=asked.host, address=found)
        # the address that was just looked at, so that a name cannot lead elsewhere later
        self._address = asked._replace(host=found)
        problem: Why | None = None
        for path in self.paths:
            self._path, url = path, f"http://{asked.place}{path}"
            try:
                self.parse(_get(self._address, asked.place, path))
            except (_Refused, PermissionError):
                return why("meter_denied", address=asked.place)
            except OSError as error:
                return why("meter_unreachable", address=asked.place, error=error.strerror or error, url=url)
            except _NOT_A_METER as error:
                told = str(error) if isinstance(error, ValueError) and str(error).startswith("HTTP") else type(error).__name__
                problem = why("meter_nonsense", address=asked.place, kind=self.kind, error=told, url=url)
            else:
                return None
        return problem

    def _ask(self) -> tuple[int, MeterReading] | None:
        """A reading and its moment; None when the meter does not answer properly and in time."""
        begun_ns = time.monotonic_ns()
        try:
            reading = self.parse(_get(self._address, self._address.place, self._path))
        except (OSError, _Refused, *_NOT_A_METER):
            return None
        ended_ns = time.monotonic_ns()
        return ((begun_ns + ended_ns) // 2, reading) if ended_ns - begun_ns <= _DEADLINE_S * 1e9 else None

    def _watch(self) -> list[tuple[int, MeterReading]]:
        """Readings close together until both values changed often enough, or the time for it is over."""
        readings: list[tuple[int, MeterReading]] = []
        end = time.monotonic() + _PROBE_S
        while time.monotonic() < end:
            if (found := self._ask()) is not None:
                readings.append(found)
                if min(len(_changes(readings, which)) for which in (0, 1)) > _CHANGES:
                    break
            time.sleep(_PROBE_STEP_S)
        return readings

    def _power_row(self, row: Capability, readings: list[tuple[int, MeterReading]]) -> Capability:
        if all(reading.power_w is None for _, reading in readings):
            return replace(row, status="unsupported", **why("meter_no_power"))
        return replace(row, update_period_s=_period_s(_changes(readings, 0)))

    def _energy_row(self, row: Capability, readings: list[tuple[int, MeterReading]]) -> Capability:
        steps = [reading.step_j for _, reading in readings if reading.step_j is not None]
        if not steps:
            return replace(row, status="unsupported", **why("meter_no_counter"))
        changes = _changes(readings, 1)
        if min(steps) > _COARSE_J:  # the finest seen: a meter may leave out final zeros
            return replace(row, status="unsupported", **why("meter_coarse_counter", step_j=min(steps)))
        if len(changes) < 2:
            return replace(row, status="unsupported", **why("meter_slow_counter", seconds=_PROBE_S))
        return replace(row, update_period_s=_period_s(changes))

    def _poll(self) -> None:
        next_s = time.monotonic()
        while not self._end.wait(max(0.0, next_s - time.monotonic())):
            if (found := self._ask()) is not None:
                self._latest.append(found)
            next_s = max(next_s + POLL_S, time.monotonic())

    def read(self, t_ns: int) -> dict[str, Any]:
        """The newest answer, once; nothing until there is another."""
        try:
            stamp_ns, reading = self._latest.pop()
        except IndexError:
            return {}
        return {
            "machine_power_w": reading.power_w,
            "machine_energy_j": reading.energy_j if self._counts else None,
            "machine_t_ns": stamp_ns,
        }

    def close(self) -> None:
        """Ends the thread; it is not waited for."""
        self._end.set()


def _changes(readings: list[tuple[int, MeterReading]], which: int) -> list[int]:
    """When power (0) or counter (1) had changed."""
    return [t for (_, a), (t, b) in zip(readings, readings[1:], strict=False) if a[which] != b[which]]


def _period_s(changes: list[int]) -> float:
    """Mean time between changes, and never less than the time between two questions."""
    span_s = (changes[-1] - changes[0]) / 1e9 / (len(changes) - 1) if len(changes) > 1 else 0.0
    return max(POLL_S, span_s)
