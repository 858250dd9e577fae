"""The models a server offers: names, and what can be said about a model folder without loading it (or torch)."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import safe_open

from collector.errors import EngineError
from collector.pocket import registry, wire
from collector.pocket.api import ApiError, parse_model_name

__all__ = ["DEMONSTRATION", "Catalog", "ModelCard", "reading"]

_log = logging.getLogger(__name__)

FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
DEMONSTRATION = (
    "Demonstration model of the embedded engine, trained in minutes on a few made-up texts. "
    "Its speed, energy and answers say nothing about real language models."
)
PLAIN_TEMPLATE = "{{ .Prompt }}"
FILE_TYPES = {"F16": 1, "INT8": 7}  # of GGUF: mostly F16; mostly Q8_0, the nearest relative of our int8
_PARTS = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Names the folder in whatever goes wrong while it is read.

    Raises:
        EngineError: a file is missing, unreadable or not what it should be.
    """
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # tokenizers and safetensors have no base class of their own below Exception
        _log.warning("model folder %s: %r", folder, error)
        raise EngineError(
            f"The model folder {folder} cannot be used ({type(error).__name__}: {error}); restore it or run "
            "'python -m collector pocket train'.",
            f"模型目录 {folder} 无法使用（{type(error).__name__}：{error}）；请恢复该目录，或运行 "
            "python -m collector pocket train。",
        ) from error


