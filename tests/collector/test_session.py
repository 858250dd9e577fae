"""What a call does around its cases: logs and incidents on record, others' models, room on the disk, failed pulls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from collector import disk
from collector.disk import DiskFull, room_for_answers
from collector.engines import others
from collector.engines.notes import Life
from collector.engines.others import Resident, residents, unload_residents
from collector.errors import EngineError, ModelMissing
from collector.experiment import parse_experiment
from collector.pulling import PullFailed
from collector.record import Record
from collector.session import Session
from db import Store
from tests.fakes.scripted_server import Head, Raw, Request, ScriptedServer, Step, json_answer, line

GB = 1_000_000_000


def _loaded(*models: dict[str, Any]) -> list[Step]:
    return json_answer({"models": list(models)})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer({
        "/api/version": json_answer({"version": "0.32.15"}), "/api/tags": json_answer({"models": [{"name": "a:1b"}]}),
        "/api/ps": _loaded(),
    }) as server:  # fmt: skip
        yield server


@pytest.fixture
def users() -> Iterator[ScriptedServer]:
    """The user's own server, with two models in memory."""
    held = {"big:7b": 5 * GB, "small:1b": 0}

    def unload(request: Request) -> list[Step]:
        held.pop(request.json()["model"], None)
        return json_answer({"done": True})

    def shown(_: Request) -> list[Step]:
        return _loaded(*({"name": name, "size": 5 * GB, "size_vram": vram} for name, vram in held.items()))

    with ScriptedServer({"/api/version": json_answer({"version": "0.32.15"}), "/api/ps": shown, "/api/generate": unload}) as server:
        yield server


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody at the usual addresses; state in the test's own folder."""
    monkeypatch.setattr(others, "DEFAULT_HOST", "127.0.0.1:9")
    monkeypatch.setattr("collector.session.orphans", list)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "state"))


@pytest.fixture
def session(tmp_path: Path, server: ScriptedServer) -> Callable[..., Session]:
    def make(models: tuple[str, ...] = ("a:1b",), engine: dict[str, Any] | None = None, **more: Any) -> Session:
        settings = {"models": list(models), "engine": {"kind": "ollama", "host": server.url, "way": "attached", **(engine or {})}}
        made = Session(Store(tmp_path / "store.duckdb"), parse_experiment({**settings, **more}, "night.toml"), "night.toml", None)
        made.start_engine()
        return made

    return make


def _kept(session: Session) -> list[str]:
    session.store.ensure()
    told: list[str] = []
    session.keep(Record(session.store, session.store.path.parent, None, "c1"), told.append)
    return told


def _events(session: Session) -> list[tuple[str, str]]:
    rows = session.store.query("SELECT kind, name FROM events ORDER BY \"at\"")
    return list(zip(rows.kind, rows.name, strict=True))


def test_the_log_of_every_process_is_kept_with_the_campaign(
    session: Callable[..., Session], capsys: pytest.CaptureFixture[str]
) -> None:
    run = session()
    now = datetime.now(UTC)
    run.engine.notes.incident("orphans_ended", "llama-server (PID 7)")
    run.engine.notes.lives.append(Life("own_child", now, now, -9, "itself", 12, "hello\nworld\n"))
    _kept(run)
    run.engine.notes.lives.append(Life("own_child", now, now, None, "us", 3, "bye"))
    run.close()
    rows = run.store.query("SELECT * FROM engine_logs ORDER BY log_bytes DESC")
    assert list(rows.text) == ["hello\nworld\n", "bye"]
    assert list(rows.ended_by) == ["itself", "us"]
    assert rows.exit_code[0] == -9
    assert set(rows.campaign_id) == {"c1"}
    assert _events(run) == [("fault", "orphans_ended")]

    from collector.cli.show import _print_logs

    _print_logs(run.store, "c1")
    said = capsys.readouterr().out
    assert "ended by itself (-9)\nhello\nworld\n" in said
    assert "ended by us (-)\nbye\n" in said
    _print_logs(run.store, "nobody")
    assert "keeps its log itself" in capsys.readouterr().out


