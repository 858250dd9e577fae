"""A server that somebody else runs and that we may not restart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import urlsplit

import psutil

from collector.engines.base import WayStatus
from collector.engines.child_engine import settings_of
from collector.engines.notes import Notes
from collector.errors import EngineError
from collector.i18n import t
from collector.ollama_client import OllamaClient, base_url
from collector.ollama_wire import same_model

__all__ = ["Attached", "is_loopback", "unload_new"]

_log = logging.getLogger(__name__)

_READY_S: Final = 5.0
_UNLOAD_S: Final = 60.0
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_POCKET: Final = "collector.pocket.server"


class Attached:
    """An Ollama that answers at an address; "restart" only unloads, so caches of the process itself stay warm."""

    name: ClassVar[str] = "ollama"
    way: ClassVar[str] = "attached"
    can_restart: ClassVar[bool] = False
    own: ClassVar[bool] = False
    log_path: ClassVar[Path | None] = None

    def __init__(self, host: str | None = None) -> None:
        """``host`` as the user names it, None for ``OLLAMA_HOST`` or 127.0.0.1:11434."""
        self.url = base_url(host)
        self.notes = Notes()
        self._loaded_before: set[str] = set()

    def status(self) -> WayStatus:
        """Whether a server answers."""
        if self.alive():
            return WayStatus("ok", f"{self.url} answers; it is not restarted, its models are unloaded",
                             f"{self.url} 有应答；不会重启，只卸载其模型")  # fmt: skip
        return WayStatus("missing", f"no Ollama answers at {self.url}", f"{self.url} 没有 Ollama 应答")

    def start(self) -> None:
        """Checks that it answers, and remembers which models it had in memory.

        Raises:
            EngineError: it does not answer.
        """
        with OllamaClient(self.url) as client:
            if not client.ready(_READY_S):
                raise EngineError(f"no Ollama answers at {self.url}; start it, or correct the host",
                                  f"{self.url} 没有 Ollama 应答；请启动它，或更正主机地址")  # fmt: skip
            self._loaded_before = {model.name for model in client.ps()}

    def restart(self, models: Sequence[str] | None = None) -> None:
        """Unloads the models, by default every one in memory, and waits until they are gone.

        Raises:
            EngineError: one stayed, or the server does not answer.
        """
        with OllamaClient(self.url) as client:
            loaded = [model.name for model in client.ps()]
            names = [n for n in loaded if models is None or any(same_model(n, model) for model in models)]
            for name in names:
                client.unload(name)
            for name in names:
                if not client.wait_unloaded(name, _UNLOAD_S):
                    raise EngineError(f"{name} is still in memory {_UNLOAD_S:g} s after it was unloaded",
                                      f"{name} 在卸载 {_UNLOAD_S:g} 秒后仍在内存中")  # fmt: skip

    def stop(self) -> None:
        """Unloads what was loaded since the start."""
        unload_new(self.url, self._loaded_before)

    def alive(self) -> bool:
        """Whether the server answers."""
        with OllamaClient(self.url) as client:
            return client.ready(0.0)

    def pids(self) -> list[int]:
        """The process that listens at the address, where this user may see it and it is an engine.

        A container's port belongs to a forwarder, which is no engine: then the list is empty.
        """
        if not is_loopback(self.url):
            return []
        try:
            listening = {
                c.pid for c in psutil.net_connections(kind="tcp")
                if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == urlsplit(self.url).port and c.pid
            }  # fmt: skip
        except psutil.AccessDenied:
            return []
        return sorted(pid for pid in listening if _is_engine(pid))

    def environment(self) -> dict[str, str] | None:
        """Settings of the server's process, where this user may read them."""
        for pid in self.pids():
            try:
                return settings_of(psutil.Process(pid).environ())
            except (psutil.Error, OSError):
                continue
        return None

    def environment_reason(self) -> str | None:
        """Why they are not known."""
        if self.environment() is not None:
            return None
        if not self.pids():
            return t("the server's process cannot be seen from here", "从本机看不到服务器进程")
        return t("the environment of another user's process cannot be read", "无法读取其他用户进程的环境变量")


def is_loopback(url: str) -> bool:
    """Whether a server's address is this machine's own."""
    return urlsplit(url).hostname in _LOOPBACK


def unload_new(url: str, before: set[str]) -> None:
    """Unloads the models that were not in memory ``before``; a server that is gone by now has nothing of ours."""
    try:
        with OllamaClient(url) as client:
            for model in client.ps():
                if model.name not in before:
                    client.unload(model.name)
    except EngineError as error:
        _log.info("nothing unloaded: %s", error)


def _is_engine(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return "ollama" in process.name().lower() or _POCKET in process.cmdline()
    except psutil.Error:
        return False
