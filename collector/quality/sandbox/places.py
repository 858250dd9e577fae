"""Where an interpreter keeps what it needs to run. Runs on both sides of the border, so it needs nothing of ours."""

from __future__ import annotations

import os
import sys

__all__ = ["interpreter", "readable"]


def interpreter() -> str:
    """The real executable of this Python, not the one of a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def readable() -> list[str]:
    """The interpreter itself, its library and the system's shared libraries: paths that exist, none below another."""
    wanted = [interpreter(), "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"]
    prefix = os.path.realpath(sys.base_prefix)
    wanted += [f"{prefix}/lib", f"{prefix}/lib64"]
    known: list[str] = []
    for path in wanted:
        if os.path.lexists(path) and not any(path == other or path.startswith(other + "/") for other in known):
            known.append(path)
    return known
