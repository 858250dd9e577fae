"""The client reads every recorded exchange with a real server, and our own smaller set, as a person read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from collector.errors import EngineError, ModelMissing
from collector.ollama_client import ChatOutcome, ChatRequest, Limits, OllamaClient
from collector.timing import derive
from tests.collector.contract_table import ANSWERS, OTHERS
from tests.collector.recorded import OWN, RECORDED, Exchange, exchanges
from tests.fakes.scripted_server import ScriptedServer

ALL = {exchange.key: exchange for folder in (OWN, RECORDED) for exchange in exchanges(folder)}
WHOLE = [key for key, expected in ANSWERS.items() if expected[0] is None and expected[3] is not None]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[OllamaClient]:
    with OllamaClient(server.url) as client:
        yield client


def _exchange(key: str) -> Exchange:
    if key not in ALL:
        pytest.skip("the recordings are not here")
    return ALL[key]


def _answer(server: ScriptedServer, client: OllamaClient, exchange: Exchange) -> ChatOutcome:
    """Plays the answer back to a chat request that asks for what was asked in the recording."""
    server.routes["/api/chat"] = exchange.steps()
    body = exchange.data["request"].get("body") or {}
    asked = bool(body.get("messages") or body.get("prompt")) or "body" not in exchange.data["request"]
    cap = body.get("options", {}).get("num_predict")
    request = ChatRequest(
        "small:1b", [{"role": "user", "content": "x"}] if asked else [],
        {"num_predict": cap} if isinstance(cap, int) else {},
    )  # fmt: skip
    return client.chat(request, Limits(first_token_s=30, stall_s=30, deadline_s=60))


def test_every_exchange_is_in_the_table() -> None:
    assert not set(ALL) - set(ANSWERS) - set(OTHERS)
    ours = {key for key in {*ANSWERS, *OTHERS} if re.fullmatch(r"v\d+\.\d+/.*", key)}
    assert ours <= set(ALL)


@pytest.mark.parametrize("key", ANSWERS)
def test_an_answer_is_classified(key: str, server: ScriptedServer, client: OllamaClient) -> None:
    exchange = _exchange(key)
    fault, reason, prompt, output = ANSWERS[key]
    outcome = _answer(server, client, exchange)
    assert (outcome.fault, outcome.done_reason) == (fault, reason), outcome.fault_detail
    assert outcome.http_status == exchange.data["status"]
    figures = derive(outcome)
    assert (figures.prompt_tokens, figures.output_tokens) == (prompt, output)
    if fault is None:
        assert outcome.final == exchange.last
    else:
        assert outcome.final is None
        assert outcome.fault_detail
        assert '{"' not in outcome.fault_detail or fault == "malformed_line"
        assert figures.total_s is None


@pytest.mark.parametrize("key", [key for key, row in ANSWERS.items() if row[0] != "malformed_line"])
def test_nothing_that_came_is_lost(key: str, server: ScriptedServer, client: OllamaClient) -> None:
    exchange = _exchange(key)
    outcome = _answer(server, client, exchange)
    if outcome.http_status != 200:
        assert outcome.text == ""
        return
    assert len(outcome.chunks) == sum('"error"' not in text[:10] for text in exchange.texts)
    data = [d for d in map(_object, exchange.texts) if "error" not in d]
    assert outcome.text == "".join(_part(d, "content", "response") for d in data)
    assert outcome.thinking == "".join(_part(d, "thinking", "thinking") for d in data)
    stamps = [chunk.created_at_ns for chunk in outcome.chunks]
    assert [_decimals(d["created_at"]) for d in data] == [ns and ns % 10**9 for ns in stamps]
    receipts = [chunk.receipt_ns for chunk in outcome.chunks]
    assert receipts == sorted(receipts)
    assert not receipts or outcome.sent_ns < receipts[0] <= receipts[-1] <= outcome.end_ns


@pytest.mark.parametrize("key", WHOLE)
def test_derived_figures_are_the_servers(key: str, server: ScriptedServer, client: OllamaClient) -> None:
    exchange = _exchange(key)
    figures = derive(_answer(server, client, exchange))
    last = exchange.last
    for mine, theirs in (
        ("server_total_s", "total_duration"), ("load_s", "load_duration"),
        ("prefill_s", "prompt_eval_duration"), ("decode_s", "eval_duration"),
    ):  # fmt: skip
        expected = last[theirs] / 1e9 if theirs in last else None
        assert getattr(figures, mine) == expected
    assert figures.cached_prompt_tokens == last.get("prompt_eval_cached_count")
    new = last["prompt_eval_count"] - last.get("prompt_eval_cached_count", 0)
    assert figures.prefill_tokens_per_s == pytest.approx(new / last["prompt_eval_duration"] * 1e9)
    steps = last["eval_count"] - 1
    if steps:
        assert figures.decode_tokens_per_s == pytest.approx(steps / last["eval_duration"] * 1e9)
        assert figures.tpot_s == pytest.approx(last["eval_duration"] / 1e9 / steps)
    else:
        assert figures.decode_tokens_per_s is None
        assert figures.tpot_s is None
    assert figures.ttft_s is not None
    assert figures.total_s is not None
    assert 0 < figures.ttft_s <= figures.total_s


@pytest.mark.parametrize("key", OTHERS)
def test_the_other_calls_are_read(key: str, server: ScriptedServer, client: OllamaClient) -> None:
    exchange = _exchange(key)
    what, said = OTHERS[key]
    path = "/api/show" if what == "foreign" else exchange.path
    server.routes = {path: exchange.steps()}
    if what == "version":
        assert client.version() == said
    elif what == "tags":
        tags = client.tags()
        assert [(t.name, t.family, t.quantization, t.capabilities) for t in tags] == said
        assert all(t.digest and len(t.digest) == 64 and t.size_bytes for t in tags)
    elif what == "ps":
        loaded = client.ps()
        assert [(m.name, m.size_bytes, m.size_vram_bytes, m.context_length) for m in loaded] == said
        assert all(m.expires_at and m.expires_at.utcoffset() is not None for m in loaded)
    elif what == "show":
        d = client.show("small:1b")
        about = (d.parameter_count, d.quantization, d.context_length_trained, d.parent, d.base_name, d.size_label)
        assert about == said
        assert d.raw == exchange.last
    elif what == "missing":
        with pytest.raises(ModelMissing, match=str(said)):
            client.show("nope:1b")
    elif what == "pull":
        progress = list(client.pull("small:1b"))
        assert [p.status for p in progress][-1] == said
        assert (progress[2].total_bytes, progress[2].completed_bytes) == (1000, 1000)
        assert progress[1].completed_bytes is None
    elif what == "pull_fault":
        with pytest.raises(EngineError, match=str(said)):
            list(client.pull("nope:1b"))
    else:
        with pytest.raises(EngineError):
            client.show("small:1b")


def _object(text: str) -> dict[str, object]:


    value = json.loads(text)
    assert isinstance(value, dict)
    return value


def _part(data: dict[str, object], chat: str, generate: str) -> str:
    message = data.get("message")
    value = message.get(chat) if isinstance(message, dict) else data.get(generate)
    return str(value or "")


def _decimals(text: object) -> int:
    return int(str(text).rstrip("Z").partition(".")[2].ljust(9, "0"))
