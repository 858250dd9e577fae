"""Requests of the embedded engine's HTTP API: what is accepted, and how a refusal reads.

Status codes and sentences follow Ollama v0.32.15, so that a client cannot tell the two apart by its errors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

__all__ = [
    "FOREVER_NS", "SCHEDULER_BUSY", "ApiError", "ChatRequest", "GenerateRequest", "Options", "RunnerOptions",
    "decode_object", "parse_chat", "parse_duration_ns", "parse_generate", "parse_model_name", "parse_options",
]  # fmt: skip

FOREVER_NS = 2**63 - 1
SCHEDULER_BUSY = "server busy, please try again.  maximum pending requests exceeded"
INVALID_NAME = "invalid model name"
DEFAULT_NUM_CTX = 4096
MAX_TOP_LOGPROBS = 20

T = TypeVar("T")


class ApiError(Exception):
    """A refusal: HTTP status and the text of the ``error`` field."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


# --- JSON ----------------------------------------------------------------------------------------------------
def _no_constant(name: str) -> NoReturn:
    raise ApiError(400, f"invalid character '{name.lstrip('-')[0]}' looking for beginning of value")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ApiError(400, f"json: cannot unmarshal number {text} into Go value of type float64")
    return value


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 20 else _finite(text)


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, parse_int=_integer)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object a request body holds.

    Raises:
        ApiError: 400, worded as Go's decoder words it.
    """
    text = body.decode("utf-8", errors="replace").lstrip(" \t\r\n")
    if not text:
        raise ApiError(400, "missing request body")
    try:
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise ApiError(400, "unexpected EOF") from error
        raise ApiError(400, f"invalid character '{text[error.pos]}' looking for beginning of value") from error
    except RecursionError as error:
        raise ApiError(400, "json: exceeded max depth") from error
    if not isinstance(value, dict):
        raise ApiError(400, f"json: cannot unmarshal {_json_type(value)} into Go value of type object")
    return value


def _json_type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _field(body: Mapping[str, Any], name: str, kind: type[T], default: T) -> T:
    """One field of the wanted JSON type; absent and null mean ``default``."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        go_type = {str: "string", bool: "bool", int: "int", list: "array", dict: "object"}[kind]
        raise ApiError(400, f"json: cannot unmarshal {_json_type(value)} into field {name} of type {go_type}")
    if isinstance(value, str):
        return _valid_text(value)  # type: ignore[return-value]
    return value


def _valid_text(text: str) -> str:
    """Text without lone surrogates, which JSON escapes can smuggle in and no tokenizer can encode."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# --- names and durations -----------------------------------------------------------------------------------------
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,79}"
_NAME = re.compile(
    rf"(?:(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:\-]{{0,349}})/)?(?P<namespace>[A-Za-z0-9_][A-Za-z0-9_\-]{{0,79}})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?"
)


def parse_model_name(text: str) -> tuple[str, str]:
    """``(model, tag)`` of a model name in lower case; the tag is ``latest`` where none is given.

    A name that points to another registry or namespace keeps it in front of the model, so it is never found here.

    Raises:
        ApiError: 400, the name is malformed.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise ApiError(400, INVALID_NAME)
    host, namespace = (match["host"] or "registry.ollama.ai").lower(), (match["namespace"] or "library").lower()
    home = host == "registry.ollama.ai" and namespace == "library"
    model = match["model"].lower() if home else f"{host}/{namespace}/{match['model']}".lower()
    return model, (match["tag"] or "latest").lower()


