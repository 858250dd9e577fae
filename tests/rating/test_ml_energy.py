"""Grades across GPUs on the public ML.ENERGY v1 measurements; skipped where the files are not beside the repository."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from rating.classes import class_indices

FOLDER = Path(__file__).parents[2] / "../shared/data/ml-energy-v1"
GPUS, TASKS = ("A100", "A40", "V100"), ("chat", "chat-concise", "instruct", "instruct-concise")
BASKETS, SIZE = 100, 5


def _rows(name: str) -> dict[str, dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as lines:
        return {row["model"]: row for row in csv.DictReader(lines)}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the ML.ENERGY v1 files are not here")
def test_baskets_measured_per_gpu_make_grades_agree() -> None:
    files = {(gpu, task): _rows(f"{gpu}_{task}_benchmark.csv") for gpu in GPUS for task in TASKS}
    scores = _rows("score.csv")
    models = sorted(set.intersection(*(set(rows) for rows in files.values()), set(scores)))
    quality = np.array([np.mean([float(scores[m][k]) for k in ("arc", "hellaswag", "truthfulqa")]) for m in models])
    x = {place: np.array([float(rows[m]["energy"]) for m in models]) / quality for place, rows in files.items()}
    rng = np.random.default_rng(0)
    own: list[float] = []
    absolute: list[float] = []
    for _ in range(BASKETS):
        basket = rng.choice(len(models), SIZE, replace=False)
        others = np.setdiff1d(np.arange(len(models)), basket)
        for task in TASKS:
            logs = {gpu: np.log2(x[gpu, task]) for gpu in GPUS}
            for first, second in combinations(GPUS, 2):
                here = [class_indices((logs[gpu] - logs[gpu][basket].mean())[others]) for gpu in (first, second)]
                own.append(float(np.mean(here[0] == here[1])))
                reference = logs[GPUS[0]][basket].mean()
                there = [class_indices((logs[gpu] - reference)[others]) for gpu in (first, second)]
                absolute.append(float(np.mean(there[0] == there[1])))
    print(
        f"{len(models)} models: per-cohort baskets {np.mean(own):.3f}, one absolute reference {np.mean(absolute):.3f}"
    )
    assert np.mean(own) >= 0.8
    assert np.mean(absolute) <= 0.5
