"""The runs that match the filters as a file: all columns of ``v_runs``, as Parquet or as CSV for spreadsheets."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import streamlit as st

from db import Store
from pages._ui import i18n
from pages._ui.i18n import t

__all__ = ["MOST", "as_csv", "as_parquet", "buttons", "table"]

MOST = 100_000
"""Most runs in one file."""
_EXECUTABLE = r"^[=+\-@\t\r]"


def table(store: Store, asked: Mapping[str, str | None], limit: int = MOST) -> pa.Table:
    """Every column of ``v_runs`` of the runs that match, newest first.

    Args:
        store: where they are.
        asked: campaign, configuration, task, load, language, status and flag; None does not restrict.
        limit: most rows.

    Raises:
        StoreError: the store cannot be read.
    """
    with store.read() as con:
        return con.sql(_RUNS, params={**asked, "limit": limit}).to_arrow_table()


_RUNS = """
SELECT * FROM v_runs
WHERE ($campaign IS NULL OR campaign = $campaign) AND ($configuration IS NULL OR configuration = $configuration)
    AND ($task IS NULL OR task = $task) AND ($load IS NULL OR load = $load)
    AND ($language IS NULL OR language = $language) AND ($status IS NULL OR status = $status)
    AND ($flag IS NULL OR list_contains(string_split(flags, ','), $flag))
ORDER BY started_at DESC, run_id LIMIT $limit
"""


def as_parquet(runs: pa.Table) -> bytes:
    """The runs as one Parquet file; types and missing values as in the store."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(runs, out, compression="zstd")
    return out.getvalue()


def as_csv(runs: pa.Table) -> bytes:
    """The runs for spreadsheets: UTF-8 with a byte order mark, texts that would be executed get an apostrophe before them."""
    columns = [_safe(column) if pa.types.is_string(column.type) else column for column in runs.columns]
    out = io.BytesIO(b"\xef\xbb\xbf")
    out.seek(0, io.SEEK_END)
    pyarrow.csv.write_csv(pa.table(columns, names=runs.column_names), out)
    return out.getvalue()


def _safe(column: pa.ChunkedArray) -> pa.ChunkedArray:
    risky = pc.match_substring_regex(column, _EXECUTABLE)
    return pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)


def _file(path: str, asked: Mapping[str, str | None], kind: Literal["parquet", "csv"]) -> bytes:
    runs = table(Store(path), asked)
    return as_parquet(runs) if kind == "parquet" else as_csv(runs)


def buttons(path: str, asked: Mapping[str, str | None]) -> None:
    """Two downloads that are made when they are asked for."""
    kinds: tuple[tuple[Any, str], ...] = (("parquet", "application/vnd.apache.parquet"), ("csv", "text/csv"))
    with st.container(horizontal=True):
        for kind, mime in kinds:
            st.download_button(
                t(f"runs.{kind}"), data=partial(_file, path, dict(asked), kind), file_name=f"runs.{kind}", mime=mime,
                on_click="ignore", icon=":material/download:", key=f"runs-{kind}",
                help=t("runs.file_help", n=i18n.count(MOST)),
            )  # fmt: skip
