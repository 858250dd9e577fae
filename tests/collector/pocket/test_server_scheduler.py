"""Loading, lending and unloading of models: who waits for whom, what reloads, what expires when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from collector.pocket.api import FOREVER_NS, SCHEDULER_BUSY, ApiError, RunnerOptions
from collector.pocket.scheduler import ClientGone, Scheduler
from tests.fakes.waiting import background, until

OPTIONS = RunnerOptions(num_ctx=64, auto_num_ctx=False)
MINUTE_NS = 60_000_000_000


def never() -> bool:
    return False


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
