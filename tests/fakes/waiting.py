"""Waiting for something to happen, and doing two things at once, without guessing at times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from collector.pocket.api import ApiError
from collector.pocket.scheduler import ClientGone

__all__ = ["background", "until"]


def until(true: Callable[[], object], timeout_s: float = 20) -> None:
    """Returns as soon as ``true`` says so; fails when it never does."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


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
