"""Containers: an engine's client is played by a program that runs the command for real, and fails as engines fail."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.errors import NoSandbox
from collector.quality.sandbox import Case, attempts, backends, battery, container
from collector.quality.sandbox.cases import call_cases
from collector.quality.sandbox.container import CONTAINER, IMAGE_VARIABLE
from collector.quality.sandbox.lures import Lures

from .conftest import program, usable

needs_linux = pytest.mark.skipif(
    backends._no_kernel() is not None, reason="the program runs on this machine: Linux only"
)
supervise = importlib.import_module("collector.quality.sandbox.supervise")  # the package has a function of that name
Calls = Callable[[], list[list[str]]]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Podman and nothing else is installed, and it works; gives what it was asked for."""
    if os.name == "nt":
        pytest.skip("the engine is played by a script with a shebang line")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("FAKE_ENGINE_FOLDER", str(tmp_path))
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    faulty(monkeypatch)
    (tmp_path / "bin").mkdir()
    install(tmp_path, "podman")
    container._engine.cache_clear()
    yield lambda: [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    container._engine.cache_clear()


def install(folder: Path, name: str) -> None:
    script = folder / "bin" / name
    source = Path(__file__).with_name("fake_engine.py").read_text()
    script.write_text(f"#!{backends.interpreter()} -SE\n{source}")
    script.chmod(0o755)


def faulty(monkeypatch: pytest.MonkeyPatch, **faults: str) -> None:
    monkeypatch.setenv("FAKE_ENGINE", json.dumps(faults))


@needs_linux
def test_a_program_runs(calls: Calls) -> None:
    ended = program(
        CONTAINER, "import sys, os; print(input()); print('e', file=sys.stderr); print(dict(os.environ))", "abc\n"
    )
    assert (ended.status, ended.stdout) == ("ok", f"abc\n{container.ENVIRONMENT}\n")
    assert ended.stderr == "e\n"  # not the client's warning
    assert ended.cpu_s is not None
    assert ended.cpu_s > 0
    assert program(CONTAINER, "exit(125)").status == "error"  # its own code, not the engine's
    assert program(CONTAINER, "import os; os.kill(os.getpid(), 9)").status == "killed"
    assert program(CONTAINER, "bytes(3 << 30)").status == "memory"


@needs_linux
def test_functions_are_called(calls: Calls) -> None:
    code = "import os\ndef f(x):\n    if x == 2: os._exit(0)\n    return x"
    result = call_cases(CONTAINER, code, "f", [Case([n], n) for n in (1, 2, 3)], 10.0)
    assert [outcome.status for outcome in result.outcomes] == ["pass", "error", "pass"]
    assert sum(call[0] == "run" for call in calls()) == 2


@needs_linux
@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_what_the_engine_is_asked_for(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    faulty(monkeypatch, podman="is down" if engine == "docker" else "")
    install(tmp_path, "docker")
    monkeypatch.setenv(IMAGE_VARIABLE, "python:mine")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy")
    program(CONTAINER, "print(1)")
    asked = next(call for call in calls() if call[0] == "run")
    said = " ".join(asked)
    for words in (
        "--rm", "--pull never", "--network none", "--ipc none", "--read-only", "--cap-drop ALL", "--log-driver none",
        "--security-opt no-new-privileges", "--memory ", "--memory-swap ", "--pids-limit 72 ", "--cpus 1 ", "size=16777216",
        "--env HTTPS_PROXY= ", "--env all_proxy= ", "--entrypoint python3 python:mine -P",
    ):  # fmt: skip
        assert words in said
    user, group = asked[asked.index("--user") + 1].split(":")
    assert user == group
    assert 20_000 <= int(user) < 60_000
    assert not {"-v", "--volume", "--mount", "--privileged", "--device", "--env-file"} & set(asked)
    assert "password" not in said
    assert ("--http-proxy=false" in asked) == (engine == "podman")
    assert all(len(word) < 1000 for word in asked)  # Windows bounds a command line; the sources come through the pipe


@needs_linux
def test_time_ends_gently(calls: Calls) -> None:
    ended = program(CONTAINER, "import time\nfor n in range(10**5): pass\ntime.sleep(60)", timeout_s=0.3)
    assert (ended.status, ended.stdout) == ("timeout", "")
    assert ended.wall_s >= 0.3
    assert ended.cpu_s is not None  # the keeper had the time to say it
    assert [call[:3] for call in calls() if call[0] == "kill"] == [["kill", "--signal", "TERM"]]
    assert not any(call[0] == "rm" for call in calls())


@needs_linux
def test_a_container_that_does_not_go_is_taken_away(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty(monkeypatch, podman="deaf")
    monkeypatch.setattr(supervise, "_GENTLE_S", 0.1)
    ended = program(CONTAINER, "import time; time.sleep(60)", timeout_s=0.1)
    assert (ended.status, ended.cpu_s) == ("timeout", None)
    assert calls()[-1][:2] == ["rm", "--force"]
    assert container._left([call[-1].removeprefix("sandbox-") for call in calls()]) == 0


@needs_linux
def test_printing_for_ever_is_cut(calls: Calls) -> None:
    ended = program(CONTAINER, "while True: print('x' * 1000)")
    assert (ended.status, len(ended.stdout)) == ("killed", 1 << 20)
    assert ended.cpu_s is not None


def test_a_keeper_that_is_gone_too_means_that_memory_is_over(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty(monkeypatch, podman="memory is over")
    ended = program(CONTAINER, "print(1)")
    assert (ended.status, ended.cpu_s) == ("memory", None)
    result = call_cases(CONTAINER, "def f(): pass", "f", [Case()], 1.0)
    assert (result.outcomes[0].status, result.cpu_s) == ("memory", None)


@pytest.mark.parametrize(
    ("fault", "en", "zh"),
    [
        ("breaks off", r"container broke off: .*unexpected EOF \(exit code 125\)", "退出码 125"),
        ("image is gone", r"container did not start: .*image not known \(exit code 125\)", "退出码 125"),
        ("no python", "python3 of the image .* cannot be started: .*executable file not found", "无法启动镜像"),
    ],
)
def test_the_engines_own_failures_are_not_the_programs(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, fault: str, en: str, zh: str
) -> None:
    faulty(monkeypatch, podman=fault)
    with pytest.raises(NoSandbox, match=en) as caught:
        program(CONTAINER, "print(1)")
    assert zh in caught.value.zh


def test_a_container_that_never_starts(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty(monkeypatch, podman="run hangs")
    monkeypatch.setattr(supervise, "_START_S", 0.3)
    monkeypatch.setattr(supervise, "_GENTLE_S", 0.1)
    with pytest.raises(NoSandbox, match="container did not start"):
        program(CONTAINER, "print(1)")
    assert calls()[-1][:2] == ["rm", "--force"]


@pytest.mark.parametrize(
    ("fault", "en", "zh"),
    [
        ("is down", "podman does not work: Cannot connect to the engine. Is it running?", "podman 无法使用"),
        ("no image", "podman pull docker.io/library/python:3.12-slim", "获取方法：podman pull docker.io/library/python:3.12-slim"),
        ("hangs", "podman does not answer", "podman 在"),
    ],
)  # fmt: skip
def test_why_it_cannot_be_used(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, fault: str, en: str, zh: str
) -> None:  # fmt: skip
    faulty(monkeypatch, podman=fault)
    monkeypatch.setattr(container, "_ANSWER_S", 0.3 if fault == "hangs" else 20.0)
    report = battery.examine(CONTAINER)
    assert report.unusable is not None
    assert en in report.summary_en
    assert zh in report.summary_zh
    with pytest.raises(NoSandbox, match="cannot be used"):
        program(CONTAINER, "print(1)")


@pytest.mark.parametrize("kind", ["windows/amd64", "linux/riscv64"])
def test_an_image_for_another_machine(calls: Calls, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("FAKE_ENGINE_IMAGE", kind)
    assert kind in str(CONTAINER.missing())


def test_no_engine_and_a_second_one(calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty(monkeypatch, podman="is down")
    install(tmp_path, "docker")
    assert CONTAINER.missing() is None
    faulty(monkeypatch, podman="is down", docker="no image")
    container._engine.cache_clear()
    assert "does not work" in str(CONTAINER.missing())
    assert "docker pull" in str(CONTAINER.missing())
    monkeypatch.setenv("PATH", str(tmp_path))
    container._engine.cache_clear()
    assert CONTAINER.missing() == ("neither podman nor docker is installed", "未安装 podman 或 docker")


def test_what_is_left_is_counted(calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sandbox-1234").write_text("0")
    assert container._left(["1234", "5678"]) == 1
    faulty(monkeypatch, podman="is down")
    with pytest.raises(NoSandbox, match="does not answer"):
        container._left(["1234"])


@needs_linux
def test_an_engine_that_isolates_nothing_is_found_out(calls: Calls) -> None:
    with Lures() as lures:
        assert "knows the secret" in str(battery._Battery(CONTAINER, lures).seen(attempts.READ))


@needs_linux
def test_a_machine_without_posix_calls(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wait4", "waitid", "getuid", "geteuid", "set_blocking"):
        monkeypatch.delattr(os, name)
    assert program(CONTAINER, "print(input())", "abc\n").stdout == "abc\n"
    assert program(CONTAINER, "import time; time.sleep(60)", timeout_s=0.2).status == "timeout"


def test_nothing_needs_posix_to_load() -> None:
    code = (
        "import os, socket, sys, psutil\n"
        "for name in ('resource', 'fcntl', 'pwd', 'grp', 'termios'): sys.modules[name] = None\n"
        "del socket.AF_UNIX, os.wait4, os.getpriority\n"
        "import collector.quality.sandbox as s\n"
        "from collector.quality.sandbox.lures import Lures\n"
        "sys.platform = 'darwin'\n"
        "with Lures() as lures: assert lures.noticed() is None\n"
        "print(s.backends.BACKENDS[0].missing()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("needs Linux\n", "")


def test_a_real_engine_holds() -> None:
    report = battery.examine(usable("container"))
    assert report.escapes == ()
    assert len(report.findings) == 17
