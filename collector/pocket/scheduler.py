"""Which models are loaded, who may use them and when they go.

One loaded model at a time by default. A request for a loaded model with unchanged runner options uses it at once;
any other request waits in a bounded queue until the models in its way are idle, unloads them and loads its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from collector.pocket.api import FOREVER_NS, SCHEDULER_BUSY, ApiError, RunnerOptions

__all__ = ["ClientGone", "LoadedModel", "Scheduler"]

DEFAULT_KEEP_ALIVE_NS = 300 * 1_000_000_000
POLL_S = 0.02

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed its connection: whatever was done for it ends."""


@dataclass(eq=False, slots=True)
class LoadedModel(Generic[T]):
    """One model in memory.

    Attributes:
        name: full name with its tag.
        options: what it was loaded with.
        engine: whatever the loader returned.
        keep_alive_ns: how long it stays when idle.
        expires_unix_ns: when it goes; in the past while a running request still holds an unloaded model.
        users: requests that hold it.
        slot: held by the one request that generates.
    """

    name: str
    options: RunnerOptions
    engine: T
    keep_alive_ns: int
    expires_unix_ns: int
    users: int = 0
    slot: threading.Lock = field(default_factory=threading.Lock)
    timer: threading.Timer | None = None

    @contextmanager
    def generating(self, gone: Callable[[], bool]) -> Iterator[None]:
        """Waits for the slot and holds it.

        Raises:
            ClientGone: the client left while waiting.
        """
        while not self.slot.acquire(timeout=POLL_S):
            if gone():
                raise ClientGone
        try:
            yield
        finally:
            self.slot.release()


class Scheduler(Generic[T]):
    """Loads, lends and unloads models.

    Args:
        load: makes the engine of a model with options that ``fit`` returned.
        fit: lowers ``num_ctx`` to what the model was trained for.
        max_loaded: models in memory at once.
        max_queue: requests that may wait for a load besides the one being served.
    """

    def __init__(
        self,
        load: Callable[[str, RunnerOptions], T],
        fit: Callable[[str, RunnerOptions], RunnerOptions],
        max_loaded: int = 1,
        max_queue: int = 512,
    ) -> None:
        self._load, self._fit = load, fit
        self._max_loaded, self._max_queue = max_loaded, max_queue
        self._changed = threading.Condition()
        self._loaded: dict[str, LoadedModel[T]] = {}
        self._queue: deque[object] = deque()

    @contextmanager
    def lend(
        self, name: str, options: RunnerOptions, keep_alive_ns: int | None, gone: Callable[[], bool]
    ) -> Iterator[LoadedModel[T]]:
        """The loaded model, for the time of one request; loads it first where needed.

        Raises:
            ApiError: 503, too many requests wait for a load.
            ClientGone: the client left while waiting.
        """
        model = self._acquire(name, options, keep_alive_ns, gone)
        try:
            yield model
        finally:
            self._release(model)

    def loaded(self) -> list[LoadedModel[T]]:
        """The models in memory, the one that stays longest first."""
        with self._changed:
            return sorted(self._loaded.values(), key=lambda model: -model.expires_unix_ns)

    def expire(self, name: str) -> None:
        """Unloads a model: at once when idle, else when its last request ends."""
        with self._changed:
            model = self._loaded.get(name)
            if model is not None:
                model.expires_unix_ns = time.time_ns()
                self._retire(model)

    def close(self) -> None:
        """Stops the timers."""
        with self._changed:
            for model in self._loaded.values():
                self._stop_timer(model)

    # --- inside: every method below needs the lock, except where it says so ------------------------------------
    def _fits(self, model: LoadedModel[T], options: RunnerOptions) -> bool:
        wanted = self._fit(model.name, options)
        if wanted.auto_num_ctx and model.options.auto_num_ctx:
            wanted = replace(wanted, num_ctx=model.options.num_ctx)
        return replace(wanted, auto_num_ctx=model.options.auto_num_ctx) == model.options

    def _acquire(
        self, name: str, options: RunnerOptions, keep_alive_ns: int | None, gone: Callable[[], bool]
    ) -> LoadedModel[T]:
        """Takes the lock itself."""
        ticket = object()
        with self._changed:
            model = self._loaded.get(name)
            if model is not None and self._fits(model, options):
                return self._hold(model, keep_alive_ns)
            if len(self._queue) > self._max_queue:
                raise ApiError(503, SCHEDULER_BUSY)
            self._queue.append(ticket)
        try:
            return self._wait_and_load(ticket, name, options, keep_alive_ns, gone)
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _wait_and_load(
        self,
        ticket: object,
        name: str,
        options: RunnerOptions,
        keep_alive_ns: int | None,
        gone: Callable[[], bool],
    ) -> LoadedModel[T]:
        """Takes the lock itself; only the head of the queue gets past the loop, so one model loads at a time."""
        with self._changed:
            while True:
                if gone():
                    raise ClientGone
                if self._queue[0] is ticket:
                    model = self._loaded.get(name)
                    if model is not None and self._fits(model, options):
                        return self._hold(model, keep_alive_ns)
                    victim = model or self._victim()
                    if victim is None:
                        break
                    self._retire(victim)
                    if not victim.users:
                        continue
                self._changed.wait(POLL_S)
        fitted = self._fit(name, options)
        engine = self._load(name, fitted)
        keep = DEFAULT_KEEP_ALIVE_NS if keep_alive_ns is None else keep_alive_ns
        loaded = LoadedModel(name, fitted, engine, keep, time.time_ns() + keep)
        with self._changed:
            self._loaded[name] = loaded
            return self._hold(loaded, keep_alive_ns)

    def _victim(self) -> LoadedModel[T] | None:
        if len(self._loaded) < self._max_loaded:
            return None
        return min(self._loaded.values(), key=lambda model: (model.users > 0, model.keep_alive_ns))

    def _hold(self, model: LoadedModel[T], keep_alive_ns: int | None) -> LoadedModel[T]:
        model.users += 1
        self._stop_timer(model)
        if keep_alive_ns is not None:
            model.keep_alive_ns = keep_alive_ns
        return model

    def _release(self, model: LoadedModel[T]) -> None:
        """Takes the lock itself."""
        with self._changed:
            model.users -= 1
            if model.users == 0:
                if model.keep_alive_ns <= 0:
                    self._retire(model)
                else:
                    self._start_timer(model)
            self._changed.notify_all()

    def _retire(self, model: LoadedModel[T]) -> None:
        model.keep_alive_ns = 0
        self._stop_timer(model)
        if model.users == 0 and self._loaded.get(model.name) is model:
            del self._loaded[model.name]
            self._changed.notify_all()

    def _start_timer(self, model: LoadedModel[T]) -> None:
        model.expires_unix_ns = time.time_ns() + model.keep_alive_ns
        if model.keep_alive_ns < FOREVER_NS and model.keep_alive_ns / 1e9 < threading.TIMEOUT_MAX:
            model.timer = threading.Timer(model.keep_alive_ns / 1e9, self._expired, (model,))
            model.timer.daemon = True
            model.timer.start()

    def _stop_timer(self, model: LoadedModel[T]) -> None:
        if model.timer is not None:
            model.timer.cancel()
            model.timer = None

    def _expired(self, model: LoadedModel[T]) -> None:
        """Takes the lock itself; a request that came in the meantime has taken the timer away."""
        with self._changed:
            if model.users == 0 and model.timer is threading.current_thread():
                self._retire(model)
