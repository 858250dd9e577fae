"""An HTTP server on loopback that does exactly what a test writes down, byte by byte, faults included."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

__all__ = [
    "Body", "Cut", "Hang", "Head", "Raw", "Request", "Reset", "ScriptedServer", "Step", "Wait", "answer",
    "chunk", "error", "final", "json_answer", "line",
]  # fmt: skip


@dataclass(frozen=True)
class Head:
    """Status line and headers; without a content-length the body is chunked."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/x-ndjson"})


@dataclass(frozen=True)
class Body:
    """A piece of the body, sent as one chunk; a function is called at the moment of sending."""

    data: bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Raw:
    """Bytes put on the wire as they are."""

    data: bytes


@dataclass(frozen=True)
class Wait:
    """Silence."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """Silence until the client goes away or the server is stopped."""


@dataclass(frozen=True)
class Cut:
    """The connection closes without the body's end."""


@dataclass(frozen=True)
class Reset:
    """The connection is reset."""


Step = Head | Body | Raw | Wait | Hang | Cut | Reset


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Script = Iterable[Step] | Callable[[Request], Iterable[Step]]


class ScriptedServer:
    """Answers each path with its script and keeps what was asked.

    ``closed_early`` is released for every client that went away before its answer was whole.
    """

    def __init__(self, routes: Mapping[str, Script] | None = None) -> None:
        self.routes: dict[str, Script] = dict(routes or {})
        self.requests: list[Request] = []
        self.closed_early = threading.Semaphore(0)
        self._stopping = threading.Event()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer._serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler, bind_and_activate=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, sock: socket.socket) -> None:
        request = _read_request(sock)
        if request is None:
            return
        self.requests.append(request)
        script = self.routes.get(request.path, _NOT_FOUND)
        steps = script(request) if callable(script) else script
        try:
            self._play(sock, steps)
        except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError):
            self.closed_early.release()

    def _play(self, sock: socket.socket, steps: Iterable[Step]) -> None:
        chunked = False
        for step in steps:
            match step:
                case Head(status, headers):
                    chunked = not any(name.lower() == "content-length" for name in headers)
                    coding = {"transfer-encoding": "chunked"} if chunked else {}
                    fields = {**headers, **coding, "connection": "close"}
                    text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                    sock.sendall(f"HTTP/1.1 {status} Scripted\r\n{text}\r\n".encode())
                case Body(data):
                    data = data() if callable(data) else data
                    sock.sendall(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
                case Raw(data):
                    sock.sendall(data)
                case Wait(seconds):
                    self._stopping.wait(seconds)
                case Hang():
                    self._hang(sock)
                    return
                case Cut():
                    return
                case Reset():
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.close()
                    return
        if chunked:
            sock.sendall(b"0\r\n\r\n")

    def _hang(self, sock: socket.socket) -> None:
        sock.settimeout(0.02)
        while not self._stopping.is_set():
            try:
                if not sock.recv(4096):
                    self.closed_early.release()
                    return
            except TimeoutError:
                continue


def _read_request(sock: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)}
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65536)
    return Request(method, path, headers, body)


def line(data: Mapping[str, Any]) -> bytes:
    """One line of NDJSON as Go writes it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _now() -> str:
    at = time.time_ns()
    whole = datetime.fromtimestamp(at // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at % 1_000_000_000:09d}Z"


def chunk(content: str, *, thinking: str | None = None, model: str = "tiny:1b") -> Body:
    """A chunk of a chat answer, stamped when it is sent."""
    thought = {} if thinking is None else {"thinking": thinking}
    message = {"role": "assistant", "content": content, **thought}
    return Body(lambda: line({"model": model, "created_at": _now(), "message": message, "done": False}))


def final(*, model: str = "tiny:1b", content: str = "", **figures: Any) -> Body:
    """The final chunk; a figure given as None is left out."""
    numbers = {
        "done_reason": "stop", "total_duration": 50_000_000, "load_duration": 1_000_000,
        "prompt_eval_count": 12, "prompt_eval_duration": 8_000_000, "eval_count": 4,
        "eval_duration": 30_000_000, **figures,
    }  # fmt: skip
    rest = {key: value for key, value in numbers.items() if value is not None}
    start = {"model": model, "message": {"role": "assistant", "content": content}, "done": True}
    return Body(lambda: line({**start, "created_at": _now(), **rest}))


def error(status: int, body: Mapping[str, Any] | bytes) -> list[Step]:
    """A refusal."""
    data = body if isinstance(body, bytes) else line(body)
    return [Head(status, {"content-type": "application/json", "content-length": str(len(data))}), Raw(data)]


def json_answer(data: Mapping[str, Any]) -> list[Step]:
    """A plain JSON answer."""
    return error(200, data)


def answer(*texts: str, **figures: Any) -> list[Step]:
    """A whole streamed answer, one chunk per text; the count is one more than the texts (end of text)."""
    return [Head(), *(chunk(text) for text in texts), final(**{"eval_count": len(texts) + 1, **figures})]


_NOT_FOUND: list[Step] = error(404, b"404 page not found")
