"""How often the published uncertainty is right, on simulated cohorts whose truth is known.

Each cohort has a basket of three and four other configurations. Items have a hardness that moves energy and quality of
every configuration; half of the cohorts answer deterministically (repeats agree on quality), half do not. True x is
the ratio of expectations over items. Prints one JSON line: share of configurations whose 95 % grade range holds the true
grade (reference: the interval that resamples rows as if they were independent, the common mistake), and how often the
letter is right beside the probability that it claims. Run: ``python benchmarks/coverage.py [COHORTS]``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from rating import Basket, Condition, Configuration, Measurements, Member, Scheme, class_of, rate  # noqa: E402
from rating.classes import LETTERS, class_indices  # noqa: E402

BASKET, OTHERS, REPEATS, DRAWS, LEAST = 3, 4, 3, 1000, 500
NAMES = tuple(f"m{index}" for index in range(BASKET + OTHERS))
SCHEME = Scheme("sim", baskets=(Basket("b", tuple(Member(name) for name in NAMES[:BASKET])),), min_successes=0.0)


def cohort(seed: int) -> tuple[Measurements, np.ndarray]:
    """Measurements and the true EEI of every configuration."""
    rng = np.random.default_rng(seed)
    count, items = len(NAMES), int(rng.integers(30, 121))
    mean_energy = 2.0 ** rng.uniform(-2.5, 2.5, count)
    skill, slope = rng.uniform(-0.5, 1.5, count), rng.uniform(0.3, 1.0, count)
    shared, own, repeat = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.4), rng.uniform(0.02, 0.3)
    hardness = rng.normal(size=items)
    of_item = shared * hardness[:, None] + own * rng.normal(size=(count, items, 1))
    logs = of_item + repeat * rng.normal(size=(count, items, REPEATS))
    energy = mean_energy[:, None, None] * np.exp(logs - (shared**2 + own**2 + repeat**2) / 2)
    chance = norm.cdf(skill[:, None] - slope[:, None] * hardness)[:, :, None]
    luck = rng.random((count, items, 1 if seed % 2 else REPEATS))
    quality = np.broadcast_to(luck < chance, energy.shape).astype(float)
    x = mean_energy / norm.cdf(skill / np.sqrt(1 + slope**2))
    where = np.indices(energy.shape).reshape(3, -1)
    zeros = np.zeros(energy.size, dtype=np.int64)
    measurements = Measurements(
        configurations=tuple(Configuration(name, name) for name in NAMES),
        cohorts=("sim",),
        tasks=("qa",),
        items=tuple(f"i{index:03}" for index in range(items)),
        conditions=(Condition(tier="counter"),),
        configuration=where[0],
        cohort=zeros,
        task=zeros,
        item=where[1],
        condition=zeros,
        repeat=where[2],
        energy_j=energy.ravel(),
        quality=quality.ravel(),
    )
    return measurements, x / np.exp(np.log(x[:BASKET]).mean())


def rows_as_independent(measurements: Measurements, seed: int) -> list[tuple[float, float]]:
    """95 % intervals of log2 EEI when every row is resampled alone, per configuration."""
    rng = np.random.default_rng(seed)
    draws = []
    for index in range(len(NAMES)):
        rows = np.flatnonzero(measurements.configuration == index)
        drawn = rows[rng.integers(0, len(rows), size=(DRAWS, len(rows)))]
        with np.errstate(divide="ignore"):
            draws.append(np.log2(measurements.energy_j[drawn].sum(axis=1) / measurements.quality[drawn].sum(axis=1)))
    eei = np.array(draws) - np.mean(draws[:BASKET], axis=0)
    return [(float(low), float(high)) for low, high in np.nanquantile(eei, (0.025, 0.975), axis=1).T]


def share(found: list[bool] | list[float]) -> float:
    """Mean of truth values or probabilities."""
    return round(float(np.mean(found)), 4)


def main() -> None:
    """Simulates the cohorts and prints the line."""
    cohorts = int(sys.argv[1]) if len(sys.argv) > 1 else LEAST
    covers: dict[str, list[bool]] = {"range": [], "naive_range": [], "interval": [], "naive_interval": []}
    right: list[bool] = []
    rated_right: list[bool] = []
    claimed: list[float] = []
    for seed in range(cohorts):
        measurements, truth = cohort(seed)
        ratings = [rating for rating in rate(measurements, SCHEME, draws=DRAWS, seed=seed) if rating.task == "qa"]
        naive = rows_as_independent(measurements, seed)
        for rating, eei, (low, high) in zip(ratings, truth, naive, strict=True):
            if rating.grade is None or any(reason.code == "below_functional_minimum" for reason in rating.reasons):
                continue  # its letter is not that of its EEI
            grade, bounds = str(class_of(float(eei))), [LETTERS[index] for index in class_indices([low, high])]
            covers["range"].append(str(rating.grade_low) <= grade <= str(rating.grade_high))
            covers["naive_range"].append(bounds[0] <= grade <= bounds[1])
            covers["interval"].append((rating.eei_low or 0.0) <= eei <= (rating.eei_high or np.inf))
            covers["naive_interval"].append(low <= np.log2(eei) <= high)
            right.append(rating.grade == grade)
            claimed.append(rating.grade_probability or 0.0)
            if rating.status == "rated":
                rated_right.append(rating.grade == grade)
    result = {
        "benchmark": "coverage",
        "cohorts": cohorts,
        "configurations": len(right),
        "grade_range_covers": share(covers["range"]),
        "grade_range_covers_rows_as_independent": share(covers["naive_range"]),
        "eei_interval_covers": share(covers["interval"]),
        "eei_interval_covers_rows_as_independent": share(covers["naive_interval"]),
        "letter_right": share(right),
        "probability_claimed": share(claimed),
        "rated": len(rated_right),
        "rated_right": share(rated_right),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
