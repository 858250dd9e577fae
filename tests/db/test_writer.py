"""Values into columns: nothing lost, nothing invented, nothing refused silently."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import db
from db.writer import Writer
from tests.db.db_rows import START, configuration, note, quality

TYPES = {
    "k": "INTEGER", "v": "VARCHAR", "j": "JSON", "d": "DOUBLE", "i": "INTEGER", "b": "BIGINT", "t": "BOOLEAN",
    "at_": "TIMESTAMP", "vs": "VARCHAR[]", "ds": "DOUBLE[]", "ns": "INTEGER[]",
}  # fmt: skip


@pytest.fixture(scope="module")
def memory() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as con:
        columns = ", ".join(f"{name} {data_type}" for name, data_type in TYPES.items())
        con.execute(f"CREATE TABLE t ({columns}, PRIMARY KEY (k))")
        con.execute("CREATE VIEW a_view AS SELECT * FROM t")
        yield con


def readable(text: str) -> str:
    """What a text is after storing: lone surrogates are no characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


texts = st.text(st.characters(exclude_categories=[]), max_size=30)
floats = st.one_of(st.floats(), st.floats(width=32).map(np.float32), st.integers(-(2**53), 2**53))
small = st.integers(-(2**31), 2**31 - 1)
big = st.one_of(st.integers(-(2**63), 2**63 - 1), small.map(np.int64))
times = st.datetimes(
    START.replace(year=1970, tzinfo=None), START.replace(year=2200, tzinfo=None), timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])
)  # fmt: skip
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
rows = st.fixed_dictionaries({
    "v": st.none() | texts,
    "j": st.none() | st.dictionaries(texts, documents, max_size=3) | st.lists(documents, max_size=3),
    "d": st.none() | floats | st.just(pd.NA),
    "i": st.none() | small,
    "b": st.none() | big,
    "t": st.none() | st.booleans() | st.booleans().map(np.bool_),
    "at_": st.none() | times | st.just(pd.NaT),
    "vs": st.none() | st.lists(st.none() | texts, max_size=3),
    "ds": st.none() | st.lists(st.none() | floats, max_size=3) | st.just(np.array([1.0, math.nan])),
    "ns": st.none() | st.lists(st.none() | small, max_size=3).map(tuple),
})  # fmt: skip


def number(value: object) -> float | None:
    missing = value is None or value is pd.NA or not math.isfinite(float(value))  # type: ignore[arg-type]
    return None if missing else float(value)  # type: ignore[arg-type]


def document(value: object) -> object:
    if isinstance(value, dict):
        return {readable(key): document(part) for key, part in value.items()}
    if isinstance(value, list):
        return [document(part) for part in value]
    if isinstance(value, str):
        return readable(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def stored(row: dict[str, object]) -> dict[str, object]:
    """What must come back for a row."""
    expected = dict(row)
    expected["v"] = None if row["v"] is None else readable(str(row["v"]))
    expected["j"] = document(row["j"])
    expected["d"] = number(row["d"])
    expected["b"] = None if row["b"] is None else int(row["b"])  # type: ignore[call-overload]
    expected["t"] = None if row["t"] is None else bool(row["t"])
    at = row["at_"]
    missing = at is None or at is pd.NaT
    expected["at_"] = None if missing else at.astimezone(UTC).replace(tzinfo=None)  # type: ignore[attr-defined]
    for name, convert in (("vs", lambda v: None if v is None else readable(v)), ("ds", number), ("ns", lambda v: v)):
        values = row[name]
        expected[name] = None if values is None else [convert(value) for value in values]  # type: ignore[attr-defined]
    return expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=4))
