"""The transport: connections, bodies, framing, hosts, and what happens to requests that are none."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from collector.errors import UsageError
from collector.pocket import server
from collector.pocket.endpoints import Endpoints
from collector.pocket.server import PocketServer
from tests.fakes.pocket_server import ANSWER, running_server

CHAT = json.dumps(
    {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "options": {"num_ctx": 256}}
).encode()


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with running_server() as running:
        url = urlsplit(running.url)
        assert url.hostname is not None
        assert url.port is not None
        yield url.hostname, url.port


@pytest.fixture
def connection(address: tuple[str, int]) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(*address, timeout=30)
    yield connection
    connection.close()


def raw(address: tuple[str, int], data: bytes, *, leave: bool = False) -> bytes:
    """Everything the server sends back before it closes the connection, or after we half closed it."""
    with socket.create_connection(address, timeout=30) as sock:
        sock.sendall(data)
        if leave:
            sock.shutdown(socket.SHUT_WR)
        received = b""
        while part := sock.recv(65536):
            received += part
    return received


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    sockets = set()
    for method, path, body, status in (
        ("GET", "/api/version", None, 200),
        ("POST", "/api/chat", CHAT, 200),
        ("POST", "/api/chat", b"{", 400),
        ("GET", "/nope", None, 404),
        ("POST", "/api/version", b"{}", 405),
        ("DELETE", "/api/delete", b'{"model": "nope"}', 404),
        ("HEAD", "/", None, 200),
        ("GET", "/api/tags", None, 200),
    ):
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read()
        assert response.status == status
        assert (text == b"") == (method == "HEAD")
        sockets.add(id(connection.sock))
    assert len(sockets) == 1


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
def test_head_has_the_headers_of_get(connection: http.client.HTTPConnection, path: str) -> None:
    headers = []
    for method in ("GET", "HEAD"):
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        headers.append({k.lower(): v for k, v in response.getheaders() if k.lower() != "date"})
    assert headers[0] == headers[1]


def test_a_body_in_chunks(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/api/show", iter([b'{"mod', b'el": "tiny"}']), encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 200
    assert "license" in json.loads(response.read())


def test_every_line_is_a_chunk_of_its_own(address: tuple[str, int]) -> None:
    head, _, body = raw(address, _post(CHAT)).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    sizes, lines = body.split(b"\r\n")[0::2], body.split(b"\r\n")[1::2]
    lines = [line for line in lines if line]
    assert [int(size, 16) for size in sizes[: len(lines)]] == [len(line) for line in lines]
    assert len(lines) == len(ANSWER) + 1
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert body.endswith(b"\r\n0\r\n\r\n")


def _post(body: bytes, version: str = "1.1", *headers: str) -> bytes:
    extra = "".join(f"{header}\r\n" for header in (*headers, "Connection: close"))
    return (
        f"POST /api/chat HTTP/{version}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode()
        + body
    )


def test_an_old_client_gets_plain_lines(address: tuple[str, int]) -> None:
    head, _, body = raw(address, _post(CHAT, "1.0")).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert [json.loads(line)["message"]["content"] for line in body.splitlines()] == [*ANSWER, ""]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_requests_that_are_none(address: tuple[str, int], request_bytes: bytes, status: int) -> None:
    answer = raw(address, request_bytes)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"<html" not in answer.lower()
    assert raw(address, _post(CHAT)).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_in_its_request(address: tuple[str, int]) -> None:
    raw(address, b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{", leave=True)
    assert raw(address, _post(CHAT)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:11434", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("app.localhost", 200),
        ("evil.example", 403), ("192.168.1.5:80", 403), ("localhost.evil.example", 403), ("[", 403),
    ],
)  # fmt: skip
def test_only_names_of_this_machine_are_served(address: tuple[str, int], host: str, status: int) -> None:
    """A web page whose name was made to point to 127.0.0.1 sends its own name as the host."""
    answer = raw(address, f"GET /api/version HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8501", 200), ("http://127.0.0.1", 200), ("https://evil.example", 403), ("null", 403),
        ("http://[", 403), ("file://", 403),
    ],
)  # fmt: skip
def test_only_pages_of_this_machine_are_served(address: tuple[str, int], origin: str, status: int) -> None:
    request = f"GET /api/version HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
    assert raw(address, request.encode()).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        PocketServer((host, 0), Endpoints({}))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_says_where_it_listens(host: str) -> None:
    with PocketServer((host, 0), Endpoints({})) as running:
        assert running.url == f"http://127.0.0.1:{running.server_address[1]}"


def test_a_taken_port(
    address: tuple[str, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    assert server.main(["--port", str(address[1])]) == 2
    assert "choose another port" in capsys.readouterr().err
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert server.main(["--host", "0.0.0.0"]) == 2
    assert "只在本机监听" in capsys.readouterr().err


def test_a_folder_that_cannot_be_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my model").mkdir()
    (tmp_path / "my model" / "model.safetensors").touch()
    monkeypatch.setenv("POCKET_MODELS", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C")
    assert server.main([]) == 3
    assert "my model" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        server.main(["--port", port])
    assert ended.value.code == 2
    assert "argument --port" in capsys.readouterr().err
