"""Loading and unloading over HTTP: where time is counted, what a client sees, who has to wait."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from collector.pocket.api import SCHEDULER_BUSY
from tests.collector.recorded import RECORDED, exchanges
from tests.fakes.pocket_server import pocket_server, running_server
from tests.fakes.waiting import background, until


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, trust_env=False) as client:
        yield client


def chat(url: str, model: str, **more: Any) -> dict[str, Any]:
    options = {"num_ctx": 256, "num_predict": 4} | more.pop("options", {})
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "options": options, "stream": False}
    value = httpx.post(f"{url}/api/chat", json=body | more, timeout=60).json()
    assert isinstance(value, dict)
    return value


def loaded(client: httpx.Client, url: str) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = client.get(f"{url}/api/ps").json()["models"]
    return models


@contextmanager
def endless(client: httpx.Client, url: str) -> Iterator[Iterator[str]]:
    """A generation in progress on ``loop:f16``, past its first line."""
    body = {"model": "loop:f16", "messages": [{"role": "user", "content": "go"}], "options": {"num_ctx": 256}}
    with client.stream("POST", f"{url}/api/chat", json=body) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["done"] is False
        yield lines


def test_loading_is_inside_the_first_request_only(client: httpx.Client) -> None:
    with pocket_server() as url:
        assert loaded(client, url) == []
        first, second = chat(url, "tiny"), chat(url, "tiny")
        assert first["load_duration"] > second["load_duration"]
        (entry,) = loaded(client, url)
        assert entry["name"] == "tiny:f16"
        assert entry["context_length"] == 256
        assert entry["size"] > 0
        assert entry["size_vram"] == 0
        stay = datetime.fromisoformat(entry["expires_at"]) - datetime.now(UTC)
        assert timedelta(minutes=4) < stay <= timedelta(minutes=5)
        chat(url, "tiny", options={"num_ctx": 10**9}, keep_alive=-1)
        (entry,) = loaded(client, url)
        assert entry["context_length"] == 2048
        assert datetime.fromisoformat(entry["expires_at"]).year > 2300


def test_unloading_while_generating(client: httpx.Client) -> None:
    unload = {"model": "loop:f16", "keep_alive": 0}
    with pocket_server() as url:
        with httpx.Client(trust_env=False) as other, endless(other, url) as lines:
            answer = client.post(f"{url}/api/generate", json=unload).json()
            assert answer["done_reason"] == "unload"
            (entry,) = loaded(client, url)
            assert datetime.fromisoformat(entry["expires_at"]) <= datetime.now(UTC)
            wanted = [e.last["models"][0] for e in exchanges(RECORDED) if e.name == "ps_unload_pending"]
            assert not wanted or list(entry) == list(wanted[0])
            assert json.loads(next(lines))["done"] is False, "the generation goes on undisturbed"
        until(lambda: not loaded(client, url))


def test_a_full_queue_is_said_as_recorded(client: httpx.Client) -> None:
    with (
        running_server(max_queue=0) as server,
        ExitStack() as stack,
        httpx.Client(trust_env=False) as other,
        endless(other, server.url),
    ):
        waiting = stack.enter_context(background(lambda: chat(server.url, "tiny")))
        until(lambda: server.endpoints.scheduler._queue)
        body = {"model": "loop", "messages": [{"role": "user", "content": "hi"}], "options": {"num_ctx": 64}}
        refused = client.post(f"{server.url}/api/chat", json=body)
        assert refused.status_code == 503
        recorded = [e.last for e in exchanges(RECORDED) if e.name == "queue_full_3_rejected"]
        assert refused.json() == {"error": SCHEDULER_BUSY} == (recorded or [refused.json()])[0]
    (answer,) = waiting
    assert isinstance(answer, dict)
    assert answer["done_reason"] == "length"


@pytest.mark.parametrize(("model", "part"), [("tiny", "load_duration"), ("loop", "total_duration")])
def test_where_waiting_is_counted(model: str, part: str) -> None:
    """For another model to become idle: in the load; for a busy model: in the total only."""
    waited_s = 0.2
    with (
        running_server() as server,
        ExitStack() as stack,
        httpx.Client(trust_env=False) as other,
        endless(other, server.url),
    ):
        (busy,) = server.endpoints.scheduler.loaded()
        waiting = stack.enter_context(background(lambda: chat(server.url, model)))
        until(lambda: server.endpoints.scheduler._queue or busy.users == 2)
        time.sleep(waited_s)
        assert waiting == []
    (answer,) = waiting
    assert isinstance(answer, dict)
    parts = {name: answer[name] for name in ("load_duration", "prompt_eval_duration", "eval_duration")}
    rest = answer["total_duration"] - sum(parts.values())
    assert (parts | {"total_duration": rest})[part] >= waited_s * 1e9


def test_a_client_that_leaves_frees_the_model(client: httpx.Client) -> None:
    with pocket_server() as url:
        with httpx.Client(trust_env=False) as other, endless(other, url):
            pass
        assert chat(url, "loop")["done_reason"] == "length"