def test_rows_come_back_as_they_were(memory: duckdb.DuckDBPyConnection, given_rows: list[dict[str, object]]) -> None:
    memory.execute("DELETE FROM t")
    writer = Writer(memory)
    writer.insert("t", [{"k": k} | row for k, row in enumerate(given_rows)])
    names = list(TYPES)
    back = [dict(zip(names, r, strict=True)) for r in memory.execute("SELECT * FROM t ORDER BY k").fetchall()]
    for row in back:
        row["j"] = None if row["j"] is None else json.loads(row["j"])
        del row["k"]
    assert back == [stored(row) for row in given_rows]
    # The other two ways in store the same.
    for k, row in enumerate(given_rows):
        memory.execute("UPDATE t SET v = 'x', d = 7, at_ = NULL WHERE k = ?", [k])
        assert writer.update("t", {"k": k}, row) == 1
    updated = memory.execute("SELECT * EXCLUDE (k, j) FROM t ORDER BY k").fetchall()
    assert updated == [tuple(v for name, v in row.items() if name != "j") for row in back]
    writer.upsert("t", [{"k": k} | row for k, row in enumerate(given_rows)])
    assert memory.execute("SELECT * EXCLUDE (k, j) FROM t ORDER BY k").fetchall() == updated


def test_nul_and_surrogates(store: db.Store) -> None:
    with store.write() as writer:
        writer.insert("events", [note("a") | {"name": "x\x00y", "detail": "half \ud83d, whole \ud83d\ude00"}])
    frame = store.query("SELECT name, detail FROM events WHERE name = ?", ["x\x00y"])
    assert frame.iloc[0].tolist() == ["x\x00y", "half �, whole 😀"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 1), ("v", b"x"), ("v", ["x"]), ("j", "{not json"), ("j", {"a": object()}), ("d", "1.5"), ("d", True),
        ("i", 1.5), ("i", True), ("i", 2**31), ("b", 2**63), ("i", "1"), ("t", 1), ("t", "true"), ("at_", "2026-01-01"),
        ("at_", START.replace(tzinfo=None)), ("at_", 0), ("vs", "abc"), ("vs", [1]), ("ds", ["x"]), ("ns", [1.5]), ("ns", 1),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_by_name(memory: duckdb.DuckDBPyConnection, name: str, value: object) -> None:
    memory.execute("DELETE FROM t")
    with pytest.raises(ValueError, match=rf"column {name} |table t"):
        Writer(memory).insert("t", [{"k": 1, name: value}])
    with pytest.raises(ValueError, match=rf"column {name} |table t"):
        Writer(memory).update("t", {"k": 1}, {name: value})
    assert memory.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("table", ["nothing", "a_view", 't"; DROP TABLE t; --', "sqlite_master", ""])
def test_unknown_tables_are_refused(memory: duckdb.DuckDBPyConnection, table: str) -> None:
    writer = Writer(memory)
    for attempt in (
        lambda: writer.insert(table, [{"k": 1}]),
        lambda: writer.upsert(table, [{"k": 1}]),
        lambda: writer.update(table, {"k": 1}, {"v": "a"}),
        lambda: writer.insert_arrow(table, pa.table({"k": [1]})),
    ):
        with pytest.raises(ValueError, match="no table"):
            attempt()


def test_unknown_columns_are_refused(memory: duckdb.DuckDBPyConnection) -> None:
    writer = Writer(memory)
    bad = 'k") SELECT 1; --'
    for attempt in (
        lambda: writer.insert("t", [{"k": 1, bad: 1}]),
        lambda: writer.update("t", {bad: 1}, {"v": "a"}),
        lambda: writer.update("t", {"k": 1}, {bad: 1}),
        lambda: writer.insert_arrow("t", pa.table({bad: [1]})),
    ):
        with pytest.raises(ValueError, match="has no column"):
            attempt()
    with pytest.raises(ValueError, match="condition"):
        writer.update("t", {}, {"v": "a"})


def test_constraints_are_value_errors(store: db.Store) -> None:
    for rows in (
        [note("a"), note("a")],
        [{"event_id": "b"}],
        [note("c") | {"name": None}],
    ):
        with pytest.raises(ValueError, match="table events"), store.write() as writer:
            writer.insert("events", rows)
    with pytest.raises(ValueError, match="table qualities"), store.write() as writer:
        writer.insert("qualities", [quality("r", quality=1.5)])
    with pytest.raises(ValueError, match="table qualities"), store.write() as writer:
        writer.insert("qualities", [quality("r", quality=None)])  # no quality needs its reason
    assert store.data_version() == 0


