"""Progress of a campaign: a bar with ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from collector.i18n import t
from collector.plan import Case

__all__ = ["Progress"]

_LINE_EVERY_S = 15.0


class Progress:
    """Tells a person how far the campaign is; use as a context manager.

    Args:
        total: answers to be measured.
        console: where it is shown; None takes standard error, so that standard output stays the result.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._total, self._done, self._faults = total, 0, 0
        self._started = self._line_at = time.monotonic()
        self._label = ""
        self._bar: Bar | None = None
        if self._console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TimeRemainingColumn(), console=self._console, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(t("starting", "启动中"), total=total)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        if self._bar:
            self._bar.stop()

    def case(self, case: Case, answers: int) -> None:
        """A case begins."""
        self._label = f"{case.model.tag} · {case.task} · {case.load}"
        if self._bar:
            self._bar.update(self._task, description=self._label)
        else:
            self._line(t(f"{self._label}: {answers} answers to measure", f"{self._label}：待测 {answers} 个回答"))

    def answer(self, fault: str | None, *, again: bool = False) -> None:
        """An attempt ended; one without an answer is told at once, one that is made again does not count."""
        if fault:
            self._faults += 1
            self._console.print(
                t(f"  fault: {fault} ({self._label})", f"  故障：{fault}（{self._label}）"), markup=False
            )
            return
        self._done += not again
        if self._bar:
            self._bar.update(self._task, completed=min(self._done, self._total))
        elif time.monotonic() - self._line_at > _LINE_EVERY_S:
            self._line(self._eta())

    def note(self, text: str) -> None:
        """Something other than measuring goes on."""
        if self._bar:
            self._bar.update(self._task, description=text)
        else:
            self._line(text)

    def _eta(self) -> str:
        spent = time.monotonic() - self._started
        left = spent / max(1, self._done) * max(0, self._total - self._done)
        return t(f"{self._done}/{self._total} answers, about {left:.0f} s to go",
                 f"{self._done}/{self._total} 个回答，约剩 {left:.0f} 秒")  # fmt: skip

    def _line(self, text: str) -> None:
        self._line_at = time.monotonic()
        self._console.print(text, markup=False)
