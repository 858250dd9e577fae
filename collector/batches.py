"""Repeats of one item asked back to back, so that their common energy window is long enough to be resolved.

A batch shares one window, from its first request being sent to its last final chunk; its energy is measured as a whole
and shared by time: answer *i* gets ``E t_i / sum(t)`` with t its own end-to-end time, so that the shares add up to E (the
client's few milliseconds between two requests are shared with them). The interval is the window's, in proportion. The tier
stays what it is, the flag ``batched`` says how the figure came about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from collector.plan import Cell
from collector.telemetry.types import EnergyResult

__all__ = ["Batch", "groups", "share_of"]

Batch = tuple[Cell, int]
"""A cell and the attempts that were made at it before."""


def groups(pending: Sequence[Batch], batched: bool) -> deque[list[Batch]]:
    """What may be measured back to back: the repeats of one item, items in the order of their first cell.

    Without batches every cell is a group of its own, in its order.
    """
    if not batched:
        return deque([entry] for entry in pending)
    by_item: dict[str, list[Batch]] = {}
    for entry in pending:
        by_item.setdefault(entry[0].item.hash, []).append(entry)
    return deque(by_item.values())


def share_of(window: EnergyResult, share: float) -> EnergyResult:
    """One answer's part of a window's energy; prefill and decode of several answers cannot be told apart."""

    def part(value: float | None) -> float | None:
        return None if value is None else value * share

    return replace(
        window,
        energy_j=part(window.energy_j),
        energy_net_j=part(window.energy_net_j),
        energy_low_j=part(window.energy_low_j),
        energy_high_j=part(window.energy_high_j),
        sources={name: value * share for name, value in window.sources.items()},
        cpu_energy_j=part(window.cpu_energy_j),
        gpu_energy_j=part(window.gpu_energy_j),
        prefill_j=None,
        decode_j=None,
    )
