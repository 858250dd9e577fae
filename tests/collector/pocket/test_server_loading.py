"""Loading, lending and unloading of models: who waits for whom, what reloads, what expires when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from collector.pocket.api import FOREVER_NS, SCHEDULER_BUSY, ApiError, RunnerOptions
from collector.pocket.scheduler import ClientGone, Scheduler
from tests.collector.recorded import RECORDED, exchanges
from tests.fakes.pocket_server import pocket_server, running_server

OPTIONS = RunnerOptions(num_ctx=64, auto_num_ctx=False)
MINUTE_NS = 60_000_000_000


def never() -> bool:
    return False


def until(true: Callable[[], object], timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


class Loader:
    """Counts loads."""

    def __init__(self) -> None:
        self.loads: list[tuple[str, int]] = []

    def load(self, name: str, options: RunnerOptions) -> str:
        self.loads.append((name, options.num_ctx))
        if name == "broken":
            raise ApiError(500, "cannot be loaded")
        return f"engine of {name}"

    def fit(self, name: str, options: RunnerOptions) -> RunnerOptions:
        return replace(options, num_ctx=min(options.num_ctx, 2048))

    def scheduler(self, **limits: int) -> Scheduler[str]:
        return Scheduler(self.load, self.fit, **limits)


@pytest.fixture
def loader() -> Loader:
    return Loader()


def use(
    scheduler: Scheduler[str],
    name: str,
    options: RunnerOptions = OPTIONS,
    keep_alive_ns: int | None = None,
    gone: Callable[[], bool] = never,
) -> str:
    with scheduler.lend(name, options, keep_alive_ns, gone) as model:
        return model.engine


def names(scheduler: Scheduler[str]) -> list[str]:
    return [model.name for model in scheduler.loaded()]


@contextmanager
def held(scheduler: Scheduler[str], name: str, keep_alive_ns: int | None = None) -> Iterator[ExitStack]:
    """A request that holds the model until the stack is closed."""
    with ExitStack() as stack:
        stack.enter_context(scheduler.lend(name, OPTIONS, keep_alive_ns, never))
        yield stack


@contextmanager
def background(work: Callable[[], object]) -> Iterator[list[object]]:
    """Runs ``work`` beside the body; its result or refusal is in the list once it has ended."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except (ApiError, ClientGone) as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield outcome
    finally:
        thread.join(20)
        assert not thread.is_alive()


# --- the scheduler ----------------------------------------------------------------------------------------------------
def test_a_loaded_model_is_used_again(loader: Loader) -> None:
    scheduler = loader.scheduler()
    assert use(scheduler, "a") == use(scheduler, "a") == "engine of a"
    assert loader.loads == [("a", 64)]
    scheduler.close()


@pytest.mark.parametrize(
    "other",
    [
        replace(OPTIONS, num_ctx=128),
        replace(OPTIONS, num_thread=2),
        replace(OPTIONS, shift=False),
        replace(OPTIONS, rest=(("num_batch", 16),)),
        RunnerOptions(),
    ],
)
def test_other_runner_options_reload(loader: Loader, other: RunnerOptions) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a")
    use(scheduler, "a", other)
    assert len(loader.loads) == 2
    assert names(scheduler) == ["a"]
    scheduler.close()


def test_the_servers_own_choice_of_context_reloads_nothing(loader: Loader) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a", RunnerOptions())
    use(scheduler, "a", RunnerOptions())
    assert loader.loads == [("a", 2048)]
    scheduler.close()


def test_a_context_beyond_the_model_is_lowered_and_reloads_nothing(loader: Loader) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a", replace(OPTIONS, num_ctx=100_000))
    use(scheduler, "a", replace(OPTIONS, num_ctx=2048))
    assert loader.loads == [("a", 2048)]
    scheduler.close()


def test_another_model_takes_the_place(loader: Loader) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a")
    use(scheduler, "b")
    assert names(scheduler) == ["b"]
    scheduler.close()


def test_two_places(loader: Loader) -> None:
    scheduler = loader.scheduler(max_loaded=2)
    use(scheduler, "a", keep_alive_ns=MINUTE_NS)
    use(scheduler, "b", keep_alive_ns=2 * MINUTE_NS)
    assert names(scheduler) == ["b", "a"]
    use(scheduler, "c", keep_alive_ns=3 * MINUTE_NS)
    assert names(scheduler) == ["c", "b"], "the one with the shortest stay goes"
    scheduler.close()


