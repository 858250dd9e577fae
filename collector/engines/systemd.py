"""Ollama as a systemd unit, as the Linux install script sets it up."""

from __future__ import annotations

import getpass
import logging
import shlex
from dataclasses import dataclass
from typing import ClassVar, Final

from collector.engines.base import Place, WayStatus
from collector.engines.child_engine import settings_of
from collector.engines.managed import ManagedEngine, denied, missing, restart_failed
from collector.engines.system import NOT_FOUND, Ran, System
from collector.i18n import t

__all__ = ["Systemd"]

_log = logging.getLogger(__name__)

_PROPERTIES: Final = "LoadState,ActiveState,MainPID,InvocationID,Environment,EnvironmentFiles"
_ASK_S: Final = 10.0
_ACT_S: Final = 120.0  # a unit may take its 90 s to stop
_POLKIT: Final = "org.freedesktop.systemd1.manage-units"


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit as ``systemctl show`` describes it; ``scope`` goes in front of its name in every command."""

    scope: tuple[str, ...]
    facts: dict[str, str]

    @property
    def pid(self) -> int | None:
        return int(self.facts.get("MainPID") or 0) or None


class Systemd(ManagedEngine):
    """A unit of the system or of the user; the system's needs root, polkit's consent or sudo without a password."""

    way: ClassVar[str] = "systemd"

    def __init__(self, place: Place, system: System | None = None) -> None:
        super().__init__(place, system)
        self._name = place.service or "ollama"
        if "." not in self._name:
            self._name += ".service"

    def _systemctl(self, *words: str, timeout_s: float = _ASK_S) -> Ran:
        return self.system.run("systemctl", "--no-ask-password", *words, timeout_s=timeout_s)

    def _unit(self) -> _Unit | Ran:
        """The system's unit, else the user's; else what systemctl said."""
        last = Ran(NOT_FOUND, "", "")
        for scope in ((), ("--user",)):
            ran = self._systemctl(*scope, "show", self._name, f"--property={_PROPERTIES}", "--no-pager")
            facts = dict(line.split("=", 1) for line in ran.out.splitlines() if "=" in line)
            if ran.ok and facts.get("LoadState") == "loaded":
                return _Unit(scope, facts)
            last = last if last.err else ran
        return last

    def status(self) -> WayStatus:
        """Whether there is a unit, and whether we may restart it without being asked for a password."""
        unit = self._unit()
        if isinstance(unit, Ran):
            if unit.code == NOT_FOUND:
                return missing("there is no systemd here", "本机没有 systemd")
            if not unit.ok:
                return missing(f"systemd does not answer: {unit.complaint}", f"systemd 没有应答：{unit.complaint}")
            return missing(f"there is no unit {self._name}", f"没有 {self._name} 单元")
        kind, kind_zh = ("user unit", "用户单元") if unit.scope else ("system unit", "系统单元")
        state = unit.facts.get("ActiveState", "?")
        if unit.scope or self.system.user_id() == 0 or self._consented():
            return WayStatus("ok", f"{kind} {self._name} ({state})", f"{kind_zh} {self._name}（{state}）")
        rule = f"{getpass.getuser()} ALL=(root) NOPASSWD: " + ", ".join(
            f"/usr/bin/systemctl --no-ask-password {verb} {self._name}" for verb in ("restart", "stop")
        )
        return denied(
            f"{kind} {self._name} ({state}) needs rights to be restarted", f"重启{kind_zh} {self._name}（{state}）需要权限",
            f"put this line into a file with: sudo visudo -f /etc/sudoers.d/ollama-restart: {rule}; "
            'or use way = "own_child", which needs none',
            f"运行 sudo visudo -f /etc/sudoers.d/ollama-restart 并写入：{rule}；或改用无需权限的 way = \"own_child\"",
        )  # fmt: skip

    def _consented(self) -> bool:
        """Whether polkit or sudo would let us, asked without restarting and without a password prompt."""
        process = str(self.system.own_pid())
        if self.system.run("pkcheck", "--action-id", _POLKIT, "--process", process, timeout_s=_ASK_S).ok:
            return True
        return self.system.run("sudo", "-n", "-l", *self._command("restart"), timeout_s=_ASK_S).ok

    def _command(self, verb: str) -> list[str]:
        return ["systemctl", "--no-ask-password", verb, self._name]

    def _ask(self, verb: str) -> Ran:
        """Has systemd do it: directly, and where that is refused through sudo."""
        unit = self._unit()
        scope = () if isinstance(unit, Ran) else unit.scope
        ran = self._systemctl(*scope, verb, self._name, timeout_s=_ACT_S)
        if ran.ok or scope or self.system.user_id() == 0:
            return ran
        again = self.system.run("sudo", "-n", *self._command(verb), timeout_s=_ACT_S)
        return again if again.ok else ran

    def bounce(self) -> None:
        """``systemctl restart``, which starts a unit that is stopped."""
        ran = self._ask("restart")
        if not ran.ok:
            raise restart_failed(f"the unit {self._name}", f"单元 {self._name}", ran.complaint, self.status())

    def halt(self) -> None:
        """``systemctl stop``."""
        ran = self._ask("stop")
        if not ran.ok:
            _log.warning("the unit %s could not be stopped again: %s", self._name, ran.complaint)

    def life(self) -> str | None:
        """The invocation, which systemd numbers anew at every start."""
        unit = self._unit()
        if isinstance(unit, Ran) or unit.facts.get("ActiveState") != "active" or unit.pid is None:
            return None
        return f"{unit.facts.get('InvocationID', '')}/{unit.pid}"

    def pids(self) -> list[int]:
        """The unit's main process."""
        unit = self._unit()
        return [unit.pid] if isinstance(unit, _Unit) and unit.pid else []

    def environment(self) -> dict[str, str] | None:
        """Of the process where we may read it, else what the unit sets."""
        return super().environment() or self._of_unit()

    def addresses(self) -> list[str]:
        """At its open ports; where another user's process hides them, at the OLLAMA_HOST of the unit."""
        unit = self._unit()
        said = _variables(unit).get("OLLAMA_HOST") if isinstance(unit, _Unit) else None
        found = super().addresses()
        if found == [self._host] and said:
            return [self.address_of(said)]
        return found

    def _of_unit(self) -> dict[str, str] | None:
        unit = self._unit()
        return settings_of(_variables(unit)) if isinstance(unit, _Unit) else None

    def environment_reason(self) -> str | None:
        """What the unit's own words may leave out."""
        unit = self._unit()
        if isinstance(unit, Ran):
            return t("systemd does not show the unit", "systemd 未显示该单元")
        if super().environment() is not None:
            return None
        if unit.facts.get("EnvironmentFiles"):
            return t("as the unit sets it, without its EnvironmentFile", "取自单元设置，不含其 EnvironmentFile")
        return t("as the unit sets it; the process itself cannot be read", "取自单元设置；无法读取进程本身")


def _variables(unit: _Unit) -> dict[str, str]:
    """``Environment`` of ``systemctl show``: assignments between spaces, quoted as in a shell where they hold some."""
    try:
        words = shlex.split(unit.facts.get("Environment", ""))
    except ValueError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)
