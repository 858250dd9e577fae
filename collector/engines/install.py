"""Where Ollama and its models lie on this machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["download_folder", "find_binary", "find_models", "models_in"]

_LIBRARY: Final = ("registry.ollama.ai", "library")


def _binaries() -> Iterator[Path]:
    """Places of the usual installations, for shells and services with a short PATH."""
    if sys.platform == "darwin":
        yield Path("/Applications/Ollama.app/Contents/Resources/ollama")
        yield Path("/opt/homebrew/bin/ollama")
    if sys.platform == "win32":
        yield Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "Programs" / "Ollama" / "ollama.exe"
    else:
        yield Path("/usr/local/bin/ollama")
        yield Path("/usr/bin/ollama")


def find_binary() -> Path | None:
    """The ``ollama`` program: on PATH, else where installers put it; None without one."""
    found = shutil.which("ollama")
    if found:
        return Path(found)
    return next((path for path in _binaries() if os.access(path, os.X_OK)), None)


def _folders() -> Iterator[Path]:
    """Model folders in the order in which they are looked for."""
    if os.environ.get("OLLAMA_MODELS"):
        yield Path(os.environ["OLLAMA_MODELS"]).expanduser()
        return  # said explicitly: no other one is meant
    yield Path("~/.ollama/models").expanduser()
    if sys.platform == "linux":
        yield from _service_folders(Path("/etc/systemd/system"))
        yield Path("/usr/share/ollama/.ollama/models")  # the service of the install script
        yield Path("/var/lib/ollama/models")  # packages of distributions
        yield Path("/var/lib/ollama")
        yield Path("/var/snap/ollama/common/models")


def _service_folders(units: Path) -> Iterator[Path]:
    """What the Linux service was told, in its unit or by ``systemctl edit``; the latter counts more."""
    for path in (*sorted(units.glob("ollama.service.d/*.conf"), reverse=True), units / "ollama.service"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for found in reversed(re.findall(r"""^\s*Environment=.*?OLLAMA_MODELS=([^"'\s]+)""", text, re.MULTILINE)):
            yield Path(found)


def models_in(folder: Path) -> set[str]:
    """Names of the models in a model folder, as ``/api/tags`` names them; empty when it cannot be read."""
    names = set()
    root = folder / "manifests"
    try:
        manifests = [path for path in root.glob("*/*/*/*") if path.is_file() and os.access(path, os.R_OK)]
    except OSError:
        return set()
    for path in manifests:
        host, space, name, tag = path.relative_to(root).parts
        if name.startswith(".") or tag.startswith("."):
            continue  # the file manager's, not Ollama's
        prefix = "" if (host, space) == _LIBRARY else f"{space}/" if host == _LIBRARY[0] else f"{host}/{space}/"
        names.add(f"{prefix}{name}:{tag}")
    return names


def find_models() -> Path | None:
    """The first model folder that holds models which we may read; None without one."""
    for folder in _folders():
        if models_in(folder) and os.access(folder / "blobs", os.R_OK | os.X_OK):
            return folder
    return None


def download_folder() -> Path:
    """Where a server of our own puts what it pulls: the folder with models, else the one that Ollama would make."""
    return find_models() or next(_folders())
