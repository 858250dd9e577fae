"""A container of Podman or Docker as the way to confine: the only one where the machine itself does not run Linux.

The container has no network, no capability, no folder of the machine, a read-only root and bounds for memory, processes
and CPU; inside, the same guest takes the same things away from the program as everywhere. The image has to be there
already, nothing is ever fetched. Nothing here needs POSIX: engines of macOS and Windows run containers in a Linux of theirs.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from collector.errors import NoSandbox
from collector.quality.sandbox.contract import (
    ENVIRONMENT,
    PYTHON_OPTIONS,
    Backend,
    Limits,
    Service,
    bootstrap,
    plan_of,
)
from collector.quality.sandbox.syscalls import refusals

__all__ = ["CONTAINER", "IMAGE_VARIABLE", "image"]

IMAGE_VARIABLE = "ENERGY_RATING_SANDBOX_IMAGE"
"""Environment variable that names another image; it needs Python 3.11 or later as ``python3``."""
_IMAGE = "docker.io/library/python:3.12-slim"
_ENGINES = ("podman", "docker")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_ANSWER_S = 20.0
_BESIDES_BYTES = 64 << 20  # for the interpreter that keeps the program's time
_BESIDES_TASKS = 8
_GRACE_S = 30
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")
# Podman would hand over our proxy variables, open more writable folders and make volumes that the image asks for.
_ONLY_PODMAN = ("--http-proxy=false", "--read-only-tmpfs=false", "--image-volume=ignore")
_LOADER = """import os
def take(size):
    taken = b""
    while len(taken) < size:
        piece = os.read(0, size - len(taken))
        if not piece:
            os._exit(87)
        taken += piece
    return taken
exec(take(int(take(10))))
"""


@dataclass(frozen=True, slots=True)
class _Engine:
    """An engine that works and has the image.

    Attributes:
        name: ``podman`` or ``docker``.
        program: its client.
        machine: architecture of the image, as uname(2) names it.
    """

    name: str
    program: str
    machine: str


def image() -> str:
    """The image that programs run in."""
    return os.environ.get(IMAGE_VARIABLE, "").strip() or _IMAGE


def _asked(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What the engine answers.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it does not answer.
    """
    return subprocess.run(
        [program, *words], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
        timeout=_ANSWER_S, check=False, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )  # fmt: skip


def _last(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1][-300:] or "no message"


