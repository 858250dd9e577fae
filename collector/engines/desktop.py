"""Ollama as a desktop application that supervises its server: the menu-bar app of macOS, the tray app of Windows.

Neither is a service. The application starts a server that ended within a second or two (ollama.md, install forms), so
ending the server is a restart; where it does not come back, the application is started.
"""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from collector.engines.base import Place, WayStatus
from collector.engines.child_engine import SETTINGS, settings_of
from collector.engines.install import find_binary
from collector.engines.managed import ManagedEngine, missing, restart_failed
from collector.engines.system import Proc, System

__all__ = ["MacApp", "WindowsApp"]

_log = logging.getLogger(__name__)

_RESPAWN_S: Final = 8.0  # the application waits 1 s, and up to 5 s for a gentle end
_POLL_S: Final = 0.05
_ACT_S: Final = 30.0


class _DesktopApp(ManagedEngine):
    """What both applications share; ``app_names`` and ``server_names`` are names of processes in lower case."""

    app_names: ClassVar[Sequence[str]]
    server_names: ClassVar[Sequence[str]]
    on: ClassVar[str]

    def __init__(self, place: Place, system: System | None = None) -> None:
        super().__init__(place, system)
        self._program = ""  # where the application was seen

    @abstractmethod
    def open(self) -> None:
        """Starts the application; raises EngineError where that does not work."""

    @abstractmethod
    def installed(self) -> bool:
        """Whether the application is on this machine."""

    def _processes(self) -> tuple[list[Proc], list[Proc]]:
        """The application's processes, and the servers that are its children."""
        shown = self.system.processes()
        apps = [p for p in shown if p.name.lower() in self.app_names and "serve" not in p.arguments]
        parents = {p.pid for p in apps}
        servers = [p for p in shown if p.name.lower() in self.server_names and "serve" in p.arguments
                   and p.parent in parents]  # fmt: skip
        self._program = next((p.program for p in apps if p.program), self._program)
        return apps, servers

    def status(self) -> WayStatus:
        """Whether the application runs or could be started."""
        if self.system.platform != self.on:
            return missing("this system has no such application", "本系统没有这种应用程序")
        if not self._processes()[0] and not self.installed():
            return missing("the Ollama application is not installed", "未安装 Ollama 应用程序")
        runs = bool(self.pids())
        return WayStatus("ok", f"Ollama application ({'runs' if runs else 'does not run'})",
                         f"Ollama 应用程序（{'运行中' if runs else '未运行'}）")  # fmt: skip

    def pids(self) -> list[int]:
        """The server that the application supervises."""
        return [p.pid for p in self._processes()[1]]

    def life(self) -> str | None:
        """The number of its process."""
        return next((str(pid) for pid in self.pids()), None)

    def _wait_for(self, old: Sequence[int]) -> bool:
        """Whether the application has started a new server by itself."""
        limit = time.monotonic() + _RESPAWN_S
        while not set(self.pids()) - set(old):
            if time.monotonic() >= limit:
                return False
            time.sleep(_POLL_S)
        return True

    def halt(self) -> None:
        """Ends application and server, which we started."""
        apps, servers = self._processes()
        self.system.end([p.pid for p in (*apps, *servers)])
        if self.pids():
            _log.warning("the Ollama application could not be ended again")


class MacApp(_DesktopApp):
    """The menu-bar application of macOS: its server is ended, and it starts another one."""

    way: ClassVar[str] = "macos_app"
    app_names: ClassVar[Sequence[str]] = ("ollama",)
    server_names: ClassVar[Sequence[str]] = ("ollama",)
    on: ClassVar[str] = "darwin"
    bundle: ClassVar[Path] = Path("/Applications/Ollama.app")

    def installed(self) -> bool:
        """Whether it lies in the folder for applications."""
        return self.bundle.exists()

    def bounce(self) -> None:
        """Ends the server; opens the application where nothing comes after it.

        Quitting the application through AppleScript would ask the person for a permission; this asks nobody.
        """
        old = self.pids()
        self.system.end(old)
        if not old or not self._wait_for(old):
            self.open()

    def open(self) -> None:
        """``open -g``: in the background, without taking the focus."""
        ran = self.system.run("open", "-g", "-a", "Ollama", timeout_s=_ACT_S)
        if not ran.ok:
            raise restart_failed("the Ollama application", " Ollama 应用程序", ran.complaint)

    def environment(self) -> dict[str, str] | None:
        """Of the process where it is shown, else what ``launchctl setenv`` gave to applications."""
        found = super().environment()
        if found:
            return found
        said = {name: self.system.run("launchctl", "getenv", name, timeout_s=_ACT_S).out.strip() for name in SETTINGS}
        return settings_of({name: value for name, value in said.items() if value}) or found


class WindowsApp(_DesktopApp):
    """The tray application of Windows: it and its server are ended, and it is started again."""

    way: ClassVar[str] = "windows_app"
    app_names: ClassVar[Sequence[str]] = ("ollama app.exe",)
    server_names: ClassVar[Sequence[str]] = ("ollama.exe",)
    on: ClassVar[str] = "win32"

    def _place(self) -> Path | None:
        """Where the application lies: where it was seen, else beside the program on PATH or where it is installed."""
        if self._program:
            return Path(self._program)
        binary = find_binary()
        return binary.with_name("ollama app.exe") if binary else None

    def installed(self) -> bool:
        """Whether it lies beside the ``ollama`` program."""
        place = self._place()
        return place is not None and place.exists()

    def bounce(self) -> None:
        """Asks the application to close, ends what stays with its server and runners, and starts it again.

        By the numbers of its own processes and never by name: our own child may run beside it.
        """
        apps, servers = self._processes()
        for app in apps:
            self.system.run("taskkill", "/pid", str(app.pid), timeout_s=_ACT_S)
        self.system.end([p.pid for p in (*apps, *servers)])
        if left := self.pids():
            raise restart_failed("the Ollama application", " Ollama 应用程序", f"process {left[0]} cannot be ended")
        self.open()

    def open(self) -> None:
        """Starts ``ollama app.exe``."""
        place = self._place()
        try:
            if place is None:
                raise FileNotFoundError(2, "ollama app.exe was not found")
            self.system.launch(str(place))
        except OSError as error:
            raise restart_failed("the Ollama application", " Ollama 应用程序", error.strerror or str(error)) from error
