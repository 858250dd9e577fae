"""The embedded engine as a child process."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from collector.engines.base import WayStatus
from collector.engines.child_engine import ChildEngine

__all__ = ["PocketChild"]

_LISTENING: Final = re.compile(r"^listening on (http://127\.0\.0\.1:\d+)\s*$", re.MULTILINE)


class PocketChild(ChildEngine):
    """``python -m collector.pocket.server`` on a free loopback port, which it tells in its first line."""

    name: ClassVar[str] = "pocket"
    way: ClassVar[str] = "pocket_child"
    ready_s: ClassVar[float] = 180.0  # the first import of torch on a slow disk

    def __init__(self, log_dir: Path, command: Sequence[str] | None = None) -> None:
        """``command`` replaces the server's command line."""
        super().__init__(log_dir)
        self._command = list(command or [sys.executable, "-m", "collector.pocket.server", "--port", "0"])

    def command(self) -> list[str]:
        """The server's command line."""
        return list(self._command)

    def variables(self) -> dict[str, str]:
        """Its first line reaches the log at once, and is UTF-8 on every system."""
        return {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}

    def status(self) -> WayStatus:
        """It is part of this program."""
        return WayStatus("ok", "embedded engine (demonstration models)", "内置引擎（演示模型）")

    def find_url(self) -> str | None:
        """Out of the line that it writes when it listens."""
        found = _LISTENING.search(self.child.log())
        return found.group(1) if found else None
