"""``python -m rating grade``: the same rating on anyone's measurements."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rating.errors import BasketMissing, FileRefused, RatingError, SchemeError
from rating.files import read_measurements
from rating.model import Measurements, Rating
from rating.rate import rate
from rating.scheme import Scheme, default_scheme, scheme_from_json, with_basket

__all__ = ["grade_file", "scheme_of_basket", "scheme_of_file"]


def grade_file(path: Path, scheme: Scheme, *, draws: int, seed: int, min_items: int | None = None) -> list[Rating]:
    """Rates the answers in a file.

    Raises:
        FileRefused: the file is unreadable or wrong.
        BasketMissing: a basket model is nowhere in the file.
        RatingError: too few draws or items asked for.
    """
    if min_items is not None and min_items < 1:
        raise RatingError("--min-items must be at least 1", "--min-items 至少为 1")
    measurements = read_measurements(path)
    _check_baskets(path, measurements, scheme)
    return rate(measurements, scheme, draws=draws, seed=seed, min_items=min_items)


def scheme_of_basket(names: Sequence[str] | None) -> Scheme:
    """The default scheme with the named models as its basket, or with own baskets only; every task of a file weighs 1."""
    base = replace(default_scheme(), baskets=(), weights=())
    if names is None:
        return base
    if not any(name.strip() for name in names):
        raise RatingError("--basket names no model", "--basket 没有给出任何模型")
    return with_basket(base, names)


def scheme_of_file(path: Path) -> Scheme:
    """A scheme written as JSON or TOML.

    Raises:
        FileRefused: unreadable or wrong; the sentence names the file and the field.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        definition = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise FileRefused(
            f"{path.name} is not a readable scheme: {error}", f"{path.name} 不是可读的方案：{error}"
        ) from error
    if not isinstance(definition, dict) or "name" not in definition:
        raise FileRefused(f"{path.name}: a scheme needs a name", f"{path.name}：方案需要 name")
    try:
        return scheme_from_json(definition)
    except SchemeError as error:
        raise FileRefused(f"{path.name}: {error.en}", f"{path.name}：{error.zh}") from error


def _check_baskets(path: Path, measurements: Measurements, scheme: Scheme) -> None:
    """Some basket of the scheme must be complete in the file; from a single cohort or task models may be absent."""
    absent = [
        [m for m in basket.members if not any(m.matches(c) for c in measurements.configurations)]
        for basket in scheme.baskets
    ]
    if absent and all(absent):
        names = ", ".join(str(member) for member in min(absent, key=len))
        raise BasketMissing(
            f"{path.name} has no answers of the basket model {names}", f"{path.name} 中没有参照篮模型 {names} 的回答"
        )
