"""Python values into the types of the columns: one converter per type, everything else is refused."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

__all__ = ["arrow_type", "converted"]

_ARROW: Final[dict[str, pa.DataType]] = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "DOUBLE": pa.float64(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
}


def arrow_type(data_type: str) -> pa.DataType:
    """The Arrow type of a column type of our schema, e.g. ``DOUBLE[]``."""
    return pa.list_(_ARROW[data_type[:-2]]) if data_type.endswith("[]") else _ARROW[data_type]


def _missing(value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return not math.isfinite(value)
    # Values of pandas only come from where it is loaded; loading it here would triple our start.
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate is no character; two halves of one are joined
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _plain(value: Any) -> Any:
    """Only what JSON knows: numpy values and times unpacked, NaN to null, keys to text."""
    if _missing(value):
        return None
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return value
    raise TypeError


def _json(value: Any) -> str:
    if isinstance(value, str):
        json.loads(value)  # refuses what is not JSON
        return _text(value)
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _double(value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise TypeError
    return float(value)


def _integer(value: Any, bits: int) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise TypeError
    if int(value) != value:
        raise TypeError
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError("out of range")
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def _timestamp(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError
    if hasattr(value, "to_pydatetime"):  # of pandas, may hold nanoseconds
        value = value.to_pydatetime(warn=False)
    return value.astimezone(UTC).replace(tzinfo=None)  # type: ignore[no-any-return]


_CONVERT: Final[dict[str, Callable[[Any], object]]] = {
    "VARCHAR": _text,
    "JSON": _json,
    "DOUBLE": _double,
    "INTEGER": partial(_integer, bits=32),
    "BIGINT": partial(_integer, bits=64),
    "BOOLEAN": _boolean,
    "TIMESTAMP": _timestamp,
}


def converted(name: str, value: object, data_type: str) -> object:
    """``value`` as the column ``name`` of ``data_type`` takes it; None for what is missing, NaN or infinite.

    Raises:
        ValueError: the value does not fit; names the column.
    """
    if _missing(value):
        return None
    try:
        if not data_type.endswith("[]"):
            return _CONVERT[data_type](value)
        if isinstance(value, list | tuple | np.ndarray):
            return [None if _missing(part) else _CONVERT[data_type[:-2]](part) for part in value]
    except (TypeError, ValueError) as error:
        why = f": {error}" if str(error) else ""
        raise ValueError(f"column {name} ({data_type}) cannot take {value!r:.200}{why}") from error
    raise ValueError(f"column {name} ({data_type}) needs a list, not {value!r:.200}")
