"""Trains the pocket BART checkpoint: a small denoiser and paraphraser for BARTScore without downloads.

It learns to restore damaged text, to answer questions and to say one answer in the words of another, on the same texts
as the language models. Its log-probability of a text given another one is then high when both say the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, processors

from collector.pocket import corpus
from collector.pocket.loop import batches, schedule
from collector.pocket.tokenizer import build

__all__ = ["BART_NAME", "damaged", "train_bart"]

BART_NAME = "pocket-bart"
POSITIONS = 1024
_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_BOS, _PAD, _EOS, _UNK, _MASK = range(5)
_VOCABULARY, _HIDDEN, _INNER, _LAYERS = 2048, 256, 768, 2
_STEPS, _BATCH, _RATE = 420, 8, 6e-4
_DENOISE_SHARE, _ASK_SHARE = 0.45, 0.2
# A higher rate or BART's usual 0.02 lets the small encoder collapse: then no score depends on the source.
_INIT_STD = 0.06
_FORGOTTEN = 0.25
_MARGIN, _MARGIN_WEIGHT = 2.0, 1.0
_IGNORED = -100


def train_bart(
    out: Path, pairs: Sequence[corpus.Pair], *, seed: int, share: float, report: Callable[[str], None]
) -> Path:
    """Trains the checkpoint and writes it as an ordinary Hugging Face folder (float16).

    Args:
        out: folder that gets the folder ``pocket-bart``.
        pairs: what to learn.
        seed: of weights, order and damage.
        share: part of the steps to do.
        report: takes a line of progress.
    """
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(seed)
    tokenizer = build(corpus.texts(pairs), _VOCABULARY, _SPECIALS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", _BOS), ("</s>", _EOS)]
    )
    model = BartForConditionalGeneration(BartConfig(**_config(tokenizer.get_vocab_size())))
    model.train()
    steps = max(1, round(_STEPS * share))
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    slope = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps))
    for step, batch in zip(range(steps), _batches(pairs, tokenizer, seed), strict=False):
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        slope.step()
        if step % 100 == 0 or step == steps - 1:
            report(f"{BART_NAME} {step + 1}/{steps} loss {loss.item():.3f}")
    folder = out / BART_NAME
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG, indent=1) + "\n", encoding="utf-8")
    return folder


def damaged(ids: Sequence[int], rng: random.Random) -> list[int]:
    """BART's noise on token ids: spans behind one mask, dropped and swapped tokens, at a random strength."""
    strength = rng.choice((0.0, 0.1, 0.2, 0.35, 0.5))
    kept: list[int] = []
    place = 0
    while place < len(ids):
        if rng.random() < strength / 2:
            place += rng.randint(1, 4)
            kept.append(_MASK)
        elif rng.random() < strength / 4:
            place += 1
        else:
            kept.append(ids[place])
            place += 1
    for _ in range(int(len(kept) * strength / 4)):
        spot = rng.randrange(max(1, len(kept) - 1))
        kept[spot : spot + 2] = kept[spot : spot + 2][::-1]
    return kept


_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>",
    "cls_token": "<s>", "sep_token": "</s>",
    "model_max_length": POSITIONS, "clean_up_tokenization_spaces": False,
    "model_input_names": ["input_ids", "attention_mask"],
}  # fmt: skip


def _config(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary, "d_model": _HIDDEN, "max_position_embeddings": POSITIONS,
        "encoder_layers": _LAYERS, "decoder_layers": _LAYERS, "encoder_ffn_dim": _INNER, "decoder_ffn_dim": _INNER,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "dropout": 0.0, "init_std": _INIT_STD, "attention_dropout": 0.0, "activation_function": "gelu",
        "bos_token_id": _BOS, "pad_token_id": _PAD, "eos_token_id": _EOS, "decoder_start_token_id": _EOS,
        "forced_eos_token_id": _EOS, "is_encoder_decoder": True, "tie_word_embeddings": True,
    }  # fmt: skip


def _loss(model: Any, batch: _Batch) -> torch.Tensor:
    """Cross entropy, and a margin between the right source and another one.

    The texts are few, so a decoder alone would soon know them by heart and need no source. The margin makes the
    log-probability depend on what the source says, which is all that BARTScore looks at.
    """
    encoded = model.get_encoder()(input_ids=batch.source, attention_mask=batch.mask).last_hidden_state
    right = model(encoder_outputs=(encoded,), attention_mask=batch.mask, decoder_input_ids=batch.begun).logits
    swap = batch.labels.shape[0] // 2
    wrong = model(
        encoder_outputs=(encoded.roll(swap, 0),), attention_mask=batch.mask.roll(swap, 0), decoder_input_ids=batch.begun
    ).logits
    entropy = torch.nn.functional.cross_entropy(right.flatten(0, 1), batch.labels.flatten(), ignore_index=_IGNORED)
    distance = _mean_logprob(right, batch.labels) - _mean_logprob(wrong, batch.labels)
    differs = batch.subject != batch.subject.roll(swap, 0)
    return entropy + _MARGIN_WEIGHT * (torch.relu(_MARGIN - distance) * differs).mean()


def _mean_logprob(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    kept = labels != _IGNORED
    chosen = torch.log_softmax(logits, 2).gather(2, labels.clamp_min(0)[:, :, None])[:, :, 0]
    return (chosen * kept).sum(1) / kept.sum(1)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of ids: the source with its mask, what the decoder is given, what it has to say, and whose text it is."""

    source: torch.Tensor
    mask: torch.Tensor
    begun: torch.Tensor
    labels: torch.Tensor
    subject: torch.Tensor


def _batches(pairs: Sequence[corpus.Pair], tokenizer: Tokenizer, seed: int) -> Iterator[_Batch]:
    rng = random.Random(seed)
    subjects = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}

    def draw() -> tuple[list[int], list[int], int]:
        pair = rng.choice(pairs)
        source, target = _task(pair, rng)
        plain = tokenizer.encode(source, add_special_tokens=False).ids
        wanted = tokenizer.encode(target, add_special_tokens=False).ids
        room = POSITIONS - 2
        return [_BOS, *damaged(plain, rng)[:room], _EOS], [_BOS, *wanted[:room], _EOS], subjects[pair]

    for group in batches(rng, draw, lambda one: len(one[0]) + len(one[1]), _BATCH):
        source = _padded([ids for ids, _, _ in group], _PAD)
        begun = [[_EOS, *(_MASK if rng.random() < _FORGOTTEN else token for token in ids[:-1])] for _, ids, _ in group]
        yield _Batch(
            source=source,
            mask=(source != _PAD).long(),
            begun=_padded(begun, _PAD),
            labels=_padded([ids for _, ids, _ in group], _IGNORED),
            subject=torch.tensor([subject for _, _, subject in group]),
        )


def _task(pair: corpus.Pair, rng: random.Random) -> tuple[str, str]:
    """Source and target: a text to restore, a question to answer, or an answer to say in other words."""
    example = corpus.varied(pair, rng)
    kind = rng.random()
    if kind < _DENOISE_SHARE:
        text = rng.choice((*pair.questions, *pair.answers, *pair.answers))
        return text, text
    if kind < _DENOISE_SHARE + _ASK_SHARE:
        return example.question, example.answer
    return rng.choice(pair.answers), example.answer


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
