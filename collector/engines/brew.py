"""Ollama as a service of Homebrew, on macOS and on Linux."""

from __future__ import annotations

import json
import logging
from typing import Any, ClassVar, Final

from collector.engines.base import Place, WayStatus
from collector.engines.managed import ManagedEngine, denied, missing, restart_failed
from collector.engines.system import NOT_FOUND, Ran, System

__all__ = ["Brew"]

_log = logging.getLogger(__name__)

_ASK_S: Final = 60.0  # brew is a large Ruby program
_ACT_S: Final = 120.0


class Brew(ManagedEngine):
    """``brew services``: a LaunchAgent of the user, which needs no rights."""

    way: ClassVar[str] = "brew"

    def __init__(self, place: Place, system: System | None = None) -> None:
        super().__init__(place, system)
        self._formula = place.service or "ollama"

    def _info(self) -> dict[str, Any] | Ran:
        ran = self.system.run("brew", "services", "info", self._formula, "--json", timeout_s=_ASK_S)
        if not ran.ok:
            return ran
        try:
            found = json.loads(ran.out)
        except ValueError:
            return Ran(1, "", f"brew did not answer in JSON: {ran.complaint}")
        known = [f for f in found if isinstance(f, dict) and f.get("loaded") is not None] if isinstance(found, list) else []
        return known[0] if known else Ran(1, "", f"brew knows no service {self._formula}")

    def status(self) -> WayStatus:
        """Whether brew has the service, and whether it is this user's."""
        info = self._info()
        if isinstance(info, Ran):
            if info.code == NOT_FOUND:
                return missing("there is no Homebrew here", "本机没有 Homebrew")
            return missing(f"brew has no service {self._formula}: {info.complaint}",
                           f"brew 中没有 {self._formula} 服务：{info.complaint}")  # fmt: skip
        if info.get("user") == "root" and self.system.user_id() != 0:
            return denied(f"the service {self._formula} was started by root", f"服务 {self._formula} 由 root 启动",
                          f"sudo brew services stop {self._formula}, then: brew services start {self._formula}",
                          f"先运行 sudo brew services stop {self._formula}，再运行 brew services start {self._formula}")  # fmt: skip
        state = info.get("status") or "?"
        return WayStatus("ok", f"brew service {self._formula} ({state})", f"brew 服务 {self._formula}（{state}）")

    def _act(self, verb: str) -> Ran:
        return self.system.run("brew", "services", verb, self._formula, timeout_s=_ACT_S)

    def bounce(self) -> None:
        """``brew services restart``, which starts a service that is stopped."""
        ran = self._act("restart")
        if not ran.ok:
            raise restart_failed(f"the brew service {self._formula}", f" brew 服务 {self._formula}", ran.complaint, self.status())

    def halt(self) -> None:
        """``brew services stop``."""
        ran = self._act("stop")
        if not ran.ok:
            _log.warning("the brew service could not be stopped again: %s", ran.complaint)

    def pids(self) -> list[int]:
        """The service's process."""
        info = self._info()
        pid = info.get("pid") if isinstance(info, dict) and info.get("running") else None
        return [pid] if isinstance(pid, int) and pid > 0 else []

    def life(self) -> str | None:
        """The number of its process."""
        return next((str(pid) for pid in self.pids()), None)
