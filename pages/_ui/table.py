"""Rating rows made ready to be shown: names, notes and reasons in words. Pure but for the language."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from pages._ui import badge, i18n
from pages._ui.i18n import chance, code_text, interval, joined, t
from rating import current

__all__ = [
    "SIZES", "certainty", "default_task", "grade_range", "labels", "leaderboard", "note_options", "notes", "reasons", "schemes",
    "shared_reasons", "shown", "size_class", "standing", "too_few",
]  # fmt: skip

SIZES = ("under_1b", "1b_to_4b", "4b_to_10b", "from_10b")
"""Classes of the number of parameters; each begins at its lower end."""
_ENDS = (1e9, 4e9, 10e9)
_FEW = ("too_few_items", "too_few_successes", "no_common_items")


def labels(frame: pd.DataFrame) -> dict[str, str]:
    """A short name for each ``configuration``: its ``model`` where that is unique among them, else its identifier."""
    models = frame[["configuration", "model"]].drop_duplicates("configuration").set_index("configuration")["model"]
    models = models.fillna(pd.Series(models.index, index=models.index))
    seen = models.value_counts()
    return {str(c): str(model) if seen[model] == 1 else str(c) for c, model in models.items()}


def default_task(ratings: pd.DataFrame, tasks: Sequence[str]) -> str:
    """The first of ``tasks`` where somebody has a letter, else the one with most rows that have an index or quality."""
    for task in tasks:
        if ratings.loc[ratings["task"] == task, "grade"].notna().any():
            return task
    known = ratings.groupby("task")["quality"].count()
    return max(tasks, key=lambda task: int(known.get(task, 0)))


def shared_reasons(rows: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Every reason once, with the labels of the rows that have it; those of most rows first."""
    found: dict[str, list[str]] = {}
    for label, value in zip(rows["label"], rows["reasons"], strict=True):
        for words in reasons(value):
            found.setdefault(words, []).append(label)
    return sorted(found.items(), key=lambda entry: -len(entry[1]))


def reasons(value: object) -> list[str]:
    """The reasons of a rating row in the reader's language (English where it was stored in English only)."""
    entries = json.loads(value) if isinstance(value, str) else []
    key = "text_zh" if i18n.language() == "zh" else "text"
    return [str(entry.get(key) or entry["text"]) for entry in entries]


def size_class(parameter_count: object) -> str | None:
    """The class of :data:`SIZES`; None where the number of parameters is not known."""
    if parameter_count is None or pd.isna(parameter_count):
        return None
    return SIZES[sum(float(parameter_count) >= end for end in _ENDS)]  # type: ignore[arg-type]


def too_few(value: object) -> bool:
    """Whether a rating row's reasons say that too few items stand behind its figures."""
    entries = json.loads(value) if isinstance(value, str) else []
    return any(entry["code"] in _FEW for entry in entries)


def grade_range(low: object, high: object) -> str:
    """``C–D``, or one letter where both ends are the same."""
    if not isinstance(low, str) or not isinstance(high, str):
        return i18n.MISSING
    return low if low == high else f"{low}–{high}"


def notes(demo: object, tier: object, *, few: bool = False) -> list[str]:
    """Labels that must stand beside a figure: a demonstration model, an estimated energy, too few items."""
    found = [t("label.demo")] if demo is True or demo == True else []  # noqa: E712 (a numpy bool)
    found += [t("label.estimated")] if "estimated" in str(tier) else []
    return found + ([t("label.too_few")] if few else [])


def note_options() -> list[str]:
    """Every label that :func:`notes` may give."""
    return [t("label.demo"), t("label.estimated"), t("label.too_few")]


def schemes(ratings: pd.DataFrame) -> list[str]:
    """The schemes of ratings, those that give letters first, then by the time of the newest rating."""
    found = ratings.groupby("scheme").agg(letters=("grade", "count"), newest=("rated_at", "max")).reset_index()
    found["lettered"] = found["letters"] > 0
    return list(found.sort_values(["lettered", "newest", "scheme"], ascending=[False, False, True])["scheme"])


