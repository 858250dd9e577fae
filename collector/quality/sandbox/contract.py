"""What a way to confine a program has to offer, and what all of them share: limits, sources of the guest, its plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "DEVICES", "ENVIRONMENT", "PYTHON_OPTIONS", "Backend", "Limits", "Service", "bootstrap", "plan_of",
]  # fmt: skip

ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0"}  # noqa: S108
"""All that a program finds in its environment."""
PYTHON_OPTIONS = ("-P", "-s", "-S", "-B", "-X", "utf8")
"""Nothing but the standard library, found where the interpreter keeps it; needs Python 3.11."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_SOURCES = ("wire", "places", "confine", "guest")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    Attributes:
        wall_s: seconds from its first line to its end.
        cpu_s: CPU seconds, all threads together.
        memory_bytes: address space of the process; there is only one.
        output_bytes: of standard output and standard error, each.
        room_bytes: of all files in its ``/tmp``, which is memory.
        threads: at the same time.
    """

    wall_s: float
    cpu_s: int
    memory_bytes: int = 512 << 20
    output_bytes: int = 1 << 20
    room_bytes: int = 16 << 20
    threads: int = 64


@dataclass(frozen=True, slots=True)
class Service:
    """What is needed besides where a service runs the program and the process that we start is only its client.

    Attributes:
        preamble: what the interpreter inside reads before the job.
        end: ends the program of a nonce; gently (True) it still says how much CPU time it took, else nothing of it stays.
        left: how many of these nonces' programs the service still knows. Raises NoSandbox when it does not answer.
        refused: what an exit code and the client's words mean when no program ran (English, Chinese).
    """

    preamble: Callable[[], bytes]
    end: Callable[[str, bool], None]
    left: Callable[[Sequence[str]], int]
    refused: Callable[[int, str], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to confine a program.

    Attributes:
        name: as reports show it.
        missing: why it cannot even be tried here (English, Chinese), None when it can.
        command: the process to start, given the nonce of the run and its limits.
        plan: what the guest does to itself.
        service: None where the process that we start, and what it starts, is the program.
    """

    name: str
    missing: Callable[[], tuple[str, str] | None]
    command: Callable[[str, Limits], list[str]]
    plan: Callable[[Limits], dict[str, Any]]
    service: Service | None = None

    @property
    def environment(self) -> dict[str, str] | None:
        """The whole environment of the process; None: ours, which the client of a service needs and keeps to itself."""
        return None if self.service else dict(ENVIRONMENT)


@cache
def bootstrap() -> str:
    """The program that the interpreter inside starts with: our side of the border, as text."""
    folder = Path(__file__).parent
    sources = [(f"{__package__}.{name}", (folder / f"{name}.py").read_text(encoding="utf-8")) for name in _SOURCES]
    return (
        "import sys, types\n"
        f"for name, source in {sources!r}:\n"
        "    sys.modules[name] = module = types.ModuleType(name)\n"
        "    exec(compile(source, name, 'exec', dont_inherit=True), module.__dict__)\n"
        "del name, source\n"
        "module.main()\n"
    )


def plan_of(limits: Limits, calls: dict[str, Any] | None, **own: Any) -> dict[str, Any]:
    """The plan of :func:`confine.confine`: the least that every way has, with what is ``own`` to one in its place."""
    return {
        "namespaces": False,
        "read": None,
        "write": ["/tmp"],  # noqa: S108 - inside
        "devices": list(DEVICES),
        "room_bytes": limits.room_bytes,
        "least_landlock": 0,
        "uid": None,
        "calls": calls,
        "environment": None,
        "keeper_s": None,
        "limits": {
            "AS": limits.memory_bytes,
            "CPU": limits.cpu_s,
            "FSIZE": limits.room_bytes,
            "NOFILE": 64,
            "NPROC": limits.threads,
            "CORE": 0,
            "MEMLOCK": 0,
            "MSGQUEUE": 0,
        },
        **own,
    }
