"""CSV for spreadsheets: same bytes from the command and from stored rows, nothing executable."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating import COLUMNS, Configuration, Rating, csv_bytes
from rating.reasons import reason


def parsed(data: bytes) -> list[dict[str, str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def rating(model: str = "m", **changes: object) -> Rating:
    values: dict[str, object] = {"cohort": "here", "task": "qa", "status": "unrated", "scheme": "v1"}
    return Rating(configuration=Configuration(model, model), **(values | changes))  # type: ignore[arg-type]


def test_all_columns_in_their_order_with_unknown_cells_empty() -> None:
    row = parsed(csv_bytes([rating(eei=0.1, n_items=3, reasons=(reason("energy_estimated"),)).as_row()]))[0]
    assert tuple(row) == COLUMNS
    assert (row["eei"], row["n_items"], row["grade"], row["items_needed"]) == ("0.1", "3", "", "")
    assert row["reasons"].startswith("energy_estimated: the energy is estimated")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_texts_that_a_spreadsheet_would_execute_are_neutralised(start: str) -> None:
    row = parsed(csv_bytes([rating(f"{start}1+1").as_row()]))[0]
    assert row["model"] == f"'{start}1+1"


def test_numbers_are_never_touched() -> None:
    row = parsed(csv_bytes([rating().as_row() | {"eei": -1.5e-7}]))[0]
    assert float(row["eei"]) == -1.5e-7


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_unchanged(value: float) -> None:
    assert float(parsed(csv_bytes([rating(eei=value).as_row()]))[0]["eei"]) == value


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\x00" not in text))
def test_any_name_survives(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    cell = parsed(csv_bytes([rating(name).as_row()]))[0]["model"]
    assert cell in (name, f"'{name}")
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_rows_as_a_data_frame_gives_them_are_the_same_bytes() -> None:
    one = rating(n_items=40, rank_low=1, eei=1.25, reasons=(reason("demo_model"),))
    two = rating("a", cohort="here")
    frame = []
    for row in (two.as_row(), one.as_row()):  # whole numbers as floats, unknown as NaN, reasons as JSON text
        numbers = {k: float(v) if isinstance(v, int) else v for k, v in row.items()}
        nothing = {k: float("nan") if v is None else v for k, v in numbers.items()}
        frame.append(nothing | {"reasons": json.dumps(row["reasons"]), "rated_at": 1})
    assert csv_bytes(frame) == csv_bytes([one.as_row(), two.as_row()])
