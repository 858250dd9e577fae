"""The client against servers that misbehave in every way we know, each by its name and within its time."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import EngineError, ModelMissing, UsageError
from collector.ollama_client import KNOWN_OPTIONS, ChatOutcome, ChatRequest, Limits, OllamaClient
from collector.ollama_types import Chunk, check_options
from collector.ollama_wire import (
    AnswerReader,
    LineSplitter,
    StreamError,
    base_url,
    check_counts,
    error_text,
    parse_time,
    same_model,
    unix_ns,
)
from db.flags import FLAGS
from tests.fakes.scripted_server import (
    Body,
    Cut,
    Hang,
    Head,
    Raw,
    Request,
    Reset,
    ScriptedServer,
    Step,
    Wait,
    answer,
    chunk,
    error,
    final,
    json_answer,
    line,
)

ASK = ChatRequest("tiny:1b", [{"role": "user", "content": "How much?"}], {"seed": 7, "num_predict": 64}, think=False)
SHORT = Limits(connect_s=2, first_token_s=0.15, stall_s=0.15, deadline_s=0.6, max_line_bytes=4096)
LONG = Limits(connect_s=2, first_token_s=30, stall_s=30, deadline_s=60, max_line_bytes=4096)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer({"/api/version": json_answer({"version": "0.32.15"})}) as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[OllamaClient]:
    with OllamaClient(server.url) as client:
        yield client


def _play(server: ScriptedServer, client: OllamaClient, steps: Iterable[Step], limits: Limits = LONG) -> ChatOutcome:
    server.routes["/api/chat"] = steps
    return client.chat(ASK, limits)


# --- whole answers


def test_a_whole_answer(server: ScriptedServer, client: OllamaClient) -> None:
    before = time.monotonic_ns()
    outcome = _play(server, client, answer("For", "ty"))
    assert (outcome.fault, outcome.fault_detail, outcome.http_status) == (None, None, 200)
    assert (outcome.text, outcome.thinking, outcome.done_reason) == ("Forty", "", "stop")
    assert before < outcome.sent_ns < outcome.end_ns < time.monotonic_ns()
    assert outcome.started_at.tzinfo is UTC
    assert abs((datetime.now(UTC) - outcome.started_at).total_seconds()) < 60
    assert len(outcome.chunks) == 3


def test_the_request_says_everything(server: ScriptedServer, client: OllamaClient) -> None:
    server.routes["/api/chat"] = answer("x")
    client.chat(ChatRequest("m", [{"role": "user", "content": "功率"}], {"seed": 1}, think="low", keep_alive=-1), LONG)
    assert server.requests[0].json() == {
        "model": "m", "messages": [{"role": "user", "content": "功率"}], "stream": True, "options": {"seed": 1},
        "think": "low", "keep_alive": -1,
    }  # fmt: skip
    client.chat(ChatRequest("m", [{"role": "user", "content": "x"}]), LONG)
    assert set(server.requests[1].json()) == {"model", "messages", "stream"}


def test_thinking_and_answer_are_kept_apart(server: ScriptedServer, client: OllamaClient) -> None:
    steps = [Head(), chunk("", thinking="Let"), chunk("", thinking=" me"), chunk("Forty"), final(eval_count=4)]
    outcome = _play(server, client, steps)
    assert (outcome.fault, outcome.thinking, outcome.text) == (None, "Let me", "Forty")


def test_nothing_in_the_environment_leads_elsewhere(
    server: ScriptedServer, client: OllamaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with OllamaClient(server.url) as fresh:
        assert fresh.version() == "0.32.15"


def test_a_final_chunk_ends_the_answer_whatever_follows(server: ScriptedServer, client: OllamaClient) -> None:
    for tail in ([Reset()], [Cut()], [Body(b"garbage\n")], [Body(b"x" * 9000)], [Body(line({"error": "late"}))]):
        outcome = _play(server, client, [*answer("Forty"), *tail])
        assert (outcome.fault, outcome.text) == (None, "Forty")


def test_a_stream_left_open_after_its_final_chunk_is_left(server: ScriptedServer, client: OllamaClient) -> None:
    outcome = _play(server, client, [*answer("Forty"), Hang()])
    assert (outcome.fault, outcome.text) == (None, "Forty")
    assert outcome.end_ns == outcome.chunks[-1].receipt_ns
    assert server.closed_early.acquire(timeout=10)


# --- faults, by name

_JUNK = b'{"model":"m","message":{"role":"assistant","content":"\xff\xfe"},"done":false}\n'
_FAULTS: dict[str, tuple[str, list[Step]]] = {
    "400": ("http_400", error(400, {"error": "model is required"})),
    "404": ("http_404", error(404, {"error": "model 'x' not found"})),
    "500": ("http_500", error(500, {"error": "model runner has unexpectedly stopped"})),
    "503": ("http_503", error(503, {"error": "server busy, please try again."})),
    "501": ("http_error", error(501, {"error": "not supported"})),
    "redirect": ("http_error", [Head(307, {"location": "http://127.0.0.1:9/", "content-length": "0"})]),
    "500 whose body breaks off": ("http_500", [Head(500, {"content-length": "99"}), Raw(b'{"err'), Cut()]),
    "error line": ("error_line", [Head(), chunk("a"), Body(line({"error": "unexpected EOF"}))]),
    "error line, first": ("error_line", [Head(), Body(line({"error": "unexpected EOF"}))]),
    "error line without newline": ("error_line", [Head(), chunk("a"), Body(b'{"error":"broken"}')]),
    "not JSON": ("malformed_line", [Head(), chunk("a"), Body(b'{"model":"m","mess\n')]),
    "not an object": ("malformed_line", [Head(), Body(b"[1,2]\n")]),
    "a page": ("malformed_line", [Head(200, {"content-type": "text/html"}), Body(b"<html>login</html>")]),
    "message of another type": ("malformed_line", [Head(), Body(line({"message": "hi", "done": False}))]),
    "content of another type": ("malformed_line", [Head(), Body(line({"message": {"content": 5}, "done": False}))]),
    "done of another type": ("malformed_line", [Head(), Body(line({"message": {"content": "x"}, "done": "no"}))]),
    "NaN": ("malformed_line", [Head(), Body(b'{"done":true,"eval_count":NaN}\n')]),
    "nested a thousandfold": ("malformed_line", [Head(), Body(b"[" * 4000 + b"\n")]),
    "half a line at the end": ("malformed_line", [Head(), chunk("a"), Body(b'{"model":"m","mess')]),
    "line too long": ("line_too_long", [Head(), chunk("a"), Body(b'{"x":"' + b"y" * 9000 + b'"}\n')]),
    "line without an end": ("line_too_long", [Head(), chunk("a"), *[Body(b"y" * 1000)] * 9, Hang()]),
    "invalid UTF-8": ("invalid_utf8", [Head(), chunk("a"), Body(_JUNK)]),
    "cut cleanly": ("no_final_chunk", [Head(), chunk("a"), chunk("b")]),
    "empty body": ("no_final_chunk", [Head()]),
    "done false in a plain body": ("no_final_chunk", error(200, {"message": {"content": "a"}, "done": False})),
    "cut mid-body": ("connection_lost", [Head(), chunk("a"), Cut()]),
    "reset mid-body": ("connection_lost", [Head(), chunk("a"), Wait(0.02), Reset()]),
    "cut mid-line": ("connection_lost", [Head(), chunk("a"), Body(b'{"model"'), Cut()]),
    "reset before the answer": ("connection_lost", [Reset()]),
    "closed before the answer": ("connection_lost", [Cut()]),
    "no HTTP": ("connection_lost", [Raw(b"SSH-2.0-OpenSSH\r\n\r\n"), Cut()]),
    "broken chunk size": ("connection_lost", [Head(), Raw(b"zz\r\nabc\r\n"), Cut()]),
    "no counts": ("counts_missing", [Head(), chunk("a"), final(eval_count=None, prompt_eval_count=None)]),
    "no output count": ("counts_missing", [Head(), chunk("a"), final(eval_count=None)]),
    "no prompt count": ("counts_missing", [Head(), chunk("a"), final(prompt_eval_count=None, eval_count=2)]),
    "fewer tokens than chunks": ("counts_wrong", [Head(), *[chunk("a")] * 5, final(eval_count=4)]),
    "more tokens than the cap": ("counts_wrong", [Head(), chunk("a"), final(eval_count=66)]),
    "negative": ("counts_wrong", [Head(), chunk("a"), final(eval_count=-3)]),
    "a text for a count": ("counts_wrong", [Head(), chunk("a"), final(eval_count="2")]),
    "a duration of another type": ("counts_wrong", [Head(), chunk("a"), final(eval_count=2, eval_duration=[])]),
    "more cached than there are": ("counts_wrong", [Head(), chunk("a"), final(prompt_eval_cached_count=13)]),
    "loaded instead of answering": ("counts_missing", [
        Head(), final(done_reason="load", eval_count=None, prompt_eval_count=None),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", _FAULTS)
def test_a_fault_has_its_name(case: str, server: ScriptedServer, client: OllamaClient) -> None:
    name, steps = _FAULTS[case]
    outcome = _play(server, client, steps)
    assert outcome.fault == name, outcome.fault_detail
    assert outcome.fault_detail
    assert (outcome.final is not None) == name.startswith("counts")
    assert name in {flag.name for flag in FLAGS}
    assert client.version() == "0.32.15"


def test_what_came_before_the_fault_is_kept(server: ScriptedServer, client: OllamaClient) -> None:
    outcome = _play(server, client, [Head(), chunk("For"), chunk("ty"), Cut()])
    assert (outcome.text, len(outcome.chunks)) == ("Forty", 2)
    assert outcome.end_ns > outcome.chunks[-1].receipt_ns


def test_lines_before_a_bad_one_in_the_same_read_are_kept(server: ScriptedServer, client: OllamaClient) -> None:
    good = line({"message": {"content": "Forty"}, "done": False})
    for bad in (b"{]\n", b"\xff\n", b"y" * 9000):
        assert _play(server, client, [Head(), Body(good + bad)]).text == "Forty"


def test_the_servers_nested_error_is_made_readable(server: ScriptedServer, client: OllamaClient) -> None:
    inner = json.dumps({"error": {"code": 400, "message": "exceeds the context"}})
    assert _play(server, client, error(400, {"error": inner})).fault_detail == "400: exceeds the context"


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        port = taken.getsockname()[1]
        with OllamaClient(f"127.0.0.1:{port}") as client:
            outcome = client.chat(ASK, SHORT)
            assert (outcome.fault, outcome.http_status, outcome.chunks) == ("connect_failed", None, [])
            assert str(port) in (outcome.fault_detail or "")
            with pytest.raises(EngineError, match=str(port)):
                client.version()
            assert not client.ready(0.1)


# --- time


def _drip(data: bytes, gap_s: float) -> list[Step]:
    return [step for byte in data for step in (Body(bytes([byte])), Wait(gap_s))]


_HANGS: dict[str, tuple[str, list[Step]]] = {
    "no answer at all": ("hang_first_token", [Hang()]),
    "headers, then nothing": ("hang_first_token", [Head(), Hang()]),
    "empty chunks for ever": ("hang_first_token", [Head(), *[chunk(""), Wait(0.01)] * 500]),
    "after a token": ("hang_mid_stream", [Head(), chunk("a"), Hang()]),
    "half a line": ("hang_mid_stream", [Head(), chunk("a"), Body(b'{"mess'), Hang()]),
    "a line byte by byte": ("hang_mid_stream", [Head(), chunk("a"), *_drip(b"x" * 500, 0.01)]),
    "headers byte by byte": ("hang_first_token", [
        step for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200 for step in (Raw(bytes([byte])), Wait(0.01))
    ]),
    "chunk size byte by byte": ("hang_mid_stream", [
        Head(), chunk("a"), *[step for _ in range(300) for step in (Raw(b"0"), Wait(0.01))],
    ]),
    "a drip slower than the deadline": ("deadline", [Head(), *[chunk("a"), Wait(0.05)] * 100]),
    "a flood without an end": ("deadline", [Head(), *[chunk("a" * 500)] * 100, *[chunk("a"), Wait(0.001)] * 2000]),
}  # fmt: skip


@pytest.mark.parametrize("case", _HANGS)
def test_no_server_holds_us_longer_than_its_limit(case: str, server: ScriptedServer, client: OllamaClient) -> None:
    name, steps = _HANGS[case]
    outcome = _play(server, client, steps, SHORT)
    assert outcome.fault == name, outcome.fault_detail
    limit_s = SHORT.deadline_s if name == "deadline" else 0.15
    assert outcome.end_ns - outcome.sent_ns >= limit_s * 1e9
    assert client.version() == "0.32.15"  # the other endpoints went on answering all the time
    assert server.closed_early.acquire(timeout=10)  # and the server sees that we left


def test_a_request_that_the_server_never_reads_ends_too() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=4) as listening:
        huge = ChatRequest("m", [{"role": "user", "content": "x" * (32 << 20)}])
        with OllamaClient(f"127.0.0.1:{listening.getsockname()[1]}") as client:
            assert client.chat(huge, SHORT).fault == "hang_first_token"


def test_the_deadline_wins_over_a_limit_that_is_no_shorter(server: ScriptedServer, client: OllamaClient) -> None:
    assert _play(server, client, [Hang()], Limits(first_token_s=0.1, deadline_s=0.1)).fault == "deadline"


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal")
def test_ctrl_c_keeps_what_came_and_closes_the_stream(server: ScriptedServer, client: OllamaClient) -> None:
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.1, lambda: signal.pthread_kill(main, signal.SIGINT))
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        outcome = _play(server, client, [Head(), chunk("Forty"), Hang()])
    finally:
        signal.signal(signal.SIGINT, previous)
        timer.join()
    assert (outcome.fault, outcome.text) == ("aborted", "Forty")
    assert server.closed_early.acquire(timeout=10)


# --- loading, unloading, pulling


def _load(*_: Request) -> list[Step]:
    body = {"message": {"content": ""}, "done": True, "done_reason": "load"}
    return [Wait(0.02), *json_answer(body)]


def test_loading_is_timed_by_us(server: ScriptedServer, client: OllamaClient) -> None:
    server.routes["/api/chat"] = _load
    loaded = client.load("tiny:1b", {"num_ctx": 512}, keep_alive=-1, timeout_s=30)
    assert loaded.fault is None
    assert loaded.duration_s is not None
    assert loaded.duration_s >= 0.02
    sent = {"model": "tiny:1b", "messages": [], "stream": True, "options": {"num_ctx": 512}, "keep_alive": -1}
    assert server.requests[-1].json() == sent


def test_a_failed_load_has_a_name_and_no_duration(server: ScriptedServer, client: OllamaClient) -> None:
    server.routes["/api/chat"] = error(500, {"error": "out of memory"})
    loaded = client.load("tiny:1b")
    assert (loaded.duration_s, loaded.fault, loaded.fault_detail) == (None, "http_500", "500: out of memory")
    server.routes["/api/chat"] = [Hang()]
    assert client.load("tiny:1b", timeout_s=0.1).fault == "deadline"


def _ps(*names: str) -> list[Step]:
    return json_answer({"models": [{"name": name} for name in names]})


def test_unloading_is_waited_for(server: ScriptedServer, client: OllamaClient) -> None:
    states = iter([_ps("tiny:latest", "big:1b"), _ps("tiny:latest", "big:1b"), _ps("big:1b")])
    server.routes |= {"/api/generate": json_answer({"done": True}), "/api/ps": lambda _: next(states)}
    client.unload("tiny")
    assert server.requests[-1].json() == {"model": "tiny", "keep_alive": 0}
    assert client.wait_unloaded("tiny", 30)
    server.routes["/api/ps"] = _ps("tiny:latest")
    assert not client.wait_unloaded("tiny", 0.1)


def test_unload_all(server: ScriptedServer, client: OllamaClient) -> None:
    loaded = ["a:1b", "b:1b"]

    def unload(request: Request) -> list[Step]:
        loaded.remove(request.json()["model"])
        return json_answer({"done": True})

    server.routes |= {"/api/generate": unload, "/api/ps": lambda _: _ps(*loaded)}
    assert client.unload_all(30)
    assert not loaded


def test_ready_does_not_wait_for_a_server_that_hangs(server: ScriptedServer, client: OllamaClient) -> None:
    server.routes["/api/version"] = [Hang()]
    assert not client.ready(0.0)
    with pytest.raises(EngineError, match="no token after|not done after"):
        client.version(timeout_s=0.1)


def test_ready_waits_for_the_first_answer(server: ScriptedServer, client: OllamaClient) -> None:
    states = iter([error(503, {"error": "starting"}), [Reset()], json_answer({"version": "1"})])
    server.routes["/api/version"] = lambda _: next(states)
    assert client.ready(30)


@pytest.mark.parametrize("steps", [
    [Head(), Body(line({"status": "pulling manifest"}))],
    [Head(), Body(line({"status": "pulling manifest"})), Cut()],
    [Head(), Body(line({"status": "pulling aa", "total": 9})), Body(line({"error": "no space left on device"}))],
    [Head(), Body(b"nonsense\n")],
    error(400, {"error": "invalid model name"}),
], ids=["ends early", "cut", "disk full", "nonsense", "refused"])  # fmt: skip
def test_a_pull_that_fails_says_so(steps: list[Step], server: ScriptedServer, client: OllamaClient) -> None:
    server.routes["/api/pull"] = steps
    with pytest.raises(EngineError) as caught:
        list(client.pull("tiny:1b"))
    assert caught.value.zh
    assert caught.value.zh != caught.value.en


@pytest.mark.parametrize("steps", [
    error(200, b"hello"), error(200, b"\xff"), error(500, {"error": "no"}), [Cut()], json_answer({"x": 1}),
    json_answer({"models": [{"size": 3}]}), json_answer({"models": "none"}),
], ids=["text", "bytes", "500", "cut", "other", "nameless", "wrong type"])  # fmt: skip
def test_plain_calls_raise_one_clear_sentence(
    steps: list[Step], server: ScriptedServer, client: OllamaClient
) -> None:
    server.routes |= dict.fromkeys(("/api/version", "/api/tags", "/api/ps", "/api/show"), steps)
    for call in (client.version, client.tags, client.ps, lambda: client.show("tiny:1b")):
        with pytest.raises(EngineError) as caught:
            call()
        assert not isinstance(caught.value, ModelMissing)


# --- options and names


def test_options_are_checked_before_anything_is_sent(server: ScriptedServer, client: OllamaClient) -> None:
    for bad in ({"max_tokens": 3}, {"num_predict": "many"}, {"seed": True}, {"num_ctx": 0.5},
                {"temperature": float("nan")}, {"use_mmap": 1}):  # fmt: skip
        with pytest.raises(UsageError, match=next(iter(bad))):
            client.chat(ChatRequest("m", [], bad), LONG)
    assert not server.requests
    check_options({"temperature": 0, "top_p": 0.5, "stop": ["\n"], "use_mmap": True, "seed": -1})
    assert len(KNOWN_OPTIONS) == 20


@pytest.mark.parametrize(("given", "url"), [
    ("", "http://127.0.0.1:11434"), (None, "http://127.0.0.1:11434"), ("0.0.0.0", "http://127.0.0.1:11434"),
    ("0.0.0.0:80", "http://127.0.0.1:80"), (":11500", "http://127.0.0.1:11500"), ("box", "http://box:11434"),
    ("box:1", "http://box:1"), ("http://box", "http://box:80"), ("https://box", "https://box:443"),
    ("https://box:1/o/", "https://box:1/o"), ("[::1]:5", "http://[::1]:5"), ("[::]", "http://127.0.0.1:11434"),
])  # fmt: skip
def test_a_servers_address(given: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert base_url(given) == url
    monkeypatch.setenv("OLLAMA_HOST", given or "")
    assert base_url() == url


@pytest.mark.parametrize("given", ["ftp://box", "box:port", "http://a b", "box:99999", "http://u:p@box", "box?x=1"])
def test_no_servers_address(given: str) -> None:
    with pytest.raises(UsageError):
        base_url(given)


def test_same_model() -> None:
    assert same_model("a", "a:latest")
    assert same_model("host:5000/n/a", "host:5000/n/a:latest")
    assert not same_model("a:1b", "a:3b")
    assert not same_model("a:1b", "a")


# --- parsing


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_do_not_depend_on_how_the_network_cut_them(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    splitter, got = LineSplitter(1000), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        got += splitter.feed(whole[start:end])
    assert [*got, splitter.rest()] == (lines or [b""])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(1, 30), st.data())
def test_a_long_line_is_found_however_it_is_cut(sizes: list[int], limit: int, data: st.DataObject) -> None:
    whole = b"".join(b"x" * size + b"\n" for size in sizes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    splitter, got, fault = LineSplitter(limit), [], None
    try:
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            for text in splitter.feed(whole[start:end]):
                got.append(len(text))
    except StreamError as error:
        fault = error.name
    first = next((i for i, size in enumerate(sizes) if size > limit), None)
    assert fault == (None if first is None else "line_too_long")
    assert got == sizes[:first]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_chunk_or_a_named_fault(data: bytes) -> None:
    try:
        AnswerReader().take(data, 1)
    except StreamError as error:
        assert error.name in ("malformed_line", "invalid_utf8", "error_line")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["message", "content", "thinking", "done", "error", "response", "created_at", "eval_count"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


@given(_JSON)
def test_any_json_is_a_chunk_or_a_named_fault(data: object) -> None:
    reader = AnswerReader()
    try:
        reader.take(json.dumps(data).encode(), 1)
    except StreamError as error:
        assert error.name in ("malformed_line", "error_line")
    for part in reader.chunks():
        (part.text + part.thinking).encode()
    if reader.final is not None:
        check_counts(reader.final, reader.chunks())


def test_half_a_surrogate_pair_does_not_travel_on() -> None:
    reader = AnswerReader()
    reader.take(b'{"message":{"content":"a\\ud83d"},"done":false}', 1)
    assert [part.text for part in reader.chunks()] == ["a?"]
    assert error_text("\ud83d") == "?"


@given(st.integers(86400, 7_000_000_000), st.integers(0, 999_999_999), st.integers(0, 9))
def test_stamps_keep_their_nanoseconds(second: int, ns: int, digits: int) -> None:
    decimals = f"{ns:09d}"[:digits]
    at = datetime.fromtimestamp(second, UTC)
    text = at.strftime("%Y-%m-%dT%H:%M:%S") + (f".{decimals}" if digits else "")
    expected = second * 10**9 + int(decimals.ljust(9, "0"))
    assert unix_ns(text + "Z") == expected
    assert unix_ns(text + "+01:30") == expected - 5400 * 10**9


@given(st.text(max_size=40) | st.integers() | st.none())
def test_what_is_no_stamp_is_none(text: object) -> None:
    assert unix_ns(text) is None
    assert parse_time(text) is None


def test_an_empty_answer_is_not_a_wrong_count() -> None:
    numbers = {"done_reason": "stop", "prompt_eval_count": 5, "eval_count": 1}
    assert check_counts(numbers, [Chunk(1, None, "", "")]) is None
    assert check_counts({**numbers, "eval_count": 3}, [Chunk(1, None, "a", "b")] * 4) is None
    assert check_counts({**numbers, "eval_count": 3}, [Chunk(1, None, "a", "")] * 4) is not None
