"""The two kinds of matrix the embedded engine multiplies with: float32, and int8 with a scale per output row."""

from __future__ import annotations

import functools
import logging
from typing import Protocol

import torch
import torch.nn.functional as fn

__all__ = ["Int8Linear", "Linear", "FloatLinear", "int8_kernels", "quantize_rows"]

_log = logging.getLogger(__name__)
_PROBE_TOLERANCE = 0.05


class Linear(Protocol):
    """``y = x @ W.T`` for ``x`` of shape (rows, in)."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (rows, out), float32."""
        ...

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows ``ids`` of ``W`` as float32 (embedding lookup of tied weights)."""
        ...


class FloatLinear:
    """Float32 weights (stored as float16)."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight = weight.to(torch.float32).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ W.T``."""
        return fn.linear(x, self.weight)

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Rows of ``W`` as float32."""
        return fn.embedding(ids, self.weight)


class Int8Linear:
    """Int8 weights, symmetric, one float scale per output row; the product reads the int8 values directly.

    One row (decoding) multiplies bfloat16 activations with int8 weights; several rows (prefill) quantize each
    activation row to int8 as well and multiply integers. Where a platform has no such kernel the weights are
    expanded to float32 for each product: same result within rounding, no gain in speed.
    """

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor, kernels: frozenset[str]) -> None:
        self.weight = weight.contiguous()
        self.scale = scale.to(torch.float32).contiguous()
        self._scale_bf16 = self.scale.to(torch.bfloat16)
        self._transposed = self.weight.t()
        self._one_row = "int8pack" in kernels
        self._many_rows = "int_mm" in kernels

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ W.T``."""
        if x.shape[0] == 1:
            if self._one_row:
                packed = torch._weight_int8pack_mm(x.to(torch.bfloat16), self.weight, self._scale_bf16)
                return packed.to(torch.float32)
        elif self._many_rows:
            step = x.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127.0
            integers = torch._int_mm((x / step).round_().to(torch.int8), self._transposed)
            return integers.to(torch.float32) * step * self.scale
        return fn.linear(x, self.weight.to(torch.float32)) * self.scale

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Rows of ``W`` as float32."""
        return self.weight[ids].to(torch.float32) * self.scale[ids, None]


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric int8 values and float32 scales per output row of ``weight`` (out, in)."""
    weight = weight.to(torch.float32)
    scale = weight.abs().amax(dim=1).clamp_min(1e-12) / 127.0
    return (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


@functools.cache
def int8_kernels() -> frozenset[str]:
    """Names of the int8 products that exist here and give right results (a subset of int8pack, int_mm)."""
    generator = torch.Generator().manual_seed(7)
    weight, scale = quantize_rows(torch.randn(64, 256, generator=generator))
    found = set()
    for name, rows in (("int8pack", 1), ("int_mm", 4)):
        x = torch.randn(rows, 256, generator=generator)
        expected = fn.linear(x, weight.to(torch.float32)) * scale
        try:
            got = Int8Linear(weight, scale, frozenset({name}))(x)
        except (RuntimeError, NotImplementedError, AttributeError) as error:
            _log.info("no %s kernel on this machine: %s", name, error)
            continue
        if float((got - expected).norm() / expected.norm()) < _PROBE_TOLERANCE:
            found.add(name)
    return frozenset(found)
