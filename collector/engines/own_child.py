"""Our own ``ollama serve``: no administrator rights, a known environment, beside the user's own Ollama."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import ClassVar

from collector.engines.base import WayStatus
from collector.engines.child_engine import ChildEngine
from collector.engines.install import find_binary, find_models
from collector.errors import EngineError

__all__ = ["OwnChild"]


class OwnChild(ChildEngine):
    """``ollama serve`` on a free loopback port, on the user's own model folder."""

    name: ClassVar[str] = "ollama"
    way: ClassVar[str] = "own_child"
    attempts: ClassVar[int] = 3  # a free port can be taken by another program before the server has it

    def __init__(self, log_dir: Path, binary: Path | None = None, models: Path | None = None) -> None:
        """``binary`` and ``models`` (the model folder) are looked for where they are None.

        Raises:
            EngineError: there is no ``ollama`` program.
        """
        super().__init__(log_dir)
        found = binary or find_binary()
        if found is None:
            raise EngineError("no ollama program found; install it from ollama.com or add it to PATH",
                              "未找到 ollama 程序；请从 ollama.com 安装，或将其加入 PATH")  # fmt: skip
        self.binary = found
        self.models = models or find_models()
        self._port = 0

    def command(self) -> list[str]:
        """A new free port for every start: the old one may still be closing."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        return [str(self.binary), "serve"]

    def variables(self) -> dict[str, str]:
        """One slot, one model, no prompt cache in host memory, no cloud, and nothing pruned from the user's folder."""
        variables = {
            "OLLAMA_HOST": f"127.0.0.1:{self._port}", "OLLAMA_NUM_PARALLEL": "1", "OLLAMA_MAX_LOADED_MODELS": "1",
            "OLLAMA_NO_CLOUD": "1", "OLLAMA_NOPRUNE": "1", "LLAMA_ARG_CACHE_RAM": "0",
        }  # fmt: skip
        if self.models is not None:
            variables["OLLAMA_MODELS"] = str(self.models)
        if "HOME" not in os.environ and os.name == "posix":
            variables["HOME"] = str(self.log_path.parent)  # a service has none, and Ollama ends without one
        return variables

    def status(self) -> WayStatus:
        """A program and, as a rule, models are all it takes."""
        where, where_zh = (str(self.models),) * 2 if self.models else ("no model folder yet", "尚无模型目录")
        return WayStatus("ok", f"{self.binary} · {where}", f"{self.binary} · {where_zh}")

    def find_url(self) -> str:
        """Known from the start."""
        return f"http://127.0.0.1:{self._port}"
