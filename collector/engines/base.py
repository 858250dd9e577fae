"""What every way of running an engine has in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

__all__ = ["Engine"]


class Engine(Protocol):
    """An engine that we start, restart and stop, or at least talk to.

    Attributes:
        name: ``ollama`` or ``pocket`` (the embedded engine).
        way: how it is restarted, e.g. ``own_child``; stored with the campaign.
        can_restart: False where "restart" only unloads the models.
        log_path: the engine's own log, None where it is not ours to keep.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def way(self) -> str: ...  # noqa: D102
    @property
    def can_restart(self) -> bool: ...  # noqa: D102
    @property
    def log_path(self) -> Path | None: ...  # noqa: D102

    @property
    def url(self) -> str:
        """Base URL of its HTTP API; it may change with every start."""
        ...

    def start(self) -> None:
        """Returns when it answers.

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

    def environment(self) -> dict[str, str]:
        """The settings in force that change what is measured, as far as they can be known."""
        ...
