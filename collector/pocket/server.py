"""The embedded engine's server process: HTTP/1.1 on the loopback interface, answers streamed line by line.

``python -m collector.pocket.server --port N``. Everything Ollama-specific is in :mod:`collector.pocket.endpoints`;
this file is the transport: keep-alive connections, chunked bodies, a client that leaves, a process that is told to end.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import select
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from collector.errors import CollectorError, EngineError, UsageError
from collector.i18n import system_language
from collector.pocket import wire
from collector.pocket.api import ApiError
from collector.pocket.endpoints import ROUTES, Endpoints
from collector.pocket.faults import CutStream, FaultScript
from collector.pocket.scheduler import ClientGone

__all__ = ["PocketServer", "main", "serve"]

MAX_BODY_BYTES = 64 * 1024 * 1024
CHUNKED_FROM_BYTES = 2048  # Go answers with content-length only what fits its write buffer
JSON_TYPE = "application/json; charset=utf-8"


class PocketServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves the endpoints; ``stop`` ends streams and the serving thread.

    Not ``http.server.HTTPServer``: that one asks the name service for the host's name before it listens.
    """

    allow_reuse_address = os.name != "nt"  # on Windows it would let another process take the port over
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], endpoints: Endpoints) -> None:
        _require_loopback(address[0])
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.endpoints = endpoints
        self.stopping = threading.Event()
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """``http://host:port`` as bound."""
        host, port = self.server_address[:2]
        text = host.decode() if isinstance(host, (bytes, bytearray)) else str(host)
        return f"http://[{text}]:{port}" if ":" in text else f"http://{text}:{port}"

    def stop(self) -> None:
        """Cuts open streams and makes ``serve_forever`` return; callable from any thread but the serving one."""
        self.stopping.set()
        self.shutdown()

    def server_close(self) -> None:
        """Closes the listening socket and forgets the loaded models' timers."""
        self.stopping.set()
        super().server_close()
        self.endpoints.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke while idle is no error of ours; anything else is printed by the base class."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def _require_loopback(host: str) -> None:
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host == "localhost":
        return
    raise UsageError(
        f"The embedded engine listens on this machine only, not on {host!r}: use 127.0.0.1.",
        f"内置引擎只在本机监听，不接受 {host!r}：请使用 127.0.0.1。",
    )


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: PocketServer
    protocol_version = "HTTP/1.1"
    server_version = "pocket"
    sys_version = ""
    disable_nagle_algorithm = True

    # --- requests ----------------------------------------------------------------------------------------------
    def handle_request(self) -> None:
        """Any method: finds the endpoint and lets it answer through this handler."""
        path = self.path.partition("?")[0]
        try:
            body = self._read_body()
            if not (_is_here(self.headers.get("Host")) and _is_here(self.headers.get("Origin"))):
                self.send_text(HTTPStatus.FORBIDDEN, "")
            elif path not in ROUTES:
                self.send_text(HTTPStatus.NOT_FOUND, "404 page not found", "text/plain")
            elif self.command not in ROUTES[path]:
                self.send_text(HTTPStatus.METHOD_NOT_ALLOWED, "405 method not allowed", "text/plain")
            else:
                ROUTES[path][self.command](self.server.endpoints, body, self)
        except ApiError as error:
            self.send_object({"error": error.message}, error.status)
        except EngineError as error:
            self.send_object({"error": error.en}, 500)
        except (ClientGone, CutStream, ConnectionError):
            self._cut()

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = handle_request  # noqa: N815

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY_BYTES:
            self.close_connection = True
            raise ApiError(413 if length > 0 else 400, "http: request body too large" if length > 0 else "bad request")
        return self.rfile.read(length)

    def _read_chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            try:
                size = int(b"0x" + self.rfile.readline(80).split(b";")[0].strip(), 16)
            except ValueError as error:
                self.close_connection = True
                raise ApiError(400, "invalid byte in chunk length") from error
            total += size
            if total > MAX_BODY_BYTES:
                self.close_connection = True
                raise ApiError(413, "http: request body too large")
            if size == 0:
                while self.rfile.readline(8192) not in {b"\r\n", b"\n", b""}:  # trailers
                    pass
                return b"".join(parts)
            parts.append(self.rfile.read(size))
            self.rfile.readline(8)

    # --- answers -----------------------------------------------------------------------------------------------
    def gone(self) -> bool:
        """Whether nobody waits for the answer any more: the client left or the server stops."""
        if self.server.stopping.is_set():
            return True
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def send_text(self, status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
        """A short plain answer."""
        self._send(status, text.encode(), content_type)

    def send_object(self, value: Mapping[str, Any], status: int = 200) -> None:
        """One JSON object."""
        self._send(status, wire.encode(value), JSON_TYPE)

    def send_body(self, body: bytes) -> None:
        """One JSON text that is already encoded."""
        self._send(200, body, JSON_TYPE)

    def send_lines(self, lines: Iterator[bytes]) -> None:
        """A stream of JSON texts, each sent as soon as it is there.

        A refusal before the first line gets its status; after it the refusal is a line under status 200.
        """
        status, content_type = 200, "application/x-ndjson"
        try:
            first = next(lines, None)
        except ApiError as error:
            first, lines = wire.encode({"error": error.message}), iter(())
            status, content_type = error.status, "application/json"
        self._begin(status, content_type, None)
        if first is not None:
            self._send_part(first if status != 200 else first + b"\n")
        try:
            for line in lines:
                self._send_part(line + b"\n")
        except ApiError as error:
            self._send_part(wire.encode({"error": error.message}) + b"\n")
        self._send_part(b"")

    def _begin(self, status: int, content_type: str, length: int | None) -> None:
        """Status and headers; without a length the body comes in chunks (to an HTTP/1.0 client: until we close)."""
        self._chunked = length is None and self.request_version == "HTTP/1.1"
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if length is not None:
            self.send_header("Content-Length", str(length))
        elif self._chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.close_connection = True
        self.end_headers()

    def _send_part(self, data: bytes) -> None:
        """A part of the body; an empty one ends it."""
        if self._chunked:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        elif data:
            self.wfile.write(data)

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        long = len(body) > CHUNKED_FROM_BYTES
        self._begin(status, content_type, None if long else len(body))
        if self.command != "HEAD" and body:
            self._send_part(body)
            if long:
                self._send_part(b"")

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refusals of the transport itself, in plain text."""
        self.close_connection = True
        self.command, self.request_version = self.command or "GET", "HTTP/1.1"
        with suppress(OSError):
            self.send_text(code, message or HTTPStatus(code).phrase)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line per request would be work inside a measured window."""


def _is_here(address: str | None) -> bool:
    """Whether a Host or Origin header, if there is one, names this machine.

    A web page elsewhere must not use the engine, neither by name nor after making its name point to 127.0.0.1.
    """
    if address is None:
        return True
    try:
        name = (urlsplit(address if "://" in address else f"//{address}").hostname or "").lower()
    except ValueError:
        return False
    with suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name in {"localhost", socket.gethostname().lower()} or name.endswith(".localhost")


class _Stopped(BaseException):  # noqa: N818 - not an error, and no `except Exception` of the server may eat it
    """The process was told to end."""


_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
"""The last one is how Windows asks a process group to end."""


def _on_signal(number: int, frame: FrameType | None) -> None:
    for end in _ENDS:
        signal.signal(end, signal.SIG_IGN)  # we are ending already
    raise _Stopped


def serve(host: str, port: int, *, models: Mapping[str, Path] | None = None, faults: FaultScript | None = None) -> None:
    """Serves until SIGTERM or SIGINT; prints ``listening on URL`` as soon as requests are answered.

    Args:
        host: a loopback address.
        port: 0 picks a free one.
        models: full name (``name:tag``) to model folder; None for the models that ship.
        faults: faults on purpose, for tests.

    Raises:
        UsageError: the address is not a loopback address, or the port is taken.
        EngineError: a model folder has a name that no model can have.
    """
    try:
        server = PocketServer((host, port), Endpoints(models, faults))
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another port.",
            f"无法监听 {host}:{port}（{error.strerror}）：请换一个端口。",
        ) from error
    try:
        if threading.current_thread() is threading.main_thread():
            for end in _ENDS:
                signal.signal(end, _on_signal)
        print(f"listening on {server.url}", flush=True)
        server.endpoints.warm_up()
        server.serve_forever(poll_interval=0.5 if os.name == "posix" else 0.1)  # only POSIX signals interrupt it
    except _Stopped:
        pass
    finally:
        server.server_close()


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use a number from 0 to 65535")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Command line of the server process; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m collector.pocket.server", description="The embedded engine.")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=0, help="0 (default) picks a free one")
    parser.add_argument("--test-faults", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        faults = FaultScript.from_environment() if options.test_faults else None
        serve(options.host, options.port, faults=faults)
    except CollectorError as error:
        print(error.text(system_language()), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a thread inside torch while the interpreter is taken down aborts the process.
    os._exit(code)