def test_a_model_of_somebody_else_in_gpu_memory_is_refused_by_name(
    session: Callable[..., Session], users: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", users.url)
    run = session()
    with pytest.raises(EngineError, match=r"big:7b \(.*5\.0 GB\); stop them, or .* unload_others = true") as caught:
        run.clear_others()
    assert "small:1b" not in caught.value.en, "on the CPU it is in nobody's way"
    assert Resident("http://h:1", "tiny:1m", 11_555_306, 0).named() == "tiny:1m (http://h:1, 12 MB)"
    assert "unload_others" in caught.value.zh
    run.clear_others(refuse=False)
    run.clear_others(refuse=False)
    assert [i.name for i in run.engine.notes.take()[0]] == ["others_in_memory"], "told once"


def test_it_is_unloaded_where_the_file_allows_it(
    session: Callable[..., Session], users: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", users.url)
    run = session(engine={"unload_others": True})
    run.clear_others()
    assert residents(run.engine, []) == []
    assert [(i.name, i.kind) for i in run.engine.notes.take()[0]] == [("others_unloaded", "note")]


def test_a_model_that_stays_although_it_was_asked_to_go(
    session: Callable[..., Session], users: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", users.url)
    monkeypatch.setattr(others, "_UNLOAD_S", 0.0)
    users.routes["/api/generate"] = json_answer({"done": True})
    run = session(engine={"unload_others": True})
    monkeypatch.setattr("collector.session.unload_residents", lambda found: unload_residents(found, 0.0))
    with pytest.raises(EngineError, match="although it was asked to unload"):
        run.clear_others()


def test_other_models_of_a_server_that_we_attach_to_count_too(session: Callable[..., Session], server: ScriptedServer) -> None:
    run = session()
    server.routes["/api/ps"] = _loaded({"name": "a:1b", "size_vram": 1}, {"name": "b:1b", "size": GB, "size_vram": GB})
    with pytest.raises(EngineError, match="b:1b"):
        run.clear_others()


class _Process:
    """A process as psutil shows it; without a command line it is another user's."""

    def __init__(self, pid: int, name: str, words: list[str] | None, parent: _Process | None = None) -> None:
        self.pid, self._name, self._words, self._parent = pid, name, words, parent

    def name(self) -> str:
        return self._name

    def cmdline(self) -> list[str]:
        if self._words is None:
            raise psutil.AccessDenied(self.pid)
        return self._words

    def parent(self) -> _Process | None:
        return self._parent


def test_a_runner_whose_server_was_killed_is_named(session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch) -> None:
    blob = ["llama-server", "--model", "/home/u/.ollama/models/blobs/sha256-abc"]
    init, serve = _Process(1, "systemd", None), _Process(10, "ollama", ["ollama", "serve"])
    running = [
        init, serve, _Process(2**22 + 1, "llama-server", blob, init), _Process(2**22 + 2, "llama-server", blob, serve),
        _Process(2**22 + 3, "llama-server", ["llama-server", "-m", "mine.gguf"], init), _Process(2**22 + 4, "llama-server", None),
        _Process(2**22 + 5, "ollama", ["ollama", "runner", *blob[1:]], None),
    ]  # fmt: skip
    monkeypatch.setattr(others.psutil, "process_iter", lambda: iter(running))
    monkeypatch.setattr("collector.session.orphans", others.orphans)
    run = session()
    run.clear_others()
    run.clear_others(refuse=False)
    told = [(i.name, i.kind, i.detail) for i in run.engine.notes.take()[0]]
    assert told == [("others_in_memory", "note", f"PID {2**22 + 1}, PID {2**22 + 5}")]


def test_a_night_that_does_not_fit_the_disk_is_refused(
    session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = session()
    answers = sum(len(case.cells) for case in run.cases)
    need = answers * disk.RUN_BYTES

    def free(amount: int) -> None:
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": amount})())

    free(need)
    with pytest.raises(DiskFull, match="does not fit on the disk") as caught:
        run.check_disk()
    assert caught.value.exit_code == 3
    assert "--db" in caught.value.zh
    free(need + 300_000_000)
    run.check_disk()
    assert "nearly full" in _kept(run)[0]
    assert ("note", "disk_low") in _events(run)
    free(need * 3 + 3 * GB)
    assert not room_for_answers(tmp_path / "not" / "there" / "x.duckdb", answers).low


def _full(_: Request) -> list[Step]:
    said = line({"error": "write /models/blobs/x-partial: no space left on device"})
    return [Head(200), Raw(line({"status": "pulling manifest"})), Raw(said)]


def test_a_disk_that_fills_while_pulling_is_named_and_the_others_go_on(
    session: Callable[..., Session], server: ScriptedServer
) -> None:
    server.routes["/api/pull"] = _full
    run = session(("a:1b", "b:1b"), pull=True)
    run.check_models()
    assert run.unavailable["b:1b"].fault == "disk_full"
    assert any("full while pulling b:1b" in sentence for sentence in _kept(run))
    assert ("fault", "disk_full") in _events(run)
    with pytest.raises(PullFailed, match="full while pulling"):
        session(("b:1b",), pull=True).check_models()


def test_a_missing_model_names_the_command_that_gets_it(session: Callable[..., Session]) -> None:
    with pytest.raises(ModelMissing, match=r"'b:1b'; get it with: python -m collector pull night\.toml"):
        session(("a:1b", "b:1b")).check_models()
