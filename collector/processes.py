"""Scoring and rating in processes of their own: what they load has left memory before the engine starts again."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from collector.experiment import Experiment
from collector.i18n import current
from db import Store

__all__ = ["Ended", "Pace", "rate", "score"]

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_SHARE: Final = 0.01
_EXPECTED_S: Final = 2.0  # until it was timed


class Ended(NamedTuple):
    """What a process of ours printed, and its last words where it failed."""

    said: str
    problem: str | None


@dataclass
class Pace:
    """How often work between two cases may be done: so that it takes no more than a hundredth of the time.

    A rating between cases is news for the pages, the one at the end is what counts; on small models it would take
    longer than their answers.
    """

    _ended_s: float = field(default_factory=lambda: time.monotonic())
    _took_s: float = _EXPECTED_S

    def due(self) -> bool:
        """Whether enough time has passed since the last time."""
        return time.monotonic() - self._ended_s >= self._took_s / _SHARE

    def timed(self, work: Callable[[], str | None]) -> str | None:
        """Does the work and gives its result."""
        start_s = time.monotonic()
        try:
            return work()
        finally:
            self._ended_s = time.monotonic()
            self._took_s = self._ended_s - start_s


def _run_process(*words: str) -> Ended:
    done = subprocess.run([sys.executable, "-m", *words], cwd=_ROOT, capture_output=True, encoding="utf-8", check=False)
    if not done.returncode:
        return Ended(done.stdout.strip(), None)
    log.warning("%s ended with %s: %s", " ".join(words[:2]), done.returncode, done.stderr.strip()[-500:])
    last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    return Ended(done.stdout.strip(), last)


def rate(store: Store) -> str | None:
    """Computes and stores the ratings in a process of their own; returns what went wrong, if anything."""
    return _run_process("rating", "table", "--db", str(store.path.resolve()), "--json").problem


def score(store: Store, campaign_id: str, experiment: Experiment) -> Ended:
    """Scores what is unscored in a process of its own, which has ended before the engine starts again."""
    words = ["score", "--no-rating", "--campaign", campaign_id, "--db", str(store.path.resolve()), "--lang", current()]
    if experiment.quality.checkpoints:
        words += ["--checkpoint", *(f"{k}={v}" for k, v in experiment.quality.checkpoints.items())]
    if experiment.quality.download:
        words.append("--download")
    if experiment.quality.device:
        words += ["--device", experiment.quality.device]
    return _run_process("collector", *words)
