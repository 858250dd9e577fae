"""The spot check: blinded, resumable, stored with what its weight needs; agreement as calculated by hand."""

import math
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from db import Store, StoreLocked
from pages._ui import i18n, roles, spot, spot_queries
from rating.spotcheck import Pick
from tests.fakes.sample_store import HOSTILE, MODELS, NIGHT
from tests.pages.conftest import Open, everything

EN = i18n.catalogue("en")


def begun(app: Open, path: Path, lang: str = "en", name: str = "Ann", **query: str) -> AppTest:
    at = app(path, "spotcheck.py", lang, campaign=NIGHT, **query)
    at.text_input(key="spot-name").set_value(name)
    return at.run()


def give(at: AppTest, factuality: int, relevance: int, fluency: int) -> AppTest:
    """Marks the answer on the page and saves."""
    for name, mark in (("factuality", factuality), ("relevance", relevance), ("fluency", fluency)):
        next(group for group in at.get("button_group") if group.label == EN[f"spot.{name}"]).set_value(mark)
    next(button for button in at.button if button.label == EN["spot.save"]).click()
    return at.run()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_asks_for_a_name_then_shows_an_answer_without_model_or_scores(sample: Path, app: Open, lang: str) -> None:
    at = app(sample, "spotcheck.py", lang, campaign=NIGHT)
    assert i18n.catalogue(lang)["spot.say_name"] in [info.value for info in at.info]
    at.text_input(key="spot-name").set_value("Ann")
    at.run()
    assert not at.exception
    assert len(at.code) >= 2
    shown = everything(at)
    assert not [model for model in MODELS if model in shown], "the model must stay hidden"


def test_a_rating_is_stored_with_its_weight_and_the_next_answer_comes(own: Store, app: Open) -> None:
    at = begun(app, own.path)
    first = at.code[1].value
    at = give(at, 4, 5, 3)
    assert not at.exception
    rows = own.query("SELECT * FROM v_human_ratings")
    assert rows[["rater", "factuality", "relevance", "fluency", "pass", "campaign"]].values.tolist() == [
        ["Ann", 4, 5, 3, 1, NIGHT]
    ]
    assert rows["weight"][0] >= 1.0
    assert rows["why"][0] in ("random", "disagree")
    assert EN["spot.progress"].format(done=1, total="").split(" of")[0] in at.get("progress")[0].proto.text
    run = own.query("SELECT output_text FROM runs WHERE run_id = ?", [rows["run_id"][0]])
    assert run["output_text"][0] == first, "what was rated is what was shown"


def test_missing_marks_are_asked_for_and_nothing_is_stored(own: Store, app: Open) -> None:
    at = begun(app, own.path)
    next(button for button in at.button if button.label == EN["spot.save"]).click()
    at.run()
    assert EN["spot.incomplete"] in [warning.value for warning in at.warning]
    assert own.query("SELECT count(*) AS n FROM human_ratings")["n"][0] == 0


def test_a_rater_who_comes_back_goes_on_where_they_stopped(own: Store, app: Open) -> None:
    at = give(begun(app, own.path), 3, 3, 3)
    waiting = at.code[1].value
    again = begun(app, own.path)
    assert again.code[1].value == waiting
    other = begun(app, own.path, name="Ben")
    assert other.get("progress")[0].proto.text.startswith("0 ")


def test_skipping_shows_another_answer_and_comes_back_to_it_last() -> None:
    picks = [Pick(str(n), "s", "random", 1.0, twice=n == 0) for n in range(3)]
    empty = pd.DataFrame({"rater": [], "run_id": [], "pass": []})
    first = spot.next_turn(picks, empty, "Ann", set())
    assert first.pick is not None
    second = spot.next_turn(picks, empty, "Ann", {(first.pick.key, 1)})
    assert second.pick is not None
    assert second.pick.key != first.pick.key
    done = pd.DataFrame({"rater": ["Ann"] * 3, "run_id": ["0", "1", "2"], "pass": [1, 1, 1]})
    last = spot.next_turn(picks, done, "Ann", set())
    assert (last.pick, last.turn, last.done, last.total) == (picks[0], 2, 3, 4)
    assert spot.next_turn(picks, pd.concat([done, done.assign(**{"pass": [2, 2, 2]}).head(1)]), "Ann", set()).pick is None


