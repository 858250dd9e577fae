"""Stored answers as measurements: which rows count, what is named instead, which campaign speaks for a configuration.

Per cohort, task and configuration the newest campaign counts in which it has enough items with energy and quality,
else the newest with any. Campaigns are never mixed within a configuration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rating.coding import Coded, combined, encoded
from rating.model import Condition, Configuration, FloatArray, Group, IntArray, Measurements
from rating.reasons import Reason, reason

__all__ = ["Selected", "columns_of", "measurements_of"]

BoolArray = npt.NDArray[np.bool_]
_UNSEEN: Final = frozenset(("energy_missing", "energy_zero"))
_OK: Final = "ok"


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """The measurements that count, and the campaign that each group's come from."""

    measurements: Measurements
    campaigns: Mapping[Group, str]


@dataclass(frozen=True, slots=True, eq=False)
class _Fates:
    """What the flags make of each row.

    Attributes:
        flags: names of each row's flags.
        counted: the row enters the sums; ``failed`` it does so with quality 0.
        unseen: it is left out for want of its energy.
    """

    flags: list[tuple[str, ...]]
    counted: BoolArray
    failed: BoolArray
    unseen: BoolArray


def columns_of(frame: Any) -> dict[str, list[Any]]:
    """A data frame's columns as lists of Python values, NaN and NaT as None: what :func:`measurements_of` takes."""
    return {
        str(name): [
            None if missing else value
            for value, missing in zip(frame[name].tolist(), frame[name].isna().tolist(), strict=True)
        ]
        for name in frame.columns
    }


def measurements_of(columns: Mapping[str, Sequence[Any]], effect_of: Callable[[str], str], min_items: int) -> Selected:
    """Measurements out of the store's attempts.

    A row that is left out for missing or zero energy stays in as a row without energy, which forbids a letter, unless
    the same cell was measured again with success. Of several valid attempts at a cell the last one counts.

    Args:
        columns: columns of ``db.reader.answers_for_rating`` as lists in the order of time; missing values None.
        effect_of: effect of a flag: shown, failure, left_out or unrated.
        min_items: items from which on a campaign speaks for a configuration.
    """
    fates = _fates(columns, effect_of)
    cohort, task = encoded(columns["cohort"]), encoded(columns["task"])
    group, keys = combined([cohort, task, encoded(columns["configuration"])])
    items = _items(columns)
    campaign = encoded(columns["campaign"])
    cell, _ = combined([Coded(group, tuple(map(str, keys))), items, campaign, encoded(map(str, columns["repeat"]))])
    energy, quality = _numbers(columns["energy_j"]), _numbers(columns["quality"])
    quality[fates.failed] = 0.0
    counted = _last(cell, fates.counted)
    full = counted & np.isfinite(energy) & (energy > 0) & np.isfinite(quality)
    chosen, notes = _campaigns(group, campaign, items.codes, full, columns["campaign_started_at"], min_items)
    here = campaign.codes == chosen[group]
    lost = _last(cell, fates.unseen) & ~np.isin(cell, cell[counted])
    rows = np.flatnonzero(here & (counted | lost))
    energy[lost] = np.nan
    measurements, codes = _measurements(columns, rows, items, (cohort, task), energy, quality)
    places = [codes[key] for key in keys]
    for place, own in _row_notes(group, here, fates, effect_of).items():
        notes.setdefault(place, []).extend(own)
    named = {places[place]: tuple(found) for place, found in notes.items()}
    return Selected(
        Measurements(**measurements, notes=named),
        {places[place]: campaign.labels[chosen[place]] or "" for place in range(len(keys))},
    )


def _fates(columns: Mapping[str, Sequence[Any]], effect_of: Callable[[str], str]) -> _Fates:
    flags = [tuple(filter(None, (text or "").split(","))) for text in columns["flags"]]
    effects = {names: frozenset(map(effect_of, names)) for names in set(flags)}
    ok = np.array([status == _OK for status in columns["status"]], dtype=bool)
    left_out = np.array(["left_out" in effects[names] for names in flags], dtype=bool) | ~ok
    failed = np.array(["failure" in effects[names] for names in flags], dtype=bool) & ~left_out
    other = {names: {n for n in names if effect_of(n) == "left_out"} - _UNSEEN for names in effects}
    unseen = np.array([not other[names] and bool(_UNSEEN & set(names)) for names in flags], dtype=bool) & ok
    return _Fates(flags, ~left_out, failed, unseen)


