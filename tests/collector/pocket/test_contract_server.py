"""The embedded engine answers recorded requests as the recorded servers did: status, framing, fields, order, types, errors.

What a model would have said is not compared; which way an answer ends is, and the counts that follow from it. Models
that end, go on, repeat themselves or write broken characters stand in for the recorded ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.pocket.faults import RUNNER_DIED
from tests.collector.recorded import RECORDED, ROOT, Exchange, exchanges
from tests.fakes.pocket_server import pocket_server, write_reciter

OWN = ROOT / "tests" / "fixtures" / "pocket" / "exchanges.jsonl"
SENTENCE = "Why do energy measurements need an idle baseline? Explain in one paragraph."
NAMES = ("small:1b", *(f"tiny-{size}:{kind}" for size in "sm" for kind in ("f16", "q8_0", "q4_K_M")))

NOT_REPLAYED = {
    "format_json": "answers constrained to a format are refused: the engine has no grammar sampling",
    "error_pull_missing": "the text names the recording machine's network; the own fixture pull_missing has its shape",
    "runner_kill9_chat": "no runner process here to kill; the fault mode sends the same line, see test_runner_died",
    "runner_segv_chat": "as runner_kill9_chat",
    "runner_term_chat": "as runner_kill9_chat",
    "runner_kill9_chat_next": "an aftermath of the killed runner",
    "server_kill9_chat": "a server process that ends: tests/collector/pocket/test_server_process.py",
    "server_term_chat": "as server_kill9_chat",
    "queue_full_3_rejected": "needs three requests in the way: tests/collector/pocket/test_server_loading.py",
    "ps_unload_pending": "needs a generation in progress: tests/collector/pocket/test_server_loading.py",
}
"""Recordings that cannot be replayed one by one, and why."""

OLDER_DIFFERS = {
    "error_think_unsupported": "worded differently",
    "prompt_too_long_chat": "cut in silence there, refused in the newer version",
    "chat_stream": "repeats end a chat in silence there; the newer version goes on",
    "chat_nostream": "as chat_stream",
    "context_shift_beyond_num_ctx": "as chat_stream",
}
"""Where v0.9.6 does not agree with v0.32.15, which is the version imitated."""

REPEATING = {"repeat_abort_generate_stream", "repeat_abort_generate_nostream", "repeat_abort_chat_stream",
             "num_predict_zero", "v0.9.6/generate_stream_length", "v0.9.6/generate_stream_repeat"}  # fmt: skip
BROKEN = {"chat_zh", "utf8_chunks_fewer_than_tokens", "num_predict_minus1", "invalid_utf8_chat_stream",
          "invalid_utf8_chat_nostream", "invalid_utf8_generate_stream", "invalid_utf8_generate_nostream"}  # fmt: skip
LIMIT_IS_THE_POINT = {"num_predict_over_10x", "context_shift_beyond_num_ctx", "context_shift_false"}
AT_MOST = 40  # tokens asked for where the limit is not the point: the shape is the same and the test is quick


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URL of a server by how its models answer; each knows every recorded model name."""
    root = tmp_path_factory.mktemp("models")
    kinds = {
        "looping": write_reciter(root / "looping", (" alpha", " beta", " gamma"), back_to=0, words=SENTENCE),
        "ending": write_reciter(root / "ending", (" 0", ".5", " watt"), words=SENTENCE),
        "repeating": write_reciter(root / "repeating", (" zb", "__"), back_to=1, words=SENTENCE),
        "broken": write_reciter(root / "broken", (" ok", " then", b"\xe8\x83\xff"), words=SENTENCE),
    }
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(pocket_server(models=dict.fromkeys(NAMES, folder)))
            for kind, folder in kinds.items()
        }


def own_exchanges() -> list[Exchange]:
    lines = OWN.read_text(encoding="utf-8").splitlines()
    return [Exchange("own", data["name"], data) for data in map(json.loads, lines)]


def recorded(version: str, left_out: dict[str, str]) -> list[Exchange]:
    return [e for e in exchanges(RECORDED) if e.version == version and e.name not in left_out]


def kind_of(exchange: Exchange) -> str:
    if "model" in exchange.data:
        return str(exchange.data["model"])
    if {exchange.name, exchange.key} & REPEATING:
        return "repeating"
    if exchange.name in BROKEN:
        return "broken"
    reason = exchange.last.get("done_reason") if exchange.texts[-1].startswith("{") else None
    return "ending" if reason == "stop" else "looping"


def body_of(exchange: Exchange) -> Any:
    body = exchange.data["request"].get("body")
    if body is None or exchange.name in LIMIT_IS_THE_POINT:
        return body
    options = body.get("options", {})
    if isinstance(options.get("num_predict"), int) and options["num_predict"] > AT_MOST:
        return {**body, "options": {**options, "num_predict": AT_MOST}}
    return body


def replay(client: httpx.Client, url: str, exchange: Exchange) -> httpx.Response:
    request = exchange.data["request"]
    if exchange.path == "/api/ps" and "after_unload" not in exchange.name:
        model = exchange.last["models"][0]["name"]
        client.post(f"{url}/api/generate", json={"model": model, "options": {"num_ctx": 512}})
    content = request["raw"].encode() if "raw" in request else None
    return client.request(request["method"], url + exchange.path, json=body_of(exchange), content=content)


# --- what is compared ---------------------------------------------------------------------------------------------
def shape(value: Any) -> Any:
    """A JSON value without its contents: keys in order, types of the leaves, the first element of a list."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def masked(text: str) -> str:
    """An error without the prompt's length, which depends on the tokenizer."""
    return re.sub(r"\(\d+ tokens\) exceeds|n_prompt_tokens\":\d+", "N", text)


