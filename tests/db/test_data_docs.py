"""docs/data.md describes every column of every view, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import db

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
UNITS = {
    "_j": "J",
    "_w": "W",
    "_s": "s",
    "_bytes": "bytes",
    "_percent": "%",
    "_tokens": "tokens",
    "_tokens_per_s": "tokens/s",
}


def documented(view: str) -> list[list[str]]:
    """The cells of the table under the heading of a view."""
    section = TEXT.split(f"\n## {view}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("view", ["v_runs", "v_scores", "v_samples", "v_model_loads", "v_wall_energy", "v_diversity", "v_human_ratings", "v_ratings"])
def test_every_column_is_documented(store: db.Store, view: str) -> None:
    rows = documented(view)
    columns = store.query("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [view])["column_name"]
    assert sorted(row[0].strip("`") for row in rows) == sorted(columns)
    for row in rows:
        assert len(row) == 5, row
        assert all(row), row


@pytest.mark.parametrize("view", ["v_runs", "v_samples", "v_model_loads", "v_wall_energy", "v_diversity", "v_human_ratings", "v_ratings"])
def test_units_are_those_of_the_names(view: str) -> None:
    for name, unit, *_ in documented(view):
        plain = re.sub(r"_(mean|max|low|high)$", "", name.strip("`"))
        fitting = [UNITS[suffix] for suffix in sorted(UNITS, key=len, reverse=True) if plain.endswith(suffix)]
        if fitting:
            assert unit == fitting[0], name


def test_what_is_said_never_to_be_null_is_never_null(filled: db.Store) -> None:
    never = [row[0].strip("`") for row in documented("v_runs") if row[4] == "never"]
    frame = filled.query("SELECT * FROM v_runs")
    assert {"run_id", "flags", "prompt", "status"} <= set(never)
    assert frame[never].notna().all().all()


@pytest.mark.parametrize("sql", re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL))
def test_examples_run(filled: db.Store, sql: str) -> None:
    assert not filled.query(sql).empty or "v_samples" in sql


def test_every_table_is_named(store: db.Store) -> None:
    tables = store.query("SELECT table_name FROM duckdb_tables()")["table_name"]
    section = TEXT.split("\n## The tables behind\n")[1]
    named = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named == set(tables)
