"""Builds a tiny language model with random weights: every code path of a real one, in a few milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch

from collector.pocket.folder import SPECIALS, llama_config, write_int8, write_llama
from collector.pocket.tokenizer import build

TEXTS = (
    "What is energy? Energy is the ability to do work, measured in joules; one watt is one joule per second.",
    "什么是能量？能量是做功的本领，单位是焦耳；一瓦等于每秒一焦耳。能量守恒。",
    "[a1b2c3d4]\nWater boils at 100 °C. 水在100℃沸腾！",
)


def build_tiny(root: Path, name: str = "pocket-t", *, seed: int = 0, hidden: int = 64, layers: int = 2) -> Path:
    """A float16 folder ``root/name`` with random weights drawn from ``seed``."""
    tokenizer = build(TEXTS, 420, SPECIALS)
    config = llama_config(
        vocabulary=tokenizer.get_vocab_size(), hidden=hidden, layers=layers, heads=4, kv_heads=2, inner=2 * hidden,
        context=2048,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.2

    kv = hidden // 2
    tensors = {
        "model.embed_tokens.weight": random(config["vocab_size"], hidden),
        "model.norm.weight": torch.ones(hidden),
    }
    for layer in range(layers):
        at = f"model.layers.{layer}"
        tensors |= {
            f"{at}.input_layernorm.weight": 1 + random(hidden),
            f"{at}.post_attention_layernorm.weight": 1 + random(hidden),
            f"{at}.self_attn.q_proj.weight": random(hidden, hidden),
            f"{at}.self_attn.k_proj.weight": random(kv, hidden),
            f"{at}.self_attn.v_proj.weight": random(kv, hidden),
            f"{at}.self_attn.o_proj.weight": random(hidden, hidden),
            f"{at}.mlp.gate_proj.weight": random(2 * hidden, hidden),
            f"{at}.mlp.up_proj.weight": random(2 * hidden, hidden),
            f"{at}.mlp.down_proj.weight": random(hidden, 2 * hidden),
        }
    write_llama(root / name, config, tensors, tokenizer)
    return root / name


def build_tiny_int8(root: Path, source: Path) -> Path:
    """The int8 variant of ``source`` as ``root/<name>-int8``."""
    target = root / f"{source.name}-int8"
    write_int8(source, target)
    return target
