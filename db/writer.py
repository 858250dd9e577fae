"""Writing rows inside one transaction: names checked against the schema, values against the column's type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from db.values import arrow_type, converted

__all__ = ["Writer"]


@contextmanager
def _as_value_error(table: str) -> Iterator[None]:
    """What the data did wrong becomes a ValueError that names the table."""
    try:
        yield
    except (duckdb.ConstraintException, duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise ValueError(f"table {table}: {error}") from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ValueError(f"table {table}: {error}") from error


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


class Writer:
    """Writes into the tables of an open transaction; made by ``Store.write`` and gone with it.

    Args:
        con: the connection.
        known: column types by table, filled here: the catalogue takes longer to ask than a row to write, and within
            one version of the schema its answer does not change.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, known: dict[str, dict[str, str]] | None = None) -> None:
        self._con = con
        self._schema = {} if known is None else known

    def insert(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Adds rows, all in one go.

        A row that lacks a key of another row gets NULL there; a column that no row names gets its default.
        NaN and infinity become NULL. Dicts and lists for JSON columns are dumped; text for one must be
        JSON. Times must be aware. Text keeps every character, U+0000 included; a lone surrogate becomes
        U+FFFD.

        Raises:
            ValueError: unknown table or column, a value of the wrong type, a constraint violated.
        """
        self._load("INSERT INTO", table, self._arrow(table, rows))

    def upsert(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Like :meth:`insert`; a row whose primary key is there replaces the named columns of that row."""
        self._load("INSERT OR REPLACE INTO", table, self._arrow(table, rows))

    def insert_arrow(self, table: str, data: pa.Table) -> None:
        """Adds an Arrow table, e.g. of samples; its columns are cast to those of the table, NaN becomes NULL.

        Raises:
            ValueError: unknown table or column, a value that does not fit, a constraint violated.
        """
        types = self._types(table, data.column_names)
        with _as_value_error(table):
            columns = []
            for name in data.column_names:
                column = data.column(name)
                if pa.types.is_floating(column.type):
                    column = pc.if_else(pc.is_finite(column), column, None)
                columns.append(column.cast(arrow_type(types[name])))
            data = pa.Table.from_arrays(columns, names=data.column_names)
        self._load("INSERT INTO", table, data)

    def update(self, table: str, where: Mapping[str, object], values: Mapping[str, object]) -> int:
        """Sets ``values`` in the rows where every column of ``where`` is equal (None matches NULL).

        Returns:
            The number of rows changed.
        """
        if not where or not values:
            raise ValueError(f"table {table}: update needs a condition and values")
        types = self._types(table, [*where, *values])
        sets = ", ".join(f'"{name}" = CAST(? AS {types[name]})' for name in values)
        tests = " AND ".join(f'"{name}" IS NOT DISTINCT FROM CAST(? AS {types[name]})' for name in where)
        params = [converted(name, value, types[name]) for name, value in [*values.items(), *where.items()]]
        with _as_value_error(table):
            # Names and types come out of the database's own catalogue, never out of data.
            row = self._con.execute(f'UPDATE "{table}" SET {sets} WHERE {tests}', params).fetchone()  # noqa: S608
        return int(row[0]) if row else 0

    def execute(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[object, ...]]:
        """Runs one constant statement, values only as ``?``.

        Returns:
            The rows of a SELECT, else what DuckDB answers (for an UPDATE or DELETE the number of rows).
        """
        return self._con.execute(sql, list(params) if params else None).fetchall()

    def _types(self, table: str, names: Sequence[str]) -> dict[str, str]:
        """Column types of ``table``; refuses names that it does not have."""
        if table not in self._schema or not set(names) <= self._schema[table].keys():
            rows = self._con.execute(
                "SELECT table_name, column_name, data_type FROM duckdb_columns() "
                "WHERE NOT internal AND table_name NOT IN (SELECT view_name FROM duckdb_views())"
            ).fetchall()
            for owner, column, data_type in rows:
                self._schema.setdefault(owner, {})[column] = data_type
        if table not in self._schema:
            raise ValueError(f"no table {table!r} in the database")
        types = self._schema[table]
        unknown = [name for name in names if name not in types]
        if unknown:
            raise ValueError(f"table {table} has no column {', '.join(map(repr, unknown))}")
        return types

    def _arrow(self, table: str, rows: Sequence[Mapping[str, object]]) -> pa.Table:
        names = list(dict.fromkeys(name for row in rows for name in row))
        types = self._types(table, names)
        with _as_value_error(table):
            columns = {name: [converted(name, row.get(name), types[name]) for row in rows] for name in names}
            arrays = {name: pa.array(column, arrow_type(types[name])) for name, column in columns.items()}
            return pa.table(arrays)

    def _load(self, verb: str, table: str, data: pa.Table) -> None:
        if not data.num_rows:
            return
        names = _quoted(data.column_names)
        self._con.register("incoming_rows", data)
        with _as_value_error(table):
            self._con.execute(f'{verb} "{table}" ({names}) SELECT {names} FROM incoming_rows')  # noqa: S608
        # Only after success: an error has ended the transaction, and the connection closes with it.
        self._con.unregister("incoming_rows")
