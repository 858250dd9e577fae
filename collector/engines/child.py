"""A server process of our own: its log, its end with everything it started, and never outliving us.

Every process that comes of it inherits one environment variable that names us, its owner. That is how
descendants are found whose parent was killed (Ollama's runner outlives a killed server), and what a killed
collector left behind: only processes that carry the mark are ever ended, and, where a system does not show the
environment of a process, those that listen at a port which our own server's log names as its runner's. A collector
that ends takes its children along by atexit; when it is killed, Linux tells them (launch.py), and on other systems
the next start clears them away.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import psutil

from collector.engines.notes import Life, Notes, kept_text
from db.texts import both

__all__ = ["Child", "end_processes", "end_leftovers"]

_log = logging.getLogger(__name__)

_MARK: Final = "ENERGY_RATING_OWNER"
_TERM_S: Final = 10.0
_KILL_S: Final = 5.0
_RUNNER_TERM_S: Final = 2.0
_LAUNCH: Final = Path(__file__).with_name("launch.py")
_ROOT: Final = Path(__file__).resolve().parents[2]  # where the package collector lies
_LOG_BYTES: Final = 32 << 20  # then the log begins anew beside its old self
_RUNNER_PORT: Final = re.compile(r"--port[ =](\d+)")
_numbers = itertools.count(1)


def _owner() -> str:
    """This process, told apart from a later one with the same number and from one on another host or container."""
    return f"{platform.node()}/{os.getpid()}@{psutil.Process().create_time():.2f}"


def _owner_is_gone(mark: str) -> bool:
    """False as well where it cannot be known: a container's processes are seen from outside, its numbers not."""
    node, _, rest = mark.partition("#")[0].rpartition("/")
    pid, _, created = rest.partition("@")
    if node != platform.node() or not pid.isdigit():
        return False
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" != created
    except psutil.NoSuchProcess:
        return True


def _marked() -> list[tuple[psutil.Process, str]]:
    """Processes that carry a mark which we may read, and the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(_MARK)
        except (psutil.Error, OSError, ValueError):
            continue  # gone, or another user's
        if mark and process.pid != os.getpid():
            found.append((process, mark))
    return found


def _gone(process: psutil.Process) -> bool:
    """Whether it has ended; also when nobody collected its exit status, as in containers without an init process."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _still_there(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    limit = time.monotonic() + timeout_s
    while alive := [process for process in processes if not _gone(process)]:
        if time.monotonic() >= limit:
            break
        time.sleep(0.01)
    return alive


