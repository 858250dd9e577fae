"""The page about one model and its label card."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from db import Store
from pages._ui import i18n, label, model_queries
from tests.fakes.sample_store import GPU_COHORT, HOSTILE, configuration_id
from tests.pages.conftest import Open, everything

GEMMA = configuration_id("gemma2:9b-instruct-q4_K_M")


def card(**changed: object) -> label.Card:
    plain = {
        "title": "GenAI energy rating", "foot": "No EU label.", "energy": "Energy", "quality": "Quality", "model": "m",
        "what": "Q4_K_M", "grade": "B", "grade_low": "B", "grade_high": "C", "certainty": ["96% sure of B"],
        "quality_class": None, "figures": {"J per success": "134 J"}, "conditions": {"Task": "Knowledge QA"}, "notes": [],
    }  # fmt: skip
    return label.Card(**(plain | changed))  # type: ignore[arg-type]


@given(some.text(min_size=1, max_size=300), some.sampled_from([None, *"ABCDEFG"]))
def test_any_name_gives_well_formed_svg_that_shows_it_as_text(name: str, grade: str | None) -> None:
    printable = "".join(c for c in name if c.isprintable())
    root = ET.fromstring(label.card_svg(card(model=printable or "m", grade=grade, notes=[printable])))
    assert {element.tag.partition("}")[2] for element in root.iter()} <= {"svg", "rect", "path", "text"}


def test_the_card_says_what_it_is_not_and_what_the_letter_rests_on() -> None:
    text = "".join(ET.fromstring(label.card_svg(card(notes=["Estimated energy"]))).itertext())
    for part in ("No EU label.", "96% sure of B", "134 J", "Knowledge QA", "Estimated energy"):
        assert part in text
    assert "stroke-dasharray" in label.card_svg(card(grade=None)), "no letter is shown as none"
    sure, unsure = (label.card_svg(card(quality_class="F", quality_sure=known)) for known in (True, False))
    assert (sure.count("stroke-dasharray"), unsure.count("stroke-dasharray")) == (0, 1)


@given(some.text(), some.integers(4, 60), some.integers(1, 4))
def test_wrapped_lines_are_few_and_lose_nothing_that_fits(text: str, width: int, most: int) -> None:
    lines = label.wrapped(text, width, most)
    assert 1 <= len(lines) <= most
    if not any(line.endswith("…") for line in lines):
        assert "".join("".join(lines).split()) == "".join(text.split())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_shows_card_letters_load_history_and_answers(sample: Path, app: Open, lang: str) -> None:
    at = app(sample, "model.py", lang, configuration=GEMMA, task="qa")
    assert not at.exception
    texts = i18n.catalogue(lang)
    shown = everything(at)
    for key in ("letters_title", "curve_title", "parts_title", "history_title", "answers_title"):
        assert texts[f"model.{key}"] in shown
    assert len(at.get("vega_lite_chart")) == 4
    assert any(button.label == texts["model.png"] for button in at.get("download_button"))


def test_the_page_begins_with_the_most_efficient_where_letters_are(own: Store, app: Open) -> None:
    with own.write() as writer:
        writer.execute("UPDATE ratings SET grade = NULL, eei = NULL, status = 'unrated' WHERE task = 'overall'")
        writer.execute("UPDATE ratings SET eei = 0.01 WHERE task = 'qa' AND configuration = ?", [GEMMA])
    at = app(own.path, "model.py")
    assert GEMMA in [box.value for box in at.selectbox]


def test_overall_asks_for_a_task_before_it_shows_answers(sample: Path, app: Open) -> None:
    at = app(sample, "model.py", "en", configuration=GEMMA, task="overall")
    assert i18n.catalogue("en")["model.choose_task"] in everything(at)


def test_answers_are_text_only(sample: Path, app: Open, own: Store) -> None:
    with own.write() as writer:
        writer.execute("UPDATE runs SET output_text = ?", [HOSTILE])
    at = app(own.path, "model.py", "en", configuration=GEMMA, task="qa")
    assert HOSTILE in [code.value for code in at.code]
    assert not any("onerror" in str(markdown.value) for markdown in at.markdown)


def test_a_configuration_without_a_rating_is_shown_with_its_figures(app: Open, own: Store) -> None:
    with own.write() as writer:
        writer.execute("DELETE FROM ratings")
    at = app(own.path, "model.py", "en", configuration=GEMMA)
    assert not at.exception
    assert i18n.catalogue("en")["overview.no_ratings"] in everything(at)


def test_the_interval_is_that_of_the_items_means(own: Store) -> None:
    known = model_queries.load_curve(own, GPU_COHORT, GEMMA)
    row = known[(known["task"] == "qa") & (known["load"] == "short")].iloc[0]
    means = own.query(
        "SELECT avg(energy_j) AS e FROM v_runs_valid WHERE cohort = ? AND configuration = ? AND task = 'qa' AND load = 'short'"
        " GROUP BY item",
        [GPU_COHORT, GEMMA],
    )["e"]
    half = 1.96 * means.std(ddof=1) / len(means) ** 0.5
    assert row["energy_j"] == pytest.approx(means.mean())
    assert row["energy_j_high"] - row["energy_j"] == pytest.approx(half)


def test_an_interval_ends_where_its_figure_cannot_go_on(own: Store) -> None:
    with own.write() as writer:
        writer.execute("UPDATE qualities SET quality = CASE WHEN hash(run_id) % 8 = 0 THEN 1 ELSE 0 END WHERE quality IS NOT NULL")
        writer.execute("UPDATE runs SET energy_j = CASE WHEN hash(run_id) % 8 = 0 THEN 1000 ELSE 1 END WHERE energy_j IS NOT NULL")
    known = model_queries.load_curve(own, GPU_COHORT, GEMMA)
    assert (known["quality_low"] == 0).any()
    assert (known["energy_j_low"] == 0).any()
    assert (known[["quality_low", "energy_j_low"]] >= 0).all(axis=None)
    assert (known["quality_high"] <= 1).all()
    with own.write() as writer:
        writer.execute("DELETE FROM runs WHERE item NOT IN (SELECT min(item) FROM runs GROUP BY task, load)")
    assert model_queries.load_curve(own, GPU_COHORT, GEMMA)[["quality_low", "energy_j_high"]].isna().all(axis=None)


def test_sample_answers_are_a_good_a_usual_and_a_poor_one(own: Store) -> None:
    found = model_queries.sample_answers(own, GPU_COHORT, GEMMA, "qa")
    assert len(found) == 3
    assert found["quality"].is_monotonic_decreasing
    assert model_queries.sample_answers(own, GPU_COHORT, GEMMA, "code").empty
