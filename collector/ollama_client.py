"""Client of a server that speaks Ollama's HTTP API: Ollama itself or the embedded engine.

Synchronous, HTTP/1.1, a fresh connection per request, no proxy from the environment. Time limits are checked
before every read of the socket, so that no server can hold us longer than they say, however it drips, and
whether or not its other endpoints go on answering. Closing the connection makes the server stop generating.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import httpcore
import httpx

from collector.errors import EngineError, ModelMissing
from collector.ollama_types import (
    KNOWN_OPTIONS,
    ChatOutcome,
    ChatRequest,
    Chunk,
    Limits,
    LoadedModel,
    LoadOutcome,
    ModelDetails,
    ModelTag,
    PullProgress,
    check_options,
)
from collector.ollama_watch import TimeUp, Watch, WatchedStream
from collector.ollama_wire import (
    DEFAULT_HOST,
    AnswerReader,
    LineSplitter,
    StreamError,
    base_url,
    check_counts,
    count_of,
    error_text,
    parse_details,
    parse_json,
    parse_loaded,
    parse_tags,
    same_model,
)

__all__ = [
    "DEFAULT_HOST", "KNOWN_OPTIONS", "ChatOutcome", "ChatRequest", "Chunk", "Limits", "LoadOutcome",
    "LoadedModel", "ModelDetails", "ModelTag", "OllamaClient", "PullProgress", "base_url", "check_options",
    "same_model",
]  # fmt: skip

_QUICK: Final = Limits(connect_s=2.0, first_token_s=15.0, stall_s=15.0, deadline_s=15.0)
_PULL: Final = Limits(connect_s=5.0, first_token_s=120.0, stall_s=120.0, deadline_s=24 * 3600.0)
_BODY_BYTES: Final = 64 << 10  # of an error's body
_POLL_S: Final = 0.05
_HTTP_FAULTS: Final = {400: "http_400", 404: "http_404", 500: "http_500", 503: "http_503"}
_NETWORK_ERRORS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class _Transport(httpx.BaseTransport, httpcore.NetworkBackend):
    """httpx over httpcore with the watch between them, and a fresh connection for every request."""

    def __init__(self) -> None:
        self.watch = Watch(_QUICK)
        self._backend = httpcore.SyncBackend()
        self._pool = httpcore.ConnectionPool(network_backend=self, max_keepalive_connections=0)

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        limit_s = min(self.watch.limits.connect_s, self.watch.limits.deadline_s)
        stream = self._backend.connect_tcp(host, port, limit_s, local_address, socket_options)
        return WatchedStream(stream, self.watch)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port,
            target=request.url.raw_path,
        )  # fmt: skip
        content = request.stream if isinstance(request.stream, httpx.SyncByteStream) else None
        answer = self._pool.handle_request(
            httpcore.Request(request.method, url, headers=request.headers.raw, content=content)
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """Body of an answer as it arrives."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class OllamaClient:
    """One server; one request at a time (use one client per thread).

    Everything but :meth:`chat` and :meth:`load` raises :class:`EngineError` when the server is not there or
    answers with an error. Those two report it as the name of a flag, because it belongs in the record.
    """

    def __init__(self, url: str | None = None) -> None:
        """``url`` as :func:`base_url` reads it."""
        self.url = base_url(url)
        self._transport = _Transport()
        self._http = httpx.Client(
            base_url=self.url, transport=self._transport, trust_env=False,
            headers={"accept-encoding": "identity", "user-agent": "genai-energy-rating"},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; a generation in progress ends with its connection."""
        self._http.close()

    # --- what the server has

    def version(self, timeout_s: float = _QUICK.deadline_s) -> str:
        """Version of the server.

        Raises:
            EngineError: it does not answer as an Ollama server does, or not within the time.
        """
        limits = Limits(min(_QUICK.connect_s, timeout_s), timeout_s, timeout_s, timeout_s)
        data = self._call("GET", "/api/version", limits=limits)
        version = data.get("version") if isinstance(data, dict) else None
        if not isinstance(version, str):
            raise EngineError(f"{self.url} is no Ollama server", f"{self.url} 不是 Ollama 服务器")
        return version

    def tags(self) -> list[ModelTag]:
        """Models that the server has on disk."""
        return parse_tags(self._call("GET", "/api/tags"))

    def show(self, model: str) -> ModelDetails:
        """What the server knows of one model.

        Raises:
            ModelMissing: it does not have the model.
        """
        return parse_details(self._call("POST", "/api/show", {"model": model}, model))

    def ps(self) -> list[LoadedModel]:
        """Models in memory."""
        return parse_loaded(self._call("GET", "/api/ps"))

    def ready(self, timeout_s: float) -> bool:
        """Waits until ``/api/version`` answers; False when it does not within the time.

        It is asked at least once, and the last question may take two seconds more.
        """
        limit = time.monotonic() + timeout_s
        while True:
            try:
                self.version(max(2.0, limit - time.monotonic()))
            except EngineError:
                if time.monotonic() >= limit:
                    return False
                time.sleep(_POLL_S)
            else:
                return True

    # --- loading and unloading

    def load(
        self, model: str, options: Mapping[str, Any] | None = None, keep_alive: float | int | str | None = -1,
        timeout_s: float = 600.0,
    ) -> LoadOutcome:  # fmt: skip
        """Loads a model with the given options, timed by our clock: the server's answer carries no durations.

        Raises:
            UsageError: an option does not exist.
        """
        request = ChatRequest(model, [], options or {}, keep_alive=keep_alive)
        limits = Limits(first_token_s=timeout_s, stall_s=timeout_s, deadline_s=timeout_s)
        outcome = self.chat(request, limits)
        seconds = None if outcome.fault else (outcome.end_ns - outcome.sent_ns) / 1e9
        return LoadOutcome(seconds, outcome.fault, outcome.fault_detail)

    def unload(self, model: str) -> None:
        """Asks for a model to leave memory; the server does so after its answer (:meth:`wait_unloaded`)."""
        self._call("POST", "/api/generate", {"model": model, "keep_alive": 0}, model)

    def wait_unloaded(self, model: str, timeout_s: float) -> bool:
        """Waits until ``/api/ps`` no longer lists the model; False when it still does after the time."""
        limit = time.monotonic() + timeout_s
        while any(same_model(loaded.name, model) for loaded in self.ps()):
            if time.monotonic() >= limit:
                return False
            time.sleep(_POLL_S)
        return True

    def unload_all(self, timeout_s: float) -> bool:
        """Unloads every model in memory; False when one is still there after the time."""
        limit = time.monotonic() + timeout_s
        names = [loaded.name for loaded in self.ps()]
        for name in names:
            self.unload(name)
        return all(self.wait_unloaded(name, max(0.0, limit - time.monotonic())) for name in names)

    def pull(self, model: str) -> Generator[PullProgress]:
        """Downloads a model; a download that broke off goes on where it was.

        Raises:
            EngineError: also in mid-stream: no such model, no network, disk full, or the server fell silent.
        """
        done = False
        for data in self._lines("/api/pull", {"model": model, "stream": True}, _PULL):
            status = data.get("status")
            done = status == "success"
            yield PullProgress(
                status if isinstance(status, str) else "", data.get("digest"), count_of(data, "total"),
                count_of(data, "completed"),
            )  # fmt: skip
        if not done:
            raise EngineError(f"the download of {model} broke off", f"{model} 的下载中断")

    # --- answers

    def chat(self, request: ChatRequest, limits: Limits) -> ChatOutcome:
        """Streams one answer.

        Faults of engine and transport never raise: they are in the outcome, with everything that had come by
        then. So is Ctrl-C (``aborted``): the stream is closed, what came is kept, and the caller has to end.

        Raises:
            UsageError: an option does not exist; nothing was sent.
        """
        check_options(request.options)
        reader, watch, status = AnswerReader(), Watch(limits), [0]
        wall_offset_ns = _wall_offset_ns()
        self._transport.watch = watch
        fault: tuple[str, str] | None = None
        try:
            self._stream(request, watch, reader, status)
        except StreamError as error:
            fault = error.name, error.detail
        except TimeUp as error:
            fault = error.fault, error.detail
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            fault = "connect_failed", f"{self.url}: {error}"
        except _NETWORK_ERRORS as error:
            fault = "connection_lost", f"{type(error).__name__}: {error}"
        except KeyboardInterrupt:
            fault = "aborted", "interrupted by the user"
        end_ns = watch.progress_ns if reader.final and watch.progress_ns else time.monotonic_ns()
        chunks = reader.chunks()
        if reader.final is not None and (fault is None or fault[0] != "aborted"):
            cap = request.options.get("num_predict")
            fault = check_counts(reader.final, chunks, cap, loading=not request.messages)
        sent_ns = watch.sent_ns or watch.start_ns
        return ChatOutcome(
            sent_ns=sent_ns, end_ns=end_ns, wall_offset_ns=wall_offset_ns,
            started_at=datetime.fromtimestamp((sent_ns + wall_offset_ns) / 1e9, UTC),
            chunks=chunks, text="".join(c.text for c in chunks), thinking="".join(c.thinking for c in chunks),
            final=reader.final, http_status=status[0] or None,
            fault=fault[0] if fault else None, fault_detail=fault[1] if fault else None,
        )  # fmt: skip

    def _stream(self, request: ChatRequest, watch: Watch, reader: AnswerReader, status: list[int]) -> None:
        splitter = LineSplitter(watch.limits.max_line_bytes)
        asked = self._http.build_request("POST", "/api/chat", json=request.body())
        # not through httpx.Client.send, whose work after the headers would delay the stamp of the first token
        with closing(self._transport.handle_request(asked)) as response:
            status[0] = response.status_code
            if response.status_code != 200:
                text = _read_error(response)
                name = _HTTP_FAULTS.get(response.status_code, "http_error")
                raise StreamError(name, f"{response.status_code}: {text}")
            for data in response.iter_raw():
                if watch.drain_ns is not None:
                    continue
                for line in splitter.feed(data):
                    self._take(line, watch, reader)
            if reader.final is None:
                self._take(splitter.rest(), watch, reader)
        if reader.final is None:
            raise StreamError("no_final_chunk", f"the stream ended after {reader.lines} lines")

    @staticmethod
    def _take(line: bytes, watch: Watch, reader: AnswerReader) -> None:
        if reader.final is not None:
            return
        token = reader.take(line, watch.read_ns)
        if token or reader.final is not None or watch.progress_ns is not None:
            watch.progress_ns = watch.read_ns
        if reader.final is not None:
            watch.drain_ns = watch.read_ns

    # --- plain calls

    def _call(
        self, method: str, path: str, body: object = None, model: str | None = None, limits: Limits = _QUICK
    ) -> Any:
        """One short request and its JSON answer."""
        self._transport.watch = Watch(limits)
        try:
            with self._http.stream(method, path, json=body) as response:
                if response.status_code != 200:
                    self._refuse(response, path, model)
                return parse_json(b"".join(response.iter_raw()))
        except (*_NETWORK_ERRORS, TimeUp, StreamError) as error:
            raise self._unreachable(path, error) from error

    def _lines(self, path: str, body: object, limits: Limits) -> Iterator[dict[str, Any]]:
        """The objects of a streamed answer that is no generation."""
        watch = self._transport.watch = Watch(limits)
        splitter = LineSplitter(limits.max_line_bytes)
        try:
            with self._http.stream("POST", path, json=body) as response:
                if response.status_code != 200:
                    self._refuse(response, path, None)
                for part in response.iter_raw():
                    for line in splitter.feed(part):
                        watch.progress_ns = watch.read_ns
                        data = parse_json(line) if line.strip() else {}
                        if not isinstance(data, dict):
                            raise StreamError("malformed_line", repr(line[:200]))
                        if "error" in data:
                            text = error_text(data["error"])
                            raise EngineError(f"{self.url}{path}: {text}", f"{self.url}{path}：{text}")
                        yield data
        except (*_NETWORK_ERRORS, TimeUp, StreamError) as error:
            raise self._unreachable(path, error) from error

    def _refuse(self, response: httpx.Response, path: str, model: str | None) -> None:
        text = _read_error(response)
        if response.status_code == 404 and model is not None:
            raise ModelMissing(f"{self.url} has no model {model!r}; get it with: python -m collector pull {model}",
                               f"{self.url} 没有模型 {model!r}；请运行：python -m collector pull {model}")  # fmt: skip
        raise EngineError(f"{self.url}{path} answered {response.status_code}: {text}",
                          f"{self.url}{path} 返回 {response.status_code}：{text}")  # fmt: skip

    def _unreachable(self, path: str, error: Exception) -> EngineError:
        return EngineError(f"{self.url}{path} did not answer: {error or type(error).__name__}",
                           f"{self.url}{path} 没有应答：{error or type(error).__name__}")  # fmt: skip


def _wall_offset_ns() -> int:
    """Unix time minus monotonic time, read as closely together as possible."""
    before = time.monotonic_ns()
    wall = time.time_ns()
    return wall - (before + time.monotonic_ns()) // 2


def _read_error(response: httpx.Response) -> str:
    """The server's words in an error answer, "" when it had none or they broke off."""
    body = b""
    try:
        for part in response.iter_raw():
            body += part
            if len(body) > _BODY_BYTES:
                break
    except (*_NETWORK_ERRORS, TimeUp) as error:
        body += f" ({type(error).__name__})".encode()
    text = body.decode("utf-8", "replace").strip()
    try:
        data = parse_json(body)
    except StreamError:
        return text[:500]
    return error_text(data["error"] if isinstance(data, dict) and "error" in data else text)