def end_processes(processes: Sequence[psutil.Process], term_s: float) -> None:
    """Ends processes, gently first; bounded in time.

    Logs what would not end: a process that waits inside the kernel cannot be killed by anybody.
    """
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.terminate()
    alive = _still_there(processes, term_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    for process in _still_there(alive, _KILL_S):
        _log.warning("process %d cannot be ended", process.pid)


def end_leftovers() -> list[str]:
    """Ends what a killed collector left behind; returns the processes by name and number."""
    left = [process for process, mark in _marked() if _owner_is_gone(mark)]
    names = [_named(process) for process in left]
    if left:
        _log.warning("ending processes of a collector that is gone: %s", ", ".join(names))
        end_processes(left, _TERM_S)
    return names


def _named(process: psutil.Process) -> str:
    try:
        return f"{process.name()} (PID {process.pid})"
    except psutil.Error:
        return f"PID {process.pid}"


def _runners_named_in(log: str, since: float) -> list[psutil.Process]:
    """Processes that the log of our server names by their port, of those that do not show their environment.

    A port is chosen by the server for its runner and stands in both; ``since`` (Unix time) keeps a later owner of the
    same number apart from an older process.
    """
    ports = set(_RUNNER_PORT.findall(log))
    found = []
    for process in psutil.process_iter() if ports else ():
        try:
            process.environ()
            continue  # shown, so that the mark would have told
        except (psutil.AccessDenied, OSError, ValueError):
            pass
        except psutil.Error:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            words = " ".join(process.cmdline())
            if process.create_time() >= since and ports & set(_RUNNER_PORT.findall(words)):
                found.append(process)
    return found


class Child:
    """One child at a time, started again and again; all its lives write to the same log.

    Args:
        log_path: where it writes.
        way: name of the way in the record of its lives.
        notes: where its lives, and orphans of them, are noted.
    """

    def __init__(self, log_path: Path, way: str = "own_child", notes: Notes | None = None) -> None:
        self.log_path, self.way = log_path, way
        self.notes = notes or Notes()
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = ""
        self._log_start = 0
        self._started_at = datetime.now(UTC)

    @property
    def pid(self) -> int | None:
        """Number of the process, None while there is none."""
        return self._process.pid if self.alive and self._process else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts the command; one that runs is ended first.

        Raises:
            OSError: the log cannot be written or the command not be run.
        """
        self.stop()
        if left := end_leftovers():
            names = ", ".join(left)
            self.notes.incident("leftovers_ended", both(f"of a collector that is gone: {names}", f"属于已不存在的采集进程：{names}"))
        self._mark = f"{_owner()}#{next(_numbers)}"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._turn_over_log()
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *command]
        self._started_at = datetime.now(UTC)
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            # a session of its own, so that Ctrl-C reaches us alone and the answer in progress can be finished
            self._process = subprocess.Popen(
                command, env={**environment, _MARK: self._mark}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=_ROOT, start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )  # fmt: skip
        atexit.register(self.stop)

    def _turn_over_log(self) -> None:
        """A log that has grown large becomes the old one; where another process still writes it, it grows on."""
        with contextlib.suppress(OSError):
            if self.log_path.stat().st_size > _LOG_BYTES:
                self.log_path.replace(self.log_path.with_suffix(".old.log"))

    def stop(self) -> None:
        """Ends the process and everything it started; nothing happens when there is none."""
        process, self._process = self._process, None
        if process is None or self._mark.partition("#")[0] != _owner():
            return  # never started, or inherited by a fork: not ours to end
        atexit.unregister(self.stop)
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        died = process.poll() is not None
        if not died:
            process.terminate()
            try:
                process.wait(_TERM_S)
            except subprocess.TimeoutExpired:
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_KILL_S)
        self._end_family(family, died)
        self._note_life(process.returncode, died)

    def _end_family(self, family: list[psutil.Process], died: bool) -> None:
        """Ends what is left of it: a server that ended gently has ended its runners, a killed one leaves them to us."""
        known = {child.pid for child in family}
        family += [child for child, mark in _marked() if mark == self._mark and child.pid not in known]
        known = {child.pid for child in family}
        named = _runners_named_in(self.log(), self._started_at.timestamp())
        family += [child for child in named if child.pid not in known]
        orphans = [_named(child) for child in family if not _gone(child)] if died else []
        end_processes(family, _RUNNER_TERM_S)
        if orphans:
            names = ", ".join(orphans)
            self.notes.incident("orphans_ended", both(f"left behind by a server that was killed: {names}", f"服务器被终止后遗留：{names}"))

    def _note_life(self, exit_code: int | None, died: bool) -> None:
        text, size = kept_text(self.log_path, self._log_start)
        ended_by: Literal["us", "itself"] = "itself" if died else "us"
        self.notes.lives.append(
            Life(self.way, self._started_at, datetime.now(UTC), exit_code, ended_by, size, text)
        )  # fmt: skip

    def log(self) -> str:
        """What it wrote since its last start."""
        return kept_text(self.log_path, self._log_start, _LOG_BYTES)[0]

    def log_tail(self, lines: int = 5) -> str:
        """The end of :meth:`log`, on one line."""
        return " | ".join(self.log().strip().splitlines()[-lines:])[-500:] or "-"
