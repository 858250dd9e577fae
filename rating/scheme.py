"""The versioned scheme: classes, thresholds, task weights and reference baskets, with its hash.

A scheme never changes under its name: another basket, weight or threshold is another scheme.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from rating.classes import EEI_BOUNDS, QUALITY_BOUNDS
from rating.errors import SchemeError
from rating.model import Configuration

__all__ = [
    "Basket",
    "Member",
    "OVERALL",
    "OWN_MARK",
    "OWN_MINIMUM",
    "Scheme",
    "default_scheme",
    "own_name",
    "scheme_from_json",
    "with_basket",
]

OVERALL: Final = "overall"
OWN_MARK: Final = "+own-"
OWN_MINIMUM: Final = 3
"""Fewest configurations that can be a basket of their own."""


@dataclass(frozen=True, slots=True)
class Member:
    """A basket model: its tag, its precision (None accepts any), and in an own basket the very configuration.

    ``aliases`` are other tags that count where the stored precision is the member's: a default tag such as
    ``llama3.2:3b`` serves the pinned file until its publisher moves it to another precision.
    """

    model: str
    quantization: str | None = None
    configuration: str | None = None
    aliases: tuple[str, ...] = ()

    def matches(self, configuration: Configuration) -> bool:
        """Whether ``configuration`` is this model in this precision (case of the precision does not matter)."""
        if self.configuration is not None:
            return configuration.configuration == self.configuration
        have = configuration.quantization
        same = have is not None and self.quantization is not None and have.lower() == self.quantization.lower()
        if configuration.model == self.model:
            return self.quantization is None or same
        return configuration.model in self.aliases and same

    def __str__(self) -> str:
        return self.model


@dataclass(frozen=True, slots=True)
class Basket:
    """A frozen set of reference models. ``cohort`` is set for an own basket, which serves that cohort alone."""

    name: str
    members: tuple[Member, ...]
    cohort: str | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Scheme:
    """Everything that turns figures into letters.

    Attributes:
        weights: task to weight of the overall letter; empty means every task of the data, equally.
        min_items: fewest items behind a letter; ``min_successes`` fewest success-equivalents.
        rated_probability: probability of the letter from which on it is ``rated``.
        functional_minimum: share of the basket's median quality below which the letter is at best ``capped_at``.
        own_baskets: whether a cohort without any measured basket may be its own reference.
    """

    name: str
    baskets: tuple[Basket, ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    eei_bounds: tuple[float, ...] = EEI_BOUNDS
    quality_bounds: tuple[float, ...] = QUALITY_BOUNDS
    min_items: int = 30
    min_successes: float = 10.0
    rated_probability: float = 0.9
    functional_minimum: float = 0.5
    capped_at: str = "E"
    own_baskets: bool = True

    def definition(self) -> dict[str, Any]:
        """The scheme as plain JSON values; :func:`scheme_from_json` reads it back."""
        return asdict(self) | {"weights": dict(self.weights)}

    @property
    def hash(self) -> str:
        """sha256 of the definition, hex."""
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()

    def with_own(self, basket: Basket) -> Scheme:
        """This scheme with an own basket alone, under the basket's name."""
        return replace(self, name=basket.name, baskets=(basket,), own_baskets=False)


def own_name(scheme: str, cohort: str | None) -> str:
    """Name of the own-basket scheme of a cohort, e.g. ``v1+own-1f0c93ab``."""
    return f"{scheme}{OWN_MARK}{hashlib.sha256((cohort or '').encode()).hexdigest()[:8]}"


def with_basket(scheme: Scheme, models: Iterable[str]) -> Scheme:
    """The scheme with ``models`` as its only basket, under a name of its own: another basket is another scheme."""
    members = tuple(sorted({name.strip() for name in models if name.strip()}))
    mark = hashlib.sha256("\n".join(members).encode()).hexdigest()[:8]
    basket = Basket(f"basket-{mark}", tuple(Member(name) for name in members))
    return replace(scheme, name=f"{scheme.name}+basket-{mark}", baskets=(basket,), own_baskets=False)


