"""The embedded engine's language models: a Llama forward pass on the CPU over an ordinary model folder.

A folder holds ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``tokenizer_config.json`` and
``generation_config.json``, as transformers and Ollama's importer read them. Weights are stored as float16 and
computed in float32; the int8 variant stores int8 values with one scale per row and computes with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as fn
from safetensors.torch import load_file

from collector.errors import EngineError
from collector.pocket import model_name
from collector.pocket.linear import FloatLinear, Int8Linear, Linear, int8_kernels
from collector.pocket.sampling import Sampler, Sampling
from collector.pocket.text import PocketTokenizer, Utf8Stream

__all__ = ["ContextFull", "PocketModel", "Sampler", "Sampling", "Session", "Utf8Stream", "set_threads"]

FILES = (
    "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
_OPTIONAL = frozenset({"generation_config.json"})
_BATCH = 512


def set_threads(count: int) -> None:
    """Sets how many threads the matrix products of this process use; 0 means 1.

    One thread is the default: these matrices are small, a second one costs more in waiting than it saves.
    """
    torch.set_num_threads(max(1, count))


class ContextFull(Exception):  # noqa: N818 - a state of the session, not a fault
    """The window is full and shifting was not allowed."""


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: torch.Tensor
    qkv: Linear
    output: Linear
    mlp_norm: torch.Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class _Shape:
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    epsilon: float
    theta: float
    context: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> _Shape:
        rope = config.get("rope_parameters") or {}
        heads = int(config["num_attention_heads"])
        return cls(
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config["num_key_value_heads"]),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            hidden=int(config["hidden_size"]),
            epsilon=float(config["rms_norm_eps"]),
            theta=float(config.get("rope_theta") or rope.get("rope_theta") or 10000.0),
            context=int(config["max_position_embeddings"]),
        )


class PocketModel:
    """One loaded model.

    Attributes:
        name: as the server lists it, such as ``pocket-l:int8``.
        family: always ``llama``.
        parameter_count: number of weights (tied weights once; scales of the int8 variant do not count).
        quantization: ``F16`` or ``INT8``.
        context_length: tokens the position encoding covers.
        embedding_length: hidden size.
        size_bytes: bytes of the model folder's files.
        digest: SHA-256 (64 hex digits) over names and contents of these files.
        kernel: what multiplies: ``float32``, ``int8`` or ``int8-dequantized`` (no int8 kernel here).
        tokenizer: the model's tokenizer.
    """

    family = "llama"

    def __init__(self, folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        self.folder = folder
        self.config = config
        self.tokenizer = PocketTokenizer(folder)
        self.shape = _Shape.of(config)
        quantized = any(tensor.dtype == torch.int8 for tensor in tensors.values())
        self.quantization = "INT8" if quantized else "F16"
        self.name = model_name(folder)
        kernels = int8_kernels() if quantized else frozenset()
        self.kernel = "float32" if not quantized else "int8" if kernels else "int8-dequantized"
        self.parameter_count = sum(t.numel() for name, t in tensors.items() if not name.endswith(".scale"))
        self.context_length = self.shape.context
        self.embedding_length = self.shape.hidden
        self.size_bytes = sum((folder / name).stat().st_size for name in FILES if (folder / name).is_file())
        self.digest = _digest(folder)
        linear = _linear_maker(tensors, kernels)
        self.embedding = linear("model.embed_tokens")
        self.head = self.embedding if config.get("tie_word_embeddings", False) else linear("lm_head")
        self.norm = tensors["model.norm.weight"].to(torch.float32)
        self.layers = [_layer(f"model.layers.{place}", tensors, linear) for place in range(self.shape.layers)]
        self.cos, self.sin = _rope_tables(self.shape)

    @classmethod
    def load(cls, folder: Path) -> PocketModel:
        """Reads a model folder.

        Raises:
            EngineError: a file is missing or is not a Llama model; the sentence names it.
        """
        for name in FILES:
            if name not in _OPTIONAL and not (folder / name).is_file():
                raise EngineError(
                    f"The model folder {folder} has no {name}; run 'python -m collector pocket train' or restore it.",
                    f"模型目录 {folder} 缺少 {name}；请运行 python -m collector pocket train 或恢复该文件。",
                )
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if "LlamaForCausalLM" not in config.get("architectures", []):
            raise EngineError(
                f"{folder / 'config.json'} does not describe a Llama model, the only kind that runs here.",
                f"{folder / 'config.json'} 不是 Llama 模型；内置引擎只能运行 Llama 模型。",
            )
        return cls(folder, config, load_file(str(folder / "model.safetensors")))

    @property
    def details(self) -> dict[str, str | int]:
        """What differs between models, for logs and ``/api/show``."""
        return {
            "family": self.family, "quantization": self.quantization, "kernel": self.kernel,
            "parameter_count": self.parameter_count, "layers": self.shape.layers,
            "embedding_length": self.embedding_length, "context_length": self.context_length,
        }  # fmt: skip

    @property
    def eos_id(self) -> int:
        """The token that ends an answer."""
        return self.tokenizer.eos_id

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text`` (nothing is added)."""
        return self.tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids`` without special tokens."""
        return self.tokenizer.decode(ids)

    def render_chat(self, messages: Sequence[dict[str, str]]) -> str:
        """Prompt text of a conversation, up to where the answer begins."""
        return self.tokenizer.render_chat(messages)

    def session(self, num_ctx: int | None = None, num_keep: int = 4) -> Session:
        """A fresh window of ``num_ctx`` tokens (at most and by default the trained context length)."""
        return Session(self, min(num_ctx or self.context_length, self.context_length), num_keep)


class Session:
    """One window of text: prompt and answer so far, with the keys and values already computed for it.

    Attributes:
        num_ctx: size of the window in tokens.
        num_keep: tokens at the start that a context shift never drops.
        tokens: what the window holds.
    """

    def __init__(self, model: PocketModel, num_ctx: int, num_keep: int = 4) -> None:
        self.model = model
        self.num_ctx = num_ctx
        self.num_keep = min(num_keep, num_ctx - 2)
        self.tokens: list[int] = []
        self._pending: int | None = None
        self._logits: torch.Tensor | None = None
        shape = model.shape
        self._keys = torch.zeros(shape.layers, shape.kv_heads, num_ctx, shape.head_dim)
        self._values = torch.zeros_like(self._keys)
        self.cache_bytes = 2 * self._keys.numel() * self._keys.element_size()

    @property
    def context_used(self) -> int:
        """Tokens in the window, the one chosen last included."""
        return len(self.tokens) + (self._pending is not None)

    @property
    def logits(self) -> torch.Tensor:
        """Logits (vocabulary,) of the next token after what was computed last."""
        if self._logits is None:
            raise RuntimeError("prefill() comes before step()")
        return self._logits

    def prefill(self, ids: Sequence[int]) -> int:
        """Reads a prompt; the part the window already starts with is not computed again.

        Args:
            ids: the whole prompt, 1 to ``num_ctx`` tokens; at least its last token is always computed.

        Returns:
            How many tokens were reused.

        Raises:
            ValueError: the prompt is empty or longer than the window.
        """
        if not 0 < len(ids) <= self.num_ctx:
            raise ValueError(f"prompt of {len(ids)} tokens in a window of {self.num_ctx}")
        reused = 0
        for cached, wanted in zip(self.tokens, ids[:-1], strict=False):
            if cached != wanted:
                break
            reused += 1
        del self.tokens[reused:]
        self._pending = None
        with torch.inference_mode():
            for start in range(reused, len(ids), _BATCH):
                self._forward(list(ids[start : start + _BATCH]))
        return reused

    def step(self, sampler: Sampler, *, shift: bool = True) -> int:
        """Chooses the next token.

        Args:
            sampler: one per answer.
            shift: with a full window, drop the older half after ``num_keep`` and go on.

        Raises:
            ContextFull: the window is full and ``shift`` is False.
        """
        with torch.inference_mode():
            return self._step(sampler, shift)

    def _step(self, sampler: Sampler, shift: bool) -> int:
        if self._pending is not None:
            if len(self.tokens) >= self.num_ctx:
                if not shift:
                    raise ContextFull
                self._shift()
            token, self._pending = self._pending, None
            self._forward([token])
        self._pending = sampler.choose(self.logits)
        return self._pending

    def _shift(self) -> None:
        dropped = (len(self.tokens) - self.num_keep) // 2
        start, stop = self.num_keep, len(self.tokens)
        moved = self._keys[:, :, start + dropped : stop]
        # Keys carry their position as a rotation: turn them back by the distance they move.
        self._keys[:, :, start : stop - dropped] = _rotate(moved, self.model.cos[dropped], -self.model.sin[dropped])
        self._values[:, :, start : stop - dropped] = self._values[:, :, start + dropped : stop].clone()
        del self.tokens[start : start + dropped]

    def _forward(self, ids: list[int]) -> None:
        model, shape = self.model, self.model.shape
        count, past = len(ids), len(self.tokens)
        end = past + count
        x = model.embedding.rows(torch.tensor(ids))
        cos, sin = model.cos[past:end, None], model.sin[past:end, None]
        mask = None
        if count > 1:
            mask = torch.ones(count, end, dtype=torch.bool).tril_(past)
        for place, layer in enumerate(model.layers):
            keys, values = self._keys[place], self._values[place]
            heads = layer.qkv(fn.rms_norm(x, (shape.hidden,), layer.attention_norm, shape.epsilon))
            heads = heads.view(count, shape.heads + 2 * shape.kv_heads, shape.head_dim)
            turned = _rotate(heads[:, : shape.heads + shape.kv_heads], cos, sin)
            keys[:, past:end] = turned[:, shape.heads :].transpose(0, 1)
            values[:, past:end] = heads[:, shape.heads + shape.kv_heads :].transpose(0, 1)
            mixed = fn.scaled_dot_product_attention(
                turned[:, : shape.heads].transpose(0, 1)[None], keys[None, :, :end], values[None, :, :end],
                attn_mask=mask, enable_gqa=True,
            )  # fmt: skip
            x = x + layer.output(mixed[0].transpose(0, 1).reshape(count, -1))
            gate, up = layer.gate_up(
                fn.rms_norm(x, (shape.hidden,), layer.mlp_norm, shape.epsilon)
            ).chunk(2, dim=1)  # fmt: skip
            x = x + layer.down(fn.silu(gate).mul_(up))
        last = fn.rms_norm(x[-1:], (shape.hidden,), model.norm, shape.epsilon)
        self._logits = model.head(last)[0]
        self.tokens.extend(ids)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    # ``sin`` has its first half negated, so that one roll gives Llama's "rotate half".
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def _rope_tables(shape: _Shape) -> tuple[torch.Tensor, torch.Tensor]:
    inverse = 1.0 / shape.theta ** (torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim)
    angle = torch.arange(shape.context, dtype=torch.float32)[:, None] * inverse
    return torch.cat([angle.cos()] * 2, dim=1), torch.cat([-angle.sin(), angle.sin()], dim=1)


def _linear_maker(tensors: dict[str, torch.Tensor], kernels: frozenset[str]) -> Callable[..., Linear]:
    def make(*names: str) -> Linear:
        weight = torch.cat([tensors[f"{name}.weight"] for name in names])
        if weight.dtype != torch.int8:
            return FloatLinear(weight)
        return Int8Linear(weight, torch.cat([tensors[f"{name}.scale"] for name in names]), kernels)

    return make


def _layer(prefix: str, tensors: dict[str, torch.Tensor], linear: Callable[..., Linear]) -> _Layer:
    attention, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
    return _Layer(
        attention_norm=tensors[f"{prefix}.input_layernorm.weight"].to(torch.float32),
        qkv=linear(f"{attention}.q_proj", f"{attention}.k_proj", f"{attention}.v_proj"),
        output=linear(f"{attention}.o_proj"),
        mlp_norm=tensors[f"{prefix}.post_attention_layernorm.weight"].to(torch.float32),
        gate_up=linear(f"{mlp}.gate_proj", f"{mlp}.up_proj"),
        down=linear(f"{mlp}.down_proj"),
    )


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for name in FILES:
        if (folder / name).is_file():
            whole.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return whole.hexdigest()
