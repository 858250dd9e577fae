"""docs/method.md says what the code does: the letter worked out by hand, bounds, baskets, reason codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rating import EEI_BOUNDS, FACTORS, QUALITY_BOUNDS, RESCALE_SHARE, Rating, default_scheme, rate
from rating.reasons import UNRATED
from tests.rating.rating_data import Answer, measurements, scheme

TEXT = (Path(__file__).parents[2] / "docs/method.md").read_text(encoding="utf-8")
EASY, HARD = 20, 10


def worked() -> dict[str, list[float]]:
    """Rows of the worked example: E easy, q easy, E hard, q hard, sum E, sum q, x."""
    part = TEXT[TEXT.index("<!-- worked example") :]
    rows = re.findall(r"^\| ((?:basket|candidate)\S*) \|(.+)\|$", part, flags=re.MULTILINE)
    return {name: [float(cell) for cell in cells.split("|")] for name, cells in rows}


@pytest.fixture(scope="module")
def rated() -> dict[str, Rating]:
    answers: list[Answer] = []
    for name, (easy_j, easy_q, hard_j, hard_q, *_) in worked().items():
        # Two repeats around the mean, to show that repeats are averaged first.
        answers += [(name, f"easy-{i:02}", r, easy_j, easy_q) for i in range(EASY) for r in range(2)]
        answers += [(name, f"hard-{i:02}", r, hard_j, hard_q) for i in range(HARD) for r in range(2)]
    baskets = [name for name in worked() if name.startswith("basket")]
    return {r.configuration.configuration: r for r in rate(measurements(answers), scheme(baskets)) if r.task == "qa"}


def test_every_row_of_the_worked_example_adds_up(rated: dict[str, Rating]) -> None:
    assert len(worked()) == 4
    for name, (easy_j, easy_q, hard_j, hard_q, energy, quality, x) in worked().items():
        assert energy == pytest.approx(EASY * easy_j + HARD * hard_j)
        assert quality == pytest.approx(EASY * easy_q + HARD * hard_q)
        assert x == pytest.approx(energy / quality)
        assert rated[name].joules_per_success == pytest.approx(x)


def test_the_letter_worked_out_by_hand(rated: dict[str, Rating]) -> None:
    found = rated["candidate"]
    eei = float(re.search(r"EEI = 4 / 13\.925 = ([\d.]+)", TEXT)[1])  # type: ignore[index]
    assert found.eei == pytest.approx(eei, abs=5e-5)
    assert found.eqr_per_kj == pytest.approx(250)
    assert (found.grade, found.quality_class, found.status) == ("C", "B", "provisional")
    probability = float(re.search(r"C with a probability of ([\d.]+)", TEXT)[1])  # type: ignore[index]
    assert found.grade_probability == pytest.approx(probability, abs=0.03)
    assert (found.grade_low, found.grade_high) == ("B", "C")


def test_the_tables_of_classes_are_the_codes() -> None:
    rows = re.findall(r"^\| EEI \|(.+)\|$", TEXT, flags=re.MULTILINE)
    assert len(rows) == 2
    for row in rows:
        bounds = [eval(cell.strip(" <≥")) for cell in row.split("|")]  # noqa: S307 - 1/8 of our own document
        assert bounds == [*EEI_BOUNDS, EEI_BOUNDS[-1]]
    for row in re.findall(r"^\| (?:quality class, Q|质量等级 Q) \|(.+)\|$", TEXT, flags=re.MULTILINE):
        assert [float(cell.strip(" ≥")) for cell in row.split("|")[:-1]] == list(QUALITY_BOUNDS)


def test_every_basket_model_is_named() -> None:
    for basket in default_scheme().baskets:
        assert f"`{basket.name}`" in TEXT
        assert all(f"`{tag}`" in TEXT for member in basket.members for tag in (member.model, *member.aliases))


def test_every_validity_failure_is_named() -> None:
    elsewhere = {  # said in the table of statuses and under baskets
        "no_basket", "basket_missing", "basket_invalid", "no_common_items", "too_few_items", "too_few_successes",
        "task_missing", "task_unrated",
    }  # fmt: skip
    for code in UNRATED - elsewhere:
        assert f"`{code}`" in TEXT


def test_every_effect_and_the_advice_are_explained_in_both_languages() -> None:
    english, chinese = TEXT.split('<a id="中文"></a>')
    for words in (("quantization", "context", "temperature", "task", "load", "language"),
                  ("量化", "上下文", "温度", "任务", "负载", "语言")):  # fmt: skip
        assert len(words) == len(FACTORS)
        part = english if words[0].isascii() else chinese
        table = part[part.index("| effect |" if words[0].isascii() else "| 效应 |") :].split("\n\n")[0]
        assert all(word in table for word in words)
    for formula in (
        "X = exp(Σ w_t · ln x_t)",
        "n* = 3600 · P · h / L",
        "E̅₂ / E̅₁",
        "x₂ / x₁",
        f"{RESCALE_SHARE:.0%}"[:2],
    ):
        assert formula in english
        assert formula in chinese
