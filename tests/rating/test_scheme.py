"""Schemes: which measured configuration is which basket model, and definitions that are wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rating import Configuration, Member, SchemeError, default_scheme, scheme_from_json

EXPERIMENT = Path(__file__).parents[2] / "docs/experiments/gpu-8gb.toml"
REAL = next(basket for basket in default_scheme().baskets if basket.name == "ollama-8gb")


def measured(model: str, quantization: str | None) -> Configuration:
    return Configuration(f"{model}#1", model, quantization=quantization)


@pytest.mark.parametrize(
    ("model", "quantization", "found"),
    [
        ("mistral:7b-instruct-v0.3-q4_K_M", "Q4_K_M", True),
        ("mistral:7b", "Q4_K_M", True),
        ("mistral:7b", "q4_k_m", True),
        ("mistral:7b", "Q4_0", False),  # what the same tag served before
        ("mistral:7b", None, False),  # an alias alone does not say which file it was
        ("mistral:7b-instruct-v0.3-q4_K_M", None, False),
        ("mixtral:8x7b", "Q4_K_M", False),
    ],
)  # fmt: skip
def test_a_default_tag_counts_in_the_pinned_precision_only(model: str, quantization: str | None, found: bool) -> None:
    members = [str(member) for member in REAL.members if member.matches(measured(model, quantization))]
    assert members == (["mistral:7b-instruct-v0.3-q4_K_M"] if found else [])


def test_a_member_without_a_precision_takes_any_of_its_tag() -> None:
    assert Member("a").matches(measured("a", None))
    assert Member("a").matches(measured("a", "F16"))


def test_no_tag_belongs_to_two_members() -> None:
    tags = [tag for member in REAL.members for tag in (member.model, *member.aliases)]
    assert len(tags) == len(set(tags))


def test_the_experiment_for_8_gb_measures_the_basket() -> None:
    models = tomllib.loads(EXPERIMENT.read_text(encoding="utf-8"))["models"]
    assert {member.model for member in REAL.members} <= set(models)


def test_a_definition_reads_back_as_the_same_scheme() -> None:
    scheme = default_scheme()
    assert scheme_from_json(scheme.definition()) == scheme
    assert scheme_from_json(scheme.definition()).hash == scheme.hash


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ({"model": "a", "aliases": ["b"]}, "needs its quantization"),
        ({"model": "a", "quantization": "F16", "aliases": "b"}, "list of tags"),
    ],
)
def test_aliases_that_cannot_be_are_refused(member: dict[str, object], said: str) -> None:
    with pytest.raises(SchemeError, match=said):
        scheme_from_json({"name": "s", "baskets": [{"name": "b", "members": [member]}]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"functional_minimum": float("nan")},
        {"functional_minimum": 1.5},
        {"min_items": 0},
        {"min_successes": -1},
        {"weights": {"qa": float("inf")}},
        {"weights": {"qa": 0}},
        {"eei_bounds": [0.1, 0.2, 0.3, 0.4, float("nan"), 1]},
        {"eei_bounds": [0.1, 0.2, 0.3, 0.4, 0.5, float("inf")]},
        {"eei_bounds": [0, 0.2, 0.3, 0.4, 0.5, 0.6]},
        {"quality_bounds": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]},
        {"capped_at": "H"},
        {"rated_probability": 0},
        {"baskets": [{"name": "b", "members": []}]},
        {"letters": 7},
    ],
    ids=str,
)
def test_definitions_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SchemeError) as caught:
        scheme_from_json({"name": "s"} | wrong)
    assert next(iter(wrong)).split("_")[0] in caught.value.en