def test_missing_keys_are_null_and_absent_columns_default(store: db.Store) -> None:
    cell = {
        "campaign_id": "c", "position": 1, "model": "m", "task": "qa", "load": "short", "language": "en",
        "item": "i", "item_hash": "h", "repeat": 1, "seed": 1, "state": "planned",
    }  # fmt: skip
    with store.write() as writer:
        writer.insert("cells", [cell | {"cell_id": "a", "reason": "why"}, cell | {"cell_id": "b"}])
        writer.insert("cells", [])
    frame = store.query("SELECT attempts, reason FROM cells ORDER BY cell_id")
    assert frame["attempts"].tolist() == [0, 0]
    assert frame["reason"].isna().tolist() == [False, True]


def test_upsert_replaces_named_columns_even_twice_in_a_transaction(store: db.Store) -> None:
    with store.write() as writer:
        writer.upsert("qualities", [quality("r", flags=["cut_off"], fluency=0.25), quality("s")])
        writer.upsert("qualities", [quality("r", quality=0.5)])
        writer.upsert("qualities", [quality("r", quality=0.1)])
        assert writer.execute("SELECT count(*) FROM qualities WHERE quality < ?", [0.2]) == [(1,)]
    frame = store.query("SELECT run_id, quality, fluency, len(flags) AS n FROM qualities ORDER BY run_id")
    assert frame.to_dict("list") == {"run_id": ["r", "s"], "quality": [0.1, 0.8], "fluency": [0.25, pytest.approx(math.nan, nan_ok=True)], "n": [0, 0]}  # fmt: skip  # noqa: E501


def test_update_matches_null_and_counts(store: db.Store) -> None:
    with store.write() as writer:
        writer.insert("events", [note("a"), note("b"), note("c") | {"run_id": "r"}])
        assert writer.update("events", {"run_id": None}, {"detail": "x", "at": START}) == 2
        assert writer.update("events", {"event_id": "zz"}, {"detail": "x"}) == 0
    assert store.query("SELECT count(detail) AS n FROM events")["n"].tolist() == [2]


def test_samples_by_arrow(store: db.Store) -> None:
    table = pa.table({
        "run_id": ["r1"] * 3,
        "t_s": [0.0, 0.1, 0.2],
        "power_w": [1.0, math.nan, math.inf],
        "memory_bytes": pa.array([1, None, 3], pa.uint32()),
        "gpus": ['[{"index": 0}]', None, None],
    })  # fmt: skip
    with store.write() as writer:
        writer.insert_arrow("samples", table)
    frame = store.query("SELECT power_w, memory_bytes, gpus FROM samples ORDER BY t_s")
    assert frame["power_w"].isna().tolist() == [False, True, True]
    assert frame["memory_bytes"].isna().tolist() == [False, True, False]
    with store.read() as con:
        assert con.execute("SELECT count(*) FROM samples WHERE isnan(power_w)").fetchone() == (0,)
    with pytest.raises(ValueError, match="table samples"), store.write() as writer:
        writer.insert_arrow("samples", pa.table({"run_id": ["r1"], "t_s": ["soon"]}))
    with pytest.raises(ValueError, match="table samples"), store.write() as writer:
        writer.insert_arrow("samples", pa.table({"run_id": ["r1"], "t_s": [0.0], "gpus": ["{not json"]}))


def test_times_of_any_zone_are_stored_as_utc(store: db.Store) -> None:
    china = datetime(2026, 11, 1, 8, 30, tzinfo=timezone(timedelta(hours=8)))
    with store.write() as writer:
        writer.insert("configurations", [
            configuration("a", first_seen_at=china),
            configuration("b", first_seen_at=pd.Timestamp(china)),
        ])  # fmt: skip
    with store.read() as con:
        rows = con.execute("SELECT first_seen_at FROM configurations").fetchall()
    assert rows == [(china.astimezone(UTC).replace(tzinfo=None),)] * 2
