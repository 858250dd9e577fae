"""The battery holds for the real ways, and finds every escape where nothing confines the program."""

from __future__ import annotations

import json
import shutil
import socket

import pytest

from collector.cli import check_sandbox
from collector.errors import NoSandbox
from collector.quality import sandbox
from collector.quality.sandbox import Finding, Report, attempts, backends, battery
from collector.quality.sandbox.backends import BACKENDS, Backend, Limits
from collector.quality.sandbox.lures import Lures, _reached

OUTSIDE_JUDGED = {"wall time", "output flood", "forged results"}  # these hold without any confinement


def test_every_usable_way_holds(backend: Backend) -> None:
    report = sandbox._report(backend)
    assert report.escapes == ()
    assert len(report.findings) == 17


def _open_command(nonce: str, limits: Limits) -> list[str]:
    """The same interpreter with the same guest, but nothing that confines it."""
    command = backends._python(nonce)
    place = command.index("-c") + 1
    opened = command[place].replace('confine(job["plan"], job["nonce"])', "None")
    assert opened != command[place]
    command[place] = opened
    return command


@pytest.fixture(scope="module")
def unconfined() -> dict[str, str | None]:
    """Findings where nothing is forbidden; attempts are harmless by construction, the long one is cut short."""
    if backends._no_kernel():
        pytest.skip("needs Linux")
    backend = Backend("open", lambda: None, _open_command, lambda limits: {})
    found = {}
    with pytest.MonkeyPatch.context() as patch, Lures() as lures:
        patch.setattr(attempts, "CPU", "pass")
        tried = battery._Battery(backend, lures)
        for name, _, attempt in battery._ATTEMPTS:
            found[name] = attempt(tried)
    return found


@pytest.mark.parametrize("name", [name for name, _, _ in battery._ATTEMPTS])
def test_an_escape_is_found(unconfined: dict[str, str | None], name: str) -> None:
    if name in OUTSIDE_JUDGED:
        assert unconfined[name] is None
    else:
        assert unconfined[name]
        assert "proves nothing" not in str(unconfined[name])


def test_what_the_lures_notice(unconfined: dict[str, str | None]) -> None:
    assert "knows the secret" in str(unconfined["reading files outside"])
    assert "the folder changed" in str(unconfined["writing files outside"])
    assert "tcp4 was reached" in str(unconfined["loopback network and the engine's port"])
    assert "unix was reached" in str(unconfined["unix sockets"])
    assert "abstract was reached" in str(unconfined["unix sockets"])
    assert "the bait was killed" in str(unconfined["killing the parent and others"])


def test_an_attempt_that_does_not_end_proves_nothing(backend: Backend) -> None:
    with Lures() as lures:
        tried = battery._Battery(backend, lures)
        assert tried.told("print('DONE')") is None
        assert "proves nothing" in str(tried.told("raise ValueError"))
        assert "proves nothing" in str(tried.told("import os; print('DONE'); os._exit(0)"))  # never flushed


def test_lures_leave_nothing_behind() -> None:
    if backends._no_kernel():
        pytest.skip("needs Linux")
    with Lures() as lures:
        assert lures.noticed() is None
        assert lures.secret not in json.dumps(lures.told())
    assert not lures.folder.exists()
    assert lures.bait.returncode is not None


def test_others_may_look_for_an_engine_meanwhile() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with socket.create_connection(listener.getsockname()) as visitor:
            visitor.sendall(b"GET / HTTP/1.1")
            assert not _reached(listener, b"lure")
        with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()) as ours:
            ours.sendall(b"lure")
            assert _reached(listener, b"lure")
        with socket.create_connection(listener.getsockname()):
            assert _reached(listener)
        assert not _reached(listener)


def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    never = Backend("never", lambda: ("is not here", "不在此"), backends._bubblewrap, lambda limits: {})
    monkeypatch.setattr(sandbox, "BACKENDS", (never,))


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    _nowhere(monkeypatch)
    assert sandbox.available() is None
    with pytest.raises(NoSandbox, match="never: is not here") as caught:
        sandbox.run("print(1)")
    assert "bubblewrap" in caught.value.zh
    with pytest.raises(NoSandbox):
        sandbox.run_cases("def f(): pass", "f", [sandbox.Case()])


def test_bubblewrap_hidden_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if backends._no_kernel():
        pytest.skip("needs Linux")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    report = battery.examine(BACKENDS[0])
    assert report.unusable == ("bwrap is not installed", "未安装 bwrap")
    assert not report.holds


def test_elsewhere_only_a_container_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [backend for backend in BACKENDS if backend.service is None]
    assert [backend.name for backend in BACKENDS] == ["bubblewrap", "namespaces", "landlock", "container"]
    monkeypatch.setattr(backends.sys, "platform", "win32")
    assert {backend.missing() for backend in own} == {("needs Linux", "需要 Linux")}
    monkeypatch.setattr(backends.sys, "platform", "linux")
    monkeypatch.setattr(backends, "refusals", lambda: None)
    assert all(backend.missing() for backend in own)


HOLDS = Report("first", None, (Finding("reading", "读取", None),), 1.0)
ESCAPES = Report("second", None, (Finding("reading", "读取", "read [it]"),), 1.0)
ABSENT = Report("third", ("is not here", "不在此"), (), 0.0)


@pytest.mark.parametrize(
    ("reports", "exit_code", "used"),
    [([HOLDS, ABSENT], 0, "first"), ([HOLDS, ESCAPES], 1, "first"), ([ESCAPES], 1, None), ([ABSENT], 3, None)],
)
def test_the_command(
    reports: list[Report], exit_code: int, used: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    from collector.__main__ import main

    monkeypatch.setattr(check_sandbox, "prove", lambda: reports)
    assert main(["check-sandbox", "--json"]) == exit_code
    whole = json.loads(capsys.readouterr().out)
    assert (whole["used"], len(whole["backends"])) == (used, len(reports))
    for language in ("en", "zh"):
        assert main(["check-sandbox", "--lang", language]) == exit_code
        said = capsys.readouterr().out
        assert all(report.backend in said for report in reports)
        assert ("read [it]" in said) == (exit_code == 1)
