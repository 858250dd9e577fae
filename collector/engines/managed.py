"""A server that something else supervises, and that we may restart: a service, a container, a desktop application.

What all of them share stands here: find the server, restart it, wait until another process of it answers - at
whatever address it has by then - and leave it afterwards as it was found.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from collector.engines.attached import unload_new
from collector.engines.base import Place, WayStatus
from collector.engines.child_engine import settings_of
from collector.engines.notes import Notes
from collector.engines.system import System
from collector.errors import EngineError, UsageError
from collector.i18n import t
from collector.ollama_client import OllamaClient, base_url

__all__ = ["ManagedEngine", "denied", "missing", "restart_failed"]

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.05


def missing(en: str, zh: str) -> WayStatus:
    """There is no such server here."""
    return WayStatus("missing", en, zh)


def denied(en: str, zh: str, cure_en: str, cure_zh: str) -> WayStatus:
    """It is there, and this user may not restart it."""
    return WayStatus("denied", en, zh, cure_en, cure_zh)


def restart_failed(what: str, what_zh: str, complaint: str, status: WayStatus | None = None) -> EngineError:
    """The sentence for a restart that the system refused, with the cure where there is one."""
    cure_en = f"; cure: {status.cure_en}" if status and status.cure_en else ""
    cure_zh = f"；解决办法：{status.cure_zh}" if status and status.cure_zh else ""
    return EngineError(f"{what} cannot be restarted: {complaint}{cure_en}",
                       f"无法重启{what_zh}：{complaint}{cure_zh}")  # fmt: skip


class ManagedEngine(ABC):
    """Start, restart and end by whoever supervises the server; how to ask for it is the subclass's."""

    name: ClassVar[str] = "ollama"
    way: ClassVar[str]
    can_restart: ClassVar[bool] = True
    own: ClassVar[bool] = False
    log_path: ClassVar[Path | None] = None
    ready_s: ClassVar[float] = 60.0

    def __init__(self, place: Place, system: System | None = None) -> None:
        self.system = system or System()
        self.service = place.service
        self.notes = Notes()
        self._host = base_url(place.host)
        self._url = ""
        self._started = self._was_running = False
        self._loaded_before: set[str] = set()

    # --- what a way has to tell

    @abstractmethod
    def status(self) -> WayStatus:
        """Whether this way would work here, found out without changing anything."""

    @abstractmethod
    def bounce(self) -> None:
        """Restarts the server, or starts it where it does not run; returns before it answers.

        Raises:
            EngineError: the system refused.
        """

    @abstractmethod
    def halt(self) -> None:
        """Stops the server again that we started; what does not work is logged."""

    @abstractmethod
    def life(self) -> str | None:
        """Something that differs from process to process of the server; None while none runs."""

    @abstractmethod
    def pids(self) -> list[int]:
        """Root processes of the server, where they can be seen from here."""

    def addresses(self) -> list[str]:
        """Where the server may be asked now: at its open ports, else as its environment says, else as the user did."""
        ports = [base_url(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")
                 for pid in self.pids() for ip, port in self.system.ports(pid)]  # fmt: skip
        if ports:
            return ports
        for pid in self.pids():
            if said := (self.system.environment(pid) or {}).get("OLLAMA_HOST"):
                return [self.address_of(said)]
        return [self._host]

    def address_of(self, said: str) -> str:
        """URL for an ``OLLAMA_HOST`` of the server; the user's own where it is none."""
        try:
            return base_url(said)
        except UsageError:
            _log.info("the server's OLLAMA_HOST %r is no address", said)
            return self._host

    # --- what they share

    @property
    def url(self) -> str:
        """Base URL; empty before the start."""
        return self._url

    def start(self) -> None:
        """Starts the server where it does not run; one that runs is left as it is.

        Raises:
            EngineError: there is none, it may not be started, or does not answer in time.
        """
        found = self.status()
        if found.status == "missing":
            raise EngineError(f'[engine] way = "{self.way}": {found.en}', f'[engine] way = "{self.way}"：{found.zh}')
        self._was_running = self.life() is not None
        if not self._was_running:
            self.bounce()
        self._started = True
        self._wait_ready(None)
        with OllamaClient(self._url) as client:
            self._loaded_before = {model.name for model in client.ps()} if self._was_running else set()

    def restart(self, models: Sequence[str] | None = None) -> None:
        """A new process of the server; every model leaves memory with the old one.

        Raises:
            EngineError: the system refused, or no new process answers in time.
        """
        before = self.life()
        self.bounce()
        self._wait_ready(before)

    def _wait_ready(self, before: str | None) -> None:
        limit = time.monotonic() + self.ready_s
        alive = None
        while True:
            alive = self.life()
            if alive is not None and alive != before:
                for url in self.addresses():
                    with OllamaClient(url) as client:
                        if client.ready(0.0):
                            self._moved(url)
                            return
            if time.monotonic() >= limit:
                break
            time.sleep(_POLL_S)
        if alive is None:
            what, what_zh = "did not start", "没有启动"
        elif alive == before:
            what, what_zh = "still runs as the same process", "仍是原来的进程"
        else:
            what, what_zh = "does not answer", "没有应答"
        raise EngineError(f"Ollama ({self.way}) {what} {self.ready_s:g} s after it was restarted",
                          f"重启 {self.ready_s:g} 秒后，Ollama（{self.way}）{what_zh}")  # fmt: skip

    def _moved(self, url: str) -> None:
        if self._url and url != self._url:
            self.notes.incident("engine_moved", f"{self._url} → {url}")
        self._url = url

    def stop(self) -> None:
        """Leaves the server as it was found: stopped, or without the models that we loaded."""
        if not self._started:
            return
        self._started = False
        if self._was_running:
            unload_new(self._url, self._loaded_before)
        else:
            self.halt()

    def alive(self) -> bool:
        """Whether the server answers."""
        if not self._url:
            return False
        with OllamaClient(self._url) as client:
            return client.ready(0.0)

    def environment(self) -> dict[str, str] | None:
        """Settings of the server's process, where this user may read them."""
        for pid in self.pids():
            found = self.system.environment(pid)
            if found is not None:
                return settings_of(found)
        return None

    def environment_reason(self) -> str | None:
        """Why they are not known."""
        if self.environment() is not None:
            return None
        return t("the environment of another user's process cannot be read", "无法读取其他用户进程的环境变量")

