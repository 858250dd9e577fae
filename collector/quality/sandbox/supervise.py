"""Runs one job under one backend and watches it from outside: time, output, end."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Literal

import psutil

from collector.errors import NoSandbox
from collector.quality.sandbox.backends import Backend, Limits
from collector.quality.sandbox.wire import MEMORY_CODE

__all__ = ["SandboxResult", "Status", "limits_of", "supervise"]

Status = Literal["ok", "error", "timeout", "memory", "killed"]
_START_S = 60.0
_END_S = 10.0
_GENTLE_S = 3.0
_JOIN_S = 1.0
_PIECE = 1 << 16
_TRAILER = 100  # room for the keeper's last line
_CPU_OVER, _KILLED = 128 + 24, 128 + 9  # SIGXCPU and SIGKILL of Linux, where the program runs


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How a program ended.

    Attributes:
        status: ``ok`` it ended with exit code 0; ``error`` with another one, an exception for example; ``timeout`` its
            wall or CPU time was over; ``memory`` its memory was not enough; ``killed`` a signal ended it, or we did
            because it printed too much.
        stdout: what it printed, up to the limit, undecodable bytes replaced.
        stderr: the same for standard error.
        cpu_s: CPU seconds of the program (user and system), without the start of the sandbox. None when a container was
            ended together with the process that counts them.
        wall_s: seconds from its first line to its end.
    """

    status: Status
    stdout: str
    stderr: str
    cpu_s: float | None
    wall_s: float


def limits_of(timeout_s: float) -> Limits:
    """The usual limits for a program that may take ``timeout_s``.

    Raises:
        ValueError: ``timeout_s`` is not a positive, finite number.
    """
    if not (math.isfinite(timeout_s) and timeout_s > 0):
        raise ValueError(f"timeout_s must be positive and finite, not {timeout_s!r}")
    return Limits(wall_s=timeout_s, cpu_s=math.ceil(timeout_s))


