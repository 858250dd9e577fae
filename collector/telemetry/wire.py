"""One line of JSON per message between the sampler process and the collector."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from collector.telemetry.types import Capability, GpuSample, Sample

__all__ = ["decode", "encode_capabilities", "encode_sample"]

_SAMPLE_FIELDS = tuple(item.name for item in fields(Sample))
_GPU_FIELDS = tuple(item.name for item in fields(GpuSample))
_GPUS = _SAMPLE_FIELDS.index("gpus")
# The sampler knows nothing of calibrations: they are the collector's and are added there.
_ROW_FIELDS = tuple(item.name for item in fields(Capability) if item.name != "calibrations")


def _line(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def encode_sample(sample: Sample) -> bytes:
    """A sample as a list in field order."""
    values: list[Any] = [getattr(sample, name) for name in _SAMPLE_FIELDS]
    values[_GPUS] = [[getattr(gpu, name) for name in _GPU_FIELDS] for gpu in sample.gpus]
    return _line(values)


def encode_capabilities(capabilities: list[Capability]) -> bytes:
    """The capability rows, sent once before the first sample."""
    return _line({"capabilities": [[getattr(row, name) for name in _ROW_FIELDS] for row in capabilities]})


def decode(line: bytes) -> Sample | list[Capability]:
    """What one line says.

    Raises:
        ValueError: the line is cut or not ours.
    """
    message = json.loads(line)
    try:
        if isinstance(message, dict):
            return [Capability(**dict(zip(_ROW_FIELDS, row, strict=True))) for row in message["capabilities"]]
        message[_GPUS] = tuple(GpuSample(*values) for values in message[_GPUS])
        return Sample(*message)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"not a line of the sampler: {line[:80]!r}") from error