def test_diversity_shows_every_repeat_of_one_item(own: Store, app: Open) -> None:
    with own.write() as writer:
        writer.execute("INSERT INTO runs SELECT * REPLACE (run_id || '-c' AS run_id, repeat + 2 AS repeat) FROM runs")
    at = begun(app, own.path, part="groups")
    assert not at.exception
    assert len(at.code) >= 4, "a prompt and three answers or more"
    ids = [element.proto.id for kind in ("button_group", "button") for element in at.get(kind)]
    assert not [model for model in MODELS for text in (everything(at), *ids) if model in text], "the model must stay hidden"
    next(group for group in at.get("button_group") if group.label == EN["spot.diversity"]).set_value(2)
    next(button for button in at.button if button.label == EN["spot.save"]).click()
    at.run()
    rows = own.query("SELECT diversity, group_key FROM v_human_ratings")
    assert rows["diversity"].tolist() == [2]
    assert rows["group_key"][0].startswith(f"{NIGHT}|")


def rated(store: Store, marks: dict[str, list[tuple[str, int, int]]]) -> list[str]:
    """Stores ratings: run number to (rater, pass, mark), the mark for all three dimensions."""
    runs = store.query("SELECT run_id FROM v_runs_valid WHERE campaign = ? AND quality IS NOT NULL ORDER BY run_id", [NIGHT])
    keys = [str(key) for key in runs["run_id"]]
    rows = [
        {"rating_id": f"{number}-{rater}-{turn}", "rated_at": datetime(2026, 11, 22, tzinfo=UTC), "run_id": keys[int(number)],
         "rater": rater, "pass": turn, "campaign_id": NIGHT, "factuality": mark, "relevance": mark, "fluency": mark, "weight": 1.0}
        for number, given in marks.items() for rater, turn, mark in given
    ]  # fmt: skip
    with store.write() as writer:
        writer.insert("human_ratings", rows)
    return keys


def test_agreement_on_the_page_is_that_of_the_hand_calculation(own: Store, app: Open) -> None:
    # Two raters, four answers: 1-1, 1-2, 2-2, 3-3. Ordinal alpha by hand: 1 - 9 / (300 / 7) = 0.79 (test_agreement.py).
    keys = rated(own, {"0": [("Ann", 1, 1), ("Ben", 1, 1)], "1": [("Ann", 1, 1), ("Ben", 1, 2)],
                       "2": [("Ann", 1, 2), ("Ben", 1, 2)], "3": [("Ann", 1, 3), ("Ben", 1, 3)]})  # fmt: skip
    ratings = spot_queries.human(own, NIGHT)
    people = spot.between_people(ratings)
    assert people["factuality"].value == pytest.approx(1 - 9 / (300 / 7))
    assert people["diversity"].value is None
    # Mean marks 1, 1.5, 2, 3 against qualities in the order 2, 1, 3, 4: five pairs of six in the same order: (5 - 1) / 6.
    with own.write() as writer:
        for key, quality in zip(keys, (0.4, 0.2, 0.6, 0.8), strict=False):
            writer.update("qualities", {"run_id": key}, {"quality": quality})
    found = spot.people_and_metrics(ratings, spot_queries.metrics_of_rated(own, NIGHT))
    assert found["mean", "quality"].value == pytest.approx(4 / 6)
    at = app(own.path, "spotcheck.py", "en", campaign=NIGHT, part="agreement")
    assert not at.exception
    tables = [frame.value for frame in at.dataframe]
    assert tables[0]["value"].tolist()[0] == "0.79"
    assert tables[1].set_index("name").loc[f"{EN['spot.mean']} ↔ {EN['spot.metric_quality']}", "value"] == "0.67"


