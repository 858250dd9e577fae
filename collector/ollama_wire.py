"""What travels between us and an Ollama server, as plain values: no network in here.

The field names and their meaning follow Ollama's API (server versions 0.9 to 0.33). A key that the server
leaves out is ``None``, never 0: Ollama drops zero values from its JSON, so "absent" may mean either.
"""

from __future__ import annotations

import json
import os
from calendar import timegm
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from collector.errors import EngineError, UsageError
from collector.ollama_types import Chunk, LoadedModel, ModelDetails, ModelTag

__all__ = [
    "DEFAULT_HOST", "AnswerReader", "LineSplitter", "StreamError", "base_url", "check_counts", "count_of",
    "error_text", "parse_details", "parse_json", "parse_loaded", "parse_tags", "parse_time", "same_model",
    "unix_ns",
]  # fmt: skip

DEFAULT_HOST: Final = "127.0.0.1:11434"

_DETAIL_CHARS: Final = 500
_DEFAULT_TAG: Final = ":latest"


class StreamError(Exception):
    """A line that ends the answer; ``name`` is a flag out of db.flags."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name, self.detail = name, detail


class LineSplitter:
    """Cuts a byte stream into lines, however the network cut it into reads."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max = max_line_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Lines that ``data`` completes, without their newline.

        Raises:
            StreamError: ``line_too_long``, after all lines before it were given.
        """
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield self._close(data[start:end])
            start = end + 1
        if start < len(data):
            self._add(data[start:])

    def rest(self) -> bytes:
        """What came after the last newline."""
        return self._close(b"")

    def _add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._max:
            raise StreamError("line_too_long", f"more than {self._max} bytes without a newline")

    def _close(self, part: bytes) -> bytes:
        self._add(part)
        line = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_reject)


def parse_json(line: bytes) -> Any:
    """Decodes one line.

    Raises:
        StreamError: ``invalid_utf8`` or ``malformed_line``.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StreamError("invalid_utf8", f"byte {error.start} of {line[:80]!r}") from error
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise StreamError("malformed_line", f"not JSON: {line[:200]!r}") from error


class AnswerReader:
    """Reads the lines of one answer, of ``/api/chat`` or ``/api/generate``, with little work per line."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, object, str, str]] = []
        self.final: dict[str, Any] | None = None

    def take(self, line: bytes, receipt_ns: int) -> bool:
        """Reads one line; True when it carried a token.

        Raises:
            StreamError: an error line, or a line that is not one of the API's.
        """
        if not line.strip():
            return False
        data = parse_json(line)
        if not isinstance(data, dict):
            raise StreamError("malformed_line", f"not an object: {line[:200]!r}")
        if "error" in data:
            raise StreamError("error_line", error_text(data["error"]))
        message = data.get("message")
        part = data if message is None else message
        if not isinstance(part, dict):
            raise StreamError("malformed_line", f"message is not an object: {line[:200]!r}")
        text = part.get("response" if message is None else "content")
        text = "" if text is None else text
        thinking = part.get("thinking")
        thinking = "" if thinking is None else thinking
        done = data.get("done")
        if not (isinstance(text, str) and isinstance(thinking, str) and isinstance(done, bool)):
            raise StreamError("malformed_line", f"not a chunk of an answer: {line[:200]!r}")
        self._lines.append((receipt_ns, data.get("created_at"), text, thinking))
        if done:
            self.final = data
        return bool(text or thinking)

    @property
    def lines(self) -> int:
        """Number of lines read so far."""
        return len(self._lines)

    def chunks(self) -> list[Chunk]:
        """The lines so far with the server's stamps read."""
        return [Chunk(ns, unix_ns(at), _clean(text), _clean(think)) for ns, at, text, think in self._lines]


