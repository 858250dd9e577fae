"""Runs one job under one backend and watches it from outside: time, output, end."""

from __future__ import annotations

import json
import math
import os
import re
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Literal

import psutil

from collector.errors import NoSandbox
from collector.quality.sandbox.backends import Backend, Limits
from collector.quality.sandbox.wire import MEMORY_CODE

__all__ = ["SandboxResult", "Status", "limits_of", "supervise"]

Status = Literal["ok", "error", "timeout", "memory", "killed"]
_SECONDS = re.compile(rb"(\d+\.\d+)\n")
_START_S = 60.0
_END_S = 10.0
_PIECE = 1 << 16
_TRAILER = 100  # room for the keeper's last line


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How a program ended.

    Attributes:
        status: ``ok`` it ended with exit code 0; ``error`` with another one, an exception for example; ``timeout`` its
            wall or CPU time was over; ``memory`` its memory was not enough; ``killed`` a signal ended it, or we did
            because it printed too much.
        stdout: what it printed, up to the limit, undecodable bytes replaced.
        stderr: the same for standard error.
        cpu_s: CPU seconds of the program (user and system), without the start of the sandbox.
        wall_s: seconds from its first line to its end.
    """

    status: Status
    stdout: str
    stderr: str
    cpu_s: float
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
        NoSandbox: the sandbox itself did not start; this says nothing about the program.
    """
    header = json.dumps({**job, "plan": backend.plan(limits)}).encode()
    given = b"%010d" % len(header) + header + stdin.encode("utf-8", "surrogatepass")
    try:
        process = subprocess.Popen(
            backend.command(job["nonce"], limits), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=backend.environment, cwd="/", start_new_session=True, bufsize=0,
        )  # fmt: skip
    except OSError as error:
        raise _broken(backend, str(error)) from error
    return _Watch(backend, process, given, job["nonce"], limits).result()


def _broken(backend: Backend, text: str) -> NoSandbox:
    said = " ".join(text.split())[-300:] or "no message"
    return NoSandbox(f"The sandbox {backend.name} did not start: {said}", f"沙箱 {backend.name} 未能启动：{said}")


class _Watch:
    """One process from its start to its end."""

    def __init__(
        self, backend: Backend, process: subprocess.Popen[bytes], given: bytes, nonce: str, limits: Limits
    ) -> None:
        assert process.stdin is not None  # noqa: S101 - pipes were asked for
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self.backend, self.process, self.limits = backend, process, limits
        self.given, self.mark = memoryview(given), nonce.encode()
        self.input, self.output = process.stdin.fileno(), process.stdout.fileno()
        self.taken = {self.output: bytearray(), process.stderr.fileno(): bytearray()}
        self.selector = selectors.DefaultSelector()
        self.begun: float | None = None
        self.deadline = time.monotonic() + _START_S

    def result(self) -> SandboxResult:
        """Watches until the end and says how it was."""
        cause: Status | None = None
        try:
            cause = self._watch()
            ended = time.monotonic()
            cpu_s, code = self._end(kill=cause is not None)
            cpu_s = self._kept_cpu_s(cpu_s)
        finally:
            if self.process.returncode is None:  # interrupted
                self.process.kill()
                self.process.wait()
            self.selector.close()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()
        out, err = (text.decode("utf-8", "replace") for text in self.taken.values())
        if self.begun is None:
            raise _broken(self.backend, err or f"exit code {code}")
        return SandboxResult(cause or self._status(code, cpu_s), out, err, cpu_s, ended - self.begun)

    def _watch(self) -> Status | None:
        """Moves input and output until all is said; the reason when we end it ourselves."""
        os.set_blocking(self.input, False)
        self.selector.register(self.input, selectors.EVENT_WRITE)
        for fd in self.taken:
            self.selector.register(fd, selectors.EVENT_READ)
        while any(fd in self.taken for fd in self.selector.get_map()):
            left = self.deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            for key, _ in self.selector.select(left):
                if key.fd == self.input:
                    self._write()
                elif self._read(key.fd):
                    return "killed"
        while self._running():  # it closed its output and goes on
            if time.monotonic() > self.deadline:
                return "timeout"
            time.sleep(0.005)
        return None

    def _write(self) -> None:
        try:
            self.given = self.given[os.write(self.input, self.given[:_PIECE]) :]
        except BrokenPipeError:
            self.given = self.given[:0]
        if not self.given:
            self.selector.unregister(self.input)
            assert self.process.stdin is not None  # noqa: S101
            self.process.stdin.close()

    def _read(self, fd: int) -> bool:
        """Takes what is there; True when it is more than allowed."""
        piece, taken = os.read(fd, _PIECE), self.taken[fd]
        if not piece:
            self.selector.unregister(fd)
            return False
        taken += piece
        if fd == self.output and self.begun is None and b"\n" in taken:
            first, _, rest = bytes(taken).partition(b"\n")
            if first != self.mark:
                return True
            self.begun = time.monotonic()
            self.deadline = self.begun + self.limits.wall_s
            taken[:] = rest
        if len(taken) <= self.limits.output_bytes + _TRAILER:
            return False
        del taken[self.limits.output_bytes :]
        return True

    def _running(self) -> bool:
        info = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return info is None

    def _end(self, *, kill: bool) -> tuple[float, int]:
        """CPU seconds of the whole process tree and the exit code; 128 and the signal for a signal."""
        cpu_s = 0.0
        if kill:
            cpu_s = _tree_cpu_s(self.process.pid)
            self._kill()
        _, status, usage = os.wait4(self.process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self.process.returncode = code
        if kill:
            self._drain()
        return max(cpu_s, usage.ru_utime + usage.ru_stime), code if code >= 0 else 128 - code

    def _kept_cpu_s(self, otherwise: float) -> float:
        """CPU seconds out of the keeper's last line, which is taken off the output; ``otherwise`` when it has none."""
        taken = self.taken[self.output]
        at = taken.rfind(b"\n" + self.mark + b" ")
        said = _SECONDS.fullmatch(taken[at + len(self.mark) + 2 :]) if at >= 0 else None
        if said is None:
            return otherwise
        del taken[at:]
        return float(said[1])

    def _kill(self) -> None:
        """Ends the outermost process; the kernel ends the rest with it, as each asked to (PR_SET_PDEATHSIG)."""
        os.kill(self.process.pid, signal.SIGKILL)  # not Popen.kill, which would reap a process that has just ended

    def _drain(self) -> None:
        """Waits until nobody holds the output any more: then the inner processes are gone, too."""
        until = time.monotonic() + _END_S
        if not self.input_closed:
            self.selector.unregister(self.input)
        while self.selector.get_map() and time.monotonic() < until:
            for key, _ in self.selector.select(0.2):
                if not os.read(key.fd, _PIECE):
                    self.selector.unregister(key.fd)

    @property
    def input_closed(self) -> bool:
        """Whether all input was given."""
        return self.input not in self.selector.get_map()

    def _status(self, code: int, cpu_s: float) -> Status:
        if code == 0:
            return "ok"
        if code == MEMORY_CODE:
            return "memory"
        if code == 128 + signal.SIGXCPU or (code == 128 + signal.SIGKILL and cpu_s > self.limits.cpu_s - 0.5):
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
