"""Which engine is taken where, and what is said when there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from collector import engines
from collector.engines import Found, Place, choose, probe
from collector.engines.attached import Attached
from collector.engines.install import (
    _folders,
    _service_folders,
    download_folder,
    find_binary,
    find_models,
    models_in,
)
from collector.errors import EngineError, UsageError
from tests.fakes.scripted_server import Request, ScriptedServer, Step, json_answer


def _tags(*names: str) -> list[Step]:
    return json_answer({"models": [{"name": name} for name in names]})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer({"/api/version": json_answer({"version": "0.32.15"}), "/api/tags": _tags("a:1b")}) as server:
        yield server


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ollama: nothing on PATH, nothing answers, no models."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setattr("collector.engines.install._binaries", lambda: iter(()))
    monkeypatch.setattr("sys.platform", "darwin" if sys.platform != "win32" else "win32")


def _install(tmp_path: Path, *models: str) -> Path:
    """An ``ollama`` on PATH and a model folder in the home folder."""
    program = tmp_path / "bin" / ("ollama.exe" if os.name == "nt" else "ollama")
    program.parent.mkdir(exist_ok=True)
    program.write_text("")
    program.chmod(0o755)
    folder = tmp_path / "home" / ".ollama" / "models"
    _models(folder, *models)
    return folder


def _models(folder: Path, *models: str) -> None:
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    for model in models:
        file = folder / "manifests" / model
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")


LIBRARY = "registry.ollama.ai/library"


def test_auto_on_a_bare_machine_is_the_embedded_engine(tmp_path: Path) -> None:
    assert probe("auto") == Found("pocket", None)
    assert choose("auto", None, None, tmp_path).way == "pocket_child"
    assert choose("pocket", None, None, tmp_path).name == "pocket"


def test_auto_takes_an_ollama_that_answers(
    tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    assert probe("auto") == Found("ollama", server.url)
    engine = choose("auto", None, None, tmp_path)
    assert (engine.name, engine.way, engine.url) == ("ollama", "attached", server.url)


def test_an_installed_ollama_with_the_servers_models_becomes_our_own_child(
    tmp_path: Path, server: ScriptedServer
) -> None:
    _install(tmp_path, f"{LIBRARY}/a/1b", f"{LIBRARY}/b/1b")
    assert choose("ollama", server.url, None, tmp_path).way == "own_child"
    assert choose("ollama", server.url, "attached", tmp_path).way == "attached"


def test_a_server_with_models_that_our_child_would_lack_is_attached_to(
    tmp_path: Path, server: ScriptedServer
) -> None:
    _install(tmp_path, f"{LIBRARY}/a/1b")
    server.routes["/api/tags"] = _tags("a:1b", "in-a-container:7b")
    assert choose("ollama", server.url, None, tmp_path).way == "attached"
    server.routes["/api/tags"] = _tags("a:1b", "big:120b-cloud")
    assert choose("ollama", server.url, None, tmp_path).way == "own_child"


def test_an_installed_ollama_that_does_not_run_is_run(tmp_path: Path) -> None:
    _install(tmp_path)
    assert probe("auto") == Found("pocket")  # it has no model
    assert probe("ollama") == Found("ollama")
    _install(tmp_path, f"{LIBRARY}/a/1b")
    assert probe("auto") == Found("ollama")
    assert choose("auto", None, None, tmp_path).way == "own_child"


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="none is installed"):
        choose("ollama", None, None, tmp_path)
    for kind in ("auto", "ollama"):
        with pytest.raises(EngineError, match="no Ollama answers at http://127.0.0.1:9"):
            choose(kind, "127.0.0.1:9", None, tmp_path)
    with pytest.raises(EngineError, match="no ollama program"):
        choose("ollama", None, "own_child", tmp_path)
    with pytest.raises(UsageError, match="'llama'"):
        choose("llama", None, "attached", tmp_path)
    with pytest.raises(UsageError, match="'by hand'"):
        choose("auto", None, "by hand", tmp_path)
    with pytest.raises(UsageError, match="cannot be run"):
        choose("pocket", None, "attached", tmp_path)
    with pytest.raises(UsageError, match="cannot be run"):
        choose("ollama", None, "pocket_child", tmp_path)
    with pytest.raises(UsageError, match="no server address"):
        choose("ollama", "ftp://x", None, tmp_path)


def test_every_way_is_an_engine(tmp_path: Path) -> None:
    _install(tmp_path, f"{LIBRARY}/a/1b")
    for way, make in engines.WAYS.items():
        engine = make(Place("127.0.0.1:9", tmp_path))
        assert engine.way == way
        assert (engine.own, engine.notes.take()) == (way.endswith("child"), ([], []))
        assert engine.pids() == []
        engine.stop()


def test_models_are_named_as_the_server_names_them(tmp_path: Path) -> None:
    _models(tmp_path, f"{LIBRARY}/llama3.2/3b", "registry.ollama.ai/someone/m/latest", "hf.co/org/m/Q4_K_M")
    _models(tmp_path, f"{LIBRARY}/llama3.2/.DS_Store")
    assert models_in(tmp_path) == {"llama3.2:3b", "someone/m:latest", "hf.co/org/m:Q4_K_M"}
    assert models_in(tmp_path / "nothing") == set()


def test_the_model_folder_of_the_linux_service_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = tmp_path / "usr-share-ollama"
    monkeypatch.setattr("collector.engines.install._folders", lambda: iter([tmp_path / "empty", service]))
    assert find_models() is None
    _models(service, f"{LIBRARY}/a/1b")
    assert find_models() == service


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_users_folder_comes_first_on_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    folders = list(_folders())
    assert folders[0] == tmp_path / "home" / ".ollama" / "models"
    assert (Path("/usr/share/ollama/.ollama/models") in folders) == (platform == "linux")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "said"))
    assert list(_folders()) == [tmp_path / "said"]


def test_the_services_own_setting_is_read(tmp_path: Path) -> None:
    (tmp_path / "ollama.service.d").mkdir()
    (tmp_path / "ollama.service").write_text("[Service]\nEnvironment=OLLAMA_MODELS=/old\n#Environment=OLLAMA_MODELS=/no\n")
    override = tmp_path / "ollama.service.d" / "override.conf"
    override.write_text('[Service]\nEnvironment="OLLAMA_DEBUG=1" "OLLAMA_MODELS=/big/models"\n')
    assert list(_service_folders(tmp_path)) == [Path("/big/models"), Path("/old")]
    assert list(_service_folders(tmp_path / "nothing")) == []


def test_a_folder_that_was_named_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _install(tmp_path, f"{LIBRARY}/a/1b")
    assert find_models() == folder
    assert download_folder() == folder
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "elsewhere"))
    assert find_models() is None
    assert download_folder() == tmp_path / "elsewhere", "the disk of a folder that has no models yet is looked at too"
    assert find_binary() is not None


# --- attached


def test_a_server_that_may_not_be_restarted_is_emptied_and_says_so(server: ScriptedServer) -> None:
    loaded = ["a:1b", "users:7b"]

    def unload(request: Request) -> list[Step]:
        loaded.remove(request.json()["model"])
        return json_answer({"done": True})

    server.routes |= {"/api/generate": unload, "/api/ps": lambda _: _tags(*loaded)}
    engine = Attached(server.url)
    engine.start()
    assert engine.alive()
    assert (engine.way, engine.can_restart, engine.log_path) == ("attached", False, None)
    engine.restart(["a:1b"])
    assert loaded == ["users:7b"]
    engine.restart()
    assert loaded == []
    loaded += ["a:1b", "users:7b"]
    engine.stop()  # only what was not there before is unloaded: "a:1b" and "users:7b" both were
    assert loaded == ["a:1b", "users:7b"]
    loaded.append("b:1b")
    engine.stop()
    assert loaded == ["a:1b", "users:7b"]


def test_a_model_that_stays_is_an_error(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.engines.attached._UNLOAD_S", 0.1)
    server.routes |= {"/api/generate": json_answer({"done": True}), "/api/ps": _tags("a:1b")}
    with pytest.raises(EngineError, match="a:1b is still in memory"):
        Attached(server.url).restart()


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.engines.attached._READY_S", 0.1)
    engine = Attached("127.0.0.1:9")
    with pytest.raises(EngineError, match="no Ollama answers"):
        engine.start()
    engine.stop()
    assert engine.pids() == []
    assert engine.environment() is None
    assert engine.environment_reason() == "the server's process cannot be seen from here"
    assert engine.status().status == "missing"
    assert not engine.alive()


def test_the_listener_is_found_if_it_is_an_engine(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    engine = Attached(server.url)
    assert engine.pids() == []  # this test's own process listens there
    monkeypatch.setattr(psutil.Process, "name", lambda self: "ollama")
    assert engine.pids() == [os.getpid()]
    monkeypatch.setattr(psutil.Process, "environ", lambda self: {"OLLAMA_NUM_PARALLEL": "3", "PATH": "x"})
    assert engine.environment() == {"OLLAMA_NUM_PARALLEL": "3"}


def test_what_may_not_be_seen_is_empty(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> list[object]:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    assert Attached(server.url).pids() == []
    assert Attached("http://203.0.113.1:80").pids() == []
