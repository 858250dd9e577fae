"""One measurement per machine: a file lock that vanishes with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import portalocker

from collector.errors import Busy

__all__ = ["measuring_alone"]


@contextmanager
def measuring_alone(folder: Path | None = None) -> Iterator[None]:
    """Holds the machine's measuring lock.

    Args:
        folder: where the lock file lies; None takes the user's state folder, so that every clone shares it.

    Raises:
        Busy: another campaign is measuring here right now.
    """
    place = folder or Path(platformdirs.user_state_dir("genai-energy-rating"))
    place.mkdir(parents=True, exist_ok=True)
    with (place / "measuring.lock").open("a") as handle:
        try:
            portalocker.lock(handle, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except (portalocker.LockException, portalocker.AlreadyLocked) as error:
            raise Busy(
                "Another campaign is measuring on this machine; wait for it or stop it, two at once would spoil both.",
                "本机正在进行另一项测量；请等待或停止它，同时测量会互相干扰。",
            ) from error
        try:
            yield
        finally:
            portalocker.unlock(handle)
