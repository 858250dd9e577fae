"""The ways to confine a program, in order of trust, and the command and plan of each.

* ``bubblewrap``: its own namespaces and read-only root; our filter, limits and Landlock inside.
* ``namespaces``: the same view built by ourselves with unshare(2) and pivot_root(2).
* ``landlock``: no namespaces (hosts that refuse them): Landlock, filter and limits alone, and no writable folder.

None of them is trusted for its name: only the escape battery says whether it holds on this machine.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from collector.quality.sandbox.syscalls import refusals

__all__ = ["BACKENDS", "Backend", "Limits", "interpreter"]

_HIGH_UID = 2_000_000_000
_ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0"}  # noqa: S108
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_SOURCES = ("wire", "confine", "guest")


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
class Backend:
    """One way to confine a program.

    Attributes:
        name: as reports show it.
        missing: why it cannot even be tried here (English, Chinese), None when it can.
        command: the process to start, given the nonce of the run and its limits.
        plan: what the guest does to itself.
    """

    name: str
    missing: Callable[[], tuple[str, str] | None]
    command: Callable[[str, Limits], list[str]]
    plan: Callable[[Limits], dict[str, Any]]

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the process."""
        return dict(_ENVIRONMENT)


def interpreter() -> str:
    """The real executable of this Python, not the one of a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@cache
def _bootstrap() -> str:
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


def _python(nonce: str) -> list[str]:
    return [interpreter(), "-P", "-s", "-S", "-B", "-X", "utf8", "-c", _bootstrap(), nonce]


@cache
def _readable() -> tuple[str, ...]:
    """What an interpreter needs to run: itself, its library, the system's shared libraries."""
    prefix = Path(sys.base_prefix).resolve()
    wanted = [interpreter(), "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"]
    wanted += [str(prefix / "lib"), str(prefix / "lib64")]
    known: list[str] = []
    for path in wanted:
        if os.path.lexists(path) and not any(Path(path).is_relative_to(other) for other in known):
            known.append(path)
    return tuple(known)


def _tasks_of_user() -> int:
    """Threads of this user, which old kernels count against the limit of a sandbox."""
    count, uid = 0, os.getuid()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and folder.stat().st_uid == uid:
                count += len(list((folder / "task").iterdir()))
        except OSError:  # it ended meanwhile
            continue
    return count


def _kernel() -> tuple[int, int]:
    major, minor = platform.release().split("-")[0].split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)))


def _plan(limits: Limits, *, apart: bool, namespaces: bool = False, least_landlock: int = 0) -> dict[str, Any]:
    """``apart``: in namespaces of its own, where it has a /tmp and its tasks are counted apart (Linux 5.14)."""
    root = os.geteuid() == 0
    others = 0 if root or (apart and _kernel() >= (5, 14)) else _tasks_of_user()
    return {
        "namespaces": namespaces,
        "read": list(_readable()),
        "write": ["/tmp"] if apart else [],  # noqa: S108 - inside
        "devices": list(_DEVICES),
        "room_bytes": limits.room_bytes,
        "least_landlock": least_landlock,
        "uid": _HIGH_UID + secrets.randbelow(100_000_000) if root else None,
        "calls": refusals(),
        "limits": {
            "AS": limits.memory_bytes,
            "CPU": limits.cpu_s,
            "FSIZE": limits.room_bytes,
            "NOFILE": 64,
            "NPROC": limits.threads + others,
            "CORE": 0,
            "MEMLOCK": 0,
            "MSGQUEUE": 0,
        },
    }


def _no_kernel() -> tuple[str, str] | None:
    if sys.platform != "linux":
        return "needs Linux", "需要 Linux"
    if refusals() is None:
        return f"has no table for {platform.machine()}", f"没有 {platform.machine()} 的系统调用表"
    return None


def _no_bubblewrap() -> tuple[str, str] | None:
    if shutil.which("bwrap") is None:
        return "bwrap is not installed", "未安装 bwrap"
    return _no_kernel()


@cache
def _sized_tmp(bwrap: str) -> bool:
    """Whether this version (0.7 and later) can bound a tmpfs."""
    try:
        done = subprocess.run([bwrap, "--help"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "--size" in done.stdout + done.stderr


def _bubblewrap(nonce: str, limits: Limits) -> list[str]:
    bwrap = shutil.which("bwrap") or "bwrap"
    command = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
               "--die-with-parent", "--new-session", "--hostname", "sandbox"]  # fmt: skip
    # Root goes on as a user that nobody else is; that needs the real one, not a mapped one, for a moment.
    command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if os.geteuid() == 0 else [
        "--unshare-user"]  # fmt: skip
    if _sized_tmp(bwrap):  # else a folder that only its owner may enter hides what lies below it from the other user
        for folder in sorted({str(parent) for path in _readable() for parent in Path(path).parents} - {"/"}):
            command += ["--perms", "0755", "--dir", folder]
    for path in _readable():
        command += (
            ["--symlink", str(Path(path).readlink()), path] if Path(path).is_symlink() else ["--ro-bind", path, path]
        )
    for path in _DEVICES:
        command += ["--dev-bind", path, path]
    if _sized_tmp(bwrap):
        command += ["--perms", "1777", "--size", str(limits.room_bytes), "--tmpfs", "/tmp"]  # noqa: S108
    else:
        command += ["--dir", "/tmp"]  # noqa: S108 - read-only with the root
    return [*command, "--remount-ro", "/", "--chdir", "/tmp", "--", *_python(nonce)]  # noqa: S108


BACKENDS: tuple[Backend, ...] = (
    Backend("bubblewrap", _no_bubblewrap, _bubblewrap, lambda limits: _plan(limits, apart=True)),
    Backend(
        "namespaces",
        _no_kernel,
        lambda nonce, _: _python(nonce),
        lambda limits: _plan(limits, apart=True, namespaces=True),
    ),
    Backend(
        "landlock",
        _no_kernel,
        lambda nonce, _: _python(nonce),
        lambda limits: _plan(limits, apart=False, least_landlock=3),
    ),
)
"""Every way, the most trusted first. Add one here and the battery proves or refuses it."""
