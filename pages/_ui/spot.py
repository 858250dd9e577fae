"""The spot check without its widgets: the sample, whose turn it is, and how far people and metrics agree."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd

from pages._ui.spot_queries import DIMENSIONS, JOINT
from rating.agreement import Estimate, alpha, tau
from rating.spotcheck import Candidate, Pick, choose, disagreement, order_for

__all__ = ["PAIRS", "SAMPLE_SIZE", "Turn", "between_people", "next_turn", "people_and_metrics", "sample_of"]

SAMPLE_SIZE = 96
"""Answers of a campaign that people are asked to rate: a share of them is then known within 10 points (95 %)."""

PAIRS = (
    ("factuality", "factuality"), ("factuality", "floor_factuality"), ("relevance", "relevance"),
    ("relevance", "floor_relevance"), ("fluency", "fluency"), ("mean", "quality"),
)  # fmt: skip
"""What people said, and the metric that should say the same."""


class Turn(NamedTuple):
    """The answer that a rater sees next, the pass, and how many of how many are done."""

    pick: Pick | None
    turn: int
    done: int
    total: int


def sample_of(candidates: pd.DataFrame, campaign: str, size: int = SAMPLE_SIZE) -> list[Pick]:
    """The sample of a campaign (``spot_queries.candidates``), the same for everybody: over models, tasks and loads as far as it goes."""
    strata = candidates["stratum"].astype(str)
    # half of a stratum is drawn at random: one that gets a single answer would have nothing drawn for disagreement
    while 2 * strata.nunique() > size and strata.str.contains(JOINT, regex=False).any():
        strata = strata.str.rpartition(JOINT)[0]
    spread = disagreement(candidates[["factuality", "relevance", "floor"]].to_numpy(dtype=float)) if len(candidates) else []
    return choose(
        [
            Candidate(str(key), str(stratum), None if np.isnan(apart) else float(apart))
            for key, stratum, apart in zip(candidates["run_id"], strata, spread, strict=True)
        ],
        size,
        campaign,
    )


def next_turn(picks: list[Pick], ratings: pd.DataFrame, rater: str, skipped: Collection[tuple[str, int]]) -> Turn:
    """Whose turn it is for ``rater``; what was skipped comes when everything else is done."""
    mine = ratings[(ratings["rater"] == rater) & ratings["run_id"].notna()]
    done = {(str(key), int(turn)) for key, turn in zip(mine["run_id"], mine["pass"], strict=True)}
    order = order_for(picks, rater)
    open_ones = [(pick, turn) for pick, turn in order if (pick.key, turn) not in done]
    later = [entry for entry in open_ones if (entry[0].key, entry[1]) in skipped]
    chosen = next((entry for entry in open_ones if entry not in later), later[0] if later else None)
    pick, turn = chosen or (None, 1)
    return Turn(pick, turn, len(order) - len(open_ones), len(order))


def between_people(ratings: pd.DataFrame) -> dict[str, Estimate]:
    """Krippendorff's alpha of each dimension; every pass of every rater is a coder of its own."""
    found = {}
    for name in (*DIMENSIONS, "diversity"):
        unit = "group_key" if name == "diversity" else "run_id"
        known = ratings.dropna(subset=[name, unit])
        table = known.pivot_table(index=["rater", "pass"], columns=unit, values=name, aggfunc="last")
        found[name] = alpha(table.to_numpy(dtype=float)) if len(table) else alpha(np.empty((0, 0)))
    return found


def people_and_metrics(ratings: pd.DataFrame, metrics: pd.DataFrame) -> dict[tuple[str, str], Estimate]:
    """Kendall's tau-b between people's mean rating of an answer and a metric of it, for every pair of :data:`PAIRS`."""
    known = ratings.dropna(subset=["run_id"])
    people = known.groupby("run_id")[list(DIMENSIONS)].mean()
    people["mean"] = people.mean(axis=1)
    both = people.join(metrics.set_index("run_id").add_prefix("metric_"))
    return {
        (said, metric): tau(both[said].astype(float).tolist(), both[f"metric_{metric}"].astype(float).tolist())
        for said, metric in PAIRS
    }
