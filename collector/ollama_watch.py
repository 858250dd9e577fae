"""Clock and time limits of one request, at the socket itself.

An HTTP library's read timeout starts anew with every byte. Here every read of the socket gets the time left
until the nearest limit, so that a server that drips, stalls or hangs is left at that limit; and bytes are
stamped as they arrive, before any parsing.
"""

from __future__ import annotations

import time
from typing import Any, Final

import httpcore

from collector.ollama_types import Limits

__all__ = ["TimeUp", "Watch", "WatchedStream"]

_DRAIN_S: Final = 0.5


class TimeUp(Exception):  # noqa: N818  (a limit reached is not an error of the program)
    """A time limit was reached; ``fault`` is its name in db.flags."""

    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(detail)
        self.fault, self.detail = fault, detail


class Watch:
    """Clock of the request in progress: its stamps and how long the next read may take."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.start_ns = self.read_ns = time.monotonic_ns()
        self.sent_ns: int | None = None
        self.progress_ns: int | None = None  # last line, once tokens have begun
        self.drain_ns: int | None = None  # the answer is whole: only the end of the stream is still read

    def next_limit(self) -> tuple[float, str, str]:
        """Seconds until the nearest limit, the fault that it is, and the fault in words."""
        start = self.sent_ns or self.start_ns
        limits = self.limits
        times = [(start + limits.deadline_s * 1e9, "deadline", f"not done after {limits.deadline_s:g} s")]
        if self.drain_ns is not None:
            times.append((self.drain_ns + _DRAIN_S * 1e9, "deadline", "the stream was not closed"))
        elif self.progress_ns is not None:
            text = f"no line for {limits.stall_s:g} s"
            times.append((self.progress_ns + limits.stall_s * 1e9, "hang_mid_stream", text))
        else:
            text = f"no token after {limits.first_token_s:g} s"
            times.append((start + limits.first_token_s * 1e9, "hang_first_token", text))
        at, fault, detail = min(times, key=lambda entry: entry[0])  # the deadline wins a tie: it stands first
        return (at - time.monotonic_ns()) / 1e9, fault, detail


class WatchedStream(httpcore.NetworkStream):
    """A socket whose every read and write is stamped and bounded by the watch."""

    def __init__(self, stream: httpcore.NetworkStream, watch: Watch) -> None:
        self._stream, self._watch = stream, watch

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Next bytes, within the watch's limits; raises TimeUp."""
        left_s, fault, detail = self._watch.next_limit()
        if left_s <= 0:
            raise TimeUp(fault, detail)
        try:
            data = self._stream.read(max_bytes, timeout=left_s)
        except httpcore.ReadTimeout as error:
            raise TimeUp(fault, detail) from error
        self._watch.read_ns = time.monotonic_ns()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends bytes, within the watch's limits; raises TimeUp."""
        if self._watch.sent_ns is None:
            self._watch.sent_ns = time.monotonic_ns()
        left_s, fault, detail = self._watch.next_limit()
        if left_s <= 0:
            raise TimeUp(fault, detail)
        try:
            self._stream.write(buffer, timeout=left_s)
        except httpcore.WriteTimeout as error:
            raise TimeUp(fault, detail) from error

    def close(self) -> None:
        """Closes the socket."""
        self._stream.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """The same over TLS."""
        return WatchedStream(self._stream.start_tls(*args, **kwargs), self._watch)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a stream."""
        return self._stream.get_extra_info(info)