def _look(name: str, program: str) -> _Engine | tuple[str, str]:
    """The engine, or why it cannot be used (English, Chinese)."""
    wanted = image()
    try:
        found = _asked(program, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", wanted)
        if found.returncode != 0:
            works = _asked(program, "ps", "--quiet")
            if works.returncode != 0:
                said = _last(works.stderr)
                return f"{name} does not work: {said}", f"{name} 无法使用：{said}"
            pull = f"{name} pull {wanted}"
            return (
                f"{name} has no image {wanted} (get it with: {pull})",
                f"{name} 没有镜像 {wanted}（获取方法：{pull}）",
            )
    except OSError as error:
        return f"{name} does not start: {error}", f"{name} 无法启动：{error}"
    except subprocess.TimeoutExpired:
        return f"{name} does not answer within {_ANSWER_S:.0f} s", f"{name} 在 {_ANSWER_S:.0f} 秒内没有回应"
    system, _, architecture = found.stdout.strip().partition("/")
    machine = _MACHINES.get(architecture, architecture)
    if system != "linux" or refusals(machine) is None:
        return (
            f"the image {wanted} is for {system}/{architecture}, not for Linux on x86-64 or AArch64",
            f"镜像 {wanted} 适用于 {system}/{architecture}，而不是 x86-64 或 AArch64 的 Linux",
        )
    return _Engine(name, program, machine)


@cache
def _engine() -> _Engine | tuple[str, str]:
    """The first engine that can be used, else why none can."""
    why: list[tuple[str, str]] = []
    for name in _ENGINES:
        program = shutil.which(name)
        found = _look(name, program) if program else None
        if isinstance(found, _Engine):
            return found
        if found:
            why.append(found)
    if not why:
        return "neither podman nor docker is installed", "未安装 podman 或 docker"
    return "; ".join(en for en, _ in why), "；".join(zh for _, zh in why)


def _sure() -> _Engine:
    found = _engine()
    if not isinstance(found, _Engine):
        raise NoSandbox(f"The sandbox container cannot be used: {found[0]}", f"沙箱 container 无法使用：{found[1]}")
    return found


def _missing() -> tuple[str, str] | None:
    found = _engine()
    return None if isinstance(found, _Engine) else found


def _name(nonce: str) -> str:
    return f"sandbox-{nonce}"


def _command(nonce: str, limits: Limits) -> list[str]:
    engine = _sure()
    memory = limits.memory_bytes + limits.room_bytes + _BESIDES_BYTES
    user = 20_000 + secrets.randbelow(40_000)  # nobody's, and within what a rootless engine may hand out
    room = f"/tmp:rw,noexec,nosuid,nodev,size={limits.room_bytes},mode=1777"  # noqa: S108 - inside
    tasks = limits.threads + _BESIDES_TASKS
    command = [
        engine.program, "run", "--rm", "--interactive", "--pull", "never", "--name", _name(nonce),
        "--network", "none", "--ipc", "none", "--hostname", "sandbox", "--log-driver", "none", "--no-healthcheck",
        "--read-only", "--tmpfs", room, "--workdir", "/tmp",  # noqa: S108 - inside
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{user}:{user}",
        "--memory", str(memory), "--memory-swap", str(memory), "--pids-limit", str(tasks), "--cpus", "1",
        "--ulimit", "nofile=64:64", "--ulimit", f"nproc={tasks}:{tasks}", "--ulimit", "core=0:0",
    ]  # fmt: skip
    command += _ONLY_PODMAN if engine.name == "podman" else ()
    empty = {
        variable: "" for name in _PROXIES for variable in (name, name.lower())
    }  # Docker fills them from its settings
    for variable, value in {**empty, **ENVIRONMENT}.items():
        command += ["--env", f"{variable}={value}"]
    return [*command, "--entrypoint", "python3", image(), *PYTHON_OPTIONS, "-c", _LOADER, nonce]


def _plan(limits: Limits) -> dict[str, Any]:
    return plan_of(
        limits,
        refusals(_sure().machine),
        least_landlock=1,
        environment=ENVIRONMENT,
        keeper_s=math.ceil(limits.wall_s) + _GRACE_S,
    )


def _preamble() -> bytes:
    sources = bootstrap().encode()
    return b"%010d" % len(sources) + sources


def _end(nonce: str, gently: bool) -> None:
    words = ("kill", "--signal", "TERM") if gently else ("rm", "--force", "--volumes")
    try:
        _asked(_sure().program, *words, _name(nonce))
    except (OSError, subprocess.TimeoutExpired):  # the caller sees that it goes on, and ends its client
        return


def _left(nonces: Sequence[str]) -> int:
    try:
        known = _asked(_sure().program, "ps", "--all", "--format", "{{.Names}}")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSandbox(f"The container engine does not answer: {error}", f"容器引擎没有回应：{error}") from error
    if known.returncode != 0:
        said = _last(known.stderr)
        raise NoSandbox(f"The container engine does not answer: {said}", f"容器引擎没有回应：{said}")
    return len(set(known.stdout.split()) & {_name(nonce) for nonce in nonces})


def _refused(code: int, said: str) -> tuple[str, str]:
    """Exit codes of the clients: 125 the engine itself, 126 and 127 the command inside, 137 the container was killed."""
    if code in (126, 127):
        return (
            f"python3 of the image {image()} cannot be started: {said}",
            f"无法启动镜像 {image()} 中的 python3：{said}",
        )
    if code == 137:
        return f"its container was killed: {said}", f"容器被终止：{said}"
    return f"{said} (exit code {code})", f"{said}（退出码 {code}）"


CONTAINER = Backend("container", _missing, _command, _plan, Service(_preamble, _end, _left, _refused))
