"""Children of ours: they start, say why not, restart, and leave nothing behind, whoever is killed."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from collector.engines import child
from collector.engines.child import Child
from collector.engines.child_engine import settings_of
from collector.engines.own_child import OwnChild
from collector.engines.pocket_child import PocketChild
from collector.errors import EngineError
from collector.ollama_client import OllamaClient

ROOT = Path(__file__).resolve().parents[3]
FAKE = ROOT / "tests" / "fakes" / "fake_ollama.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnChild]:
    """``ollama serve`` by the stand-in, ended after the test."""
    script = tmp_path / "ollama"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{FAKE}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_API_KEY", "secret")
    engine = OwnChild(tmp_path / "logs", binary=script, models=tmp_path)
    yield engine
    engine.stop()


def _eventually(holds: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 20
    while not holds() and time.monotonic() < limit:
        time.sleep(0.02)
    return holds()


def _runner(engine: OwnChild) -> psutil.Process:
    assert _eventually(lambda: "runner" in engine.child.log())
    found = re.search(r"runner (\d+)", engine.child.log())
    assert found
    return psutil.Process(int(found.group(1)))


def _gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_it_starts_on_a_port_of_its_own_and_stops(engine: OwnChild) -> None:
    assert (engine.name, engine.way, engine.can_restart) == ("ollama", "own_child", True)
    assert engine.pids() == []
    engine.start()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", engine.url)
    with OllamaClient(engine.url) as client:
        assert client.version() == "0.32.15"
    root, runner = psutil.Process(engine.pids()[0]), _runner(engine)
    assert runner in root.children(recursive=True)
    engine.stop()
    assert _gone(root)
    assert _gone(runner)
    assert engine.pids() == []
    engine.stop()


def test_its_environment_is_ours_and_recorded(engine: OwnChild, tmp_path: Path) -> None:
    engine.start()
    recorded = engine.environment()
    assert recorded["OLLAMA_NUM_PARALLEL"] == recorded["OLLAMA_MAX_LOADED_MODELS"] == "1"
    assert recorded["OLLAMA_NO_CLOUD"] == recorded["OLLAMA_NOPRUNE"] == "1"
    assert recorded["LLAMA_ARG_CACHE_RAM"] == "0"
    assert recorded["OLLAMA_MODELS"] == str(tmp_path)
    assert "secret" not in recorded.values()
    real = psutil.Process(engine.pids()[0]).environ()
    assert {name: real[name] for name in recorded} == recorded
    assert real["OLLAMA_HOST"] == engine.url.removeprefix("http://")


def test_a_restart_is_a_new_process_in_the_same_log(engine: OwnChild) -> None:
    engine.start()
    before, runner = engine.pids(), _runner(engine)
    engine.restart()
    assert engine.pids() != before
    assert _gone(runner)
    _runner(engine)
    assert engine.log_path.read_text().count("fake ollama ['serve']") == 2
    assert engine.child.log().count("fake ollama") == 1


def test_an_end_at_once_is_told_with_its_reason(engine: OwnChild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MODE", "exits")
    with pytest.raises(EngineError, match="ended at once.*could not find a home") as caught:
        engine.start()
    assert "could not find a home" in caught.value.zh
    assert engine.pids() == []


def test_silence_is_told_within_its_time(engine: OwnChild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MODE", "silent")
    monkeypatch.setattr(OwnChild, "ready_s", 0.5)
    with pytest.raises(EngineError, match=r"did not answer within 0\.5 s"):
        engine.start()
    assert engine.pids() == []


def test_a_taken_port_is_answered_with_another(
    engine: OwnChild, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAKE_MODE", "taken")
    monkeypatch.setenv("FAKE_COUNTER", str(tmp_path / "count"))
    engine.start()
    assert (tmp_path / "count").read_text() == "3"
    incidents, lives = engine.notes.take()
    assert [(i.name, i.kind) for i in incidents] == [("port_taken", "fault")] * 2
    assert engine.url not in {i.detail.split()[0] for i in incidents}, "another port each time"
    assert [life.ended_by for life in lives] == ["itself", "itself"]
    assert all("address already in use" in life.text for life in lives)


def test_a_child_that_will_not_end_is_killed(engine: OwnChild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MODE", "stubborn")
    monkeypatch.setattr(child, "_TERM_S", 0.2)
    monkeypatch.setattr(child, "_RUNNER_TERM_S", 0.2)  # an ignored signal is inherited: the runner ignores it too
    engine.start()
    root, runner = psutil.Process(engine.pids()[0]), _runner(engine)
    engine.stop()
    assert _gone(root)
    assert _gone(runner)


def test_a_runner_that_outlived_its_server_is_ended_and_nobody_elses(engine: OwnChild) -> None:
    engine.start()
    runner = _runner(engine)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as foreign:
        psutil.Process(engine.pids()[0]).kill()
        assert _eventually(lambda: engine.pids() == [])
        assert not engine.alive()
        assert not _gone(runner)
        engine.restart()
        assert _gone(runner)
        assert foreign.poll() is None
        foreign.kill()
    incidents, lives = engine.notes.take()
    assert [i.name for i in incidents] == ["orphans_ended"]
    assert str(runner.pid) in incidents[0].detail
    assert [(life.exit_code, life.ended_by) for life in lives] == [(-signal.SIGKILL, "itself")]
    assert f"runner {runner.pid}" in lives[0].text


def test_where_environments_are_hidden_the_servers_log_tells_whose_a_runner_is(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)", "--port"]
    began = time.time() - 60
    with subprocess.Popen([*sleep, "34567"]) as ours, subprocess.Popen([*sleep, "34568"]) as foreign:

        def hidden(process: psutil.Process) -> dict[str, str]:
            raise psutil.AccessDenied(process.pid)

        mine = [psutil.Process(p.pid) for p in (ours, foreign)]
        assert _eventually(lambda: all("--port" in p.cmdline() for p in mine))
        monkeypatch.setattr(psutil, "process_iter", lambda: iter(mine))
        log = 'starting llama-server" cmd="/x/llama-server --model /m --port 34567 --host 127.0.0.1"'
        assert child._runners_named_in(log, began) == [], "their environments are shown, and carry no mark"
        monkeypatch.setattr(psutil.Process, "environ", hidden)
        assert child._runners_named_in(log, began) == mine[:1]
        assert child._runners_named_in(log, time.time() + 60) == [], "it is older than our server"
        assert child._runners_named_in("no port", began) == []
        ours.kill()
        foreign.kill()


_KEEPER = """
import sys
from pathlib import Path
from collector.engines.own_child import OwnChild
engine = OwnChild(Path(sys.argv[2]), binary=Path(sys.argv[1]), models=Path(sys.argv[2]))
engine.start()
while "runner" not in engine.child.log(): pass
print(engine.pids()[0], engine.child.log().split()[-1], flush=True)
if sys.argv[3] == "waits": sys.stdin.read()
"""


def _keeper(engine: OwnChild, tmp_path: Path, what: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    keeper = subprocess.Popen(
        [sys.executable, "-c", _KEEPER, str(engine.binary), str(tmp_path / "keeper"), what], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert keeper.stdout
    return keeper, [psutil.Process(int(pid)) for pid in keeper.stdout.readline().split()]


def _close(keeper: subprocess.Popen[str]) -> None:
    keeper.wait(30)
    for pipe in (keeper.stdin, keeper.stdout):
        assert pipe
        pipe.close()


def test_a_collector_that_ends_takes_its_engine_along(engine: OwnChild, tmp_path: Path) -> None:
    keeper, family = _keeper(engine, tmp_path, "ends")
    _close(keeper)
    assert _eventually(lambda: all(map(_gone, family)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_a_killed_collectors_engine_ends_and_its_runner_is_cleared_away(engine: OwnChild, tmp_path: Path) -> None:
    keeper, (server, runner) = _keeper(engine, tmp_path, "waits")
    keeper.kill()
    _close(keeper)
    assert _eventually(lambda: _gone(server))
    assert not _gone(runner)  # the stand-in ends without its runner; the mark finds it
    engine.start()
    assert _gone(runner)


def test_only_leftovers_of_the_dead_are_cleared_away(engine: OwnChild, tmp_path: Path) -> None:
    engine.start()
    other = Child(tmp_path / "other.log")
    other.start([sys.executable, "-c", "import time; time.sleep(600)"], dict(os.environ))
    assert child.end_leftovers() == []
    assert other.alive
    other.stop()
    assert engine.child.alive


def test_ctrl_c_at_the_terminal_does_not_reach_the_engine(engine: OwnChild) -> None:
    engine.start()
    assert os.getpgid(engine.pids()[0]) != os.getpgid(0)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nowhere"):
        OwnChild(tmp_path, binary=tmp_path / "nowhere", models=tmp_path).start()


_POCKET = """
import os, sys
sys.argv[1:] = ["serve"]
import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    os.environ["OLLAMA_HOST"] = "127.0.0.1:%d" % probe.getsockname()[1]
print("loading weights", flush=True)
print("listening on http://" + os.environ["OLLAMA_HOST"], flush=True)
exec(open(os.environ["FAKE"]).read())
"""


def test_the_embedded_engines_address_comes_out_of_its_first_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", str(FAKE))
    engine = PocketChild(tmp_path, [sys.executable, "-c", _POCKET])
    engine.start()
    try:
        assert (engine.name, engine.way) == ("pocket", "pocket_child")
        first = engine.url
        with OllamaClient(first) as client:
            assert client.ready(10)
        engine.restart()
        assert engine.url != first
    finally:
        engine.stop()


def test_a_stopped_process_is_ended_too(engine: OwnChild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_TERM_S", 0.2)
    engine.start()
    root = psutil.Process(engine.pids()[0])
    root.send_signal(signal.SIGSTOP)
    engine.stop()
    assert _gone(root)


def test_what_is_recorded_of_an_environment() -> None:
    given = {"OLLAMA_KV_CACHE_TYPE": "q8_0", "LLAMA_ARG_FIT": "on", "OLLAMA_HOST": "x", "PATH": "y", "SECRET": "z"}
    assert settings_of(given) == {"LLAMA_ARG_FIT": "on", "OLLAMA_KV_CACHE_TYPE": "q8_0"}


@pytest.mark.parametrize("mark", ["", "x", "#1", "elsewhere/99999999@1.00#1", f"{platform.node()}/x@1.0#1"])
def test_an_owner_that_cannot_be_judged_is_left_alone(mark: str) -> None:
    assert not child._owner_is_gone(mark)


def test_an_owner_is_told_from_a_later_process_with_its_number() -> None:
    mine = f"{platform.node()}/{os.getpid()}@"
    assert child._owner_is_gone(f"{mine}1.00#1")
    assert not child._owner_is_gone(f"{mine}{psutil.Process().create_time():.2f}#1")
