"""An engine that is our own child process: a restart is a new process."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from collector.engines.base import WayStatus
from collector.engines.child import Child
from collector.engines.notes import Notes
from collector.errors import EngineError
from collector.ollama_client import OllamaClient
from db.texts import both

__all__ = ["SETTINGS", "ChildEngine", "settings_of"]

SETTINGS: Final = (
    "OLLAMA_CONTEXT_LENGTH", "OLLAMA_FLASH_ATTENTION", "OLLAMA_GO_TEMPLATE", "OLLAMA_GPU_OVERHEAD",
    "OLLAMA_IGPU_ENABLE", "OLLAMA_KEEP_ALIVE", "OLLAMA_KV_CACHE_TYPE", "OLLAMA_LLM_LIBRARY", "OLLAMA_LOAD_TIMEOUT",
    "OLLAMA_MAX_LOADED_MODELS", "OLLAMA_MAX_QUEUE", "OLLAMA_MODELS", "OLLAMA_NOPRUNE", "OLLAMA_NO_CLOUD",
    "OLLAMA_NUM_PARALLEL", "OLLAMA_SCHED_SPREAD", "OLLAMA_VULKAN", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "OMP_NUM_THREADS",
)  # fmt: skip
"""Variables that change what an engine does. The address is not among them: a port says nothing about a result."""

_TAKEN: Final = ("address already in use", "Only one usage of each socket")


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that is recorded: known names and all that reach the runner, no secrets."""
    return {k: v for k, v in sorted(environment.items()) if k in SETTINGS or k.startswith("LLAMA_ARG_")}


class ChildEngine(ABC):
    """Start, readiness and end of a child; what to run is the subclass's."""

    name: ClassVar[str]
    way: ClassVar[str]
    can_restart: ClassVar[bool] = True
    own: ClassVar[bool] = True
    ready_s: ClassVar[float] = 60.0
    attempts: ClassVar[int] = 1

    def __init__(self, log_dir: Path) -> None:
        self.notes = Notes()
        self.child = Child(log_dir / f"{self.name}-{self.way}.log", self.way, self.notes)
        self._url = ""

    @abstractmethod
    def command(self) -> list[str]:
        """What to run; called anew for every start."""

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """The variables that we set, on top of our own environment."""

    @abstractmethod
    def status(self) -> WayStatus:
        """Whether it could be started here."""

    @abstractmethod
    def find_url(self) -> str | None:
        """Its address, None while it is not known."""

    @property
    def log_path(self) -> Path:
        """Log of all its lives."""
        return self.child.log_path

    @property
    def url(self) -> str:
        """Base URL; empty before the first start."""
        return self._url

    def start(self) -> None:
        """Starts the child and waits until it answers.

        Raises:
            EngineError: it cannot be run, ended at once, or does not answer in time.
        """
        for attempt in range(self.attempts):
            command = self.command()
            try:
                self.child.start(command, {**os.environ, **self.variables()})
            except OSError as error:
                raise EngineError(f"{self.name} cannot be started ({command[0]}): {error}",
                                  f"无法启动 {self.name}（{command[0]}）：{error}") from error  # fmt: skip
            if self._wait_ready():
                return
            url, tail, ended = self._url, self.child.log_tail(), not self.child.alive
            self.child.stop()
            taken = any(words in tail for words in _TAKEN)
            if ended and taken:
                self.notes.incident("port_taken", both(f"{url} was taken before the server had it", f"{url} 在服务器使用之前已被占用"))
            if not (ended and taken) or attempt + 1 == self.attempts:
                break
        what = "ended at once" if ended else f"did not answer within {self.ready_s:g} s"
        what_zh = "启动后立即退出" if ended else f"在 {self.ready_s:g} 秒内没有应答"
        raise EngineError(f"{self.name} {what}; its log {self.log_path} says: {tail}",
                          f"{self.name} {what_zh}；日志 {self.log_path}：{tail}")  # fmt: skip

    def _wait_ready(self) -> bool:
        limit = time.monotonic() + self.ready_s
        while self.child.alive and time.monotonic() < limit:
            self._url = self.find_url() or ""
            if self._url:
                with OllamaClient(self._url) as client:
                    if client.ready(0.0):
                        return self.child.alive
            time.sleep(0.01)
        return False

    def restart(self, models: Sequence[str] | None = None) -> None:
        """Ends the child and starts a new one, which has no model in memory.

        Raises:
            EngineError: it did not come back.
        """
        self.stop()
        self.start()

    def stop(self) -> None:
        """Ends the child and everything it started."""
        self.child.stop()

    def alive(self) -> bool:
        """Whether the child runs; a child that hangs does."""
        return self.child.alive

    def pids(self) -> list[int]:
        """The child, while it runs."""
        return [self.child.pid] if self.child.pid else []

    def environment(self) -> dict[str, str]:
        """The settings that the child runs with."""
        return settings_of({**os.environ, **self.variables()})

    def environment_reason(self) -> None:
        """We set it, so we know it."""
        return
