"""Runs generated code where it can do no harm, or not at all.

``run`` runs a whole program, ``run_cases`` calls a function of it with each case's input and compares the results
outside. Before the first program a battery of escape attempts is run against each way to confine it (``prove``); only
one that holds is used, and without one both raise :class:`collector.errors.NoSandbox`. Adding a way: ``backends.py``.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from functools import cache

from collector.errors import NoSandbox
from collector.quality.sandbox.backends import BACKENDS, Backend
from collector.quality.sandbox.battery import Finding, Report, examine
from collector.quality.sandbox.cases import Case, CaseOutcome, CasesResult, call_cases
from collector.quality.sandbox.container import image
from collector.quality.sandbox.supervise import SandboxResult, Status, limits_of, supervise

__all__ = [
    "Case", "CaseOutcome", "CasesResult", "Finding", "Report", "SandboxResult", "Status", "available", "cure",
    "prove", "run", "run_cases",
]  # fmt: skip


def run(code: str, *, stdin: str = "", timeout_s: float = 10.0) -> SandboxResult:
    """Runs a Python program in the most trusted sandbox that holds on this machine.

    The program is one process with threads, the standard library, its own ``/tmp`` at most, and nothing else: no files
    of the machine, no environment, no network, no other process.

    Args:
        code: the program.
        stdin: its standard input.
        timeout_s: seconds of wall time, and of CPU time (rounded up), from its first line on.

    Raises:
        NoSandbox: none passed its escape battery here, or it did not start.
        ValueError: ``timeout_s`` is not a positive, finite number.
    """
    limits = limits_of(timeout_s)
    job = {"nonce": secrets.token_hex(16), "code": code, "entry_point": None}
    return supervise(_trusted(), job, stdin, limits)


def run_cases(code: str, entry_point: str, cases: Sequence[Case], *, timeout_s: float = 10.0) -> CasesResult:
    """Calls ``entry_point`` of the program with each case's input and compares outside.

    Args:
        code: the program that defines the function.
        entry_point: name of the function.
        cases: calls and what they should give; the expected values never enter the sandbox.
        timeout_s: seconds for loading the program and all calls; after a call that ends the process the rest gets
            as many again, three times at most.

    Raises:
        NoSandbox: none passed its escape battery here, or it did not start.
        TypeError: an input is not a plain value.
        ValueError: ``timeout_s`` is not a positive, finite number.
    """
    return call_cases(_trusted(), code, entry_point, cases, timeout_s)


def prove() -> list[Report]:
    """The battery's findings for every way to confine a program, the most trusted first; run once per process."""
    return [_report(backend) for backend in BACKENDS]


def available() -> Report | None:
    """The report of the sandbox that :func:`run` uses, None when there is none; proves no more than it must."""
    return next((report for backend in BACKENDS if (report := _report(backend)).holds), None)


def cure() -> tuple[str, str]:
    """How a machine like this gets a sandbox: one clause (English, Chinese)."""
    if sys.platform == "linux":
        return (
            "install bubblewrap (sudo apt install bubblewrap) or Podman or Docker",
            "请安装 bubblewrap（sudo apt install bubblewrap），或安装 Podman、Docker",
        )
    return (
        f"install and start Docker Desktop or Podman and get the image (docker pull {image()})",
        f"请安装并启动 Docker Desktop 或 Podman，并获取镜像（docker pull {image()}）",
    )


@cache
def _report(backend: Backend) -> Report:
    return examine(backend)


def _trusted() -> Backend:
    for backend in BACKENDS:
        if _report(backend).holds:
            return backend
    why = [report for backend in BACKENDS if not (report := _report(backend)).holds]
    en, zh = cure()
    raise NoSandbox(
        "No sandbox holds on this machine (" + "; ".join(f"{r.backend}: {r.summary_en}" for r in why) + f"); {en}, "
        "then run python -m collector check-sandbox.",
        "本机没有可靠的沙箱（" + "；".join(f"{r.backend}：{r.summary_zh}" for r in why) + f"）；{zh}，"
        "再运行 python -m collector check-sandbox。",
    )  # fmt: skip
