"""Which state of this program measured: the version and, where it runs out of a git clone, the commit."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

__all__ = ["NAME", "own_version"]

NAME = "genai-energy-rating"
_ROOT = Path(__file__).resolve().parents[1]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _commit(git: Path) -> str | None:
    """The commit that is checked out, read from git's own files; None where there are none."""
    head = _text(git / "HEAD").strip()
    if not head.startswith("ref: "):
        return head or None
    name = head.removeprefix("ref: ")
    packed = re.search(rf"^([0-9a-f]+) {re.escape(name)}$", _text(git / "packed-refs"), re.MULTILINE)
    return _text(git / name).strip() or (packed.group(1) if packed else None)


def own_version(root: Path = _ROOT) -> str | None:
    """E.g. ``0.1.0+g1a2b3c4d5e6f``; None where neither is known."""
    try:
        known = tomllib.loads(_text(root / "pyproject.toml"))["project"]["version"]
    except (tomllib.TOMLDecodeError, KeyError):
        known = None
    commit = _commit(root / ".git")
    return "+".join(filter(None, (known, commit and f"g{commit[:12]}"))) or None
