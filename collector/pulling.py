"""Getting models onto an Ollama server, with progress and a look at the disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from collector import engines
from collector.disk import free_bytes
from collector.engines import Engine
from collector.engines.attached import Attached
from collector.engines.install import find_models
from collector.errors import EngineError
from collector.ollama_client import OllamaClient
from collector.ollama_types import PullProgress
from collector.ollama_wire import same_model

__all__ = ["PullFailed", "engine_for_pulling", "missing_models", "pull_models"]

_SPARE_BYTES: Final = 1_000_000_000  # the server verifies and unpacks beside the download
_FULL: Final = ("no space left on device", "not enough space on the disk", "disk quota exceeded")
_CURES: Final = (
    (("file does not exist", "manifest unknown"),
     "there is no such model; look its name up at ollama.com/library", "没有这个模型；请在 ollama.com/library 核对名称"),
    (("invalid model name",),
     "that is no model name; write it like llama3.2:3b", "这不是模型名称；请写成 llama3.2:3b 的形式"),
    (("no such host", "dial tcp", "network is unreachable", "i/o timeout", "handshake timeout"),
     "the registry cannot be reached; check the network, or set HTTPS_PROXY where a proxy is needed",
     "无法连接模型库；请检查网络，需要代理时请设置 HTTPS_PROXY"),
)  # fmt: skip
"""What a server says that cannot pull, in small letters, and what to do about it."""


class PullFailed(EngineError):
    """A model could not be got; ``fault`` is its name in the events: ``disk_full`` or ``pull_failed``."""

    def __init__(self, fault: str, en: str, zh: str) -> None:
        super().__init__(en, zh)
        self.fault = fault


def missing_models(client: OllamaClient, tags: Sequence[str]) -> list[str]:
    """The tags that the server does not have, in order."""
    have = [model.name for model in client.tags()]
    return [tag for tag in tags if not any(same_model(name, tag) for name in have)]


def engine_for_pulling(host: str | None) -> Engine:
    """The server that gets the models, not yet started: a child of ours, else the one that answers.

    A child writes as this user. Where the model folder belongs to a service, only its own server may write there.

    Raises:
        EngineError: there is no Ollama here.
        UsageError: no such address.
    """
    engine = engines.choose("ollama", host, None, engines.log_folder())
    folder = find_models() if engine.own else None
    if folder is not None and not os.access(folder / "blobs", os.W_OK):
        owner = Attached(host)
        if owner.alive():
            return owner
    return engine


class _Layers:
    """Bytes of a download over its layers, which are told one by one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._left: dict[str, int] = {}

    def check(self, tag: str, line: PullProgress) -> None:
        """Refuses to go on when the disk cannot hold what is left.

        Raises:
            PullFailed: naming the folder and how much is missing.
        """
        if line.digest is None or line.total_bytes is None:
            return
        self._left[line.digest] = line.total_bytes - (line.completed_bytes or 0)
        if self._folder is None:
            return
        need, free = sum(self._left.values()) + _SPARE_BYTES, free_bytes(self._folder)[1]
        if need > free:
            short = (need - free) / 1e9
            raise PullFailed(
                "disk_full",
                f"{tag} does not fit on the disk of {self._folder}: {short:.1f} GB are missing; free some space and pull again.",
                f"{self._folder} 所在磁盘放不下 {tag}：还差 {short:.1f} GB；请清理空间后重新下载。",
            )


def _pull_failed(tag: str, folder: Path | None, error: EngineError) -> PullFailed:
    """The sentence for what the server said."""
    if any(words in error.en.lower() for words in _FULL):
        where, where_zh = (f" of {folder}", f" {folder} 所在") if folder else (" of the server", "服务器")
        return PullFailed("disk_full", f"the disk{where} is full while pulling {tag} ({error.en}); free some space and pull again.",
                          f"下载 {tag} 时{where_zh}磁盘已满（{error.zh}）；请清理空间后重新下载。")  # fmt: skip
    said = error.en.lower()
    for words, cure, cure_zh in _CURES:
        if any(word in said for word in words):
            return PullFailed("pull_failed", f"{tag} could not be pulled: {cure} ({error.en}).",
                              f"无法下载 {tag}：{cure_zh}（{error.zh}）。")  # fmt: skip
    return PullFailed("pull_failed", f"{tag} could not be pulled: {error.en}", f"无法下载 {tag}：{error.zh}")


def pull_models(
    client: OllamaClient, tags: Sequence[str], folder: Path | None, on_progress: Callable[[str, PullProgress], None]
) -> None:
    """Downloads models one after the other; one that broke off goes on where it was.

    The size of a model is told layer by layer once the download has begun: the disk is looked at with every line.
    Where it cannot hold the rest the download is ended there and then, and what came of it stays for the next try.

    Args:
        client: the server that shall have them.
        tags: what to get.
        folder: the server's model folder, to look at its disk; None where it is not on this machine.
        on_progress: told every line with its tag.

    Raises:
        PullFailed: no such model, no network, the disk is full, or the server fell silent.
    """
    for tag in tags:
        layers = _Layers(folder)
        # closed at once: the server goes on pulling for as long as somebody listens
        with contextlib.closing(client.pull(tag)) as lines:
            try:
                for line in lines:
                    layers.check(tag, line)
                    on_progress(tag, line)
            except PullFailed:
                raise
            except EngineError as error:
                raise _pull_failed(tag, folder, error) from error
