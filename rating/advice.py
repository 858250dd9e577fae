"""What a letter means in daily use: cost and CO2e of answers, the way to the next class, whether to stay loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rating.classes import EEI_BOUNDS, class_indices, rounded_log2
from rating.errors import RatingError

__all__ = ["Residency", "co2e_g_per_1000", "cost_per_1000", "keep_loaded", "saving_to_next_class"]

_J_PER_KWH: Final = 3_600_000.0
_SECONDS_PER_HOUR: Final = 3_600.0
_HOURS_PER_DAY: Final = 24.0


def cost_per_1000(energy_j: float, price_per_kwh: float) -> float:
    """Price of the energy of 1,000 answers, in the currency of ``price_per_kwh``; ``energy_j`` is per answer."""
    return 1000.0 * energy_j / _J_PER_KWH * price_per_kwh


def co2e_g_per_1000(energy_j: float, grid_g_per_kwh: float) -> float:
    """Grams of CO2e of 1,000 answers at a grid's intensity; ``energy_j`` is per answer."""
    return 1000.0 * energy_j / _J_PER_KWH * grid_g_per_kwh


def saving_to_next_class(eei: float, bounds: Sequence[float] = EEI_BOUNDS) -> float | None:
    """Share of the joules per success that must go to reach the next better class; None in the best one.

    Classes are open at their better end, so the share is the least that is not quite enough.
    """
    index = int(class_indices(rounded_log2(eei), bounds))
    return None if index == 0 else 1.0 - bounds[index - 1] / eei


@dataclass(frozen=True, slots=True)
class Residency:
    """Whether to keep a model in memory between answers.

    Attributes:
        keep: keeping it loaded takes less energy than loading it for every answer.
        keep_j_per_day: energy of holding it; ``reload_j_per_day`` of loading it anew for every answer.
        break_even_per_day: answers per day at which both take the same; None where loading takes nothing.
        break_even_gap_s: pause between answers from which on unloading is worth it; None where holding takes nothing.
    """

    keep: bool
    keep_j_per_day: float
    reload_j_per_day: float
    break_even_per_day: float | None
    break_even_gap_s: float | None


def keep_loaded(
    answers_per_day: float, load_energy_j: float, loaded_idle_power_w: float, hours_per_day: float = _HOURS_PER_DAY
) -> Residency:
    """Compares holding a model for ``hours_per_day`` with loading it anew for every answer.

    Args:
        answers_per_day: evenly spread, each after a pause long enough that the model would be unloaded.
        load_energy_j: energy of one loading.
        loaded_idle_power_w: what the loaded, idle model draws above the machine without it.
        hours_per_day: how long it would be held.

    Raises:
        RatingError: a value is negative, not finite, or there are more than 24 hours.
    """
    values = (answers_per_day, load_energy_j, loaded_idle_power_w, hours_per_day)
    if any(not math.isfinite(value) or value < 0 for value in values) or hours_per_day > _HOURS_PER_DAY:
        raise RatingError(
            "answers, energy, power and hours must be 0 or more, at most 24 hours",
            "回答数、能量、功率与小时数不能为负，小时数最多 24",
        )
    held = loaded_idle_power_w * hours_per_day * _SECONDS_PER_HOUR
    loading = answers_per_day * load_energy_j
    return Residency(
        keep=held < loading,
        keep_j_per_day=held,
        reload_j_per_day=loading,
        break_even_per_day=held / load_energy_j if load_energy_j > 0 else None,
        break_even_gap_s=load_energy_j / loaded_idle_power_w if loaded_idle_power_w > 0 else None,
    )
