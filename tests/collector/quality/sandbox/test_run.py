"""Whole programs: how they end, what of them is kept, and that bad ones are only their own problem."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import psutil
import pytest

from collector.errors import NoSandbox
from collector.quality import sandbox
from collector.quality.sandbox.backends import BACKENDS, Backend, Limits
from collector.quality.sandbox.supervise import limits_of, supervise

from .conftest import program

ENDS = {
    "prints": ("print(6*7)", "ok", "42\n"),
    "leaves with a code": ("print('x'); exit(3)", "error", "x\n"),
    "raises": ("1/0", "error", ""),
    "does not parse": ("def f(:", "error", ""),
    "NUL bytes": ("print(1)\0", "error", ""),
    "eats memory": ("x = []\nwhile True: x.append('a' * 10**7)", "memory", ""),
    "asks for too much at once": ("print('a', flush=True); bytes(3 << 30)", "memory", "a\n"),
    "deep recursion": ("def f(): f()\nf()", "error", ""),
    "crashes": ("import ctypes; ctypes.string_at(0)", "killed", ""),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", "killed", ""),
    "uses threads": ("import threading as t\nx = t.Thread(target=print, args=[1]); x.start(); x.join()", "ok", "1\n"),
    "uses asyncio": ("import asyncio\nasync def f(): return 3\nprint(asyncio.run(f()))", "ok", "3\n"),
    "exit hooks": ("import atexit; atexit.register(print, 'bye')", "ok", "bye\n"),
    "is the main module": ("if __name__ == '__main__': print('main')", "ok", "main\n"),
    "surrogates": ("import sys; sys.stdout.buffer.write(b'a\\xff')", "ok", "a\ufffd"),
    "pretends to be the keeper": ("print('\\n' + 'a' * 32 + ' 0.5')", "ok", "\n" + "a" * 32 + " 0.5\n"),
    "large": ("#" + "x" * 100_000 + "\nprint(1)", "ok", "1\n"),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_programs_end(backend: Backend, name: str) -> None:
    code, status, stdout = ENDS[name]
    ended = program(backend, code)
    assert (ended.status, ended.stdout) == (status, stdout), ended.stderr


def test_an_error_shows_as_python_shows_it(backend: Backend) -> None:
    ended = program(backend, "def half(x):\n    return x / 0\nhalf(2)")
    assert ended.stderr.startswith("Traceback")
    assert "return x / 0" in ended.stderr
    assert ended.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "guest" not in ended.stderr


def test_input_is_given_whole(backend: Backend) -> None:
    given = "".join(f"line {n} 题\n" for n in range(30_000))
    ended = program(backend, "import sys; t = sys.stdin.read(); print(len(t), t.count('题'))", stdin=given)
    assert ended.stdout == f"{len(given)} 30000\n"
    assert program(backend, "print(1)", stdin=given).status == "ok"  # never reads it


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_printing_for_ever_is_cut(backend: Backend, stream: str) -> None:
    ended = program(backend, f"import sys\nwhile True: sys.{stream}.write('x' * 1000)")
    assert ended.status == "killed"
    assert 1 << 20 <= len(getattr(ended, stream)) <= (1 << 20) + 100


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "while True: pass",
        "import os, time\nfor fd in (0, 1, 2): os.close(fd)\ntime.sleep(60)",
        "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()",
        "import atexit, time; atexit.register(time.sleep, 60)",
    ],
)
def test_time_ends_and_nothing_stays(backend: Backend, code: str) -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    ended = program(backend, code, timeout_s=0.4)
    assert ended.status == "timeout"
    assert ended.wall_s >= 0.4
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before


def test_cpu_time_is_counted_and_limited(backend: Backend) -> None:
    job = {"nonce": "n" * 32, "code": "import signal; signal.signal(24, signal.SIG_IGN)\nwhile True: pass"}
    ended = supervise(backend, {**job, "entry_point": None}, "", Limits(wall_s=60.0, cpu_s=1))
    assert ended.status == "timeout"
    assert 1.0 <= ended.cpu_s <= 4.0
    slept = program(backend, "import time; time.sleep(0.5)")
    assert slept.cpu_s < slept.wall_s


def test_no_descriptor_and_no_child_stays_open(backend: Backend) -> None:
    program(backend, "print(1)")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for code in ("print(1)", "1/0", "while True: print('x' * 1000)"):
        program(backend, code)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_run_uses_the_first_that_holds() -> None:
    used = sandbox.available()
    if used is None:
        with pytest.raises(NoSandbox):
            sandbox.run("print(1)")
        pytest.skip("no sandbox on this machine")
    assert sandbox.run("print(input()[::-1])", stdin="abc\n").stdout == "cba\n"
    assert used.backend == next(b.name for b in BACKENDS if sandbox._report(b).holds)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_time_is_refused(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        sandbox.run("print(1)", timeout_s=timeout_s)


def test_what_does_not_start_is_not_the_programs_fault() -> None:
    base = BACKENDS[0]
    for name, command in {
        "absent": ["/nonexistent/interpreter"],
        "says nothing": ["/bin/true"],
        "says something else": ["/bin/echo", "hello"],
    }.items():
        broken = Backend(name, base.missing, lambda nonce, limits, c=command: c, lambda limits: {})
        with pytest.raises(NoSandbox, match=f"{name} did not start") as caught:
            supervise(broken, {"nonce": "n", "code": "", "entry_point": None}, "", limits_of(1))
        assert caught.value.zh


def test_a_refused_step_of_the_confinement_runs_nothing(backend: Backend) -> None:
    def demanding(limits: Limits) -> dict[str, object]:
        return {**backend.plan(limits), "least_landlock": 10_000}

    strict = dataclasses.replace(backend, plan=demanding)
    with pytest.raises(NoSandbox, match="Landlock"):
        program(strict, "print(1)")