def _numbers(values: Sequence[Any]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _items(columns: Mapping[str, Sequence[Any]]) -> Coded:
    """An item is its content: same name, other text is another item; load and language are part of the name."""
    wanted = zip(columns["item"], columns["load"], columns["language"], columns["item_hash"], strict=True)
    return encoded(f"{item} [{load}, {language}] {digest[:8]}" for item, load, language, digest in wanted)


def _last(cell: IntArray, rows: BoolArray) -> BoolArray:
    """Of the ``rows`` of each cell only the last."""
    found = np.zeros(len(cell), dtype=bool)
    at = np.flatnonzero(rows)[::-1]
    found[at[np.unique(cell[at], return_index=True)[1]]] = True
    return found


def _campaigns(
    group: IntArray, campaign: Coded, item: IntArray, full: BoolArray, started: Sequence[Any], min_items: int
) -> tuple[IntArray, dict[int, list[Reason]]]:
    """Code of the campaign that speaks for each group, and a note where a newer one does not yet."""
    order = {
        code: (start, campaign.labels[code] or "") for code, start in zip(campaign.codes.tolist(), started, strict=True)
    }
    items = dict.fromkeys(zip(group.tolist(), campaign.codes.tolist(), strict=True), 0)
    distinct = set(zip(group[full].tolist(), campaign.codes[full].tolist(), item[full].tolist(), strict=True))
    for place, code, _ in distinct:
        items[place, code] += 1
    chosen = np.zeros(int(group.max()) + 1 if len(group) else 0, dtype=np.int64)
    notes: dict[int, list[Reason]] = {}
    by_group: dict[int, list[int]] = {}
    for place, code in items:
        by_group.setdefault(place, []).append(code)
    for place, codes in by_group.items():
        codes.sort(key=lambda code: order[code], reverse=True)
        enough = [code for code in codes if items[place, code] >= min_items]
        some = [code for code in codes if items[place, code] > 0]
        chosen[place] = (enough or some or codes)[0]
        if chosen[place] != codes[0]:
            newer = campaign.labels[codes[0]]
            text = {"campaign": campaign.labels[chosen[place]], "newer": newer, "n": items[place, codes[0]]}
            notes[place] = [reason("earlier_campaign", **text)]
    return chosen, notes


def _row_notes(
    group: IntArray, here: BoolArray, fates: _Fates, effect_of: Callable[[str], str]
) -> dict[int, list[Reason]]:
    """Rows left out, failures, and flags that forbid a letter, by group."""
    left: dict[int, Counter[str]] = {}
    failed: dict[int, Counter[str]] = {}
    forbidden: dict[int, Counter[str]] = {}
    totals: dict[tuple[int, str], int] = Counter()
    interesting = here & (~fates.counted | np.array([bool(names) for names in fates.flags], dtype=bool))
    for row in np.flatnonzero(interesting).tolist():
        place, names = int(group[row]), fates.flags[row]
        if not fates.counted[row]:
            totals[place, "left"] += 1
            left.setdefault(place, Counter()).update([n for n in names if effect_of(n) == "left_out"] or ["no_answer"])
            continue
        if fates.failed[row]:
            totals[place, "failed"] += 1
            failed.setdefault(place, Counter()).update(n for n in names if effect_of(n) == "failure")
        forbidden.setdefault(place, Counter()).update(n for n in names if effect_of(n) == "unrated")
    notes: dict[int, list[Reason]] = {}
    for place, counts in forbidden.items():
        notes.setdefault(place, []).extend(reason("flagged", flag=flag, n=counts[flag]) for flag in sorted(counts))
    for place, counts in left.items():
        notes.setdefault(place, []).append(reason("left_out", n=totals[place, "left"], flags=_listed(counts)))
    for place, counts in failed.items():
        notes.setdefault(place, []).append(reason("failures", n=totals[place, "failed"], flags=_listed(counts)))
    return notes


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in sorted(counts))


def _measurements(
    columns: Mapping[str, Sequence[Any]],
    rows: IntArray,
    items: Coded,
    where: tuple[Coded, Coded],
    energy: FloatArray,
    quality: FloatArray,
) -> tuple[dict[str, Any], dict[tuple[str | None, ...], Group]]:
    """Arguments of :class:`Measurements` without its notes, and the group of every cohort, task and configuration."""
    cohort, task = where
    configuration = encoded(columns["configuration"])
    condition, conditions = combined(_conditions(columns))
    found, first = _first(configuration.codes), _first(items.codes)
    arrays: dict[str, Any] = {
        "configurations": tuple(_configuration(columns, found[code]) for code in range(len(configuration.labels))),
        "cohorts": cohort.labels,
        "tasks": task.labels,
        "items": items.labels,
        "bare_items": tuple(str(columns["item"][first[code]]) for code in range(len(items.labels))),
        "conditions": tuple(Condition(*key) for key in conditions),
        "configuration": configuration.codes[rows],
        "cohort": cohort.codes[rows],
        "task": task.codes[rows],
        "item": items.codes[rows],
        "condition": condition[rows],
        "repeat": np.array(columns["repeat"], dtype=np.int64)[rows],
        "energy_j": energy[rows],
        "quality": quality[rows],
        "duration_s": _numbers(columns["total_s"])[rows],
    }
    for name in ("cpu_energy_j", "gpu_energy_j"):
        parts = _numbers(columns[name])[rows]
        arrays[name] = parts if np.isfinite(parts).any() else None
    codes: dict[tuple[str | None, ...], Group] = {}
    triples = np.unique(np.stack([cohort.codes, task.codes, configuration.codes]), axis=1).T.tolist()
    for one, two, three in triples:
        codes[cohort.labels[one], task.labels[two], configuration.labels[three]] = Group(one, two, three)
    return arrays, codes


def _first(codes: IntArray) -> dict[int, int]:
    """First row of every code."""
    return {code: row for row, code in reversed(list(enumerate(codes.tolist())))}


def _conditions(columns: Mapping[str, Sequence[Any]]) -> list[Coded]:
    """Load, language, tier, scope, suite and checkpoint of every row; the suite is known once it is scored."""
    versions = zip(columns["scorer_version"], columns["max_output_tokens"], strict=True)
    suite = [None if scorer is None else f"scorer {scorer}, cap {cap}" for scorer, cap in versions]
    names = ("load", "language", "energy_tier", "energy_scope")
    return [*(encoded(columns[name]) for name in names), encoded(suite), encoded(columns["quality_checkpoint"])]


def _configuration(columns: Mapping[str, Sequence[Any]], row: int) -> Configuration:
    names = ("configuration", "model", "digest", "family", "quantization", "engine", "engine_version", "model_base")
    known: dict[str, Any] = {name: columns[name][row] for name in names}
    for name in ("parameter_count", "context_length"):
        value = columns[name][row]
        known[name] = None if value is None else int(value)
    temperature = columns["temperature"][row]
    known["temperature"] = None if temperature is None else float(temperature)
    return Configuration(**known, demo=bool(columns["demo"][row]))
