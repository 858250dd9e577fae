"""The sandboxes of this machine, each proven once for all tests here."""

from __future__ import annotations

import secrets

import pytest

from collector.quality.sandbox import _report
from collector.quality.sandbox.backends import BACKENDS, Backend
from collector.quality.sandbox.supervise import SandboxResult, limits_of, supervise


def usable(*names: str) -> Backend:
    """The first of the backends that can be used here, or a skip with the reasons."""
    why = []
    for backend in BACKENDS:
        if backend.name in names:
            unusable = _report(backend).unusable
            if unusable is None:
                return backend
            why.append(f"{backend.name}: {unusable[0]}")
    return pytest.skip("; ".join(why))


@pytest.fixture(params=[b.name for b in BACKENDS if b.service is None])  # containers: test_container.py
def backend(request: pytest.FixtureRequest) -> Backend:
    return usable(request.param)


def program(backend: Backend, code: str, stdin: str = "", timeout_s: float = 10.0) -> SandboxResult:
    job = {"nonce": secrets.token_hex(16), "code": code, "entry_point": None}
    return supervise(backend, job, stdin, limits_of(timeout_s))
