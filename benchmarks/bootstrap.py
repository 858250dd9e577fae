"""Bootstrap of 50 configurations x 120 items x 5 repeats x 2,000 draws, beside the same in a plain Python loop.

The loop's time grows with the number of draws alone, so it runs some draws and is scaled to 2,000 (``loop_draws``).
Prints one JSON line. Run: ``python benchmarks/bootstrap.py``.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from rating import Basket, Condition, Configuration, Measurements, Member, Rating, Scheme, rate  # noqa: E402

CONFIGURATIONS, ITEMS, REPEATS, DRAWS, BASKET = 50, 120, 5, 2000, 5
LOOP_DRAWS = 20

Answers = list[list[list[tuple[float, float]]]]


def measured() -> tuple[Measurements, Scheme]:
    """Configurations whose mean energy doubles every ten, with noise of items and repeats."""
    rng = np.random.default_rng(0)
    count = CONFIGURATIONS * ITEMS * REPEATS
    configuration = np.repeat(np.arange(CONFIGURATIONS), ITEMS * REPEATS)
    item = np.tile(np.repeat(np.arange(ITEMS), REPEATS), CONFIGURATIONS)
    hardness = rng.normal(size=ITEMS)[item]
    zeros = np.zeros(count, dtype=np.int64)
    names = tuple(f"m{index:02}" for index in range(CONFIGURATIONS))
    measurements = Measurements(
        configurations=tuple(Configuration(name, name) for name in names),
        cohorts=("bench",),
        tasks=("qa",),
        items=tuple(f"i{index:03}" for index in range(ITEMS)),
        conditions=(Condition(tier="counter"),),
        configuration=configuration,
        cohort=zeros,
        task=zeros,
        item=item,
        condition=zeros,
        repeat=np.tile(np.arange(REPEATS), CONFIGURATIONS * ITEMS),
        energy_j=2.0 ** (configuration / 10) * np.exp(0.4 * hardness + 0.2 * rng.normal(size=count)),
        quality=np.clip(0.6 - 0.2 * hardness + 0.1 * rng.normal(size=count), 0, 1),
    )
    return measurements, Scheme("bench", baskets=(Basket("b", tuple(Member(n) for n in names[:BASKET])),))


def loop(answers: Answers, draws: int) -> list[list[float]]:
    """EEI of every draw and configuration, the way a script would do it: items, then repeats within each."""
    rng = random.Random(0)
    found = []
    for _ in range(draws):
        drawn = [rng.randrange(ITEMS) for _ in range(ITEMS)]
        x = []
        for of_items in answers:
            energy = quality = 0.0
            for item in drawn:
                repeats = of_items[item]
                for _ in repeats:
                    joules, success = repeats[int(rng.random() * len(repeats))]
                    energy += joules / len(repeats)
                    quality += success / len(repeats)
            x.append(energy / quality)
        reference = math.exp(sum(map(math.log, x[:BASKET])) / BASKET)
        found.append([value / reference for value in x])
    return found


def spread(ratings: list[Rating]) -> float:
    """Mean width of the EEI interval in log2, configurations outside the basket."""
    return float(np.mean([math.log2((r.eei_high or 1) / (r.eei_low or 1)) for r in ratings[BASKET:]]))


def main() -> None:
    """Runs both and prints the line."""
    measurements, scheme = measured()
    rate(measurements, scheme, draws=100)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        ratings = [rating for rating in rate(measurements, scheme, draws=DRAWS) if rating.task == "qa"]
        seconds.append(time.perf_counter() - start)
    shape = (CONFIGURATIONS, ITEMS, REPEATS)
    pairs = np.stack([measurements.energy_j.reshape(shape), measurements.quality.reshape(shape)], axis=-1)
    answers: Answers = [[[(float(e), float(q)) for e, q in item] for item in one] for one in pairs.tolist()]
    start = time.perf_counter()
    loop(answers, LOOP_DRAWS)
    loop_s = (time.perf_counter() - start) * DRAWS / LOOP_DRAWS
    widths = loop(answers, 300)
    ends = np.quantile(np.log2(np.array(widths)[:, BASKET:]), (0.025, 0.975), axis=0)
    result = {
        "benchmark": "bootstrap",
        "configurations": CONFIGURATIONS,
        "items": ITEMS,
        "repeats": REPEATS,
        "draws": DRAWS,
        "ours_s": round(min(seconds), 3),
        "loop_s": round(loop_s, 1),
        "loop_draws": LOOP_DRAWS,
        "times_faster": round(loop_s / min(seconds), 1),
        "ours_interval_log2": round(spread(ratings), 4),
        "loop_interval_log2": round(float(np.mean(ends[1] - ends[0])), 4),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
