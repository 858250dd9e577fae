"""Getting models onto an Ollama server, with progress and a look at the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from collector.errors import EngineError
from collector.ollama_client import OllamaClient
from collector.ollama_types import PullProgress
from collector.ollama_wire import same_model

__all__ = ["missing_models", "pull_models"]

_SPARE_BYTES = 1_000_000_000  # the server verifies and unpacks beside the download


def missing_models(client: OllamaClient, tags: Sequence[str]) -> list[str]:
    """The tags that the server does not have, in order."""
    have = [model.name for model in client.tags()]
    return [tag for tag in tags if not any(same_model(name, tag) for name in have)]


class _Layers:
    """Bytes of a download over its layers, which are told one by one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._left: dict[str, int] = {}

    def check(self, tag: str, line: PullProgress) -> None:
        """Refuses to go on when the disk cannot hold what is left.

        Raises:
            EngineError: naming the folder and how much is missing.
        """
        if line.digest is None or line.total_bytes is None:
            return
        self._left[line.digest] = line.total_bytes - (line.completed_bytes or 0)
        if self._folder is None:
            return
        need, free = sum(self._left.values()) + _SPARE_BYTES, shutil.disk_usage(self._folder).free
        if need > free:
            short = (need - free) / 1e9
            raise EngineError(
                f"{tag} does not fit on the disk of {self._folder}: {short:.1f} GB are missing; free some space and pull again.",
                f"{self._folder} 所在磁盘放不下 {tag}：还差 {short:.1f} GB；请清理空间后重新下载。",
            )


def pull_models(
    client: OllamaClient, tags: Sequence[str], folder: Path | None, on_progress: Callable[[str, PullProgress], None]
) -> None:
    """Downloads models one after the other; one that broke off goes on where it was.

    Args:
        client: the server that shall have them.
        tags: what to get.
        folder: the server's model folder, to look at its disk; None where it is not on this machine.
        on_progress: told every line with its tag.

    Raises:
        EngineError: no such model, no network, the disk is full, or the server fell silent.
    """
    for tag in tags:
        layers = _Layers(folder)
        for line in client.pull(tag):
            layers.check(tag, line)
            on_progress(tag, line)
