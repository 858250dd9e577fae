"""Models that others hold in memory beside the engine that is measured: the user's own Ollama, as a rule.

A model in GPU memory takes room from the one that is measured and draws power of its own; on the CPU it costs memory
only. They are found by asking the servers at the usual addresses of this machine, by the driver's list of
processes, and by looking for runners whose server is gone.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import psutil

from collector.engines.base import Engine
from collector.errors import EngineError, UsageError
from collector.ollama_client import DEFAULT_HOST, OllamaClient, base_url
from collector.ollama_wire import same_model
from collector.telemetry.state import foreign_gpu_pids

__all__ = ["Resident", "gpu_strangers", "orphans", "residents", "unload_residents"]

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_UNLOAD_S: Final = 60.0
_SHOWN_AS_GB: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that somebody else has in memory; sizes are None where the server does not tell them."""

    url: str
    model: str
    size_bytes: int | None
    vram_bytes: int | None

    @property
    def on_gpu(self) -> bool:
        """Whether some of it lies in GPU memory."""
        return bool(self.vram_bytes)

    def named(self) -> str:
        """For a sentence."""
        held = self.vram_bytes or self.size_bytes
        size = "" if not held else f", {held / 1e9:.1f} GB" if held >= _SHOWN_AS_GB else f", {held / 1e6:.0f} MB"
        return f"{self.model} ({self.url}{size})"


def _addresses(engine: Engine | None) -> list[str]:
    """Where a server of somebody else may answer on this machine; our own child is nobody else's."""
    found = []
    for host in (None, DEFAULT_HOST):
        try:
            found.append(base_url(host).replace("//localhost:", "//127.0.0.1:"))
        except UsageError:
            continue  # OLLAMA_HOST is no address: whoever needs it says so
    if engine is not None and engine.url and not engine.own:
        found.append(engine.url.replace("//localhost:", "//127.0.0.1:"))
    own = engine.url if engine is not None and engine.own else ""
    return [url for url in dict.fromkeys(found) if urlsplit(url).hostname in _LOOPBACK and url != own]


def residents(engine: Engine | None, own_models: Collection[str]) -> list[Resident]:
    """Models in memory of other servers, and of the engine itself where it is not our child.

    Args:
        engine: the one that is measured, started; None before there is one.
        own_models: tags that the engine may have in memory.
    """
    found = []
    for url in _addresses(engine):
        measured = engine is not None and not engine.own and url == engine.url.replace("//localhost:", "//127.0.0.1:")
        try:
            with OllamaClient(url) as client:
                loaded = client.ps()
        except EngineError:
            continue  # nobody there
        found += [
            Resident(url, model.name, model.size_bytes, model.size_vram_bytes) for model in loaded
            if not (measured and any(same_model(model.name, own) for own in own_models))
        ]  # fmt: skip
    return found


def unload_residents(found: Sequence[Resident], timeout_s: float = _UNLOAD_S) -> list[Resident]:
    """Asks the servers to unload these models; returns those that are still there after the time.

    A model that is answering somebody is unloaded when it has ended.
    """
    limit = time.monotonic() + timeout_s
    left = []
    for one in found:
        try:
            with OllamaClient(one.url) as client:
                client.unload(one.model)
                if not client.wait_unloaded(one.model, max(0.0, limit - time.monotonic())):
                    left.append(one)
        except EngineError:
            left.append(one)
    return left


def gpu_strangers(engine: Engine | None) -> list[str]:
    """Other processes that compute on a GPU, by name and number; empty without a GPU that NVML shows."""
    return [_named(pid) for pid in foreign_gpu_pids(engine.pids() if engine else [])]


def orphans() -> list[str]:
    """Runners of an Ollama whose server was killed, by name and number; ours are ended by their engine and not here.

    Nobody lists their models any more; they hold memory, and compute on where they were answering.
    """
    found = []
    for process in psutil.process_iter():
        try:
            # Ollama's blobs have such names, so that a llama-server of somebody's own is not meant
            if "llama" in process.name().lower() and _runs_blob(process.cmdline()) and not _has_server(process):
                found.append(_named(process.pid))
        except psutil.Error:
            continue  # gone, or another user's
    return found


def _runs_blob(words: list[str]) -> bool:
    return any("sha256-" in word and "blobs" in word for word in words)


def _has_server(process: psutil.Process) -> bool:
    parent = process.parent()
    return parent is not None and "ollama" in parent.name().lower()


def _named(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()} (PID {pid})"
    except psutil.Error:
        return f"PID {pid}"
