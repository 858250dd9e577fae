"""Tries to escape from a sandbox in every way we know and says what came of it.

The attempts themselves are harmless: what is to be read, written, connected to or killed was put there for that, the
numbers of processes and bytes are capped, and the only address outside is one reserved for documentation (RFC 5737).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import psutil

from collector.errors import NoSandbox
from collector.quality.sandbox import attempts
from collector.quality.sandbox.backends import Backend, Limits
from collector.quality.sandbox.cases import Case, call_cases
from collector.quality.sandbox.lures import Lures
from collector.quality.sandbox.supervise import SandboxResult, supervise

__all__ = ["Finding", "Report", "examine"]

_USUAL = Limits(wall_s=20.0, cpu_s=10)


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of attempt.

    Attributes:
        name: what was attempted.
        zh: the same in Chinese.
        escaped: what succeeded or was inconclusive; None when the sandbox held.
    """

    name: str
    zh: str
    escaped: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the battery found about one way to confine a program.

    Attributes:
        backend: its name.
        unusable: why it cannot be used here at all (English, Chinese); None when it could be tried.
        findings: every attempt, empty when unusable.
        seconds: how long the battery took.
    """

    backend: str
    unusable: tuple[str, str] | None
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether programs may be run in it."""
        return self.unusable is None and not self.escapes

    @property
    def escapes(self) -> tuple[Finding, ...]:
        """The attempts that succeeded or proved nothing."""
        return tuple(finding for finding in self.findings if finding.escaped is not None)

    @property
    def summary_en(self) -> str:
        """One clause: holds, cannot be used and why, or what escapes."""
        if self.unusable:
            return self.unusable[0]
        return "holds" if self.holds else "escapes: " + ", ".join(finding.name for finding in self.escapes)

    @property
    def summary_zh(self) -> str:
        """The same in Chinese."""
        if self.unusable:
            return self.unusable[1]
        return "可靠" if self.holds else "可逃逸：" + "、".join(finding.zh for finding in self.escapes)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON; ``findings`` maps each attempt to None or what escaped."""
        return {
            "backend": self.backend,
            "holds": self.holds,
            "unusable": self.unusable[0] if self.unusable else None,
            "findings": {finding.name: finding.escaped for finding in self.findings},
            "seconds": round(self.seconds, 2),
        }


def examine(backend: Backend) -> Report:
    """Runs the whole battery against one backend: some seconds, two of them CPU time."""
    started = time.monotonic()
    unusable = backend.missing() or _unfit(backend)
    findings: list[Finding] = []
    if unusable is None:
        with Lures() as lures:
            battery = _Battery(backend, lures)
            for name, zh, attempt in _ATTEMPTS:
                try:
                    escaped = attempt(battery)
                except NoSandbox as error:
                    escaped = f"proves nothing: {error}"
                findings.append(Finding(name, zh, escaped))
    return Report(backend.name, unusable, tuple(findings), time.monotonic() - started)


def _unfit(backend: Backend) -> tuple[str, str] | None:
    """Why an ordinary program does not run in it, None when it does."""
    job = {"nonce": secrets.token_hex(16), "code": attempts.ORDINARY, "entry_point": None}
    try:
        ended = supervise(backend, job, "echo\n", _USUAL)
    except NoSandbox as error:
        return error.en.rstrip("."), error.zh.rstrip("。")
    if ended.status != "ok" or ended.stdout != "ECHO\n":
        last = (ended.stderr.strip() or ended.status).rsplit("\n", 1)[-1][:200]
        return f"an ordinary program does not run in it: {last}", f"普通程序无法在其中运行：{last}"
    return None


class _Battery:
    """The attempts against one backend."""

    def __init__(self, backend: Backend, lures: Lures) -> None:
        self.backend, self.lures = backend, lures
        self.nonces: list[str] = []

    def ended(self, code: str, limits: Limits = _USUAL) -> SandboxResult:
        """Runs one attempt; ``LURES`` in it is what it may know."""
        self.nonces.append(secrets.token_hex(16))
        whole = attempts.PRELUDE + f"LURES = {json.dumps(self.lures.told())!r}\nLURES = json.loads(LURES)\n" + code
        job = {"nonce": self.nonces[-1], "code": whole, "entry_point": None}
        return supervise(self.backend, job, "", limits)

    def told(self, code: str) -> str | None:
        """What an attempt says of itself; one that does not come to its end proves nothing."""
        ended = self.ended(code)
        found = [line[7:] for line in ended.stdout.splitlines() if line.startswith("ESCAPE ")]
        if self.lures.secret in ended.stdout + ended.stderr:
            found.append("knows the secret")
        if found:
            return "; ".join(found)
        if not ended.stdout.endswith("DONE\n"):
            return f"proves nothing: {ended.status} {' '.join(ended.stderr.split())[-150:]}"
        return None

    def seen(self, code: str, patience_s: float = 0.0) -> str | None:
        """What an attempt says, and what its lures noticed outside."""
        said, noticed = self.told(code), self.lures.noticed(patience_s)
        return "; ".join(filter(None, (said, noticed))) or None

    def memory(self) -> str | None:
        """Memory beyond the limit, at once or in pieces."""
        said = self.told(attempts.MEMORY)
        ended = self.ended(attempts.MEMORY_PIECES)
        if ended.status != "memory":
            return f"{said or ''} pieces ended as {ended.status}".strip()
        return said

    def cpu(self) -> str | None:
        """CPU time beyond the limit, deaf to the warning signal."""
        ended = self.ended(attempts.CPU, replace(_USUAL, wall_s=60.0, cpu_s=1))
        held = ended.status == "timeout" and ended.cpu_s is not None and ended.cpu_s < 5
        return None if held else f"{ended.status} after {ended.cpu_s} s"

    def wall(self) -> str | None:
        """Sleeping on with its output closed."""
        ended = self.ended(attempts.SLEEP, replace(_USUAL, wall_s=0.3))
        return None if ended.status == "timeout" else f"ended as {ended.status}"

    def flood(self) -> str | None:
        """Printing for ever, on both streams."""
        for stream in ("stdout", "stderr"):
            ended = self.ended(attempts.FLOOD.format(stream=stream))
            if ended.status != "killed" or len(ended.stdout) + len(ended.stderr) > 2 * _USUAL.output_bytes + 1000:
                return f"{stream} ended as {ended.status}"
        return None

    def leftovers(self) -> str | None:
        """Processes that stay behind, of this attempt and all before it."""
        said = self.told(attempts.DAEMON)
        until = time.monotonic() + 2.0
        while (left := self._alive()) and time.monotonic() < until:
            time.sleep(0.1)
        return said or (f"{left} processes stayed behind" if left else None)

    def _alive(self) -> int:
        service = self.backend.service
        if service and (left := service.left(self.nonces)):
            return left
        words = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
        return sum(any(nonce in line for nonce in self.nonces) for line in words)

    def forgery(self) -> str | None:
        """Passing a case without knowing its answer."""
        secret = secrets.randbelow(10**9)
        for name, code in attempts.FORGERIES.items():
            result = call_cases(self.backend, code, "answer", [Case([1], secret)], 10.0)
            if result.passed:
                return name
        if not call_cases(self.backend, f"def answer(x): return {secret}", "answer", [Case([1], secret)], 10.0).passed:
            return "proves nothing: a right answer does not pass either"
        return None


_ATTEMPTS: tuple[tuple[str, str, Callable[[_Battery], str | None]], ...] = (
    ("reading files outside", "读取外部文件", lambda b: b.seen(attempts.READ)),
    ("writing files outside", "写入外部文件", lambda b: b.seen(attempts.WRITE)),
    ("secrets of the environment", "环境变量中的秘密", lambda b: b.seen(attempts.ENVIRONMENT)),
    ("loopback network and the engine's port", "本机网络与引擎端口", lambda b: b.seen(attempts.LOOPBACK)),
    ("network outside", "外部网络", lambda b: b.seen(attempts.OUTSIDE)),
    ("unix sockets", "Unix 套接字", lambda b: b.seen(attempts.UNIX)),
    ("killing the parent and others", "终止父进程或其他进程", lambda b: b.seen(attempts.KILL, 0.5)),
    ("processes of others in /proc", "/proc 中的其他进程", lambda b: b.seen(attempts.PROCESSES)),
    ("other programs, privileges, namespaces", "其他程序、权限与命名空间", lambda b: b.seen(attempts.PRIVILEGES)),
    ("fork bomb", "进程炸弹", lambda b: b.seen(attempts.FORKS)),
    ("memory", "内存", _Battery.memory),
    ("room on disk", "磁盘空间", lambda b: b.seen(attempts.DISK)),
    ("CPU time", "CPU 时间", _Battery.cpu),
    ("wall time", "墙钟时间", _Battery.wall),
    ("output flood", "输出泛滥", _Battery.flood),
    ("leftover processes", "遗留进程", _Battery.leftovers),
    ("forged results", "伪造结果", _Battery.forgery),
)
