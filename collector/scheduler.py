"""Scheduled measuring: APScheduler says when, the store says what is left.

One worker, no job store: every start builds the jobs from the files, and a campaign that was interrupted is continued
because the store knows it. A job that comes due while another one measures waits for it instead of being dropped
(misfire_grace_time None; APScheduler's default of one second would lose the night).
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from collector.case import record_event
from collector.errors import ExperimentError
from collector.experiment import Experiment, load_experiment
from collector.i18n import t
from db import Store, StoreError
from db.texts import both

__all__ = ["Night", "serve", "trigger_of"]

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Night:
    """An experiment file with its time."""

    path: Path
    experiment: Experiment
    trigger: CronTrigger

    @classmethod
    def load(cls, path: Path) -> Night:
        """Reads the file and its schedule.

        Raises:
            ExperimentError: the file is wrong or has no ``[schedule] cron``.
        """
        experiment = load_experiment(path)
        return cls(path, experiment, trigger_of(experiment, str(path)))


def trigger_of(experiment: Experiment, source: str) -> CronTrigger:
    """The file's cron time as a trigger.

    Raises:
        ExperimentError: no cron time, or one that APScheduler does not understand.
    """
    cron = experiment.schedule.cron
    if cron is None:
        raise ExperimentError(f'{source}: [schedule] cron is missing: add it, e.g. cron = "0 22 * * *".',
                              f'{source}：缺少 [schedule] cron：请添加，例如 cron = "0 22 * * *"。')  # fmt: skip
    try:
        return CronTrigger.from_crontab(cron, timezone=experiment.schedule.timezone)
    except (ValueError, LookupError) as error:  # LookupError: ZoneInfoNotFoundError of an unknown timezone
        raise ExperimentError(f"{source}: [schedule] cron = {cron!r} or its timezone is not valid ({error}).",
                              f"{source}：[schedule] cron = {cron!r} 或其时区无效（{error}）。") from error  # fmt: skip


class _Runner:
    """Starts one night after the other, each in a process of its own, and can end the one that runs."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def night(self, night: Night, store: Store) -> None:
        """One due time: measure or continue; a night that fails is recorded and the next one comes."""
        log.warning("measuring %s", night.path)
        command = [
            sys.executable,
            "-m",
            "collector",
            "run",
            str(night.path.resolve()),
            "--db",
            str(store.path.resolve()),
        ]
        self._child = subprocess.Popen(command, cwd=_ROOT)
        code = self._child.wait()
        self._child = None
        log.warning("%s ended with exit code %s", night.path, code)
        if code in (0, 1, 130):
            return
        try:
            store.ensure()
            record_event(store, None, "schedule", "night_failed", both(f"{night.path}: exit code {code}", f"{night.path}：退出码 {code}"))
        except StoreError as error:  # the store itself may be what failed
            log.error("could not record that: %s", error)

    def end(self) -> None:
        """Asks the night that runs to store what it has, and waits for it."""
        child = self._child
        if child is not None and child.poll() is None:
            if sys.platform != "win32":  # a Windows console tells every process of its own
                child.terminate()  # not SIGINT: a process started in the background may ignore that one
            child.wait()


def serve(nights: Sequence[tuple[Night, Store]]) -> None:
    """Waits and measures until it is interrupted; blocks.

    Raises:
        KeyboardInterrupt: after the night that was running has stored what it had.
    """
    options = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    scheduler = BlockingScheduler(executors={"default": ThreadPoolExecutor(1)}, job_defaults=options)
    runner = _Runner()
    for night, store in nights:
        scheduler.add_job(
            runner.night, night.trigger, args=[night, store], id=str(night.path), name=night.experiment.name
        )
        upcoming = night.trigger.get_next_fire_time(None, datetime.now(UTC))
        print(
            t(
                f"{night.path}: next start {upcoming:%Y-%m-%d %H:%M %Z}",
                f"{night.path}：下次开始 {upcoming:%Y-%m-%d %H:%M %Z}",
            ),
            flush=True,
        )
    try:
        scheduler.start()
    except KeyboardInterrupt:
        runner.end()
        raise
