"""The schema of the store: named migrations, the views, and the flag table that the views read.

Each ``migrations/NNNN_name.sql`` runs in one transaction together with its record in ``schema_migrations``.
The views are made again whenever their text changed or a migration ran.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import duckdb

from db.connection import STORAGE_VERSION
from db.flags import FLAGS

__all__ = [
    "MIGRATIONS", "VIEWS", "State", "migrate", "pending", "state", "transaction", "up_to_date",
]  # fmt: skip

State = Literal["missing", "empty", "current", "older", "newer"]

MIGRATIONS: Final = Path(__file__).with_name("migrations")
VIEWS: Final = Path(__file__).with_name("views.sql")

_RECORDS = (
    "CREATE TABLE IF NOT EXISTS schema_migrations "
    "(name VARCHAR PRIMARY KEY, applied_at TIMESTAMP NOT NULL, duckdb_version VARCHAR NOT NULL)"
)


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing: commits at the end, rolls back on any exception."""
    con.begin()
    try:
        yield
        con.commit()
    except BaseException:
        # After a failed commit or on a dead disk there is no transaction left to roll back.
        with suppress(duckdb.Error):
            con.rollback()
        raise


def _applied(con: duckdb.DuckDBPyConnection) -> set[str] | None:
    """Names of the migrations that the file has, None when it keeps no record of them."""
    try:
        return {row[0] for row in con.execute("SELECT name FROM schema_migrations").fetchall()}
    except duckdb.CatalogException:
        return None


def _known() -> dict[str, Path]:
    return {file.stem: file for file in sorted(MIGRATIONS.glob("*.sql"))}


def pending(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the migrations that this file still needs, in order."""
    applied = _applied(con) or set()
    return [name for name in _known() if name not in applied]


def state(con: duckdb.DuckDBPyConnection) -> State | None:
    """How the file stands to this program's migrations: empty, older, current, newer; None: not our database."""
    applied, known = _applied(con), _known().keys()
    if applied is None:
        tables = con.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
        return "empty" if tables == (0,) else None
    if applied - known:
        return "newer"
    return "older" if known - applied else "current"


def _views_hash() -> str:
    return hashlib.sha256(VIEWS.read_bytes()).hexdigest()


def _effects(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(con.execute("SELECT flag, effect FROM flag_effects").fetchall())


def up_to_date(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether migrations, views and flag table are those of this program."""
    if state(con) != "current":
        return False
    views = con.execute("SELECT value FROM meta WHERE key = 'views'").fetchone()
    return views == (_views_hash(),) and _effects(con) == {flag.name: flag.effect for flag in FLAGS}


def migrate(con: duckdb.DuckDBPyConnection) -> None:
    """Brings an empty or older file to the newest schema; each step is whole or did not happen."""
    for name in pending(con):
        with transaction(con):
            con.execute(_RECORDS)
            con.execute(_known()[name].read_text(encoding="utf-8"))
            now = datetime.now(UTC).replace(tzinfo=None)
            con.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", [name, now, duckdb.__version__])
            # Should we die before the views are made again, the missing entry says so.
            con.execute("DELETE FROM meta WHERE key = 'views'")
    with transaction(con):
        con.execute(VIEWS.read_text(encoding="utf-8"))
        con.execute("DELETE FROM flag_effects")
        for flag in FLAGS:
            con.execute("INSERT INTO flag_effects VALUES (?, ?)", [flag.name, flag.effect])
        con.execute("INSERT OR REPLACE INTO meta VALUES ('views', ?)", [_views_hash()])
        con.execute("INSERT OR IGNORE INTO meta VALUES ('data_version', '0')")
        con.execute("INSERT OR IGNORE INTO meta VALUES ('storage_version', ?)", [STORAGE_VERSION])
