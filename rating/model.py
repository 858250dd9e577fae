"""What goes into a rating and what comes out: plain frozen values, arrays as struct of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from rating.reasons import Reason

__all__ = [
    "COLUMNS", "Condition", "Configuration", "FloatArray", "Group", "IntArray", "Measurements", "Rating", "Status",
]  # fmt: skip

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Status = Literal["rated", "provisional", "unrated"]

COLUMNS: Final = (
    "cohort", "task", "configuration", "model", "digest", "family", "parameter_count", "quantization",
    "context_length", "engine", "engine_version", "status", "grade", "grade_probability", "grade_low", "grade_high",
    "eei", "eei_low", "eei_high", "joules_per_success", "joules_per_success_low", "joules_per_success_high",
    "eqr_per_kj", "quality", "quality_low", "quality_high", "quality_class", "energy_j", "n_items", "n_repeats",
    "rank_low", "rank_high", "reasons", "items_needed", "scheme",
)  # fmt: skip
"""Columns of the rating table, in this order, in JSON, CSV and ``v_ratings``."""


class Condition(NamedTuple):
    """Under which circumstances an answer was measured; None is "not stated".

    ``suite`` stands for everything of the task version that is not the item itself: scorer version and output cap.
    """

    load: str | None = None
    language: str | None = None
    tier: str | None = None
    scope: str | None = None
    suite: str | None = None
    checkpoint: str | None = None


class Group(NamedTuple):
    """Place of a rating among the codes of :class:`Measurements`."""

    cohort: int
    task: int
    configuration: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """The unit that is rated: model digest, quantization, context and options on one engine version.

    ``configuration`` is its identity; every other field is None where it is not known. ``demo`` marks an embedded
    demonstration model.
    """

    configuration: str
    model: str | None = None
    digest: str | None = None
    family: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    engine: str | None = None
    engine_version: str | None = None
    demo: bool = False
    model_base: str | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """Measured answers, one element per answer in every array.

    Attributes:
        configurations: what ``configuration`` points into; likewise ``cohorts``, ``tasks``, ``items``, ``conditions``.
            An item at another load or in another language is another item. A cohort None is "not stated".
        repeat: order of the repeats of an item; all equal where it is not known.
        energy_j: gross joules; NaN where missing.
        quality: in [0, 1]; NaN where there is none (the row then leaves both sums).
        cpu_energy_j: the CPU's part; the array is None where nobody states it. Likewise gpu_energy_j, duration_s.
        bare_items: each item's name without load and language, by which levels of these are paired; () where unknown.
        notes: what the source already knows about a group: rows that it left out, failures, a flag that forbids a letter.
    """

    configurations: tuple[Configuration, ...]
    cohorts: tuple[str | None, ...]
    tasks: tuple[str, ...]
    items: tuple[str, ...]
    conditions: tuple[Condition, ...]
    configuration: IntArray
    cohort: IntArray
    task: IntArray
    item: IntArray
    condition: IntArray
    repeat: IntArray
    energy_j: FloatArray
    quality: FloatArray
    cpu_energy_j: FloatArray | None = None
    gpu_energy_j: FloatArray | None = None
    duration_s: FloatArray | None = None
    bare_items: tuple[str, ...] = ()
    notes: Mapping[Group, tuple[Reason, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.energy_j)


@dataclass(frozen=True, slots=True)
class Rating:
    """One line of the rating table: a configuration in one task (or ``overall``) of one cohort.

    Attributes:
        status: rated, provisional or unrated; an unrated line has no grade fields, its figures stay where computable.
        grade: A to G, class of the median draw; ``grade_probability`` is the share of draws in it,
            ``grade_low`` (better end) to ``grade_high`` (worse end) its 95 % range.
        eei: x over the basket's geometric mean; low and high are the ends of its 95 % interval.
        joules_per_success: x in joules per success-equivalent, likewise with its interval.
        eqr_per_kj: efficiency-to-quality ratio, quality units per kJ: 1000 / x.
        quality: mean quality of the items in [0, 1].
        energy_j: mean joules per answer.
        n_items: items compared; ``n_repeats`` is the mean number of repeats per item.
        rank_low: best rank within cohort and task that 95 % of the draws leave open; rank_high the worst.
        reasons: why it is not rated, not certain, or what a reader must know.
        items_needed: how many more items would settle the letter; 0 when it is settled, None when items cannot.
    """

    cohort: str | None
    task: str
    configuration: Configuration
    status: Status
    scheme: str
    grade: str | None = None
    grade_probability: float | None = None
    grade_low: str | None = None
    grade_high: str | None = None
    eei: float | None = None
    eei_low: float | None = None
    eei_high: float | None = None
    joules_per_success: float | None = None
    joules_per_success_low: float | None = None
    joules_per_success_high: float | None = None
    quality: float | None = None
    quality_low: float | None = None
    quality_high: float | None = None
    quality_class: str | None = None
    energy_j: float | None = None
    n_items: int = 0
    n_repeats: float | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    reasons: tuple[Reason, ...] = ()
    items_needed: int | None = None

    @property
    def eqr_per_kj(self) -> float | None:
        """Efficiency-to-quality ratio in quality units per kJ."""
        return None if not self.joules_per_success else 1000.0 / self.joules_per_success

    def as_row(self, language: str = "en") -> dict[str, Any]:
        """The line as a dict with exactly :data:`COLUMNS`; reasons as ``{code, text}`` in ``language``."""
        row: dict[str, Any] = {}
        for name in COLUMNS:
            if name == "reasons":
                row[name] = [{"code": reason.code, "text": reason.text(language)} for reason in self.reasons]
            elif name in _OF_CONFIGURATION:
                row[name] = getattr(self.configuration, name)
            else:
                row[name] = getattr(self, name)
        return row


_OF_CONFIGURATION: Final = frozenset(Configuration.__dataclass_fields__)
