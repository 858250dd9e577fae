"""Ollama in a container of Docker or Podman."""

from __future__ import annotations

import json
import logging
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from collector.engines.base import Place, WayStatus
from collector.engines.child_engine import settings_of
from collector.engines.managed import ManagedEngine, denied, missing, restart_failed
from collector.engines.system import NOT_FOUND, Ran, System
from collector.i18n import t
from collector.ollama_client import DEFAULT_HOST

__all__ = ["Docker"]

_log = logging.getLogger(__name__)

_PROGRAMS: Final = ("docker", "podman")
_ASK_S: Final = 15.0
_ACT_S: Final = 120.0
_TERM_S: Final = "10"
_PORT: Final = DEFAULT_HOST.rpartition(":")[2]
_NO_RIGHTS: Final = ("permission denied", "access is denied")


class Docker(ManagedEngine):
    """The container that is named in the file or ``ollama``, else the one that has the server's port, else its image."""

    way: ClassVar[str] = "docker"

    def __init__(self, place: Place, system: System | None = None) -> None:
        super().__init__(place, system)
        self._wanted = place.service or "ollama"
        self._id = ""

    def _inspect(self, program: str, *names: str) -> list[dict[str, Any]]:
        ran = self.system.run(program, "inspect", "--type", "container", *names, timeout_s=_ASK_S)
        try:
            found = json.loads(ran.out) if ran.out.strip() else []
        except ValueError:
            _log.warning("%s inspect did not answer in JSON: %s", program, ran.complaint)
            return []
        return [c for c in found if isinstance(c, dict) and c.get("Id")] if isinstance(found, list) else []

    def _find(self) -> tuple[str, dict[str, Any]] | Ran:
        """The program that has the container, and the container; else what went wrong."""
        trouble = Ran(NOT_FOUND, "", "")
        for program in _PROGRAMS:
            listed = self.system.run(program, "ps", "--all", "--quiet", "--no-trunc", timeout_s=_ASK_S)
            if not listed.ok:
                trouble = trouble if trouble.code != NOT_FOUND else listed
                continue
            trouble = listed
            # a container keeps its id over restarts
            if self._id and (known := self._inspect(program, self._id)):
                return program, known[0]
            found = self._inspect(program, *listed.out.split()) if listed.out.split() else []
            if best := self._best(found):
                self._id = str(best["Id"])
                return program, best
        return trouble

    def _best(self, found: list[dict[str, Any]]) -> dict[str, Any] | None:
        named = [c for c in found if str(c.get("Name", "")).lstrip("/") == self._wanted]
        if named or self.service:
            return named[0] if named else None
        running = [c for c in found if _running(c)]
        port = urlsplit(self._host).port
        at_port = [c for c in running if urlsplit(_published(c) or "").port == port]
        by_image = [c for c in running if "ollama" in str(_of(c, "Config", "Image") or "").lower()]
        return next(iter([c for c in at_port if c in by_image] or by_image), None)

    def status(self) -> WayStatus:
        """Whether there is a container, and whether this user may speak to the daemon."""
        found = self._find()
        if isinstance(found, Ran):
            if found.code == NOT_FOUND:
                return missing("there is no docker program here", "本机没有 docker 程序")
            if any(words in found.complaint.lower() for words in _NO_RIGHTS):
                return denied("this user may not speak to the docker daemon", "当前用户无权访问 docker 守护进程",
                              "sudo usermod -aG docker $USER, then log in again",
                              "运行 sudo usermod -aG docker $USER，然后重新登录")  # fmt: skip
            if not found.ok:
                return missing(f"docker does not answer: {found.complaint}", f"docker 没有应答：{found.complaint}")
            return missing(f"there is no container named {self._wanted}, nor one with an ollama image that runs",
                           f"没有名为 {self._wanted} 的容器，也没有运行中的 ollama 镜像容器")  # fmt: skip
        program, container = found
        name = str(container.get("Name", "")).lstrip("/")
        state = _of(container, "State", "Status") or "?"
        return WayStatus("ok", f"{program} container {name} ({state})", f"{program} 容器 {name}（{state}）")

    def _act(self, verb: str) -> Ran:
        found = self._find()
        if isinstance(found, Ran):
            return found if not found.ok else Ran(1, "", t("the container is gone", "容器已不存在"))
        return self.system.run(found[0], verb, "--time", _TERM_S, str(found[1]["Id"]), timeout_s=_ACT_S)

    def bounce(self) -> None:
        """``docker restart``, which starts a container that is stopped."""
        ran = self._act("restart")
        if not ran.ok:
            raise restart_failed("the container", "容器", ran.complaint, self.status())

    def halt(self) -> None:
        """``docker stop``."""
        ran = self._act("stop")
        if not ran.ok:
            _log.warning("the container could not be stopped again: %s", ran.complaint)

    def _container(self) -> dict[str, Any] | None:
        found = self._find()
        return None if isinstance(found, Ran) else found[1]

    def life(self) -> str | None:
        """When its process began."""
        container = self._container()
        if container is None or not _running(container):
            return None
        return f"{_of(container, 'State', 'StartedAt')}/{_of(container, 'State', 'Pid')}"

    def pids(self) -> list[int]:
        """The container's first process, where it runs under this system's kernel and is an engine."""
        container = self._container()
        pid = _of(container, "State", "Pid") if container else None
        if not isinstance(pid, int) or pid <= 0:
            return []
        return [pid] if any(p.pid == pid and "ollama" in p.name.lower() for p in self.system.processes()) else []

    def addresses(self) -> list[str]:
        """Where its port is published now; a container may come back with another one."""
        container = self._container()
        published = _published(container) if container else None
        return [published or self._host]

    def environment(self) -> dict[str, str] | None:
        """Of the container, its image's part included."""
        container = self._container()
        return None if container is None else settings_of(_variables(container))

    def environment_reason(self) -> str | None:
        """Why it is not known."""
        return None if self._container() else t("the container is gone", "容器已不存在")


def _of(container: dict[str, Any] | None, *keys: str) -> Any:
    value: Any = container
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _running(container: dict[str, Any]) -> bool:
    return bool(_of(container, "State", "Running"))


def _variables(container: dict[str, Any]) -> dict[str, str]:
    lines = _of(container, "Config", "Env") or []
    return dict(line.split("=", 1) for line in lines if isinstance(line, str) and "=" in line)


def _published(container: dict[str, Any]) -> str | None:
    """The address on this machine of the port that the server has inside; None where it has none."""
    inside = _variables(container).get("OLLAMA_HOST", "").rpartition(":")[2]
    port = inside if inside.isdigit() else _PORT
    if _of(container, "HostConfig", "NetworkMode") == "host":
        return f"http://127.0.0.1:{port}"
    for binding in _of(container, "NetworkSettings", "Ports", f"{port}/tcp") or []:
        if str(binding.get("HostPort", "")).isdigit():
            return f"http://127.0.0.1:{binding['HostPort']}"
    return None
