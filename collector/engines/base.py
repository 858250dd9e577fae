"""What every way of running an engine has in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from collector.engines.notes import Notes

__all__ = ["Engine", "Place", "WayStatus"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine is looked for and kept.

    Attributes:
        host: address of the server as the user names it; None is ``OLLAMA_HOST``, else 127.0.0.1:11434.
        log_dir: folder for logs of our own children.
        service: name of the systemd unit or container, None for ``ollama``.
    """

    host: str | None
    log_dir: Path
    service: str | None = None


@dataclass(frozen=True, slots=True)
class WayStatus:
    """Whether a way would work here; found out without starting, ending or asking anybody anything.

    ``status``: ``ok``; ``denied`` (it is there, and this user may not restart it, as far as can be seen);
    ``missing`` (there is no such thing here). Texts and cures in both languages; a cure is None where none is needed.
    """

    status: Literal["ok", "denied", "missing"]
    en: str
    zh: str
    cure_en: str | None = None
    cure_zh: str | None = None


class Engine(Protocol):
    """An engine that we start, restart and stop, or at least talk to.

    Attributes:
        name: ``ollama`` or ``pocket`` (the embedded engine).
        way: how it is restarted, e.g. ``own_child``; stored with the campaign.
        can_restart: False where "restart" only unloads the models.
        own: the process is our child: every start is a new one, and nobody else uses it.
        log_path: the engine's own log, None where it is not ours to keep.
        notes: what happened to it, for the record.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def way(self) -> str: ...  # noqa: D102
    @property
    def can_restart(self) -> bool: ...  # noqa: D102
    @property
    def own(self) -> bool: ...  # noqa: D102
    @property
    def log_path(self) -> Path | None: ...  # noqa: D102
    @property
    def notes(self) -> Notes: ...  # noqa: D102

    @property
    def url(self) -> str:
        """Base URL of its HTTP API; it may change with every start."""
        ...

    def status(self) -> WayStatus:
        """Whether this way would work here, found out without changing anything."""
        ...

    def start(self) -> None:
        """Returns when it answers; a server that is not our child and runs already is left as it is.

        Raises:
            EngineError: it does not, with the end of its log where there is one.
        """
        ...

    def restart(self, models: Sequence[str] | None = None) -> None:
        """A clean state: a new process, or at least no model in memory.

        Args:
            models: what to unload where the process may not be restarted; None is every loaded model.

        Raises:
            EngineError: it did not come back, or a model stayed in memory.
        """
        ...

    def stop(self) -> None:
        """Leaves nothing of ours behind; may be called twice."""
        ...

    def alive(self) -> bool:
        """Whether it is still there: our process runs, or somebody else's server answers."""
        ...

    def pids(self) -> list[int]:
        """Roots of the process trees that are the engine; empty when they cannot be known from here."""
        ...

    def environment(self) -> dict[str, str] | None:
        """The settings in force that change what is measured; None where they cannot be read."""
        ...

    def environment_reason(self) -> str | None:
        """Why :meth:`environment` is None, or what it may lack; None where it is whole."""
        ...
