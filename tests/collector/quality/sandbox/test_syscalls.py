"""The filter's table, and doors that the battery does not try."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from collector.quality.sandbox import syscalls
from collector.quality.sandbox.backends import Backend

from .conftest import program

HEADER = Path("/usr/include/asm-generic/unistd.h"), Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_are_those_of_the_kernels_headers(column: int) -> None:
    path = HEADER[1 - column]
    if not path.exists():
        pytest.skip(f"{path} is not here")
    header = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())
    known = {name: int(number) for name, number in header if name not in {"syscalls", "arch_specific_syscall"}}
    tables = (syscalls._REFUSED, syscalls._OWN_PROCESS, syscalls._UNKNOWN, syscalls._SINGLE)
    for name, pair in {name: pair for table in tables for name, pair in table.items()}.items():
        if pair[column] is None or name in known:
            assert known.get(name) == pair[column], name


def test_an_architecture_without_a_table_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert syscalls.refusals() is None


CALL = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint(libc.syscall({number}, 0, 0, 0, 0), ctypes.get_errno())"


@pytest.mark.parametrize(("number", "errno"), [(451, 38), (10_000, 38), (0x40000000 + 39, 38), (435, 38), (425, 1)])
def test_later_and_other_tables_do_not_exist(backend: Backend, number: int, errno: int) -> None:
    assert program(backend, CALL.format(number=number)).stdout == f"-1 {errno}\n"


def test_the_32_bit_door_is_shut(backend: Backend) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("x86-64 only")
    code = (
        "import ctypes, mmap\nroom = mmap.mmap(-1, 4096, prot=7)\n"
        "room.write(bytes.fromhex('b814000000cd80c3'))  # getpid through int 0x80\n"
        "call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(room)))\nprint(call())"
    )
    ended = program(backend, code)
    assert (ended.status, ended.stdout) == ("killed", "")


def test_a_program_may_signal_itself_only(backend: Backend) -> None:
    code = (
        "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *a: print('hit'))\nos.kill(os.getpid(), signal.SIGUSR1)\n"
        "for pid in (1, os.getppid(), 0, -1, os.getpid() + 1):\n"
        "    try: os.kill(pid, 0); print('reached', pid)\n    except PermissionError: pass"
    )
    assert program(backend, code).stdout == "hit\n"