def standing(ratings: pd.DataFrame) -> pd.DataFrame:
    """The rows of the rating table as it stands (:func:`rating.current`), as the command prints it."""
    rows = current(ratings[["cohort", "scheme"]].assign(at=range(len(ratings))).to_dict("records"))
    return ratings.iloc[[row["at"] for row in rows]]


def in_force(ratings: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """The ratings of a cohort under its first scheme (:func:`schemes`); none where it has none."""
    mine = ratings[ratings["cohort"] == cohort]
    return mine[mine["scheme"].isin(schemes(mine)[:1])]


def with_interval(row: pd.Series, name: str, unit: str = "") -> str:
    """A figure with its 95 % interval in brackets."""
    if pd.isna(row[name]):
        return i18n.MISSING
    value = i18n.quantity(row[name], unit) if unit else i18n.number(row[name])
    spread = interval(row[f"{name}_low"], row[f"{name}_high"])
    return value if spread == i18n.MISSING else f"{value} ({spread})"


def leaderboard(ratings: pd.DataFrame, figures: pd.DataFrame) -> pd.DataFrame:
    """Ratings of one task with the speed and the labels of their runs; letters first, the unrated last.

    Both frames hold one cohort and one task; a configuration without a rating row comes last with status ``none``.
    """
    columns = ["cohort", "configuration", "task", "demo", "energy_tier", "answers", "decode_tokens_per_s", "ttft_s"]
    speeds = figures[[*columns, "model"]].rename(columns={"model": "model_of_runs"})
    rows = ratings.merge(speeds, on=["cohort", "configuration", "task"], how="outer")
    rows["status"] = rows["status"].fillna("none")
    rows["model"] = rows["model"].fillna(rows["model_of_runs"])
    rows["label"] = rows["configuration"].map(labels(rows))
    rows["unlettered"] = rows["grade"].isna()
    return (
        rows.sort_values(["unlettered", "eei", "configuration"], na_position="last")
        .drop(columns="unlettered")
        .reset_index(drop=True)
    )


def certainty(row: pd.Series) -> str:
    """Probability of the letter, and the 95 % range where it spans several letters."""
    if not isinstance(row["grade"], str):
        return i18n.MISSING
    spans = row["grade_low"] != row["grade_high"]
    return joined(
        [chance(row["grade_probability"]), grade_range(row["grade_low"], row["grade_high"]) if spans else ""]
    )


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard as a reader sees it."""
    provisional = rows["status"] == "provisional"
    grade = rows["grade"].where(rows["grade"].notna(), None)
    low, high = rows["joules_per_success_low"], rows["joules_per_success_high"]
    few = rows["reasons"].map(too_few)
    return pd.DataFrame(
        {
            "badge": [
                badge.data_uri(badge.grade_svg(g, provisional=p)) for g, p in zip(grade, provisional, strict=True)
            ],
            "label": rows["label"],
            "certainty": [certainty(row) for _, row in rows.iterrows()],
            "joules": rows["joules_per_success"].map(_three),
            "joules_interval": [interval(a, b) for a, b in zip(low, high, strict=True)],
            "quality_badge": [
                badge.data_uri(badge.quality_svg(q if isinstance(q, str) else None, too_few=f))
                for q, f in zip(rows["quality_class"], few, strict=True)
            ],
            "quality": rows["quality"].round(3),
            "speed": rows["decode_tokens_per_s"].map(_three),
            "ttft": rows["ttft_s"].map(_three),
            "status": [code_text("status", s) for s in rows["status"]],
            "notes": [notes(d, e, few=f) for d, e, f in zip(rows["demo"], rows["energy_tier"], few, strict=True)],
            "eqr": rows["eqr_per_kj"].map(_three),
            "items": rows["n_items"].astype("Int64"),
            "why": [" ".join(reasons(r)) for r in rows["reasons"]],
        }
    )


def _three(value: float) -> float:
    """Rounded to three significant digits, so that a table shows no digits that mean nothing."""
    return float(f"{value:.3g}")