_OLLAMA: Final = Basket(
    "ollama-8gb",
    (
        Member("llama3.2:1b-instruct-q8_0", "Q8_0", aliases=("llama3.2:1b",)),
        Member("gemma2:2b-instruct-q4_0", "Q4_0", aliases=("gemma2:2b",)),
        Member("llama3.2:3b-instruct-q4_K_M", "Q4_K_M", aliases=("llama3.2:3b", "llama3.2:latest", "llama3.2")),
        Member("phi3:3.8b-mini-4k-instruct-q4_0", "Q4_0", aliases=("phi3:3.8b", "phi3:mini", "phi3:latest", "phi3")),
        Member("mistral:7b-instruct-v0.3-q4_K_M", "Q4_K_M", aliases=("mistral:7b", "mistral:latest", "mistral")),
    ),
)
"""Each in the precision that its default tag serves, so that whoever measures default tags has measured the basket."""
_POCKET: Final = Basket(
    "pocket", (Member("pocket-s:f16", "F16"), Member("pocket-m:f16", "F16"), Member("pocket-l:f16", "F16"))
)


def default_scheme() -> Scheme:
    """Scheme ``v1``: the four tasks with equal weight, a basket of common Ollama models and one of pocket models."""
    weights = tuple((task, 1.0) for task in ("code", "creative", "qa", "summary"))
    return Scheme("v1", baskets=(_OLLAMA, _POCKET), weights=weights)


def scheme_from_json(definition: Mapping[str, Any]) -> Scheme:
    """A scheme out of its definition; fields left out keep their defaults.

    Raises:
        SchemeError: a field is unknown or of the wrong kind; the sentence names it.
    """
    known = set(Scheme.__dataclass_fields__)
    unknown = sorted(set(definition) - known)
    if unknown:
        raise SchemeError(
            f"the scheme has the unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}",
            f"方案中有未知字段 {unknown[0]!r}；可用字段：{'、'.join(sorted(known))}",
        )
    try:
        return _checked(Scheme(**{name: _CONVERT[name](value) for name, value in definition.items()}))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SchemeError(f"the scheme is wrong: {error}", f"方案有误：{error}") from error


def _checked(scheme: Scheme) -> Scheme:
    if not scheme.name:
        raise ValueError("name is empty")
    for name, bounds, falling in (("eei_bounds", scheme.eei_bounds, 1), ("quality_bounds", scheme.quality_bounds, -1)):
        if len(bounds) != 6 or not all((b - a) * falling > 0 for a, b in zip(bounds, bounds[1:], strict=False)):
            raise ValueError(f"{name} must be 6 strictly {'rising' if falling > 0 else 'falling'} numbers")
    if not (scheme.eei_bounds[0] > 0 and math.isfinite(scheme.eei_bounds[-1])):
        raise ValueError("eei_bounds must be above 0 and finite")
    if not all(0 < weight < math.inf for _, weight in scheme.weights):
        raise ValueError("weights must be above 0 and finite")
    if scheme.min_items < 1 or not 0 <= scheme.min_successes < math.inf:
        raise ValueError("min_items must be at least 1 and min_successes 0 or more")
    if not 0 <= scheme.functional_minimum <= 1:
        raise ValueError("functional_minimum must lie in 0 to 1")
    if scheme.capped_at not in "ABCDEFG" or len(scheme.capped_at) != 1:
        raise ValueError("capped_at must be a letter from A to G")
    if not 0 < scheme.rated_probability <= 1:
        raise ValueError("rated_probability must lie in (0, 1]")
    if any(not basket.members for basket in scheme.baskets):
        raise ValueError("baskets must have members")
    return scheme


def _baskets(value: Any) -> tuple[Basket, ...]:
    return tuple(Basket(**(dict(entry) | {"members": _members(entry["members"])})) for entry in value)


def _members(value: Any) -> tuple[Member, ...]:
    return tuple(Member(entry) if isinstance(entry, str) else _member(entry) for entry in value)


def _member(entry: Mapping[str, Any]) -> Member:
    aliases = entry.get("aliases", ())
    if isinstance(aliases, str):
        raise ValueError("aliases must be a list of tags")
    member = Member(**(dict(entry) | {"aliases": tuple(map(str, aliases))}))
    if member.aliases and member.quantization is None:
        raise ValueError(f"{member.model} has aliases and so needs its quantization")
    return member


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(float(entry) for entry in value)


_CONVERT: Final[dict[str, Any]] = {
    "name": str,
    "baskets": _baskets,
    "weights": lambda value: tuple(sorted((str(task), float(weight)) for task, weight in value.items())),
    "eei_bounds": _floats,
    "quality_bounds": _floats,
    "min_items": int,
    "min_successes": float,
    "rated_probability": float,
    "functional_minimum": float,
    "capped_at": str,
    "own_baskets": bool,
}
