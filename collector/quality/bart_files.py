"""Loads a BART checkpoint that lies on this machine: its tokenizer and its model. No code of the checkpoint runs."""

from __future__ import annotations

import json
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, BartForConditionalGeneration, BertTokenizer

from collector.errors import ScorerError
from collector.quality.checkpoints import Checkpoint

__all__ = ["load_bart"]

# The hub name once carried an older model with 512 positions and another vocabulary (fastnlp/CPT, 2022-12-30).
_EXPECTED = {"fnlp/bart-large-chinese": {"max_position_embeddings": 1024, "vocab_size": 51271}}
_BERT_STYLE = {"fnlp/bart-large-chinese", "fnlp/bart-base-chinese"}


def load_bart(checkpoint: Checkpoint, dtype: torch.dtype, device: str) -> tuple[Any, Any]:
    """Tokenizer and model (in eval mode) of a checkpoint; nothing is fetched.

    Raises:
        ScorerError: not a BART model, broken, its tokenizer belongs to another model, or the device cannot be used.
    """
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        _check(checkpoint, config)
        kind = BertTokenizer if _is_bert_style(checkpoint) else AutoTokenizer
        tokenizer = kind.from_pretrained(checkpoint.folder, local_files_only=True)
        model, report = BartForConditionalGeneration.from_pretrained(
            checkpoint.folder,
            local_files_only=True,
            dtype=dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        if report["missing_keys"]:  # the library would fill them with random numbers
            raise ValueError(f"weights are missing: {sorted(report['missing_keys'])[0]} and others")
        # Real ones may name a mark or two (<mask>) that the model has no row for, but not another vocabulary.
        known = config.vocab_size + len(tokenizer.all_special_tokens)
        if len(tokenizer) > known or max(tokenizer("")["input_ids"], default=0) >= config.vocab_size:
            raise ValueError(f"its tokenizer has {len(tokenizer)} words, its model {config.vocab_size}")
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise ScorerError(
            f"The checkpoint {checkpoint.name} in {checkpoint.folder} cannot be loaded ({error}); "
            "delete that folder and get it again.",
            f"无法加载 {checkpoint.folder} 中的模型 {checkpoint.name}（{error}）；请删除该文件夹后重新获取。",
        ) from error
    return tokenizer, _placed(model, device).eval()


def _placed(model: Any, device: str) -> Any:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        why = str(error).partition("\n")[0][:200]
        raise ScorerError(
            f"The device {device} cannot be used for scoring ({why}); use --device cpu.",
            f"评分无法使用设备 {device}（{why}）；请使用 --device cpu。",
        ) from error


def _is_bert_style(checkpoint: Checkpoint) -> bool:
    """Whether its vocabulary is a plain word list, as of the Chinese BART; its config alone would name BartTokenizer."""
    files = {path.name for path in checkpoint.folder.iterdir()}
    if checkpoint.name in _BERT_STYLE or "vocab.txt" not in files or files & {"merges.txt", "vocab.json"}:
        return checkpoint.name in _BERT_STYLE
    settings = checkpoint.folder / "tokenizer_config.json"
    return not settings.is_file() or "tokenizer_class" not in json.loads(settings.read_text(encoding="utf-8"))


def _check(checkpoint: Checkpoint, config: Any) -> None:
    if config.model_type != "bart":
        raise ScorerError(
            f"The checkpoint {checkpoint.name} is a {config.model_type} model; BARTScore needs a BART model.",
            f"模型 {checkpoint.name} 属于 {config.model_type}；BARTScore 需要 BART 模型。",
        )
    for field, expected in _EXPECTED.get(checkpoint.name, {}).items():
        if getattr(config, field) != expected:
            raise ScorerError(
                f"The checkpoint {checkpoint.name} is an outdated copy ({field} is {getattr(config, field)}, not "
                f"{expected}); delete {checkpoint.folder} and get it again.",
                f"模型 {checkpoint.name} 是旧版本（{field} 为 {getattr(config, field)}，应为 {expected}）；"
                f"请删除 {checkpoint.folder} 后重新获取。",
            )
