"""The ways to confine a program, in order of trust, and the command and plan of each.

* ``bubblewrap``: its own namespaces and read-only root; our filter, limits and Landlock inside.
* ``namespaces``: the same view built by ourselves with unshare(2) and pivot_root(2).
* ``landlock``: no namespaces (hosts that refuse them): Landlock, filter and limits alone, and no writable folder.
* ``container``: a container of Podman or Docker, with the same guest inside; the only one on macOS and Windows.

None of them is trusted for its name: only the escape battery says whether it holds on this machine.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from collector.quality.sandbox.container import CONTAINER
from collector.quality.sandbox.contract import (
    DEVICES,
    PYTHON_OPTIONS,
    Backend,
    Limits,
    bootstrap,
    plan_of,
)
from collector.quality.sandbox.places import interpreter, readable
from collector.quality.sandbox.syscalls import refusals

__all__ = ["BACKENDS", "Backend", "Limits", "interpreter"]

_HIGH_UID = 2_000_000_000


def _python(nonce: str, program: str | None = None) -> list[str]:
    return [program or interpreter(), *PYTHON_OPTIONS, "-c", bootstrap(), nonce]


def _open_to_all(path: Path) -> bool:
    return path.stat().st_mode & 0o5 == 0o5 and all(folder.stat().st_mode & 0o1 for folder in path.parents)


@cache
def _shared_interpreter() -> str:
    """One that any user may run: as root, programs run as a user without rights, and no mount opens our home to that."""
    own = interpreter()
    if os.geteuid() != 0 or (_open_to_all(Path(own)) and _open_to_all(Path(sys.base_prefix).resolve() / "lib")):
        return own
    return shutil.which("python3", path="/usr/local/bin:/usr/bin") or own


@cache
def _readable() -> tuple[str, ...]:
    return tuple(readable())


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
    plan = plan_of(
        limits,
        refusals(),
        namespaces=namespaces,
        read=list(_readable()) if apart else None,  # None: what the interpreter inside needs, which may be another
        least_landlock=least_landlock,
        uid=_HIGH_UID + secrets.randbelow(100_000_000) if root else None,
    )
    if not apart:
        plan["write"] = []
    if not (root or (apart and _kernel() >= (5, 14))):
        plan["limits"]["NPROC"] += _tasks_of_user()
    return plan


def _no_kernel() -> tuple[str, str] | None:
    if sys.platform != "linux":
        return "needs Linux", "需要 Linux"
    if refusals() is None:
        return f"has no table for {platform.machine()}", f"没有 {platform.machine()} 的系统调用表"
    return None


def _no_bubblewrap() -> tuple[str, str] | None:
    unfit = _no_kernel()
    if unfit is None and shutil.which("bwrap") is None:
        return "bwrap is not installed", "未安装 bwrap"
    return unfit


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
    for path in DEVICES:
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
        lambda nonce, _: _python(nonce, _shared_interpreter()),
        lambda limits: _plan(limits, apart=False, least_landlock=3),
    ),
    CONTAINER,
)
"""Every way, the most trusted first. Add one here and the battery proves or refuses it."""
