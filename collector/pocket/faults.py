"""Faults on purpose, so that tests can see how a client lives with a failing server.

A normal run cannot reach them: the server has none unless a test hands it a script in its own process, or starts it with
``--test-faults`` **and** the environment variable ``ENERGY_RATING_POCKET_FAULTS`` (a JSON list). One entry of the list
is consumed by each request that generates text; when the list is used up, everything is ``ok`` again.

An entry is a name, or ``{"fault": name, "after": lines, "delay_s": seconds, "path": "/api/chat"}``:

==================  ==========================================================================================
``ok``              nothing
``crash``           the process ends at once, as if killed
``hang_first``      nothing ever comes, the connection stays open
``hang_mid``        stops after ``after`` lines, the connection stays open
``drip``            ``delay_s`` before every line
``cut``             the connection breaks after ``after`` lines, without the end mark of the stream
``silent_end``      the stream ends properly after ``after`` lines, without a final chunk
``error_line``      after ``after`` lines comes ``{"error": …}`` under status 200, then the stream ends
``malformed``       line ``after`` is cut in half
``long_line``       line ``after`` is padded to 2 MiB of text
``bad_utf8``        line ``after`` holds bytes that are no UTF-8
``no_counts``       the final chunk has no counts and no durations
``wrong_counts``    the final chunk counts ten times as many tokens and negative time
``status_400`` …    the request is refused with that status: 400, 404, 500, 503
==================  ==========================================================================================
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from collector.errors import UsageError
from collector.pocket.api import SCHEDULER_BUSY, ApiError

__all__ = ["ENVIRONMENT", "KINDS", "CutStream", "Fault", "FaultScript"]

ENVIRONMENT = "ENERGY_RATING_POCKET_FAULTS"
LONG_LINE_BYTES = 2 * 1024 * 1024
RUNNER_DIED = "an error was encountered while running the model: unexpected EOF"
_REFUSALS = {
    "status_400": (400, "invalid request"),
    "status_404": (404, "model 'gone' not found"),
    "status_500": (500, "model runner has unexpectedly stopped, this may be due to resource limitations or an "
                        "internal error, check ollama server logs for details"),
    "status_503": (503, SCHEDULER_BUSY),
}  # fmt: skip
_IN_STREAM = (
    "crash", "hang_first", "hang_mid", "drip", "cut", "silent_end", "error_line", "malformed", "long_line", "bad_utf8",
    "no_counts", "wrong_counts",
)  # fmt: skip
KINDS = ("ok", *_IN_STREAM, *_REFUSALS)


class CutStream(Exception):
    """The connection is to be broken now."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of a script; ``after`` counts lines, ``path`` limits it to one endpoint (None: both)."""

    kind: str
    after: int = 2
    delay_s: float = 0.1
    path: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known are {', '.join(KINDS)}")

    def refuse(self) -> None:
        """Raises the refusal this fault stands for, if it is one.

        Raises:
            ApiError: with the status in the fault's name.
        """
        if self.kind in _REFUSALS:
            raise ApiError(*_REFUSALS[self.kind])

    def apply(self, lines: Iterator[bytes], gone: Callable[[], bool]) -> Iterator[bytes]:
        """The lines of an answer as the fault lets them through.

        Args:
            lines: JSON texts without newline.
            gone: whether the client has left or the server stops, which ends a hang.

        Raises:
            CutStream: the connection is to be broken here.
        """
        if self.kind == "ok":
            yield from lines
            return
        if self.kind == "hang_first":
            _hang(gone)
        struck = False
        for number, line in enumerate(lines):
            if self.kind == "drip":
                time.sleep(self.delay_s)
            if not struck and (number == self.after or b'"done":true' in line):  # a short answer does not get away
                struck = True
                if self.kind in {"hang_mid", "silent_end", "cut", "crash", "error_line"}:
                    yield from self._end(gone)
                    return
                line = self._spoil(line)
            yield self._final(line)

    def _end(self, gone: Callable[[], bool]) -> Iterator[bytes]:
        if self.kind == "crash":
            os._exit(139)  # as after a segmentation fault: nothing is flushed, nothing said
        if self.kind == "cut":
            raise CutStream
        if self.kind == "hang_mid":
            _hang(gone)
        if self.kind == "error_line":
            yield json.dumps({"error": RUNNER_DIED}).encode()

    def _spoil(self, line: bytes) -> bytes:
        if self.kind == "malformed":
            return line[: len(line) // 2]
        if self.kind == "long_line":
            return line[:-1] + b',"padding":"' + b"x" * LONG_LINE_BYTES + b'"}'
        if self.kind == "bad_utf8":
            return line.replace(b'"done"', b'"bytes":"\xff\xfe\x80","done"')
        return line

    def _final(self, line: bytes) -> bytes:
        if self.kind not in {"no_counts", "wrong_counts"} or b'"done":true' not in line:
            return line
        fields = json.loads(line)
        figures = [name for name in fields if name.endswith(("_count", "_duration"))]
        for name in figures:
            value = fields.pop(name)
            if self.kind == "wrong_counts":
                fields[name] = value * 10 if name.endswith("_count") else -value
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _hang(gone: Callable[[], bool]) -> NoReturn:
    while not gone():
        time.sleep(0.02)
    raise CutStream


class FaultScript:
    """A list of faults, one for each request that generates; safe to use from several threads."""

    def __init__(self, entries: Sequence[str | dict[str, Any]]) -> None:
        self._entries = deque(self._parse(entry) for entry in entries)
        self._lock = threading.Lock()

    @staticmethod
    def _parse(entry: str | dict[str, Any]) -> Fault:
        if isinstance(entry, str):
            return Fault(entry)
        options = dict(entry)
        return Fault(options.pop("fault"), **options)

    @classmethod
    def from_environment(cls) -> FaultScript:
        """The script in ``ENERGY_RATING_POCKET_FAULTS``; empty when the variable is not set.

        Raises:
            UsageError: it is not a JSON list of known faults.
        """
        text = os.environ.get(ENVIRONMENT, "[]")
        try:
            entries = json.loads(text)
            if not isinstance(entries, list):
                raise ValueError("not a list")
            return cls(entries)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{ENVIRONMENT} must be a JSON list of faults: {error}.",
                f"{ENVIRONMENT} 必须是故障的 JSON 列表：{error}。",
            ) from error

    def take(self, path: str) -> Fault:
        """The fault for the next request to ``path``; ``ok`` when the script is used up or meant for another."""
        with self._lock:
            if self._entries and self._entries[0].path in {None, path}:
                return self._entries.popleft()
        return Fault("ok")
