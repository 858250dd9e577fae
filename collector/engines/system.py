"""The operating system as the ways of restarting see it: commands, processes and their environments.

Everything that a way asks of the system passes through one :class:`System`, so that every way can be tried
on every machine. No command may wait for a password: there is no input, and the ways pass the flags that
forbid asking.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from collector.engines.child import end_processes

__all__ = ["NOT_FOUND", "Proc", "Ran", "System"]

NOT_FOUND: Final = 127  # as a shell reports a command that does not exist
_TIMED_OUT: Final = 124
_TERM_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command: exit code (127: no such program, 124: it did not end in time), output, complaints."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether it said that all went well."""
        return self.code == 0

    @property
    def complaint(self) -> str:
        """What it said about its failure, on one line."""
        said = " ".join((self.err.strip() or self.out.strip()).split())
        return said[:300] or f"exit code {self.code}"


@dataclass(frozen=True, slots=True)
class Proc:
    """A process: its number, its parent's, name, program file and arguments ("" and () where they are not shown)."""

    pid: int
    parent: int
    name: str
    program: str
    arguments: tuple[str, ...]


class System:
    """The machine itself."""

    @property
    def platform(self) -> str:
        """``linux``, ``darwin`` or ``win32``."""
        return sys.platform

    def user_id(self) -> int | None:
        """Number of the user, None where users have none (Windows)."""
        return os.getuid() if hasattr(os, "getuid") else None

    def own_pid(self) -> int:
        """Number of this process."""
        return os.getpid()

    def run(self, *command: str, timeout_s: float = 60.0) -> Ran:
        """Runs a command without input; never raises for what the command does."""
        # messages are compared in places: no translation of them
        variables = {**os.environ, "LC_ALL": "C", "HOMEBREW_NO_AUTO_UPDATE": "1", "HOMEBREW_NO_ENV_HINTS": "1"}
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False, env=variables,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Ran(_TIMED_OUT, "", f"{command[0]} did not end within {timeout_s:g} s")
        except OSError as error:
            return Ran(NOT_FOUND, "", f"{command[0]}: {error.strerror or error}")
        return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def launch(self, program: str) -> None:
        """Starts a program that goes on without us.

        Raises:
            OSError: it cannot be run.
        """
        process = subprocess.Popen(
            [program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
        )  # fmt: skip
        process.returncode = 0  # it is not our child to wait for

    def processes(self) -> list[Proc]:
        """Every process that is shown to this user."""
        found = []
        for process in psutil.process_iter(["pid", "ppid", "name", "exe", "cmdline"]):
            info = process.info
            found.append(Proc(info["pid"], info["ppid"] or 0, info["name"] or "", info["exe"] or "",
                              tuple(info["cmdline"] or ())))  # fmt: skip
        return found

    def environment(self, pid: int) -> dict[str, str] | None:
        """Environment of a process, None where this user may not read it."""
        try:
            return dict(psutil.Process(pid).environ())
        except (psutil.Error, OSError, ValueError):
            return None

    def ports(self, pid: int) -> list[tuple[str, int]]:
        """Addresses at which a process listens; empty where this user may not see them."""
        try:
            found = psutil.Process(pid).net_connections(kind="tcp")
        except psutil.Error:
            return []
        return sorted((c.laddr.ip, c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN and c.laddr)

    def end(self, pids: Sequence[int]) -> None:
        """Ends processes with their descendants, gently first.

        Processes of other users stay; the caller sees that they do.
        """
        family: dict[int, psutil.Process] = {}
        for pid in pids:
            try:
                root = psutil.Process(pid)
                family |= {process.pid: process for process in (root, *root.children(recursive=True))}
            except psutil.NoSuchProcess:
                continue
        end_processes(list(family.values()), _TERM_S)