@dataclass(frozen=True)
class ModelCard:
    """One model on disk: its full name (``name:tag``) and folder.

    What is read from the folder can raise :class:`collector.errors.EngineError`.
    """

    name: str
    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``."""
        return self._json("config.json")

    @cached_property
    def chat_template(self) -> str:
        """The chat template; empty for a model that has none."""
        return str(self._json("tokenizer_config.json").get("chat_template") or "")

    def _json(self, name: str) -> dict[str, Any]:
        with reading(self.folder):
            value = json.loads((self.folder / name).read_text(encoding="utf-8"))
            if not isinstance(value, dict):
                raise ValueError(f"{name} holds no JSON object")
            return value

    @cached_property
    def tensors(self) -> list[tuple[str, str, list[int]]]:
        """Name, type and shape of every stored tensor."""
        with reading(self.folder), safe_open(str(self.folder / "model.safetensors"), framework="np") as file:
            slices = {name: file.get_slice(name) for name in sorted(file.keys())}
            return [(name, part.get_dtype(), list(part.get_shape())) for name, part in slices.items()]

    @property
    def parameter_count(self) -> int:
        """Weights, tied ones once, without the scales of a quantized model."""
        return sum(math.prod(shape) for name, _, shape in self.tensors if not name.endswith(".scale"))

    @property
    def quantization(self) -> str:
        """``INT8`` or ``F16``."""
        return "INT8" if any(kind == "I8" for _, kind, _ in self.tensors) else "F16"

    @property
    def context_length(self) -> int:
        """Tokens the model was trained for."""
        with reading(self.folder):
            return int(self.config["max_position_embeddings"])

    @property
    def size_bytes(self) -> int:
        """Bytes of the folder's files."""
        return sum(path.stat().st_size for path in self._files())

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and contents of the folder's files, as 64 hex digits."""
        whole = hashlib.sha256()
        for path in self._files():
            whole.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return whole.hexdigest()

    @property
    def modified_at(self) -> str:
        """When the weights were written."""
        return wire.stamp((self.folder / "model.safetensors").stat().st_mtime_ns)

    def _files(self) -> list[Path]:
        return [path for name in FILES if (path := self.folder / name).is_file()]

    # --- as the API shows it -----------------------------------------------------------------------------------
    def details(self, lengths: bool = False) -> dict[str, Any]:
        """The ``details`` object; ``/api/tags`` adds the two lengths."""
        shown: dict[str, Any] = {
            "parent_model": "", "format": "safetensors", "family": "llama", "families": ["llama"],
            "parameter_size": _human(self.parameter_count), "quantization_level": self.quantization,
        }  # fmt: skip
        if lengths:
            shown |= {"context_length": self.context_length, "embedding_length": int(self.config["hidden_size"])}
        return shown

    def tag_entry(self) -> dict[str, Any]:
        """One entry of ``/api/tags``."""
        with reading(self.folder):
            return {
                "name": self.name, "model": self.name, "modified_at": self.modified_at, "size": self.size_bytes,
                "digest": self.digest, "details": self.details(lengths=True), "capabilities": ["completion"],
            }  # fmt: skip

    def show(self) -> dict[str, Any]:
        """The answer of ``/api/show``."""
        with reading(self.folder):
            tensors = [{"name": _gguf_name(n), "type": kind, "shape": shape[::-1]} for n, kind, shape in self.tensors]
            return {
                "license": DEMONSTRATION,
                "modelfile": f"# {DEMONSTRATION}\n# FROM {self.name}\n\nFROM {self.folder.name}\n",
                "template": self.chat_template or PLAIN_TEMPLATE,
                "details": self.details(),
                "model_info": self._model_info(),
                "tensors": tensors,
                "capabilities": ["completion"],
                "modified_at": self.modified_at,
            }

    def _model_info(self) -> dict[str, Any]:
        config = self.config
        heads = int(config["num_attention_heads"])
        head_dim = int(config.get("head_dim") or config["hidden_size"] // heads)
        return {
            "general.architecture": "llama",
            "general.basename": self.name.partition(":")[0],
            "general.file_type": FILE_TYPES[self.quantization],
            "general.parameter_count": self.parameter_count,
            "llama.attention.head_count": heads,
            "llama.attention.head_count_kv": int(config["num_key_value_heads"]),
            "llama.attention.key_length": head_dim,
            "llama.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
            "llama.attention.value_length": head_dim,
            "llama.block_count": int(config["num_hidden_layers"]),
            "llama.context_length": self.context_length,
            "llama.embedding_length": int(config["hidden_size"]),
            "llama.feed_forward_length": int(config["intermediate_size"]),
            "llama.rope.dimension_count": head_dim,
            "llama.vocab_size": int(config["vocab_size"]),
            "tokenizer.ggml.bos_token_id": config.get("bos_token_id"),
            "tokenizer.ggml.eos_token_id": config.get("eos_token_id"),
            "tokenizer.ggml.merges": None,
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.token_type": None,
            "tokenizer.ggml.tokens": None,
        }


class Catalog:
    """Finds models by the names clients use.

    Args:
        models: full name to folder; None for the models that ship.

    Raises:
        EngineError: a name is none that a client could ask for.
    """

    def __init__(self, models: Mapping[str, Path] | None = None) -> None:
        self.cards = [ModelCard(name, folder) for name, folder in (registry() if models is None else models).items()]
        self._by_name: dict[tuple[str, str], ModelCard] = {}
        for card in self.cards:
            try:
                self._by_name[parse_model_name(card.name)] = card
            except ApiError as error:
                raise EngineError(
                    f"The folder {card.folder} cannot be a model: rename it to letters, digits, '.', '_' and '-'.",
                    f"目录 {card.folder} 不能作为模型：请改用字母、数字、“.”、“_”和“-”命名。",
                ) from error

    def find(self, name: str) -> ModelCard:
        """The model of that name; without a tag (``latest``) the float16 one.

        Raises:
            ApiError: 400 for a malformed name, 404 for a model that is not here.
        """
        model, tag = parse_model_name(name)
        card = self._by_name.get((model, tag))
        if card is None and tag == "latest":
            card = self._by_name.get((model, "f16"))
        if card is None:
            raise ApiError(404, f"model '{name}' not found")
        return card


def _human(count: int) -> str:
    for factor, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 2)):
        if count >= factor:
            return f"{count / factor:.{0 if count % factor == 0 else digits}f}{letter}"
    return str(count)


def _gguf_name(name: str) -> str:
    """``model.layers.0.self_attn.q_proj.weight`` -> ``blk.0.attn_q.weight``; unknown names stay."""
    module, _, kind = name.rpartition(".")
    if not module.startswith("model.layers."):
        return f"{_PARTS.get(module, module)}.{kind}"
    layer, _, part = module.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{_PARTS.get(part, part)}.{kind}"
