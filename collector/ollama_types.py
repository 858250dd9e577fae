"""The plain values that the Ollama client takes and gives, and the names of the generation options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from collector.errors import UsageError

__all__ = [
    "KNOWN_OPTIONS", "ChatOutcome", "ChatRequest", "Chunk", "Limits", "LoadOutcome", "LoadedModel",
    "ModelDetails", "ModelTag", "PullProgress", "check_options",
]  # fmt: skip

KNOWN_OPTIONS: Final[Mapping[str, tuple[type, ...]]] = {
    "num_keep": (int,), "seed": (int,), "num_predict": (int,), "top_k": (int,), "top_p": (int, float),
    "min_p": (int, float), "typical_p": (int, float), "num_ctx": (int,), "draft_num_predict": (int,),
    "temperature": (int, float), "repeat_last_n": (int,), "repeat_penalty": (int, float),
    "presence_penalty": (int, float), "frequency_penalty": (int, float), "stop": (list, tuple, str),
    "num_batch": (int,), "num_gpu": (int,), "main_gpu": (int,), "use_mmap": (bool,), "num_thread": (int,),
}  # fmt: skip
"""Options that the server really reads, with the types it takes. It ignores any other name without a word."""


@dataclass(frozen=True, slots=True)
class ModelTag:
    """One local model of ``/api/tags``; ``capabilities`` is None where an old server does not say."""

    name: str
    digest: str | None
    size_bytes: int | None
    family: str | None
    parameter_size: str | None
    quantization: str | None
    capabilities: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """One model as ``/api/show`` describes it.

    Attributes:
        parameter_count: exact number of parameters, None where the server does not say.
        context_length_trained: tokens the model was trained for.
        parent: name of the model it was made from, None when unknown.
        base_name: name of the base in the weights' own metadata, e.g. ``Llama-3.2``; None when unknown.
        size_label: size in the weights' own metadata, e.g. ``3B``; None when unknown.
        raw: the whole answer.
    """

    family: str | None
    parameter_count: int | None
    quantization: str | None
    context_length_trained: int | None
    capabilities: tuple[str, ...] | None
    parent: str | None
    base_name: str | None
    size_label: str | None
    raw: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One model in memory as ``/api/ps`` lists it.

    ``size_vram_bytes == size_bytes``: wholly on the GPU; 0: on the CPU; between: spilled. ``context_length``
    is the one in force (None where an old server does not say).
    """

    name: str
    digest: str | None
    size_bytes: int | None
    size_vram_bytes: int | None
    context_length: int | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One progress line of a download; the byte figures are None on lines without them."""

    status: str
    digest: str | None
    total_bytes: int | None
    completed_bytes: int | None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request to ``/api/chat``.

    Attributes:
        model: model tag.
        messages: ``{"role": ..., "content": ...}`` in order; empty loads the model without an answer.
        options: generation options, names out of :data:`KNOWN_OPTIONS`.
        think: sent as it is; None leaves the field out (the server then thinks where the model can).
        keep_alive: seconds, a duration such as ``"5m"``, or None for the server's default.
    """

    model: str
    messages: Sequence[Mapping[str, str]]
    options: Mapping[str, Any] = field(default_factory=dict)
    think: bool | str | None = None
    keep_alive: float | int | str | None = None

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        messages = [dict(message) for message in self.messages]
        body: dict[str, Any] = {"model": self.model, "messages": messages, "stream": True}
        if self.options:
            body["options"] = dict(self.options)
        if self.think is not None:
            body["think"] = self.think
        if self.keep_alive is not None:
            body["keep_alive"] = self.keep_alive
        return body


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of one request, each counted from the request being sent unless said otherwise.

    Attributes:
        connect_s: for the connection.
        first_token_s: until the first non-empty token, model load and queue included.
        stall_s: from one line of the stream to the next, once tokens have begun.
        deadline_s: for the whole answer.
        max_line_bytes: longest line accepted.
    """

    connect_s: float = 5.0
    first_token_s: float = 300.0
    stall_s: float = 60.0
    deadline_s: float = 600.0
    max_line_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """One line of the answer: when it reached us, when the server made it (None: not said), and its text."""

    receipt_ns: int
    created_at_ns: int | None
    text: str
    thinking: str


@dataclass(frozen=True, slots=True)
class ChatOutcome:
    """What became of one chat request, whole or not.

    Attributes:
        sent_ns: monotonic stamp just before the request's first byte was handed to the system (the connection
            stands by then).
        end_ns: monotonic stamp of the final chunk's arrival, or of the moment the fault was seen.
        started_at: ``sent_ns`` as UTC time.
        wall_offset_ns: unix time minus monotonic time at the start, for setting server stamps beside ours.
        chunks: every line of the answer in order, the final one included.
        text: the answer, thinking left out; likewise thinking.
        final: the final chunk as the server sent it, None when none came.
        http_status: None when no answer came at all.
        fault: name out of db.flags, None when the answer is whole.
        fault_detail: what was seen, for a person.
    """

    sent_ns: int
    end_ns: int
    started_at: datetime
    wall_offset_ns: int
    chunks: list[Chunk]
    text: str
    thinking: str
    final: dict[str, Any] | None
    http_status: int | None
    fault: str | None
    fault_detail: str | None

    @property
    def done_reason(self) -> str | None:
        """Why the server stopped (``stop``, ``length``, ``load``, ``unload``); None without a final chunk."""
        reason = self.final.get("done_reason") if self.final else None
        return reason if isinstance(reason, str) else None


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """What became of loading a model; ``duration_s`` is our own clock and None when it failed."""

    duration_s: float | None
    fault: str | None
    fault_detail: str | None


def check_options(options: Mapping[str, Any]) -> None:
    """Refuses option names and types that the server would ignore or reject.

    Raises:
        UsageError: names the option.
    """
    for name, value in options.items():
        types = KNOWN_OPTIONS.get(name)
        if types is None:
            names = ", ".join(sorted(KNOWN_OPTIONS))
            raise UsageError(f"option {name!r} does not exist; known: {names}",
                             f"选项 {name!r} 不存在；可用：{names}")  # fmt: skip
        wrong = not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
        if wrong or (isinstance(value, float) and not math.isfinite(value)):
            kinds = " / ".join(t.__name__ for t in types)
            raise UsageError(f"option {name!r} must be {kinds}, not {value!r}",
                             f"选项 {name!r} 须为 {kinds}，而非 {value!r}")  # fmt: skip
