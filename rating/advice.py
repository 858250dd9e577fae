"""What a letter means in daily use: cost and CO2e of answers, the way to the next class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rating.classes import EEI_BOUNDS, class_indices, rounded_log2

__all__ = ["co2e_g_per_1000", "cost_per_1000", "saving_to_next_class"]

_J_PER_KWH: Final = 3_600_000.0


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
