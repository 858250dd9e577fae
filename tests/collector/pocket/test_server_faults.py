"""Faults on purpose: what a client sees of each, and that a normal run cannot have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from collector.errors import UsageError
from collector.pocket import server
from collector.pocket.faults import ENVIRONMENT, KINDS, LONG_LINE_BYTES, RUNNER_DIED, CutStream, Fault, FaultScript
from tests.fakes.pocket_server import ANSWER, pocket_server

BODY = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "options": {"num_ctx": 256}}
SHOWN = (
    "ok", "hang_first", "hang_mid", "drip", "cut", "silent_end", "error_line", "malformed", "long_line", "bad_utf8",
    "no_counts", "wrong_counts", "status_400", "status_404", "status_500", "status_503",
)  # fmt: skip


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=httpx.Timeout(20, read=0.5), trust_env=False) as client:
        client.headers["connection"] = "close"
        yield client


def lines_under(client: httpx.Client, fault: Any, **more: Any) -> tuple[int, list[bytes], str | None]:
    """Status, lines and the client's exception of one chat under a fault; the next chat must be whole again."""
    with pocket_server(faults=[fault]) as url:
        lines, failure, status = [], None, 0
        try:
            with client.stream("POST", f"{url}/api/chat", json=BODY | more) as response:
                status = response.status_code
                buffer = b""
                for data in response.iter_raw():
                    buffer += data
                    *whole, buffer = buffer.split(b"\n")
                    lines += whole
                lines += [buffer] if buffer else []
        except httpx.HTTPError as error:
            failure = type(error).__name__
        after = httpx.post(f"{url}/api/chat", json=BODY, timeout=20).text.splitlines()
        assert json.loads(after[-1])["done_reason"] == "stop"
    return status, lines, failure


def texts(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["message"]["content"] for line in lines]


@pytest.mark.parametrize("fault", ["ok", {"fault": "drip", "delay_s": 0.01}])
def test_whole_answers(client: httpx.Client, fault: Any) -> None:
    status, lines, failure = lines_under(client, fault)
    assert (status, texts(lines), failure) == (200, [*ANSWER, ""], None)


def test_hangs_before_the_first_line(client: httpx.Client) -> None:
    assert lines_under(client, "hang_first") == (0, [], "ReadTimeout")


def test_hangs_in_the_middle(client: httpx.Client) -> None:
    status, lines, failure = lines_under(client, {"fault": "hang_mid", "after": 3})
    assert (status, texts(lines), failure) == (200, list(ANSWER[:3]), "ReadTimeout")


def test_breaks_the_connection(client: httpx.Client) -> None:
    status, lines, failure = lines_under(client, "cut")
    assert (status, texts(lines), failure) == (200, list(ANSWER[:2]), "RemoteProtocolError")


def test_ends_in_silence(client: httpx.Client) -> None:
    status, lines, failure = lines_under(client, {"fault": "silent_end", "after": 99})
    assert (status, texts(lines), failure) == (200, list(ANSWER), None), "even a short answer gets no final chunk"


def test_an_error_line(client: httpx.Client) -> None:
    status, lines, failure = lines_under(client, "error_line")
    assert (status, texts(lines[:2]), failure) == (200, list(ANSWER[:2]), None)
    assert json.loads(lines[-1]) == {"error": RUNNER_DIED}
    assert len(lines) == 3


@pytest.mark.parametrize("fault", ["malformed", "bad_utf8"])
def test_a_line_that_cannot_be_read(client: httpx.Client, fault: str) -> None:
    status, lines, failure = lines_under(client, fault)
    assert (status, failure, len(lines)) == (200, None, len(ANSWER) + 1)
    with pytest.raises(ValueError, match=r"."):
        json.loads(lines[2])
    assert texts(lines[:2] + lines[3:]) == [*ANSWER[:2], *ANSWER[3:], ""]


def test_an_over_long_line(client: httpx.Client) -> None:
    _, lines, failure = lines_under(client, "long_line")
    assert failure is None
    assert len(lines[2]) > LONG_LINE_BYTES
    assert texts(lines) == [*ANSWER, ""]


def test_missing_counts(client: httpx.Client) -> None:
    _, lines, _ = lines_under(client, "no_counts")
    assert list(json.loads(lines[-1])) == ["model", "created_at", "message", "done", "done_reason"]


def test_wrong_counts(client: httpx.Client) -> None:
    _, lines, _ = lines_under(client, "wrong_counts")
    final = json.loads(lines[-1])
    assert final["eval_count"] == 10 * (len(ANSWER) + 1)
    assert final["eval_duration"] < 0


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_refusals(client: httpx.Client, status: int) -> None:
    seen, lines, failure = lines_under(client, f"status_{status}")
    assert (seen, failure) == (status, None)
    assert list(json.loads(lines[0])) == ["error"]


@pytest.mark.parametrize(
    ("fault", "body"),
    [("silent_end", b""), ("error_line", json.dumps({"error": RUNNER_DIED}).encode())],
)
def test_answers_in_one_piece(client: httpx.Client, fault: str, body: bytes) -> None:
    _, lines, failure = lines_under(client, fault, stream=False)
    assert failure is None
    assert b"".join(lines) == body


def test_one_entry_for_each_request_that_generates(client: httpx.Client) -> None:
    with pocket_server(faults=["ok", {"fault": "status_503", "path": "/api/chat"}]) as url:
        client.timeout = httpx.Timeout(20)
        load = BODY | {"messages": []}
        prompt = {"model": "tiny", "prompt": "x", "options": BODY["options"]}
        requests = (
            ("chat", load),
            ("chat", BODY),
            ("chat", load),
            ("generate", prompt),
            ("chat", BODY),
            ("chat", BODY),
        )
        seen = [client.post(f"{url}/api/{path}", json=body).status_code for path, body in requests]
    assert seen == [200, 200, 200, 200, 503, 200]


def test_every_fault_has_its_test() -> None:
    assert {*SHOWN, "crash"} == set(KINDS)


@pytest.mark.parametrize("text", ['"cut"', '{"fault": "cut"}', '["bang"]', "[", '[{"fault": "cut", "when": 3}]', "[3]"])
def test_a_bad_script(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(ENVIRONMENT, text)
    with pytest.raises(UsageError, match=ENVIRONMENT):
        FaultScript.from_environment()


def test_no_script_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert FaultScript.from_environment().take("/api/chat") == Fault("ok")


def test_a_crash_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing is in test_server_process.py."""
    ended = []

    def end(code: int) -> None:
        ended.append(code)
        raise CutStream

    monkeypatch.setattr("os._exit", end)
    lines = Fault("crash", after=1).apply(iter([b"one", b"two"]), lambda: False)
    assert next(lines) == b"one"
    with pytest.raises(CutStream):
        next(lines)
    assert ended == [139]


@pytest.mark.parametrize(("arguments", "faulty"), [([], False), (["--test-faults"], True)])
def test_a_normal_run_ignores_the_environment(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], faulty: bool
) -> None:
    scripts = []
    monkeypatch.setenv(ENVIRONMENT, '["status_500"]')
    monkeypatch.setattr(server, "serve", lambda host, port, faults: scripts.append(faults))
    assert server.main(arguments) == 0
    assert [script and script.take("/api/chat").kind for script in scripts] == (["status_500"] if faulty else [None])


def test_the_switch_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        server.main(["--help"])
    assert "--test-faults" not in capsys.readouterr().out