def supervise(backend: Backend, job: dict[str, Any], stdin: str, limits: Limits) -> SandboxResult:
    """Runs one job.

    Args:
        backend: where.
        job: ``nonce``, ``code``, ``entry_point`` (None: a whole program), else ``cases``, too.
        stdin: standard input of the program.
        limits: what it may use.

    Raises:
        NoSandbox: the sandbox itself did not start, or broke off; this says nothing about the program.
    """
    header = json.dumps({**job, "plan": backend.plan(limits)}).encode()
    given = b"%010d" % len(header) + header + stdin.encode("utf-8", "surrogatepass")
    if backend.service:
        given = backend.service.preamble() + given
    try:
        process = subprocess.Popen(
            backend.command(job["nonce"], limits), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=backend.environment, cwd="/", start_new_session=True, bufsize=0,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError as error:
        raise _broken(backend, str(error), str(error)) from error
    return _Watch(backend, process, given, job["nonce"], limits).result()


def _broken(backend: Backend, en: str, zh: str) -> NoSandbox:
    return NoSandbox(f"The sandbox {backend.name} did not start: {en}", f"沙箱 {backend.name} 未能启动：{zh}")


def _feed(pipe: IO[bytes], given: bytes) -> None:
    """Writes the input; a program that does not read all of it is no error."""
    left = memoryview(given)
    with contextlib.suppress(OSError):
        while left:
            left = left[pipe.write(left[:_PIECE]) :]
    with contextlib.suppress(OSError):
        pipe.close()


def _listen(pipe: IO[bytes], number: int, pieces: queue.Queue[tuple[int, bytes]]) -> None:
    """Hands on what comes, and an empty piece at the end."""
    piece = b"-"
    while piece:
        piece = pipe.read(_PIECE)
        pieces.put((number, piece))


class _Watch:
    """One process from its start to its end. Threads move its input and output: Windows cannot wait for pipes."""

    def __init__(
        self, backend: Backend, process: subprocess.Popen[bytes], given: bytes, nonce: str, limits: Limits
    ) -> None:
        assert process.stdin is not None  # noqa: S101 - pipes were asked for
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self.backend, self.process, self.limits, self.nonce = backend, process, limits, nonce
        self.mark, self.tail = nonce.encode(), b""
        self.taken = (bytearray(), bytearray())
        self.pieces: queue.Queue[tuple[int, bytes]] = queue.Queue(maxsize=8)
        self.open, self.marked, self.closing = {0, 1}, False, False
        self.begun: float | None = None
        self.used_s = 0.0
        self.deadline = time.monotonic() + _START_S
        work = (partial(_feed, process.stdin, given),
                *(partial(_listen, pipe, n, self.pieces) for n, pipe in enumerate((process.stdout, process.stderr))))  # fmt: skip
        self.threads = [threading.Thread(target=step, daemon=True) for step in work]

    def result(self) -> SandboxResult:
        """Watches until the end and says how it was."""
        for thread in self.threads:
            thread.start()
        cause: Status | None = None
        try:
            cause = self._watch()
            ended = time.monotonic()
            cpu_s = self._end() if cause else self.used_s
        finally:
            if self.process.returncode is None:  # interrupted
                self._kill()
                self.process.wait()
            self._close()
        code = self.process.returncode if self.process.returncode >= 0 else 128 - self.process.returncode
        out, err = self._said()
        if self.begun is None:
            raise self._not_run(code, err)
        if self.backend.service:
            return self._of_container(cause, code, out, err, ended - self.begun)
        if cause is None and (kept := self._kept()) is not None:
            cpu_s = kept[0]
        return SandboxResult(cause or self._status(code, cpu_s), out, err, cpu_s, ended - self.begun)

    def _of_container(self, cause: Status | None, code: int, out: str, err: str, wall_s: float) -> SandboxResult:
        """The result where only the keeper's last line tells how much time the program took."""
        kept = self._kept()
        if kept is None:
            if cause is None and code != _KILLED:
                raise self._not_run(code, err)
            # All of the container was ended, its keeper too: if not by us, its memory limit did that.
            return SandboxResult(cause or "memory", out, err, None, wall_s)
        cpu_s, kept_wall_s = kept
        if cause is None:  # what came after it is not the program's time
            wall_s = kept_wall_s
            cause = "timeout" if wall_s > self.limits.wall_s else self._status(code, cpu_s)
        return SandboxResult(cause, out, err, cpu_s, wall_s)

    def _not_run(self, code: int, said: str) -> NoSandbox:
        text = " ".join(said.split())[-300:] or f"exit code {code}"
        en, zh = self.backend.service.refused(code, text) if self.backend.service else (text, text)
        if self.begun is None:
            return _broken(self.backend, en, zh)
        return NoSandbox(f"The sandbox {self.backend.name} broke off: {en}", f"沙箱 {self.backend.name} 中途中断：{zh}")

    def _watch(self) -> Status | None:
        """Takes output until all is said; the reason when we end it ourselves."""
        while self.open:
            left = self.deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            with contextlib.suppress(queue.Empty):
                if self._take(*self.pieces.get(timeout=left)):
                    return "killed"
        while not self._over():  # it closed its output and goes on
            if time.monotonic() > self.deadline:
                return "timeout"
            time.sleep(0.002)
        return None

    def _take(self, number: int, piece: bytes) -> bool:
        """Takes what came on a stream; True when it is more than allowed."""
        if not piece:
            self.open.discard(number)
            return False
        taken = self.taken[number]
        taken += piece
        if number == 1 and not self.marked and (at := taken.find(self.mark + b"\n")) >= 0:
            self.marked = True
            del taken[: at + len(self.mark) + 1]  # what the client of a service said before the program
        if number == 0:
            self.tail = (self.tail + piece)[-_TRAILER:]
            if self.begun is None and b"\n" in taken:
                first, _, rest = bytes(taken).partition(b"\n")
                if first != self.mark:
                    return True
                self.begun = time.monotonic()
                self.deadline = self.begun + self.limits.wall_s
                taken[:] = rest
            if self.backend.service and not self.closing and self._kept() is not None:
                self.closing = True  # the program is over, or says so; the container may take its time to go
                self.deadline += _START_S
        if len(taken) <= self.limits.output_bytes + _TRAILER:
            return False
        del taken[self.limits.output_bytes :]
        return True

    def _over(self) -> bool:
        """Whether the process has ended; its exit code and CPU time are known then."""
        if self.process.returncode is None and hasattr(os, "wait4"):
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.used_s = usage.ru_utime + usage.ru_stime
        elif self.process.returncode is None:
            self.process.poll()
        return self.process.returncode is not None

    def _end(self) -> float:
        """Ends the program and all that belongs to it; CPU seconds of the whole process tree."""
        cpu_s = _tree_cpu_s(self.process.pid)
        asked = self.backend.service if self.begun is not None else None
        if asked:
            asked.end(self.nonce, True)
        if not asked or not self._drained(_GENTLE_S):
            self._kill()
            self._drained(_END_S)
        while not self._over():
            time.sleep(0.002)
        return max(cpu_s, self.used_s)

    def _kill(self) -> None:
        """Ends the outermost process; the kernel ends the rest with it, as each asked to (PR_SET_PDEATHSIG)."""
        if not self._over():
            self.process.kill()
        if self.backend.service:
            self.backend.service.end(self.nonce, False)

    def _drained(self, patience_s: float) -> bool:
        """Waits until nobody holds the output any more: then the inner processes are gone, too."""
        until = time.monotonic() + patience_s
        while self.open and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                number, piece = self.pieces.get(timeout=left)
                if not piece:
                    self.open.discard(number)
                elif number == 0:
                    self.tail = (self.tail + piece)[-_TRAILER:]
        return not self.open

    def _close(self) -> None:
        for thread, pipe in zip(
            self.threads, (self.process.stdin, self.process.stdout, self.process.stderr), strict=True
        ):
            thread.join(_JOIN_S)
            if pipe is not None and not thread.is_alive():  # else somebody holds its other end, and closing would hang
                pipe.close()

    def _kept(self) -> tuple[float, float] | None:
        """CPU and wall seconds out of the keeper's last line; None when it has none."""
        said = re.search(rb"\n%b (\d+\.\d+) (\d+\.\d+)\n\Z" % self.mark, self.tail)
        return (float(said[1]), float(said[2])) if said else None

    def _said(self) -> tuple[str, str]:
        """Standard output without the keeper's last line, and standard error."""
        out, err = bytes(self.taken[0]), bytes(self.taken[1])
        if self._kept() is not None:
            line = self.tail[self.tail.rindex(b"\n" + self.mark) :]
            out = out.removesuffix(line)
        return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def _status(self, code: int, cpu_s: float) -> Status:
        if code == 0:
            return "ok"
        if code == MEMORY_CODE:
            return "memory"
        if code == _CPU_OVER or (code == _KILLED and cpu_s > self.limits.cpu_s - 0.5):
            return "timeout"
        return "killed" if code > 128 else "error"


def _tree_cpu_s(pid: int) -> float:
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
    except psutil.Error:  # it ended just now; the kernel's own sum follows
        pass
    return total
