"""When an experiment starts next, out of the text that its campaign stored."""

from __future__ import annotations

import tomllib
from datetime import datetime
from typing import NamedTuple

from apscheduler.triggers.cron import CronTrigger

__all__ = ["Plan", "plan_of"]


class Plan(NamedTuple):
    """``cron`` as written, and the next start; None where the time never comes."""

    cron: str
    next_start: datetime | None


def plan_of(experiment_toml: str, now: datetime) -> Plan | None:
    """The plan of an experiment; None without one, or with one that cannot be read.

    Args:
        experiment_toml: the experiment as its campaign stored it.
        now: with its time zone.
    """
    try:
        schedule = tomllib.loads(experiment_toml).get("schedule", {})
        cron = schedule.get("cron")
        if cron is None:
            return None
        trigger = CronTrigger.from_crontab(cron, timezone=schedule.get("timezone"))
    except (tomllib.TOMLDecodeError, ValueError, LookupError):  # LookupError: no such time zone
        return None
    return Plan(cron, trigger.get_next_fire_time(None, now))
