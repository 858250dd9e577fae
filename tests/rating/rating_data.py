"""Measurements for tests: known truths, any shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rating import Basket, Condition, Configuration, Measurements, Member, Scheme

BASKET = ("base-1", "base-2", "base-4")
Answer = tuple[str, str, int, float, float]  # model, item, repeat, energy_j, quality


def scheme(models: Sequence[str] = BASKET, **changes: object) -> Scheme:
    basket = Basket("test", tuple(Member(model) for model in models))
    return Scheme("test", **({"baskets": (basket,), "own_baskets": False} | changes))  # type: ignore[arg-type]


def measurements(
    answers: Sequence[Answer],
    *,
    task: str = "qa",
    cohort: str | None = "here",
    conditions: Mapping[str, Condition] | None = None,
    columns: Mapping[str, Sequence[float]] | None = None,
) -> Measurements:
    models = list(dict.fromkeys(answer[0] for answer in answers))
    items = list(dict.fromkeys(answer[1] for answer in answers))
    by_model = {model: (conditions or {}).get(model, Condition(tier="counter", scope="gpu")) for model in models}
    kinds = list(dict.fromkeys(by_model.values()))
    zeros = np.zeros(len(answers), dtype=np.int64)
    extra = {name: np.array(values, dtype=float) for name, values in (columns or {}).items()}
    return Measurements(
        configurations=tuple(Configuration(model, model) for model in models),
        cohorts=(cohort,),
        tasks=(task,),
        items=tuple(items),
        conditions=tuple(kinds),
        configuration=np.array([models.index(answer[0]) for answer in answers], dtype=np.int64),
        cohort=zeros,
        task=zeros,
        item=np.array([items.index(answer[1]) for answer in answers], dtype=np.int64),
        condition=np.array([kinds.index(by_model[answer[0]]) for answer in answers], dtype=np.int64),
        repeat=np.array([answer[2] for answer in answers], dtype=np.int64),
        energy_j=np.array([answer[3] for answer in answers], dtype=float),
        quality=np.array([answer[4] for answer in answers], dtype=float),
        **extra,
    )


def steady(energy: Mapping[str, float], quality: Mapping[str, float] | None = None, items: int = 40) -> list[Answer]:
    """Every model with the same energy and quality in every item, two repeats."""
    return [
        (model, f"i{item:03}", repeat, joules, (quality or {}).get(model, 1.0))
        for model, joules in energy.items()
        for item in range(items)
        for repeat in range(2)
    ]


def noisy(seed: int, models: Mapping[str, float], items: int = 32, repeats: int = 3) -> list[Answer]:
    """Energies around the models' means with item, model and repeat noise; qualities around 0.6."""
    rng = np.random.default_rng(seed)
    hardness = rng.normal(size=items)
    answers = []
    for model, joules in models.items():
        own = np.random.default_rng([seed, *model.encode()])  # not dependent on the other models
        for item in range(items):
            for repeat in range(repeats):
                energy = joules * float(np.exp(0.4 * hardness[item] + 0.3 * own.normal()))
                quality = float(np.clip(0.6 - 0.15 * hardness[item] + 0.15 * own.normal(), 0, 1))
                answers.append((model, f"i{item:03}", repeat, energy, quality))
    return answers
