"""``pull``: gets the models of an experiment, or the named ones, onto the Ollama server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from collector.engines.install import download_folder
from collector.errors import UsageError
from collector.experiment import load_experiment
from collector.i18n import t
from collector.ollama_client import OllamaClient
from collector.ollama_types import PullProgress
from collector.pulling import engine_for_pulling, missing_models, pull_models

__all__ = ["PullDisplay", "register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("get models onto the Ollama server", "把模型下载到 Ollama 服务器")
    parser = commands.add_parser("pull", help=text, description=text)
    what = t("an experiment file, or model tags", "实验文件或模型标签")
    parser.add_argument("what", nargs="+", metavar="EXPERIMENT.toml|MODEL", help=what)
    parser.set_defaults(func=_pull)


class PullDisplay:
    """A bar on a terminal, one line per step elsewhere; use as a context manager and as ``on_progress``."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=self._console, transient=True) if self._console.is_terminal else None
        self._tasks: dict[str, int] = {}
        self._said = ""

    def __enter__(self) -> PullDisplay:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, tag: str, line: PullProgress) -> None:
        """Shows one progress line."""
        if self._bar and line.digest and line.total_bytes:
            key = f"{tag} {line.digest}"
            if key not in self._tasks:
                self._tasks[key] = self._bar.add_task(tag, total=line.total_bytes)
            self._bar.update(self._tasks[key], completed=line.completed_bytes or 0)  # type: ignore[arg-type]
        text = f"{tag}: {line.status}"
        if text != self._said and not self._bar:
            self._console.print(text, markup=False)
        self._said = text


def _wanted(words: list[str]) -> tuple[list[str], str, str | None]:
    """Tags, engine kind and host of the command line."""
    files = [word for word in words if word.endswith(".toml")]
    if not files:
        return words, "ollama", None
    if len(words) > 1:
        raise UsageError(
            "pull takes one experiment file or model tags, not both.", "pull 只接受一个实验文件，或若干模型标签。"
        )
    experiment = load_experiment(Path(files[0]))
    return [m.tag for m in experiment.models], experiment.engine.kind, experiment.engine.host


def _pull(options: argparse.Namespace) -> int:
    tags, kind, host = _wanted(options.what)
    if kind == "pocket":
        print(
            t(
                "The embedded engine's models are part of this program; there is nothing to pull.",
                "内置引擎的模型随程序附带，无需下载。",
            )
        )
        return 0
    engine = engine_for_pulling(host)
    engine.start()
    try:
        with OllamaClient(engine.url) as client, PullDisplay() as display:
            missing = missing_models(client, tags)
            pull_models(client, missing, download_folder() if engine.own else None, display)
    finally:
        engine.stop()
    there = len(tags) - len(missing)
    print(t(f"{len(missing)} pulled, {there} were there.", f"已下载 {len(missing)} 个，{there} 个已存在。"))
    return 0