_UNITS_NS = {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_DURATION_TERM = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")


def parse_duration_ns(value: object) -> int:
    """``keep_alive`` in nanoseconds: a number is seconds, text is a Go duration, negative is for ever.

    Raises:
        ApiError: 400, worded as Go's ``time.ParseDuration``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ApiError(400, f"Unsupported type: '{_json_type(value)}'")
    nanoseconds = _go_duration(value) if isinstance(value, str) else float(value) * 1e9
    return FOREVER_NS if nanoseconds < 0 else int(min(nanoseconds, FOREVER_NS))


def _go_duration(text: str) -> float:
    unsigned = text[1:] if text[:1] in {"-", "+"} else text
    sign = -1.0 if text.startswith("-") else 1.0
    if unsigned == "0":
        return 0.0
    total, position = 0.0, 0
    while position < len(unsigned) or position == 0:
        term = _DURATION_TERM.match(unsigned, position)
        if term is None:
            raise ApiError(400, f'time: invalid duration "{text}"')
        number, unit = term.groups()
        if not unit:
            raise ApiError(400, f'time: missing unit in duration "{text}"')
        if unit not in _UNITS_NS:
            raise ApiError(400, f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS_NS[unit]
        position = term.end()
    if total > FOREVER_NS:
        raise ApiError(400, f'time: invalid duration "{text}"')
    return sign * total


# --- options -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What a loaded model was loaded with; another value reloads it.

    Attributes:
        num_ctx: context length in tokens.
        auto_num_ctx: whether it is the server's choice; then any other context length a model has will do.
        num_thread: threads to compute with, 0 for the server's choice.
        shift: whether generation passes the context's end by forgetting old tokens.
        rest: options that change nothing here but reload a model on the imitated server too.
    """

    num_ctx: int = DEFAULT_NUM_CTX
    auto_num_ctx: bool = True
    num_thread: int = 0
    shift: bool = True
    rest: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one request with the server's defaults; ``num_predict`` < 0 means without limit."""

    num_ctx: int | None = None
    num_keep: int = 4
    num_predict: int = -1
    num_thread: int = 0
    seed: int = -1
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    stop: tuple[str, ...] = ()
    rest: tuple[tuple[str, object], ...] = ()

    def runner(self, shift: bool) -> RunnerOptions:
        """The part that decides whether a loaded model can be used as it is."""
        automatic = self.num_ctx is None
        num_ctx = DEFAULT_NUM_CTX if self.num_ctx is None else self.num_ctx
        return RunnerOptions(num_ctx, automatic, self.num_thread, shift, self.rest)


_INTEGERS = {
    "num_ctx", "num_keep", "num_predict", "num_thread", "seed", "top_k", "repeat_last_n", "num_batch", "num_gpu",
    "main_gpu", "draft_num_predict",
}  # fmt: skip
_FLOATS = {
    "temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty",
}  # fmt: skip
_BOOLEANS = {"use_mmap"}
_RELOADING = ("num_batch", "num_gpu", "main_gpu", "use_mmap")
# Sampling that this engine does not do: only the value that switches it off is accepted, never ignored in silence.
_NEUTRAL = {"min_p": 0.0, "typical_p": 1.0, "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}


def _option(name: str, value: object) -> object:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in _INTEGERS:
        if not numeric:
            raise ApiError(500, f'option "{name}" must be of type integer')
        return max(-(2**63), min(2**63 - 1, int(value)))  # type: ignore[call-overload]
    if name in _FLOATS:
        if not numeric:
            raise ApiError(500, f'option "{name}" must be of type float32')
        return float(value)  # type: ignore[arg-type]
    if name in _BOOLEANS and not isinstance(value, bool):
        raise ApiError(500, f'option "{name}" must be of type boolean')
    return value


def parse_options(raw: Mapping[str, Any]) -> Options:
    """Options with their types checked; unknown names are ignored, as on the imitated server.

    Raises:
        ApiError: 500 for a wrong type; 400 for sampling this engine cannot do.
    """
    values: dict[str, Any] = {}
    for name, value in raw.items():
        if value is not None and name in _INTEGERS | _FLOATS | _BOOLEANS | {"stop"}:
            values[name] = _stop(value) if name == "stop" else _option(name, value)
    for name, neutral in _NEUTRAL.items():
        if values.pop(name, neutral) != neutral:
            raise ApiError(400, f'option "{name}" is not supported by the embedded engine')
    rest = tuple((name, values.pop(name)) for name in _RELOADING if name in values)
    values.pop("repeat_last_n", None)
    values.pop("draft_num_predict", None)
    if "num_ctx" in values:
        values["num_ctx"] = max(values["num_ctx"], 4)
    if values.get("num_predict") == 0:
        values["num_predict"] = -1
    return Options(**values, rest=rest)


def _stop(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ApiError(500, 'option "stop" must be of type array')
    if not all(isinstance(item, str) for item in value):
        raise ApiError(500, 'option "stop" must be of an array of strings')
    return tuple(_valid_text(item) for item in value if item)


# --- requests ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Request:
    model: str
    stream: bool = True
    keep_alive_ns: int | None = None
    think: bool = False
    format: object = None
    raw_options: Mapping[str, Any] = field(default_factory=dict)
    shift: bool = True
    truncate: bool = True
    logprobs: bool = False
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class GenerateRequest(_Request):
    """Body of ``POST /api/generate``; ``context`` are token ids of an earlier answer."""

    prompt: str = ""
    system: str = ""
    template: str = ""
    suffix: str = ""
    raw: bool = False
    has_images: bool = False
    context: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest(_Request):
    """Body of ``POST /api/chat``; ``messages`` as ``{"role", "content"}``."""

    messages: tuple[dict[str, str], ...] = ()
    has_images: bool = False
    has_tools: bool = False


def _think(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    allowed = '"high", "medium", "low", "max", true, or false'
    if not isinstance(value, str):
        raise ApiError(400, f"think must be a boolean or string ({allowed})")
    if value not in {"high", "medium", "low", "max"}:
        raise ApiError(400, f'invalid think value: "{value}" (must be {allowed})')
    return True


def _common(body: Mapping[str, Any]) -> dict[str, Any]:
    top_logprobs = _field(body, "top_logprobs", int, 0)
    keep_alive = body.get("keep_alive")
    common = {
        "model": _field(body, "model", str, ""),
        "stream": _field(body, "stream", bool, True),
        "keep_alive_ns": None if keep_alive is None else parse_duration_ns(keep_alive),
        "think": _think(body.get("think")),
        "format": body.get("format") or None,
        "raw_options": _field(body, "options", dict, {}),
        "shift": _field(body, "shift", bool, True),
        "truncate": _field(body, "truncate", bool, True),
        "logprobs": _field(body, "logprobs", bool, False),
        "top_logprobs": top_logprobs,
    }
    if not 0 <= top_logprobs <= MAX_TOP_LOGPROBS:
        raise ApiError(400, f"top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}")
    return common


def parse_generate(raw: bytes) -> GenerateRequest:
    """The body of a generate request.

    Raises:
        ApiError: 400.
    """
    body = decode_object(raw)
    context = _field(body, "context", list, [])
    if not all(isinstance(token, int) and not isinstance(token, bool) for token in context):
        raise ApiError(400, "json: cannot unmarshal array into field context of type []int")
    return GenerateRequest(
        **_common(body),
        prompt=_field(body, "prompt", str, ""),
        system=_field(body, "system", str, ""),
        template=_field(body, "template", str, ""),
        suffix=_field(body, "suffix", str, ""),
        raw=_field(body, "raw", bool, False),
        has_images=bool(_field(body, "images", list, [])),
        context=tuple(context),
    )


def parse_chat(raw: bytes) -> ChatRequest:
    """The body of a chat request; roles come in lower case, an absent content is empty text.

    Raises:
        ApiError: 400.
    """
    body = decode_object(raw)
    messages, has_images = [], False
    for message in _field(body, "messages", list, []):
        if not isinstance(message, dict):
            raise ApiError(400, f"json: cannot unmarshal {_json_type(message)} into field messages of type object")
        has_images = has_images or bool(_field(message, "images", list, []))
        role, content = _field(message, "role", str, ""), _field(message, "content", str, "")
        messages.append({"role": role.lower(), "content": content})
    has_tools = bool(_field(body, "tools", list, []))
    return ChatRequest(**_common(body), messages=tuple(messages), has_images=has_images, has_tools=has_tools)