def _clean(text: str) -> str:
    """Makes text storable: half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes ``?``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def unix_ns(text: object) -> int | None:
    """Unix nanoseconds of an RFC 3339 time with up to nine decimals; None when it is not one."""
    if not isinstance(text, str) or len(text) < 20 or not text.isascii():
        return None
    body, offset = (text[:-1], "Z") if text[-1] in "zZ" else (text[:-6], text[-6:])
    whole, _, decimals = body.partition(".")
    if decimals and not (decimals.isdigit() and len(decimals) <= 9):
        return None
    try:
        at = datetime.fromisoformat(whole + ("+00:00" if offset == "Z" else offset))
    except ValueError:
        return None
    if at.tzinfo is None or len(whole) != 19:
        return None
    return timegm(at.utctimetuple()) * 1_000_000_000 + int(decimals.ljust(9, "0") if decimals else 0)


def parse_time(text: object) -> datetime | None:
    """RFC 3339 time as aware UTC; None when it is not one."""
    at = unix_ns(text)
    return None if at is None else datetime.fromtimestamp(at // 1000 / 1e6, UTC)


def error_text(error: object) -> str:
    """The readable part of an ``error`` value; some errors of the runner arrive as JSON inside the text."""
    for _ in range(4):
        if isinstance(error, str) and error.lstrip().startswith("{"):
            try:
                error = _DECODER.decode(error)
            except (ValueError, RecursionError):
                break
        elif isinstance(error, dict) and ("message" in error or "error" in error):
            error = error["message"] if "message" in error else error["error"]
        else:
            break
    return _clean(str(error))[:_DETAIL_CHARS]


def count_of(final: Mapping[str, Any], key: str) -> int | None:
    """A count or duration of the final chunk; None when it is absent or not a whole number >= 0."""
    value = final.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


_NUMBERS: Final = (
    "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration",
    "prompt_eval_cached_count", "eval_count", "eval_duration",
)  # fmt: skip


def check_counts(
    final: Mapping[str, Any], chunks: Sequence[Chunk], num_predict: int | None = None, *, loading: bool = False
) -> tuple[str, str] | None:
    """Holds the final chunk's figures against the stream.

    A chunk carries at least one token, so an answer has at most ``eval_count`` chunks with text; one more is
    allowed where thinking turns into the answer, because a server may cut one token in two there.

    Args:
        final: the final chunk.
        chunks: all chunks.
        num_predict: the cap that was asked for, None or <= 0 for none; an end-of-text token may come on top.
        loading: nothing was asked, so the server only loads or unloads, without counts.

    Returns:
        Flag name and detail, None when nothing contradicts.
    """
    if loading and final.get("done_reason") in ("load", "unload"):
        return None
    for key in _NUMBERS:
        if final.get(key) is not None and count_of(final, key) is None:
            return "counts_wrong", f"{key} is {final[key]!r}"[:_DETAIL_CHARS]
    prompt, output = count_of(final, "prompt_eval_count"), count_of(final, "eval_count")
    missing = [k for k, v in (("prompt_eval_count", prompt), ("eval_count", output)) if v is None]
    if output is None or missing:
        return "counts_missing", f"no {' and no '.join(missing)}"
    filled = sum(1 for chunk in chunks if chunk.text or chunk.thinking)
    allowed = output + (1 if any(chunk.thinking for chunk in chunks) else 0)
    if filled > allowed:
        return "counts_wrong", f"eval_count is {output}, but {filled} chunks carried text"
    if num_predict is not None and 0 < num_predict < output - 1:
        return "counts_wrong", f"eval_count is {output}, the cap was {num_predict}"
    cached = count_of(final, "prompt_eval_cached_count")
    if cached is not None and prompt is not None and cached > prompt:
        return "counts_wrong", f"{cached} of {prompt} prompt tokens cached"
    return None


def base_url(host: str | None = None) -> str:
    """URL of a server as the user or ``OLLAMA_HOST`` names it: a host, a port, both, or a whole URL.

    ``None`` is ``OLLAMA_HOST``, and 127.0.0.1:11434 without it. The listen-everywhere addresses become
    loopback. As in Ollama, a bare host has port 11434, an ``http://`` URL port 80 and an ``https://`` URL
    port 443.

    Raises:
        UsageError: it names no server.
    """
    text = (host or os.environ.get("OLLAMA_HOST") or DEFAULT_HOST).strip().strip("\"'").rstrip("/")
    scheme, found, rest = text.rpartition("://")
    scheme = scheme.lower() or "http"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        name, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is no server address: {error}",
                         f"{text!r} 不是服务器地址：{error}") from error  # fmt: skip
    plain = not (parts.username or parts.password or parts.query or parts.fragment or " " in rest)
    if scheme not in ("http", "https") or not plain or not rest:
        raise UsageError(f"{text!r} is no server address", f"{text!r} 不是服务器地址")
    if name in ("0.0.0.0", "::"):  # noqa: S104  (a server's way to say "everywhere", not a bind of ours)
        name = "127.0.0.1"
    name = f"[{name}]" if ":" in name else name
    port = port or (11434 if not found else 443 if scheme == "https" else 80)
    return f"{scheme}://{name}:{port}{parts.path}"


def same_model(a: str, b: str) -> bool:
    """Whether two tags name the same model; no tag means ``:latest``."""

    def full(name: str) -> str:
        return name if ":" in name.rpartition("/")[2] else name + _DEFAULT_TAG

    return full(a) == full(b)


def _text(data: object, key: str) -> str | None:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) and value else None


def _number(data: object, key: str) -> int | None:
    return count_of(data, key) if isinstance(data, dict) else None


def _names(data: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = data.get(key)
    return tuple(str(v) for v in value) if isinstance(value, list) else None


def _models(data: object, path: str) -> list[dict[str, Any]]:
    models = data.get("models") if isinstance(data, dict) else None
    if models is None and isinstance(data, dict) and "models" in data:
        return []  # Go writes an empty list as null
    if not isinstance(models, list) or not all(_text(m, "name") for m in models):
        raise EngineError(f"{path} did not answer with a list of models", f"{path} 未返回模型列表")
    return models


def parse_tags(data: object) -> list[ModelTag]:
    """Models of an ``/api/tags`` answer.

    Raises:
        EngineError: it is not one.
    """
    return [
        ModelTag(
            name=m["name"], digest=_text(m, "digest"), size_bytes=_number(m, "size"),
            family=_text(m.get("details"), "family"),
            parameter_size=_text(m.get("details"), "parameter_size"),
            quantization=_text(m.get("details"), "quantization_level"),
            capabilities=_names(m, "capabilities"),
        )
        for m in _models(data, "/api/tags")
    ]  # fmt: skip


def parse_loaded(data: object) -> list[LoadedModel]:
    """Models of an ``/api/ps`` answer.

    Raises:
        EngineError: it is not one.
    """
    return [
        LoadedModel(
            name=m["name"], digest=_text(m, "digest"), size_bytes=_number(m, "size"),
            size_vram_bytes=_number(m, "size_vram"), context_length=_number(m, "context_length"),
            expires_at=parse_time(m.get("expires_at")),
        )
        for m in _models(data, "/api/ps")
    ]  # fmt: skip


def parse_details(data: object) -> ModelDetails:
    """The answer of ``/api/show``.

    Raises:
        EngineError: it is not one.
    """
    if not isinstance(data, dict) or not isinstance(data.get("details"), dict):
        raise EngineError("/api/show did not describe the model", "/api/show 未返回模型信息")
    details, info = data["details"], data.get("model_info") or {}
    architecture = _text(info, "general.architecture")
    return ModelDetails(
        family=_text(details, "family") or architecture,
        parameter_count=_number(info, "general.parameter_count"),
        quantization=_text(details, "quantization_level"),
        context_length_trained=_number(info, f"{architecture}.context_length"),
        capabilities=_names(data, "capabilities"),
        parent=_text(details, "parent_model"),
        base_name=_text(info, "general.basename"),
        size_label=_text(info, "general.size_label"),
        raw=data,
    )
