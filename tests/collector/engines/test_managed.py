"""Servers that something else supervises: found, restarted, refused, lost, and back at another address."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.engines import Place, survey
from collector.engines.brew import Brew
from collector.engines.desktop import MacApp, WindowsApp
from collector.engines.docker import Docker
from collector.engines.managed import ManagedEngine
from collector.engines.system import NOT_FOUND, Proc, Ran, System
from collector.engines.systemd import Systemd
from collector.errors import EngineError
from tests.fakes.scripted_server import Request, ScriptedServer, Step, error, json_answer

OK = Ran(0, "", "")


class Machine(System):
    """A machine of our own making: what commands answer, and which processes there are."""

    def __init__(self, platform: str = "linux") -> None:
        self._platform = platform
        self.commands: dict[str, Callable[[tuple[str, ...]], Ran]] = {}
        self.said: list[str] = []
        self.shown: list[Proc] = []
        self.environments: dict[int, dict[str, str]] = {}
        self.listening: dict[int, list[tuple[str, int]]] = {}
        self.on_end: Callable[[int], None] = lambda pid: None
        self.on_launch: Callable[[str], None] = lambda program: None
        self.uid: int | None = 1000

    @property
    def platform(self) -> str:
        return self._platform

    def user_id(self) -> int | None:
        return self.uid

    def run(self, *command: str, timeout_s: float = 60.0) -> Ran:
        self.said.append(" ".join(command))
        answer = self.commands.get(command[0])
        return answer(command[1:]) if answer else Ran(NOT_FOUND, "", f"{command[0]}: not found")

    def processes(self) -> list[Proc]:
        return list(self.shown)

    def environment(self, pid: int) -> dict[str, str] | None:
        return self.environments.get(pid)

    def ports(self, pid: int) -> list[tuple[str, int]]:
        return self.listening.get(pid, [])

    def end(self, pids: list[int]) -> None:
        for pid in pids:
            self.shown = [p for p in self.shown if p.pid != pid]
            self.on_end(pid)

    def launch(self, program: str) -> None:
        self.said.append(f"launch {program}")
        self.on_launch(program)


LOADED: list[str] = []


def _server() -> ScriptedServer:
    def unload(request: Request) -> list[Step]:
        LOADED.remove(request.json()["model"])
        return json_answer({"done": True})

    return ScriptedServer({
        "/api/version": json_answer({"version": "0.32.15"}), "/api/generate": unload,
        "/api/ps": lambda _: json_answer({"models": [{"name": name} for name in LOADED]}),
    })  # fmt: skip


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    LOADED.clear()
    with _server() as server:
        yield server


@pytest.fixture
def other() -> Iterator[ScriptedServer]:
    with _server() as server:
        yield server


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.engines.desktop._RESPAWN_S", 0.0)


def _port(server: ScriptedServer) -> int:
    return int(server.url.rpartition(":")[2])


# --- systemd


class Unit:
    """``systemctl`` with one unit; ``refuses`` is what it says instead of restarting."""

    def __init__(self, machine: Machine, *, user: bool = False) -> None:
        self.number, self.active, self.user = 1, True, user
        self.environment, self.files, self.refuses, self.stuck = "", "", "", False
        machine.commands["systemctl"] = self.systemctl

    def systemctl(self, words: tuple[str, ...]) -> Ran:
        assert words[0] == "--no-ask-password"
        user, verb = "--user" in words, next(w for w in words[1:] if w != "--user")
        if verb == "show":
            if user != self.user or "ollama.service" not in words:
                return Ran(0, "LoadState=not-found\nMainPID=0\n", "")
            state = "active" if self.active else "inactive"
            pid = 100 + self.number if self.active else 0
            return Ran(0, f"LoadState=loaded\nActiveState={state}\nMainPID={pid}\nInvocationID=i{self.number}\n"
                          f"Environment={self.environment}\nEnvironmentFiles={self.files}\n", "")  # fmt: skip
        if self.refuses and not self.sudo:
            return Ran(1, "", self.refuses)
        self.active = verb == "restart"
        self.number += not self.stuck
        return OK

    sudo = False

    def by_sudo(self, words: tuple[str, ...]) -> Ran:
        assert words[0] == "-n"
        if words[1] == "-l":
            return OK
        self.sudo = True
        try:
            return self.systemctl(words[2:])
        finally:
            self.sudo = False


def test_a_system_unit_is_restarted_by_who_may(server: ScriptedServer) -> None:
    machine = Machine()
    machine.uid = 0
    unit = Unit(machine)
    engine = Systemd(Place(server.url, Path()), machine)
    assert engine.status().status == "ok"
    engine.start()
    assert (engine.url, engine.pids(), engine.can_restart, engine.own) == (server.url, [101], True, False)
    assert not any(" restart " in said for said in machine.said), "a running server is left as it is"
    engine.restart()
    assert engine.pids() == [102]
    assert "systemctl --no-ask-password restart ollama.service" in machine.said
    LOADED.append("ours:1b")
    engine.stop()
    assert LOADED == []
    assert unit.active


def test_a_stopped_unit_is_started_and_stopped_again(server: ScriptedServer) -> None:
    machine = Machine()
    unit = Unit(machine, user=True)
    unit.active = False
    engine = Systemd(Place(server.url, Path()), machine)
    engine.start()
    assert unit.active
    assert "systemctl --no-ask-password --user restart ollama.service" in machine.said
    engine.stop()
    engine.stop()
    assert not unit.active


def test_without_rights_the_doctor_names_the_cure_and_sudo_is_tried_without_a_password(server: ScriptedServer) -> None:
    machine = Machine()
    unit = Unit(machine)
    unit.refuses = "Failed to restart ollama.service: Interactive authentication required."
    engine = Systemd(Place(server.url, Path()), machine)
    found = engine.status()
    assert found.status == "denied"
    assert "visudo" in (found.cure_en or "")
    assert "visudo" in (found.cure_zh or "")
    engine.start()
    with pytest.raises(EngineError, match=r"Interactive authentication required.*visudo") as caught:
        engine.restart()
    assert "visudo" in caught.value.zh
    machine.commands["sudo"] = unit.by_sudo
    assert engine.status().status == "ok"
    engine.restart()
    assert engine.pids() == [102]
    assert all(said.startswith("sudo -n ") for said in machine.said if said.startswith("sudo"))


@pytest.mark.parametrize(("answer", "says"), [
    (None, "there is no systemd"),
    (Ran(1, "", "System has not been booted with systemd as init system"), "not been booted"),
    (Ran(0, "LoadState=not-found\n", ""), "no unit ollama.service"),
])  # fmt: skip
def test_no_unit_is_said(answer: Ran | None, says: str) -> None:
    machine = Machine()
    if answer:
        machine.commands["systemctl"] = lambda words: answer
    engine = Systemd(Place("127.0.0.1:9", Path()), machine)
    assert engine.status().status == "missing"
    with pytest.raises(EngineError, match=f'way = "systemd".*{says}'):
        engine.start()
    engine.stop()
    assert engine.environment() is None
    assert engine.environment_reason()


def test_the_units_settings_are_recorded_with_what_they_may_lack(server: ScriptedServer) -> None:
    machine = Machine()
    unit = Unit(machine)
    unit.environment = f'OLLAMA_KV_CACHE_TYPE=q8_0 "OLLAMA_MODELS=/big models" OLLAMA_HOST=0.0.0.0:{_port(server)} SECRET=x'
    engine = Systemd(Place("127.0.0.1:9", Path()), machine)
    assert engine.environment() == {"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_MODELS": "/big models"}
    assert "cannot be read" in (engine.environment_reason() or "")
    unit.files = "/etc/ollama.env (ignore_errors=no)"
    assert "EnvironmentFile" in (engine.environment_reason() or "")
    engine.start()
    assert engine.url == server.url, "the unit's own address, not the user's"
    machine.environments[101] = {"OLLAMA_NUM_PARALLEL": "2", "PATH": "x"}
    assert engine.environment() == {"OLLAMA_NUM_PARALLEL": "2"}
    assert engine.environment_reason() is None


def test_a_unit_that_never_becomes_ready_is_told_in_bounded_time(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManagedEngine, "ready_s", 0.0)
    machine = Machine()
    machine.uid = 0
    unit = Unit(machine)
    engine = Systemd(Place(server.url, Path()), machine)
    engine.start()
    unit.stuck = True
    with pytest.raises(EngineError, match="still runs as the same process"):
        engine.restart()
    unit.stuck = False
    server.routes["/api/version"] = error(500, {"error": "starting"})
    with pytest.raises(EngineError, match="does not answer 0 s after"):
        engine.restart()


def test_a_server_that_comes_back_on_another_port_is_followed_and_named(
    server: ScriptedServer, other: ScriptedServer
) -> None:
    machine = Machine()
    machine.uid = 0
    Unit(machine)
    machine.listening = {101: [("127.0.0.1", _port(server))], 102: [("0.0.0.0", _port(other))]}
    engine = Systemd(Place("127.0.0.1:9", Path()), machine)
    engine.start()
    assert engine.url == server.url
    engine.restart()
    assert engine.url == other.url
    incidents, _ = engine.notes.take()
    assert [i.name for i in incidents] == ["engine_moved"]
    assert server.url in incidents[0].detail
    assert other.url in incidents[0].detail


# --- docker


class Daemon:
    """``docker`` with some containers."""

    def __init__(self, machine: Machine, *containers: dict[str, object]) -> None:
        self.containers = {str(c["Id"]): c for c in containers}
        self.refuses = ""
        machine.commands["docker"] = self.docker

    def docker(self, words: tuple[str, ...]) -> Ran:
        if self.refuses:
            return Ran(1, "", self.refuses)
        if words[0] == "ps":
            return Ran(0, "\n".join(self.containers), "")
        if words[0] == "inspect":
            return Ran(0, json.dumps([self.containers[i] for i in words[3:] if i in self.containers]), "")
        state = self.containers[words[-1]]["State"]
        assert isinstance(state, dict)
        state |= {"Running": words[0] == "restart", "StartedAt": f"{state['StartedAt']}+"}
        return OK


def _container(number: int, name: str, image: str, port: int, **more: object) -> dict[str, object]:
    return {
        "Id": f"c{number}", "Name": f"/{name}", "Config": {"Image": image, "Env": ["OLLAMA_HOST=0.0.0.0:11434", "A=b"]},
        "State": {"Running": True, "Status": "running", "Pid": 500 + number, "StartedAt": "t"},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Ports": {"11434/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}]}}, **more,
    }  # fmt: skip


def test_a_container_is_found_by_name_port_or_image() -> None:
    machine = Machine()
    named = _container(1, "ollama", "x", 1)
    at_port = _container(2, "a", "ollama/ollama:0.32", 9)
    elsewhere = _container(3, "b", "ollama/ollama:0.32", 5)
    shop = _container(4, "shop", "nginx", 9)
    for containers, place, says in (
        ((shop, elsewhere, at_port, named), Place("127.0.0.1:9", Path()), "ollama ("),
        ((shop, elsewhere, at_port), Place("127.0.0.1:9", Path()), "a ("),
        ((shop, elsewhere), Place("127.0.0.1:9", Path()), "b ("),
        ((shop, elsewhere, at_port), Place("127.0.0.1:9", Path(), "b"), "b ("),
    ):
        Daemon(machine, *containers)
        found = Docker(place, machine).status()
        assert found.status == "ok"
        assert f"container {says}" in found.en
    for containers, place in (((shop,), Place("127.0.0.1:9", Path())), ((at_port,), Place(None, Path(), "mine")), ((), Place(None, Path()))):
        Daemon(machine, *containers)
        assert Docker(place, machine).status().status == "missing"


def test_a_container_is_restarted_and_followed_to_its_new_port(server: ScriptedServer, other: ScriptedServer) -> None:
    machine = Machine()
    container = _container(1, "ollama", "ollama/ollama", _port(server))
    daemon = Daemon(machine, container)
    engine = Docker(Place("127.0.0.1:9", Path()), machine)
    engine.start()
    assert engine.url == server.url
    assert engine.environment() == {}
    assert engine.environment_reason() is None
    assert engine.pids() == [], "a process of a virtual machine is none of this system"
    machine.shown = [Proc(501, 1, "ollama", "", ())]
    assert engine.pids() == [501]
    container["NetworkSettings"] = {"Ports": {"11434/tcp": [{"HostPort": str(_port(other))}]}}
    engine.restart()
    assert engine.url == other.url
    assert "docker restart --time 10 c1" in machine.said
    assert [i.name for i in engine.notes.take()[0]] == ["engine_moved"]
    daemon.refuses = "Error response from daemon: cannot restart container"
    with pytest.raises(EngineError, match="cannot restart container"):
        engine.restart()


def test_a_container_on_the_hosts_network_and_one_that_was_stopped(server: ScriptedServer) -> None:
    machine = Machine()
    container = _container(1, "ollama", "x", 1, HostConfig={"NetworkMode": "host"},
                           Config={"Image": "x", "Env": [f"OLLAMA_HOST=0.0.0.0:{_port(server)}", "OLLAMA_NUM_PARALLEL=4"]})  # fmt: skip
    container["State"] = {"Running": False, "Status": "exited", "Pid": 0, "StartedAt": "t"}
    Daemon(machine, container)
    engine = Docker(Place(None, Path()), machine)
    engine.start()
    assert engine.url == server.url
    assert engine.environment() == {"OLLAMA_NUM_PARALLEL": "4"}
    engine.stop()
    assert "docker stop --time 10 c1" in machine.said


def test_docker_without_rights_daemon_or_program() -> None:
    machine = Machine()
    daemon = Daemon(machine)
    engine = Docker(Place(None, Path()), machine)
    daemon.refuses = "permission denied while trying to connect to the Docker daemon socket"
    found = engine.status()
    assert found.status == "denied"
    assert "usermod" in (found.cure_en or "")
    daemon.refuses = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    assert "Cannot connect" in engine.status().en
    machine.commands.clear()
    assert engine.status().en == "there is no docker program here"


# --- brew


def test_a_brew_service(server: ScriptedServer) -> None:
    machine = Machine("darwin")
    pids = [41]

    def brew(words: tuple[str, ...]) -> Ran:
        if words[1] == "info":
            return Ran(0, json.dumps([{"name": "ollama", "loaded": True, "running": True, "status": "started",
                                       "pid": pids[0], "user": "me"}]), "")  # fmt: skip
        pids[0] += 1
        return OK

    machine.commands["brew"] = brew
    engine = Brew(Place(server.url, Path()), machine)
    assert engine.status().status == "ok"
    engine.start()
    engine.restart()
    assert engine.pids() == [42]
    assert "brew services restart ollama" in machine.said
    machine.commands["brew"] = lambda words: Ran(1, "", "Error: no bottle")
    assert engine.status().status == "missing"
    with pytest.raises(EngineError, match="no bottle"):
        engine.restart()
    machine.commands["brew"] = lambda words: Ran(0, json.dumps([{"loaded": True, "user": "root"}]), "")
    assert engine.status().status == "denied"
    machine.commands["brew"] = lambda words: Ran(0, "Tapping...", "")
    assert "JSON" in engine.status().en


# --- desktop applications

MENU = Proc(10, 1, "Ollama", "/Applications/Ollama.app/Contents/MacOS/Ollama", ("Ollama",))
TRAY = Proc(10, 1, "ollama app.exe", r"C:\Ollama\ollama app.exe", ("ollama app.exe",))


def _mac_server(pid: int) -> Proc:
    return Proc(pid, 10, "ollama", "/Applications/Ollama.app/Contents/Resources/ollama", ("ollama", "serve"))


def test_the_menu_bar_app_starts_another_server_by_itself(server: ScriptedServer) -> None:
    machine = Machine("darwin")
    own = Proc(77, 2, "ollama", "/x", ("ollama", "serve"))  # our own child beside it
    machine.shown = [MENU, _mac_server(11), own]
    machine.on_end = lambda pid: machine.shown.append(_mac_server(pid + 1))
    engine = MacApp(Place(server.url, Path()), machine)
    engine.start()
    engine.restart()
    assert engine.pids() == [12]
    assert own in machine.shown
    assert machine.said == [], "nobody is asked for anything"


def test_an_app_that_does_not_run_is_opened(server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("darwin")
    monkeypatch.setattr(MacApp, "bundle", tmp_path)
    engine = MacApp(Place(server.url, Path()), machine)
    assert engine.status().en == "Ollama application (does not run)"
    with pytest.raises(EngineError, match="cannot be restarted: open: not found"):
        engine.start()

    def opened(words: tuple[str, ...]) -> Ran:
        machine.shown += [MENU, _mac_server(11)]
        return OK

    machine.commands["open"] = opened
    engine.start()
    assert engine.pids() == [11]
    machine.commands["launchctl"] = lambda words: Ran(0, "q8_0\n" if words[1] == "OLLAMA_KV_CACHE_TYPE" else "\n", "")
    assert engine.environment() == {"OLLAMA_KV_CACHE_TYPE": "q8_0"}
    engine.stop()
    assert machine.shown == []


def test_the_tray_app_is_ended_with_its_server_and_started_again(server: ScriptedServer) -> None:
    machine = Machine("win32")
    own = Proc(77, 2, "ollama.exe", "", ("ollama.exe", "serve"))

    def windows_server(pid: int) -> Proc:
        return Proc(pid, 10, "ollama.exe", "", ("ollama.exe", "serve"))

    machine.shown = [TRAY, windows_server(11), own]
    machine.on_launch = lambda program: machine.shown.extend([TRAY, windows_server(12)])
    machine.environments[11] = {"OLLAMA_FLASH_ATTENTION": "1"}
    engine = WindowsApp(Place(server.url, Path()), machine)
    engine.start()
    assert engine.environment() == {"OLLAMA_FLASH_ATTENTION": "1"}
    engine.restart()
    assert engine.pids() == [12]
    assert own in machine.shown
    assert machine.said == ["taskkill /pid 10", f"launch {TRAY.program}"]
    assert engine.environment() is None
    assert engine.environment_reason()

    def denied(program: str) -> None:
        raise PermissionError(13, "Access is denied")

    machine.on_launch = denied
    with pytest.raises(EngineError, match="Access is denied"):
        engine.restart()


def test_a_tray_app_that_will_not_end_is_told(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("win32")
    machine.shown = [TRAY, Proc(11, 10, "ollama.exe", "", ("ollama.exe", "serve"))]
    monkeypatch.setattr(machine, "end", lambda pids: None)
    engine = WindowsApp(Place(server.url, Path()), machine)
    engine.start()
    with pytest.raises(EngineError, match="process 11 cannot be ended"):
        engine.restart()


@pytest.mark.parametrize("way", [MacApp, WindowsApp])
def test_an_app_of_another_system(way: type[ManagedEngine]) -> None:
    assert way(Place(None, Path()), Machine("linux")).status().status == "missing"


# --- the real system


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")
def test_commands_have_no_input_no_translation_and_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "systemctl"
    script.write_text('#!/bin/sh\nread answer || answer=nothing\necho "$answer $LC_ALL $1"\necho oh no >&2\nexit 4\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    system = System()
    assert system.run("systemctl", "show") == Ran(4, "nothing C show\n", "oh no\n")
    assert system.run("systemctl").complaint == "oh no"
    assert system.run("no-such-program").code == NOT_FOUND
    assert system.run("sleep", "600", timeout_s=0.05).code == 124
    assert system.environment(system.own_pid())
    assert any(p.pid == system.own_pid() and p.arguments for p in system.processes())
    assert system.environment(2**22 + 1) is None
    assert system.ports(2**22 + 1) == []
    system.end([2**22 + 1])


def test_every_way_says_what_it_could_do_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    # what lies outside PATH on this very machine is left out
    monkeypatch.setattr("collector.engines.install._binaries", lambda: iter(()))
    found = survey("127.0.0.1:9")
    assert found["pocket_child"].status == "ok"
    assert found["docker"].status == found["systemd"].status == "missing"
    assert all(status.en and status.zh for status in found.values())