def test_without_ratings_agreement_says_so(sample: Path, app: Open) -> None:
    at = app(sample, "spotcheck.py", "en", campaign=NIGHT, part="agreement")
    assert EN["spot.none_yet"] in [info.value for info in at.info]


def test_an_answer_is_shown_as_text_only(own: Store, app: Open) -> None:
    with own.write() as writer:
        writer.execute("UPDATE runs SET output_text = ?", [HOSTILE])
    at = begun(app, own.path)
    assert HOSTILE in [code.value for code in at.code]
    assert not any("onerror" in str(markdown.value) for markdown in at.markdown)


def test_a_locked_store_is_said_and_the_marks_stay(own: Store, app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    at = begun(app, own.path)

    def locked(*_: object) -> None:
        raise StoreLocked("The database is held by another program.", "数据库被其他程序占用。")

    monkeypatch.setattr(spot_queries, "save_rating", locked)
    at = give(at, 4, 5, 4)
    assert not at.exception
    assert EN["state.locked"] in [info.value for info in at.info]
    assert "The database is held by another program." in [text.value for text in at.text]
    assert own.query("SELECT count(*) AS n FROM human_ratings")["n"][0] == 0
    marks = {group.label: group.value for group in at.get("button_group")}
    assert marks[EN["spot.relevance"]] == 5


class TestRoles:
    """Who may rate on a server with a login."""

    @pytest.fixture
    def login(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
        user: dict[str, object] = {"is_logged_in": True, "email": "ann@example.org"}
        tables = {"auth": {"redirect_uri": "x"}, "roles": {"raters": ["ann@example.org"]}}
        monkeypatch.setattr(roles, "_secrets", lambda table: tables.get(table, {}))
        monkeypatch.setattr(roles.st, "user", user)
        return user

    def test_without_a_login_everybody_here_may(self) -> None:
        assert roles.may_rate()
        assert roles.person() is None

    def test_with_one_only_who_is_named(self, login: dict[str, object]) -> None:
        assert roles.may_rate()
        login["email"] = "eve@example.org"
        assert not roles.may_rate()

    def test_nobody_is_somebody(self, login: dict[str, object]) -> None:
        login["is_logged_in"] = False
        assert not roles.may_rate()

    def test_a_token_past_its_end_logs_out(self, login: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
        login["exp"] = 1.0
        ended: list[bool] = []
        monkeypatch.setattr(roles.st, "logout", lambda: ended.append(True))
        roles.person()
        assert ended == [True]


def test_tied_metrics_say_nothing() -> None:
    ratings = pd.DataFrame({"run_id": ["a", "b"], "factuality": [1, 5], "relevance": [1, 5], "fluency": [1, 5]})
    metrics = pd.DataFrame({"run_id": ["a", "b"], **{name: [math.nan, 0.5] for name in (
        "quality", "factuality", "relevance", "fluency", "floor_factuality", "floor_relevance")}})  # fmt: skip
    assert all(found.value is None for found in spot.people_and_metrics(ratings, metrics).values())


def test_many_strata_are_joined_until_half_can_be_drawn_for_disagreement() -> None:
    rows = [
        {"run_id": f"{model}-{task}-{load}-{n}", "stratum": f"m{model} · t{task} · l{load}", "factuality": n / 4,
         "relevance": 1 - n / 4, "floor": n % 2}
        for model in range(4) for task in range(4) for load in range(3) for n in range(5)
    ]  # fmt: skip
    picks = spot.sample_of(pd.DataFrame(rows), "seed", size=48)
    assert {str(pick.stratum) for pick in picks} == {f"m{model} · t{task}" for model in range(4) for task in range(4)}
    assert [sum(pick.why == why for pick in picks) for why in ("random", "disagree")] == [24, 24]
