"""Writing model folders that transformers, Ollama's importer and the embedded engine all read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from collector.pocket.linear import quantize_rows

__all__ = [
    "ASSISTANT", "BOS", "CHAT_TEMPLATE", "CONTEXT", "EOS", "SPECIALS", "SYSTEM", "USER", "llama_config",
    "write_int8", "write_llama",
]  # fmt: skip

CONTEXT = 8192
EOS, BOS, SYSTEM, USER, ASSISTANT = "<|end|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIALS = (EOS, BOS, SYSTEM, USER, ASSISTANT)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def llama_config(
    *, vocabulary: int, hidden: int, layers: int, heads: int, kv_heads: int, inner: int, context: int = CONTEXT
) -> dict[str, Any]:
    """``config.json`` of a Llama model with tied embeddings."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": SPECIALS.index(BOS),
        "eos_token_id": SPECIALS.index(EOS),
        "pad_token_id": SPECIALS.index(EOS),
        "torch_dtype": "float16",
        "use_cache": True,
    }


def write_llama(folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor], tokenizer: Tokenizer) -> None:
    """Writes a model folder; float tensors are stored as float16, int8 ones as they are.

    The chat template goes into ``tokenizer_config.json``, the only place where Ollama's importer looks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        name: tensor.contiguous() if tensor.dtype == torch.int8 else tensor.to(_stored_type(name)).contiguous()
        for name, tensor in tensors.items()
    }
    save_file(stored, str(folder / "model.safetensors"), metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    _write_json(folder / "config.json", config)
    ids = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write_json(folder / "generation_config.json", ids)
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": EOS,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config["max_position_embeddings"],
        "chat_template": CHAT_TEMPLATE,
    }
    _write_json(folder / "tokenizer_config.json", tokenizer_config)


def write_int8(source: Path, target: Path) -> None:
    """Writes the int8 variant of a float model folder: every matrix as int8 rows with float scales."""
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(str(source / "model.safetensors")).items():
        if tensor.ndim == 2:
            values, scale = quantize_rows(tensor)
            tensors[name] = values
            tensors[name.removesuffix(".weight") + ".scale"] = scale
        else:
            tensors[name] = tensor
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["pocket_quantization"] = "int8"
    write_llama(target, config, tensors, Tokenizer.from_file(str(source / "tokenizer.json")))


def _stored_type(name: str) -> torch.dtype:
    return torch.float32 if name.endswith(".scale") else torch.float16


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