def assert_agrees(response: httpx.Response, exchange: Exchange) -> None:
    headers = exchange.data["headers"]
    assert response.status_code == exchange.data["status"]
    assert response.headers["content-type"] == headers["content-type"]
    assert ("content-length" in response.headers) == ("content-length" in headers)
    assert response.headers.get("transfer-encoding") == headers.get("transfer-encoding")
    got, wanted = response.text.splitlines(), exchange.texts
    if not wanted[-1].startswith("{"):
        assert got == wanted
        return
    first, last = json.loads(got[0]), json.loads(got[-1])
    if "error" in exchange.last:
        assert masked(last["error"]) == masked(exchange.last["error"])
    else:
        assert shape(last) == shape(exchange.last)
        assert_same_end(last, exchange.last, body_of(exchange) or {})
    if len(wanted) > 1:
        assert shape(first) == shape(json.loads(wanted[0]))
    if len(wanted) > 2:
        assert {json.dumps(shape(json.loads(line))) for line in got[:-1]} == {json.dumps(shape(first))}


def assert_same_end(got: dict[str, Any], wanted: dict[str, Any], body: dict[str, Any]) -> None:
    assert got.get("done") == wanted.get("done")
    assert got.get("done_reason") == wanted.get("done_reason")
    asked = body.get("options", {}).get("num_predict", -1)
    if got.get("done_reason") == "length":
        limit = 10 * max(4, int(body["options"]["num_ctx"]))
        if body.get("shift", True):
            assert got["eval_count"] == (min(asked, limit) if asked > 0 else limit)
        else:
            assert got["eval_count"] == body["options"]["num_ctx"] - got["prompt_eval_count"]
    if "eval_count" in got:
        assert got["total_duration"] >= got["load_duration"] + got["prompt_eval_duration"] + got["eval_duration"]


def identity(exchange: Exchange) -> str:
    return exchange.key


# --- the tests ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("exchange", own_exchanges(), ids=identity)
def test_answers_like_the_own_fixtures(client: httpx.Client, servers: dict[str, str], exchange: Exchange) -> None:
    assert_agrees(replay(client, servers[kind_of(exchange)], exchange), exchange)


@pytest.mark.parametrize(
    "exchange",
    [e for e in recorded("v0.32.15", NOT_REPLAYED) if e.name not in {"show", "version"}],
    ids=identity,
)
def test_answers_like_the_recorded_server(client: httpx.Client, servers: dict[str, str], exchange: Exchange) -> None:
    assert_agrees(replay(client, servers[kind_of(exchange)], exchange), exchange)


@pytest.mark.parametrize(
    "exchange", [e for e in recorded("v0.9.6", OLDER_DIFFERS) if e.name not in {"show", "version"}], ids=identity
)
def test_agrees_with_the_older_server(client: httpx.Client, servers: dict[str, str], exchange: Exchange) -> None:
    response = replay(client, servers[kind_of(exchange)], exchange)
    assert response.status_code == exchange.data["status"]
    assert response.headers["content-type"] == exchange.data["headers"]["content-type"]
    for line, wanted in ((0, json.loads(exchange.texts[0])), (-1, exchange.last)):
        got = json.loads(response.text.splitlines()[line])
        if "error" in wanted:
            assert got == wanted
            continue
        extra = set(got) - set(wanted)
        assert not set(wanted) - set(got), "every field of the older server is there"
        assert not extra, extra
        for key in set(wanted) - {"models"}:  # entries of the newer version have more fields
            assert shape(got[key]) == shape(wanted[key])


@pytest.mark.parametrize(
    "exchange", [e for e in recorded("v0.32.15", {}) + recorded("v0.9.6", {}) if e.name == "show"], ids=identity
)
def test_shows_what_the_recorded_server_shows(
    client: httpx.Client, servers: dict[str, str], exchange: Exchange
) -> None:
    got, wanted = replay(client, servers["looping"], exchange).json(), exchange.last
    assert [key for key in got if key in wanted] == [key for key in wanted if key in got], "the order of the fields"
    assert set(wanted) - set(got) == set()
    assert set(got) - set(wanted) == {"license"}, "a field of the API that the recorded models leave empty"
    for key in set(wanted) - {"model_info"}:
        assert shape(got[key]) == shape(wanted[key])
    common = got["model_info"].keys() & wanted["model_info"].keys()
    assert {"general.architecture", "general.parameter_count", "llama.context_length", "llama.block_count"} <= common
    assert {key: shape(got["model_info"][key]) for key in common} == {
        key: shape(wanted["model_info"][key]) for key in common
    }


def test_tells_itself_from_an_ollama(client: httpx.Client, servers: dict[str, str]) -> None:
    answer = client.get(f"{servers['looping']}/api/version").json()
    assert list(answer) == ["version"]
    assert answer["version"].endswith("-pocket")


def test_runner_died() -> None:
    """The line the fault mode sends is the recorded one."""
    lines = [e.last["error"] for e in exchanges(RECORDED) if e.name.startswith("runner_") and "error" in e.last]
    if not lines:
        pytest.skip("the recordings are not here")
    assert set(lines) == {RUNNER_DIED}


def test_every_recording_is_replayed_or_explained() -> None:
    names = {e.name for e in exchanges(RECORDED) if e.version == "v0.32.15"}
    if not names:
        pytest.skip("the recordings are not here")
    assert set(NOT_REPLAYED) <= names
    assert len(names - set(NOT_REPLAYED)) > 60


def test_recordings_folder_is_outside() -> None:
    assert not Path(RECORDED).resolve().is_relative_to(ROOT)
