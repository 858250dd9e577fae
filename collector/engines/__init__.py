"""Engines: how a model server is found, started, restarted and ended.

A new way (a systemd unit, a container, a desktop application) is one more module and one more line in
``WAYS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import platformdirs

from collector.engines.attached import Attached
from collector.engines.base import Engine, Place, WayStatus
from collector.engines.brew import Brew
from collector.engines.desktop import MacApp, WindowsApp
from collector.engines.docker import Docker
from collector.engines.install import find_binary, find_models, models_in
from collector.engines.own_child import OwnChild
from collector.engines.pocket_child import PocketChild
from collector.engines.systemd import Systemd
from collector.errors import EngineError, UsageError
from collector.ollama_client import OllamaClient, base_url

__all__ = ["WAYS", "Engine", "Found", "Place", "WayStatus", "choose", "log_folder", "probe", "survey"]

WAYS: Final[Mapping[str, Callable[[Place], Engine]]] = {
    "own_child": lambda place: OwnChild(place.log_dir),
    "attached": lambda place: Attached(place.host),
    "systemd": Systemd,
    "docker": Docker,
    "brew": Brew,
    "macos_app": MacApp,
    "windows_app": WindowsApp,
    "pocket_child": lambda place: PocketChild(place.log_dir),
}
"""Every way to run an engine, by its name in experiment files."""

_KINDS: Final = ("auto", "ollama", "pocket")


@dataclass(frozen=True, slots=True)
class Found:
    """The engine that would be used: its name, and the address of an Ollama that answers (None: none does)."""

    name: str
    url: str | None = None


def log_folder() -> Path:
    """Where logs of engines are kept: the user's own state folder of each system."""
    return Path(platformdirs.user_state_dir("genai-energy-rating")) / "logs"


def probe(kind: str, host: str | None = None) -> Found:
    """Looks for an engine without starting one.

    Args:
        kind: ``auto`` (an Ollama that answers, else one that is installed with models, else the embedded
            engine), ``ollama`` or ``pocket``.
        host: address of an Ollama; None is ``OLLAMA_HOST``, else 127.0.0.1:11434.

    Raises:
        UsageError: no such kind, or no such address.
        EngineError: an Ollama was asked for by kind or host, and there is none.
    """
    if kind not in _KINDS:
        raise UsageError(f"engine {kind!r} does not exist; one of {', '.join(_KINDS)}",
                         f"引擎 {kind!r} 不存在；可选：{'、'.join(_KINDS)}")  # fmt: skip
    if kind == "pocket":
        return Found("pocket")
    url = base_url(host)
    with OllamaClient(url) as client:
        if client.ready(0.0):
            return Found("ollama", url)
    if host is not None:
        raise EngineError(f"no Ollama answers at {url}; start it, or correct the host",
                          f"{url} 没有 Ollama 应答；请启动它，或更正主机地址")  # fmt: skip
    if find_binary() is not None and (kind == "ollama" or find_models() is not None):
        return Found("ollama")
    if kind == "auto":
        return Found("pocket")
    raise EngineError(f"no Ollama answers at {url} and none is installed; get it from ollama.com",
                      f"{url} 没有 Ollama 应答，本机也未安装；请从 ollama.com 获取")  # fmt: skip


def choose(kind: str, host: str | None, way: str | None, log_dir: Path, service: str | None = None) -> Engine:
    """The engine for an experiment, not yet started.

    Without a ``way``, an Ollama is run as our own child where its program is installed here and the model
    folder holds every model that the answering server lists; otherwise we attach to that server. A server that is
    not ours is never restarted unless the file names the way.

    Args:
        kind: see :func:`probe`; likewise host.
        way: a name out of ``WAYS``, None for the default.
        log_dir: folder for the engine's log.
        service: name of the systemd unit, container or brew service; None is ``ollama``.

    Raises:
        UsageError: no such kind, way or address, or the way is not one of that engine.
        EngineError: there is no such engine here.
    """
    if way is not None and way not in WAYS:
        raise UsageError(f"restart way {way!r} does not exist; one of {', '.join(WAYS)}",
                         f"重启方式 {way!r} 不存在；可选：{'、'.join(WAYS)}")  # fmt: skip
    if way is None or kind not in _KINDS:
        found = probe(kind, host)
        if found.name == "pocket":
            way = "pocket_child"
        else:
            way = "own_child" if _own_child_has_all(found.url) else "attached"
            host = found.url or host
    if kind != "auto" and (kind == "pocket") != (way == "pocket_child"):
        raise UsageError(f"engine {kind!r} cannot be run the way {way!r}", f"引擎 {kind!r} 不支持方式 {way!r}")
    return WAYS[way](Place(host, log_dir, service))


def survey(host: str | None = None, service: str | None = None) -> dict[str, WayStatus]:
    """Every way with what it could do here; nothing is started, ended or asked for a password."""
    found = {}
    for way, make in WAYS.items():
        try:
            found[way] = make(Place(host, log_folder(), service)).status()
        except EngineError as error:
            found[way] = WayStatus("missing", error.en, error.zh)
    return found


def _own_child_has_all(url: str | None) -> bool:
    """Whether a child of ours would have every model that the server at ``url`` has."""
    if find_binary() is None:
        return False
    folder = find_models()
    if url is None:
        return True  # nobody answers: a child is the only way
    if folder is None or urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        return False
    with OllamaClient(url) as client:
        local = {model.name for model in client.tags() if not model.name.endswith("cloud")}
    return local <= models_in(folder)
