"""What the battery's attempts aim at: a file, a folder, listeners, a process, a variable; and whether they were hit."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from collector.quality.sandbox.backends import interpreter

__all__ = ["Lures"]

_BAIT = "import sys, time\nprint('ready', flush=True)\ntime.sleep(300)"
_VARIABLE = "ENERGY_RATING_SANDBOX_LURE"


class Lures:
    """Context manager; everything is taken away at its end.

    Attributes:
        secret: stands in the file, in a variable of our environment, in the bait's command line and environment.
    """

    def __init__(self) -> None:
        self.secret = secrets.token_hex(12)
        self._word = "lure-" + secrets.token_hex(6)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as self._stack:
            self._prepare()
            self._stack = self._stack.pop_all()  # all is laid; it stays until our own end
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sandbox-lure-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o777)  # noqa: S103 - the sandbox has to protect it, not its mode
        (self.folder / "secret").write_text(self.secret)
        (self.folder / "secret").chmod(0o666)
        self._shape = self._look()
        os.environ[_VARIABLE] = self.secret
        self._stack.callback(os.environ.pop, _VARIABLE, None)
        command = [interpreter(), "-I", "-S", "-c", _BAIT, self.secret]
        self.bait = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._stack.callback(self._end_bait)
        assert self.bait.stdout is not None  # noqa: S101 - a pipe was asked for
        self.bait.stdout.readline()
        self._nice = psutil.Process(self.bait.pid).nice()
        self._listeners: dict[str, socket.socket] = {}
        self.ports = {
            "tcp4": self._listen("tcp4", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp4": self._listen("udp4", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "tcp6": self._listen("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
            "engine": self._listen("engine", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 11434)),
        }
        if hasattr(socket, "AF_UNIX"):
            self._listen("unix", socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "socket"))
        if sys.platform == "linux":
            self._listen("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self._word)
        if "unix" in self._listeners:
            (self.folder / "socket").chmod(0o777)  # noqa: S103
            self._shape = self._look()

    def _listen(self, name: str, family: int, kind: int, address: Any) -> int | None:
        """Port of a new listener; None where the machine has no such network or a real engine holds the port."""
        try:
            listener = socket.socket(family, kind)
        except OSError:
            return None
        self._stack.callback(listener.close)
        try:
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(8)
        except OSError:
            return None
        listener.setblocking(False)
        self._listeners[name] = listener
        return int(listener.getsockname()[1]) if isinstance(address, tuple) else None

    def _end_bait(self) -> None:
        self.bait.kill()
        self.bait.wait()
        if self.bait.stdout is not None:
            self.bait.stdout.close()

    def _look(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file of the folder with its mode, owner and content."""
        found = {}
        for path in sorted([self.folder, *self.folder.rglob("*")]):
            state = path.lstat()
            found[str(path)] = (state.st_mode, state.st_uid, path.read_bytes() if path.is_file() else b"")
        return found

    def told(self) -> dict[str, Any]:
        """What an attempt may know; not the secret itself."""
        return {
            "folder": str(self.folder),
            "package": str(Path(__file__).parent),
            "library": str(Path(os.__file__).parent),
            "home": os.path.expanduser("~"),  # noqa: PTH111 - Path.home() needs one to exist
            "ports": self.ports,
            "word": self._word,
            "bait": self.bait.pid,
            "parent": os.getpid(),
        }

    def noticed(self, patience_s: float = 0.0) -> str | None:
        """What happened to the lures since they were laid, None when nothing did.

        Args:
            patience_s: how long a bait that was hit may take to die.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.bait.wait(patience_s)
        # Others may look for an engine at its port meanwhile; nobody else knows the other addresses.
        word = {"engine": self._word.encode()}
        found = [f"{n} was reached" for n, listener in self._listeners.items() if _reached(listener, word.get(n))]
        if self._look() != self._shape:
            found.append("the folder changed")
        if self.bait.poll() is not None:
            found.append("the bait was killed")
        elif psutil.Process(self.bait.pid).nice() != self._nice:
            found.append("the bait's priority changed")
        return "; ".join(found) or None


def _reached(listener: socket.socket, word: bytes | None = None) -> bool:
    """Whether somebody connected, and said ``word`` where one is given, or sent something; all who did are dismissed."""
    reached = False
    while True:
        try:
            if listener.type == socket.SOCK_DGRAM:
                listener.recvfrom(100)
                reached = True
            else:
                reached |= _said(listener.accept()[0], word)
        except BlockingIOError:
            return reached
        except ConnectionError:
            continue


def _said(visitor: socket.socket, word: bytes | None) -> bool:
    with visitor:
        if word is None:
            return True
        visitor.settimeout(0.2)
        try:
            return visitor.recv(100).startswith(word)
        except OSError:  # it said nothing
            return False
