"""What each path of the embedded engine's HTTP API does, whatever carries the bytes."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from collector.pocket import api, wire
from collector.pocket.answers import Task, chunks, join, prompt_of
from collector.pocket.api import ApiError, ChatRequest, GenerateRequest, RunnerOptions
from collector.pocket.catalog import Catalog, ModelCard, reading
from collector.pocket.faults import Fault, FaultScript
from collector.pocket.scheduler import LoadedModel, Scheduler

if TYPE_CHECKING:
    from collector.pocket.runner import Runner  # at run time only when a model is loaded: it imports torch

__all__ = ["ROUTES", "VERSION", "Endpoints", "Reply"]

VERSION = "0.1.0-pocket"


class Reply(Protocol):
    """The way back to the client."""

    def send_text(self, status: int, text: str, content_type: str = ...) -> None:
        """Plain text."""

    def send_object(self, value: Mapping[str, Any], status: int = 200) -> None:
        """One JSON object."""

    def send_body(self, body: bytes) -> None:
        """One JSON text that is already encoded."""

    def send_lines(self, lines: Iterator[bytes]) -> None:
        """A stream of JSON texts."""

    def gone(self) -> bool:
        """Whether nobody waits any more."""


class Endpoints:
    """The state behind the API: the models on disk and those in memory.

    Args:
        models: full name to folder; None for the models that ship.
        faults: faults on purpose, for tests; None in every normal run.
        max_loaded: models in memory at once.
        max_queue: requests that may wait for a load.
    """

    def __init__(
        self,
        models: Mapping[str, Path] | None = None,
        faults: FaultScript | None = None,
        *,
        max_loaded: int = 1,
        max_queue: int = 512,
    ) -> None:
        self.catalog = Catalog(models)
        self.scheduler: Scheduler[Runner] = Scheduler(self._load, self._fit, max_loaded, max_queue)
        self.faults = faults or FaultScript([])

    def close(self) -> None:
        """Lets no timer outlive the server."""
        self.scheduler.close()

    def warm_up(self) -> None:
        """Imports torch beside the serving thread, so that the first load does not have to."""
        threading.Thread(target=importlib.import_module, args=("collector.pocket.runner",), daemon=True).start()

    def _fit(self, name: str, options: RunnerOptions) -> RunnerOptions:
        return replace(options, num_ctx=min(options.num_ctx, self.catalog.find(name).context_length))

    def _load(self, name: str, options: RunnerOptions) -> Runner:
        folder = self.catalog.find(name).folder
        with reading(folder):
            from collector.pocket.runner import Runner

            return Runner(folder, options.num_ctx, options.num_thread)

    # --- inventory ---------------------------------------------------------------------------------------------
    def root(self, body: bytes, reply: Reply) -> None:
        """``/``."""
        reply.send_text(200, "Ollama is running")

    def version(self, body: bytes, reply: Reply) -> None:
        """``/api/version``: tells this engine from a real Ollama."""
        reply.send_object({"version": VERSION})

    def status(self, body: bytes, reply: Reply) -> None:
        """``/api/status``: nothing leaves this machine."""
        reply.send_object({"cloud": {"disabled": True, "source": "env"}})

    def tags(self, body: bytes, reply: Reply) -> None:
        """``/api/tags``: newest first."""
        entries = [card.tag_entry() for card in self.catalog.cards]
        reply.send_object({"models": sorted(entries, key=lambda entry: entry["modified_at"], reverse=True)})

    def show(self, body: bytes, reply: Reply) -> None:
        """``/api/show``."""
        reply.send_object(self.catalog.find(_name_in(body)).show())

    def ps(self, body: bytes, reply: Reply) -> None:
        """``/api/ps``."""
        reply.send_object({"models": [self._ps_entry(model) for model in self.scheduler.loaded()]})

    def _ps_entry(self, model: LoadedModel[Runner]) -> dict[str, Any]:
        card = self.catalog.find(model.name)
        return {
            "name": card.name, "model": card.name, "size": model.engine.memory_bytes, "digest": card.digest,
            "details": card.details(), "expires_at": wire.stamp(model.expires_unix_ns), "size_vram": 0,
            "context_length": model.options.num_ctx,
        }  # fmt: skip

    # --- what this engine does not do ----------------------------------------------------------------------------
    def embed(self, body: bytes, reply: Reply) -> None:
        """``/api/embed``: the models only write."""
        self.catalog.find(_name_in(body))
        raise ApiError(501, "This server does not support embeddings. Start it with `--embeddings`")

    def pull(self, body: bytes, reply: Reply) -> None:
        """``/api/pull``: nothing is ever downloaded; a model that is here is simply there."""
        name = _name_in(body)
        api.parse_model_name(name)

        def steps() -> Iterator[dict[str, str]]:
            yield {"status": "pulling manifest"}
            try:
                self.catalog.find(name)
            except ApiError:
                raise ApiError(500, "pull model manifest: file does not exist") from None
            yield {"status": "success"}

        if api.decode_object(body).get("stream") is False:
            reply.send_object(list(steps())[-1])
        else:
            reply.send_lines(map(wire.encode, steps()))

    def delete(self, body: bytes, reply: Reply) -> None:
        """``/api/delete``: the models belong to the program."""
        self.catalog.find(_name_in(body))
        raise ApiError(400, "the embedded engine's models are part of the program and stay")

    def unsupported(self, body: bytes, reply: Reply) -> None:
        """Model management of a real server."""
        raise ApiError(501, "not supported by the embedded engine")

    # --- inference -----------------------------------------------------------------------------------------------
    def generate(self, body: bytes, reply: Reply) -> None:
        """``/api/generate``."""
        start_ns = time.monotonic_ns()
        request = api.parse_generate(body)
        if not request.model:
            raise ApiError(404, "model '' not found")
        card = self.catalog.find(request.model)
        if not request.prompt and request.keep_alive_ns == 0:
            self.scheduler.expire(card.name)
            reply.send_object(wire.chunk("generate", request.model, "", done_reason="unload"))
            return
        if request.raw and (request.template or request.system or request.context):
            raise ApiError(400, "raw mode does not support template, system, or context")
        _refuse_thinking(request)
        if request.suffix:
            raise ApiError(400, f"registry.ollama.ai/library/{card.name} does not support insert")
        if request.template:
            raise ApiError(501, "templates are not supported by the embedded engine")
        self._answer("generate", card, request, bool(request.prompt), start_ns, reply)

    def chat(self, body: bytes, reply: Reply) -> None:
        """``/api/chat``."""
        start_ns = time.monotonic_ns()
        request = api.parse_chat(body)
        if not request.model:
            raise ApiError(400, "model is required")
        card = self.catalog.find(request.model)
        if not request.messages and request.keep_alive_ns == 0:
            self.scheduler.expire(card.name)
            reply.send_object(wire.chunk("chat", request.model, "", done_reason="unload"))
            return
        _refuse_thinking(request)
        if request.has_tools:
            raise ApiError(400, f"registry.ollama.ai/library/{card.name} does not support tools")
        if not card.chat_template:
            raise ApiError(400, f'"{request.model}" does not support chat')
        self._answer("chat", card, request, bool(request.messages), start_ns, reply)

    def _answer(
        self,
        endpoint: wire.Endpoint,
        card: ModelCard,
        request: GenerateRequest | ChatRequest,
        wants_text: bool,
        start_ns: int,
        reply: Reply,
    ) -> None:
        options = api.parse_options(request.raw_options)
        fault = self.faults.take(f"/api/{endpoint}") if wants_text else Fault("ok")
        fault.refuse()
        runner_options = options.runner(request.shift)
        with self.scheduler.lend(card.name, runner_options, request.keep_alive_ns, reply.gone) as loaded:
            loaded_ns = time.monotonic_ns()
            if not wants_text:
                reply.send_object(wire.chunk(endpoint, request.model, "", done_reason="load"))
                return
            with loaded.generating(reply.gone):

                def parts() -> Iterator[dict[str, Any]]:
                    text, prompt = prompt_of(card, request, options, loaded.engine)
                    task = Task(endpoint, request, options, text, prompt, start_ns, loaded_ns)
                    yield from chunks(task, loaded.engine, reply.gone)

                if request.stream:
                    reply.send_lines(fault.apply(map(wire.encode, parts()), reply.gone))
                else:
                    whole = wire.encode(join(endpoint, parts(), request.model))
                    reply.send_body(b"".join(fault.apply(iter([whole]), reply.gone)))


def _name_in(body: bytes) -> str:
    """The model a management request names.

    Raises:
        ApiError: 400, it names none.
    """
    fields = api.decode_object(body)
    name = fields.get("model") or fields.get("name")
    if not isinstance(name, str):
        raise ApiError(400, "model is required")
    return name


def _refuse_thinking(request: GenerateRequest | ChatRequest) -> None:
    if request.think:
        raise ApiError(400, f'"{request.model}" does not support thinking')


_Handler = Callable[[Endpoints, bytes, Reply], None]
ROUTES: dict[str, dict[str, _Handler]] = {
    "/": {"GET": Endpoints.root, "HEAD": Endpoints.root},
    "/api/version": {"GET": Endpoints.version, "HEAD": Endpoints.version},
    "/api/tags": {"GET": Endpoints.tags, "HEAD": Endpoints.tags},
    "/api/ps": {"GET": Endpoints.ps},
    "/api/status": {"GET": Endpoints.status},
    "/api/show": {"POST": Endpoints.show},
    "/api/generate": {"POST": Endpoints.generate},
    "/api/chat": {"POST": Endpoints.chat},
    "/api/embed": {"POST": Endpoints.embed},
    "/api/embeddings": {"POST": Endpoints.embed},
    "/api/pull": {"POST": Endpoints.pull},
    "/api/delete": {"DELETE": Endpoints.delete},
    "/api/create": {"POST": Endpoints.unsupported},
    "/api/copy": {"POST": Endpoints.unsupported},
    "/api/push": {"POST": Endpoints.unsupported},
}
