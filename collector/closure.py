"""Do the joules add up: a campaign's answers, loads, baselines and everything between against the meter's own total.

The total is the meter's counters from the first to the last moment of the campaign. The parts are what was *stored* for
answers, loads and baselines, plus the meter's figure for every stretch between them. An answer billed twice, a stretch
billed to nobody or a figure that is not the counter's shows as a mismatch; on sensors with a counter it is below 1 %.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from collector.telemetry.sampler import Sampler
from collector.telemetry.series import choose_meter, counters, powers
from collector.telemetry.types import Capability, Sample
from db import Store
from db.texts import both, pick

__all__ = ["Kind", "Ledger", "joules", "without_energy"]

Kind = Literal["runs", "loads", "baselines"]


def joules(samples: Sequence[Sample], t0_ns: int, t1_ns: int, capabilities: Sequence[Capability]) -> float | None:
    """Energy of a window by the meter that measures the answers too; None where it does not cover the window.

    Unlike :func:`collector.energy.request_energy` it has no interval, and nothing at all is an energy of 0 J: an idle
    process tree.
    """
    meter = choose_meter(capabilities)
    if meter is None or t1_ns <= t0_ns:
        return None
    total_j = 0.0
    for source in meter.sources:
        curves = counters(source, samples, meter.watts_per_core) if source.counter else powers(source, samples)
        parts = [curve.energy_j(t0_ns, t1_ns) for curve in curves]
        if not parts or any(part is None for part in parts):
            return None
        total_j += sum(part for part in parts if part is not None)
    return total_j


def without_energy(store: Store, campaign_id: str) -> str | None:
    """How many answers of a campaign were measured for nothing, with the newest reason, in both languages; None: none were."""
    found = store.query(
        """
WITH answers AS (
    SELECT cell_id, bool_or(energy_j IS NOT NULL) AS known, max(started_at) AS ended,
        arg_max(energy_reason, started_at) AS reason
    FROM runs WHERE campaign_id = ? AND status = 'ok' GROUP BY cell_id)
SELECT count(*) AS n, count(*) FILTER (NOT known) AS lacking, arg_max(reason, ended) FILTER (NOT known) AS reason FROM answers
""",
        [campaign_id],
    ).iloc[0]
    if not found.lacking:
        return None
    reason = found.reason if isinstance(found.reason, str) else "-"
    return both(f"{found.lacking} of {found.n} answers have no energy: {pick(reason, 'en')}",
                f"{found.n} 个回答中有 {found.lacking} 个没有能耗：{pick(reason, 'zh')}")  # fmt: skip


@dataclass
class Ledger:
    """Books of one call of the runner; windows come in the order of time and do not overlap.

    Attributes:
        skipped_s: time that could not be accounted for, e.g. across a restart of the sampler; it is in no sum.
    """

    sampler: Sampler
    capabilities: tuple[Capability, ...]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    skipped_s: float = 0.0
    _cursor_ns: int | None = None
    _first_ns: int = 0
    _total_j: float = 0.0
    _parts_j: dict[str, float] = field(default_factory=lambda: {"runs": 0.0, "loads": 0.0, "baselines": 0.0, "between": 0.0})  # fmt: skip

    def begin(self, t_ns: int) -> None:
        """The books are opened."""
        self._first_ns = self._cursor_ns = t_ns

    def book(self, kind: Kind, t0_ns: int, t1_ns: int, energy_j: float | None) -> None:
        """Enters a window with the energy that is stored for it; None leaves it to what lies between."""
        if self._cursor_ns is None:
            self.begin(t0_ns)
        if energy_j is not None:
            self._advance(t0_ns, t1_ns, kind, energy_j)

    def _advance(self, t0_ns: int, t1_ns: int, kind: str, energy_j: float) -> None:
        cursor_ns = self._cursor_ns or t0_ns
        samples = self.sampler.between(cursor_ns, t1_ns)
        whole_j = joules(samples, cursor_ns, t1_ns, self.capabilities) if t1_ns > cursor_ns else 0.0
        between_j = joules(samples, cursor_ns, t0_ns, self.capabilities) if t0_ns > cursor_ns else 0.0
        self._cursor_ns = max(cursor_ns, t1_ns)
        if whole_j is None or between_j is None:
            self.skipped_s += (t1_ns - cursor_ns) / 1e9
            return
        self._total_j += whole_j
        self._parts_j["between"] += between_j
        self._parts_j[kind] += energy_j

    def close(self, t_ns: int, campaign_id: str) -> dict[str, Any]:
        """The row of ``closures``."""
        cursor_ns = self._cursor_ns
        if cursor_ns is not None and t_ns > cursor_ns:
            self.sampler.wait_until(t_ns)
            rest_j = joules(self.sampler.between(cursor_ns, t_ns), cursor_ns, t_ns, self.capabilities)
            if rest_j is None:
                self.skipped_s += (t_ns - cursor_ns) / 1e9
            else:
                self._total_j += rest_j
                self._parts_j["between"] += rest_j
        meter = choose_meter(self.capabilities)
        known = meter is not None and self._total_j > 0
        return {
            "closure_id": uuid.uuid4().hex[:20], "campaign_id": campaign_id, "started_at": self.started_at,
            "ended_at": datetime.now(UTC), "scope": meter.scope if meter else None, "tier": meter.tier if meter else None,
            "total_j": self._total_j if known else None,
            **{f"{kind}_j": value if known else None for kind, value in self._parts_j.items()},
            "mismatch": (sum(self._parts_j.values()) - self._total_j) / self._total_j if known else None,
            "reason": self._reason(meter is not None),
        }  # fmt: skip

    def _reason(self, metered: bool) -> str | None:
        if not metered:
            return both("no energy sensor", "没有能量传感器")
        if self.skipped_s > 0:
            return both(f"{self.skipped_s:.1f} s are in no sum: the sensors did not cover them",
                        f"有 {self.skipped_s:.1f} 秒未计入：传感器没有覆盖")  # fmt: skip
        return None if self._total_j > 0 else both("the sensors read 0 J", "传感器读数为 0 J")
