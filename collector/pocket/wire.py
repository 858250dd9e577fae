"""Answers of the embedded engine's HTTP API: field order, omitted fields and time stamps as Ollama writes them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["Logprob", "Metrics", "chunk", "encode", "now", "stamp"]

Endpoint = Literal["generate", "chat"]


def stamp(unix_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds, trailing zeros trimmed as Go trims them."""
    seconds, fraction = divmod(unix_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def now() -> str:
    """The current moment as :func:`stamp` writes it."""
    return stamp(time.time_ns())


def encode(value: Mapping[str, Any]) -> bytes:
    """One JSON text without a newline, escaped like Go's encoder does it (no bare ``<``, ``>``, ``&``)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


@dataclass(frozen=True, slots=True)
class Logprob:
    """One token of a chunk: its text, natural-log probability and the most probable tokens beside it."""

    token: str
    logprob: float
    raw: bytes
    top: tuple[Logprob, ...] = ()

    def fields(self) -> dict[str, Any]:
        """As it is sent."""
        own: dict[str, Any] = {"token": self.token, "logprob": self.logprob, "bytes": list(self.raw)}
        return {**own, "top_logprobs": [other.fields() for other in self.top]} if self.top else own


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counts in tokens, durations in nanoseconds; what is zero is not sent."""

    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int

    def fields(self) -> dict[str, int]:
        """As they are sent: in this order, zeros left out."""
        names = type(self).__slots__
        return {name: value for name in names if (value := getattr(self, name))}


def chunk(
    endpoint: Endpoint,
    model: str,
    text: str,
    *,
    done_reason: str | None = None,
    context: Sequence[int] = (),
    metrics: Metrics | None = None,
    logprobs: Sequence[Logprob] = (),
) -> dict[str, Any]:
    """One line of a stream, or the whole of an answer; final exactly when ``done_reason`` is given."""
    fields: dict[str, Any] = {"model": model, "created_at": now()}
    if endpoint == "chat":
        fields["message"] = {"role": "assistant", "content": text}
    else:
        fields["response"] = text
    fields["done"] = done_reason is not None
    if done_reason is not None:
        fields["done_reason"] = done_reason
    if context:
        fields["context"] = list(context)
    if metrics is not None:
        fields |= metrics.fields()
    if logprobs:
        fields["logprobs"] = [item.fields() for item in logprobs]
    return fields
