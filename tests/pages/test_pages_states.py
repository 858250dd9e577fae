"""Every page in both languages, whatever state the store is in: never an exception, always a way on."""

from pathlib import Path

import pytest

from db import Store, reader
from pages._ui import data, i18n
from tests.fakes import sample_store
from tests.pages.conftest import Open, Walk, everything

LANGUAGES = ("en", "zh")
NEED_NO_DATA = {"method"}


def words(lang: str, key: str, **fmt: object) -> str:
    return i18n.catalogue(lang)[key].format(**fmt)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_small_store_fills_every_page(sample: Path, walk: Walk, lang: str) -> None:
    for name, at in walk(sample, lang):
        assert not at.exception, name
        assert [title.value for title in at.title] == [words(lang, f"nav.{name}")]
        assert at.dataframe or name == "spotcheck", name  # which shows one answer at a time
        assert not at.error, name


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_first_visit_says_what_to_run(tmp_path: Path, walk: Walk, kind: str, lang: str) -> None:
    path = tmp_path / "new.duckdb"
    if kind == "empty":
        Store(path).ensure()
    for name, at in walk(path, lang):
        assert not at.exception, name
        assert not at.get("vega_lite_chart"), "an empty chart"
        if name in NEED_NO_DATA:
            assert at.dataframe, name
        else:
            assert words(lang, "state.empty_title") in everything(at), name
            assert [code.value for code in at.code] == [
                "python start.py", f"python -m collector quickstart --db {path}",
                f"python -m collector run docs/experiments/pocket.toml --db {path}",
            ]  # fmt: skip


@pytest.mark.parametrize(("kind", "lang"), [("older", "en"), ("older", "zh"), ("newer", "en"), ("newer", "zh")])
def test_other_schemas_are_named_with_the_cure(own: Store, walk: Walk, kind: str, lang: str) -> None:
    with own.write() as w:
        if kind == "older":
            w.execute("DELETE FROM schema_migrations")
        else:
            w.execute("INSERT INTO schema_migrations VALUES ('9999_future', now()::TIMESTAMP, '9.0')")
    for name, at in walk(own.path, lang):
        assert not at.exception, name
        if name not in NEED_NO_DATA:
            assert words(lang, f"state.{kind}") in everything(at), name
            assert not at.dataframe, name
            assert [code.value for code in at.code] == ([f"python -m rating table --db {own.path}"] if kind == "older" else [])


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path, app: Open) -> None:
    path = tmp_path / "notes.duckdb"
    path.write_bytes(b"these are my notes" * 500)
    at = app(path)
    assert not at.exception
    assert words("en", "state.unusable") in everything(at)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_locked_store_never_read_before_asks_for_patience(
    own: Store, walk: Walk, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setattr(data, "_PATIENCE_S", 0.05)
    with own.write():
        for name, at in walk(own.path, lang):
            assert not at.exception, name
            if name not in NEED_NO_DATA:
                assert words(lang, "state.locked") in everything(at), name
                assert at.button(key="state-again")


def test_locked_store_shows_what_was_read_before(own: Store, app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    before = app(own.path)
    monkeypatch.setattr(data, "_PATIENCE_S", 0.05)
    with own.write():
        at = before.run()
        assert not at.exception
        assert words("en", "state.stale") in everything(at)
        assert len(at.dataframe[0].value) == len(before.dataframe[0].value)
    at = at.run()
    assert words("en", "state.stale") not in everything(at)


def test_new_data_is_seen_at_the_next_run(own: Store, app: Open) -> None:
    at = app(own.path, "collection.py")
    before = len(at.dataframe[-1].value)
    with own.write() as w:
        w.execute("INSERT INTO campaigns SELECT * REPLACE ('another' AS campaign_id) FROM campaigns LIMIT 1")
    assert len(at.run().dataframe[-1].value) == before + 1


def test_answers_without_ratings_say_how_to_rate(own: Store, walk: Walk) -> None:
    with own.write() as w:
        w.execute("DELETE FROM ratings")
        w.execute("DELETE FROM schemes")
    for name, at in walk(own.path):
        assert not at.exception, name
        if name in ("overview", "compare"):
            assert f"python -m rating table --db {own.path}" in [code.value for code in at.code], name


def test_only_faults_are_no_reason_for_an_empty_chart(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("DELETE FROM ratings")
        w.execute("UPDATE runs SET status = 'fault', fault = 'http_500', flags = ['http_500'], energy_j = NULL")
    at = app(own.path)
    assert not at.exception
    assert words("en", "overview.no_valid") in everything(at)
    assert not at.get("vega_lite_chart")


def test_large_store_keeps_tables_bounded(own: Store, walk: Walk) -> None:
    before = len(reader.runs(own, limit=100_000))
    sample_store.enlarge(own, 60)
    for name, at in walk(own.path):
        assert not at.exception, name
        assert max((len(table.value) for table in at.dataframe), default=0) <= 500, name
    assert own.query("SELECT count(*) FROM runs").iloc[0, 0] == 60 * before