def test_another_model_waits_until_the_first_is_idle(loader: Loader) -> None:
    scheduler = loader.scheduler()
    with held(scheduler, "a") as first, background(lambda: use(scheduler, "b")) as second:
        time.sleep(0.1)
        assert second == []
        assert loader.loads == [("a", 64)]
        first.close()
        until(lambda: second)
    assert second == ["engine of b"]
    scheduler.close()


def test_the_same_model_is_lent_to_many(loader: Loader) -> None:
    scheduler = loader.scheduler()
    with held(scheduler, "a"):
        assert use(scheduler, "a") == "engine of a"
    assert loader.loads == [("a", 64)]
    scheduler.close()


def test_too_many_wait_for_a_load(loader: Loader) -> None:
    scheduler = loader.scheduler(max_queue=1)
    with held(scheduler, "a") as first, ExitStack() as stack:
        waiting = [stack.enter_context(background(lambda n=name: use(scheduler, n))) for name in "bc"]
        until(lambda: len(scheduler._queue) == 2)
        with pytest.raises(ApiError) as caught:
            use(scheduler, "d")
        assert (caught.value.status, caught.value.message) == (503, SCHEDULER_BUSY)
        assert use(scheduler, "a") == "engine of a", "a loaded model's requests do not count"
        first.close()
    assert waiting == [["engine of b"], ["engine of c"]]
    scheduler.close()


def test_a_client_that_leaves_the_queue_is_forgotten(loader: Loader) -> None:
    scheduler = loader.scheduler()
    left = threading.Event()
    with held(scheduler, "a") as first, background(lambda: use(scheduler, "b", gone=left.is_set)) as second:
        until(lambda: scheduler._queue)
        left.set()
        until(lambda: second)
        first.close()
    assert isinstance(second[0], ClientGone)
    assert loader.loads == [("a", 64)]
    assert use(scheduler, "c") == "engine of c"
    scheduler.close()


def test_a_failed_load_blocks_nobody(loader: Loader) -> None:
    scheduler = loader.scheduler()
    for _ in range(2):
        with pytest.raises(ApiError, match="cannot be loaded"):
            use(scheduler, "broken")
    assert use(scheduler, "a") == "engine of a"
    scheduler.close()


def test_no_stay_unloads_at_the_end_of_the_request(loader: Loader) -> None:
    scheduler = loader.scheduler()
    with held(scheduler, "a", keep_alive_ns=0) as stack:
        assert names(scheduler) == ["a"]
        stack.close()
    assert names(scheduler) == []


def test_a_short_stay_ends_by_itself(loader: Loader) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a", keep_alive_ns=1_000_000)
    until(lambda: not names(scheduler))


def test_the_last_stay_asked_for_lasts(loader: Loader) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a", keep_alive_ns=10_000_000)
    use(scheduler, "a", keep_alive_ns=FOREVER_NS)
    use(scheduler, "a")
    time.sleep(0.05)
    (model,) = scheduler.loaded()
    assert model.keep_alive_ns == FOREVER_NS
    assert model.timer is None


def test_a_request_before_the_end_of_the_stay_renews_it(loader: Loader) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a", keep_alive_ns=MINUTE_NS)
    (model,) = scheduler.loaded()
    before = model.expires_unix_ns
    use(scheduler, "a")
    assert model.expires_unix_ns > before
    assert loader.loads == [("a", 64)]
    scheduler.close()


def test_an_idle_model_expires_at_once(loader: Loader) -> None:
    scheduler = loader.scheduler()
    use(scheduler, "a")
    scheduler.expire("a")
    scheduler.expire("never loaded")
    assert names(scheduler) == []


def test_a_busy_model_expires_when_it_is_idle(loader: Loader) -> None:
    scheduler = loader.scheduler()
    with held(scheduler, "a") as stack:
        scheduler.expire("a")
        (model,) = scheduler.loaded()
        assert model.expires_unix_ns <= time.time_ns()
        stack.close()
    assert names(scheduler) == []


def test_one_generates_the_others_wait(loader: Loader) -> None:
    scheduler = loader.scheduler()
    left = threading.Event()

    def generate() -> str:
        with scheduler.lend("a", OPTIONS, None, never) as model, model.generating(left.is_set):
            return "done"

    with scheduler.lend("a", OPTIONS, None, never) as model:
        with ExitStack() as slot:
            slot.enter_context(model.generating(never))
            with background(generate) as outcome:
                time.sleep(0.05)
                assert outcome == []
                left.set()
                until(lambda: outcome)
            assert isinstance(outcome[0], ClientGone)
        assert generate() == "done"
    scheduler.close()


# --- over HTTP --------------------------------------------------------------------------------------------------------
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
