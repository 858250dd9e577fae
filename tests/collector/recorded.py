"""Recorded exchanges with Ollama servers, and a server that plays them back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.scripted_server import Body, Cut, Head, Raw, Step, Wait

__all__ = ["OWN", "RECORDED", "Exchange", "exchanges"]

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "tests" / "fixtures" / "ollama"
RECORDED = ROOT / "../shared/data/ollama-transcripts"  # beside the repository, not part of it

_FASTER = 1000


@dataclass(frozen=True)
class Exchange:
    """One recorded exchange."""

    version: str
    name: str
    data: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.version}/{self.name}"

    @property
    def path(self) -> str:
        return str(self.data["request"]["path"])

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.data["lines"]]

    @property
    def last(self) -> dict[str, Any]:
        value = json.loads(self.texts[-1])
        assert isinstance(value, dict)
        return value

    def steps(self) -> Iterable[Step]:
        """The answer as it came, with its waits shortened."""
        headers = dict(self.data["headers"])
        chunked = headers.pop("transfer-encoding", None) == "chunked"
        if chunked:
            headers.pop("content-length", None)
        yield Head(self.data["status"], headers)
        before = 0
        for receipt_ns, text in self.data["lines"]:
            yield Wait((receipt_ns - before) / 1e9 / _FASTER)
            before = receipt_ns
            yield Body(text.encode() + b"\n") if chunked else Raw(text.encode())
        if not chunked and "content-length" in headers:
            missing = int(headers["content-length"]) - sum(len(text.encode()) for text in self.texts)
            yield Raw(b"\n" * missing)
        if self.data["client_error"]:
            yield Cut()


def exchanges(folder: Path) -> list[Exchange]:
    """Every exchange below a folder, whose subfolders are named by server version; empty without the folder."""
    return [
        Exchange(path.parent.name, path.stem, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*/*.json"))
    ]
