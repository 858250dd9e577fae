"""Tiny random BART checkpoints, and a store with a few answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer, processors
from transformers import BartConfig, BartForConditionalGeneration, BertTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from collector.suite import Item, load_suite
from db import Store

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
POSITIONS = 64


def _save(folder: Path, size: int, pad: int, bos: int, eos: int, **changes: int) -> None:
    torch.manual_seed(3)
    sizes = {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": POSITIONS,
    } | changes
    config = BartConfig(
        vocab_size=size,
        init_std=0.3,
        pad_token_id=pad,
        bos_token_id=bos,
        eos_token_id=eos,
        decoder_start_token_id=eos,
        forced_eos_token_id=eos,
        **sizes,
    )
    model = BartForConditionalGeneration(config)
    # A trained checkpoint may carry a bias; the scorer must not forget it.
    model.final_logits_bias = torch.randn(1, size)
    model.save_pretrained(folder)


def save_byte_checkpoint(folder: Path, **changes: int) -> Path:
    """A random checkpoint with a byte-level tokenizer as BART has it."""
    raw = ByteLevelBPETokenizer()
    texts = [text for item in load_suite().items for text in item.references]
    raw.train_from_iterator(
        texts, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False
    )
    raw._tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw._tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=POSITIONS,
    )
    _save(folder, len(tokenizer), 1, 0, 2, **changes)
    tokenizer.save_pretrained(folder)
    return folder


def save_bert_checkpoint(folder: Path) -> Path:
    """A random checkpoint with a character vocabulary as the Chinese BART has it."""
    folder.mkdir(exist_ok=True)
    characters = sorted({c for item in load_suite().items for text in item.references for c in text if c > "\u3000"})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    _save(folder, len(words), 0, 2, 3)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def quiet() -> None:
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)  # threads only get into each other's way with models this small


@pytest.fixture(scope="session")
def byte_checkpoint(tmp_path_factory: pytest.TempPathFactory, quiet: None) -> Path:
    return save_byte_checkpoint(tmp_path_factory.mktemp("byte"))


@pytest.fixture(scope="session")
def bert_checkpoint(tmp_path_factory: pytest.TempPathFactory, quiet: None) -> Path:
    return save_bert_checkpoint(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "store.duckdb"
    Store(path).ensure()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Store:
    shutil.copy(empty_store, tmp_path / "store.duckdb")
    return Store(tmp_path / "store.duckdb")


@pytest.fixture
def answered(store: Store) -> Callable[..., str]:
    """Stores one answer to an item and returns its run id."""
    count = 0

    def add(
        item: Item, answer: str | None, *, engine: str = "ollama", status: str = "ok", done_reason: str = "stop"
    ) -> str:
        nonlocal count
        count += 1
        campaign, configuration, run = f"campaign-{engine}", f"k-{engine}", f"r{count:03d}"
        with store.write() as writer:
            writer.upsert(
                "campaigns",
                [
                    {
                        "campaign_id": campaign,
                        "name": "test",
                        "experiment_hash": "h",
                        "experiment_toml": "",
                        "packages": {},
                        "machine_id": "m",
                        "engine": engine,
                        "status": "running",
                        "started_at": START,
                    }
                ],
            )
            writer.upsert(
                "configurations",
                [
                    {
                        "configuration_id": configuration,
                        "model": "a",
                        "options": {},
                        "engine": engine,
                        "demo": False,
                        "first_seen_at": START,
                    }
                ],
            )
            writer.upsert("items", [item.row()])
            writer.insert(
                "runs",
                [
                    {
                        "run_id": run,
                        "cell_id": run,
                        "campaign_id": campaign,
                        "configuration_id": configuration,
                        "machine_id": "m",
                        "cohort": "c",
                        "task": item.task,
                        "load": item.load,
                        "language": item.language,
                        "item": item.id,
                        "item_hash": item.hash,
                        "repeat": 0,
                        "attempt": 1,
                        "started_at": START,
                        "status": status,
                        "done_reason": done_reason,
                        "flags": [],
                        "prompt": f"[x]\n{item.prompt}",
                        "reference": item.references[0] if item.references else None,
                        "has_reference": bool(item.references),
                        "output_text": answer,
                    }
                ],
            )
        return run

    return add
