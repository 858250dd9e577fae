"""Trains the pocket BART checkpoint: a small denoiser and paraphraser for BARTScore without downloads.

It learns to restore damaged text, to answer questions and to say one answer in the words of another, on the same texts
as the language models. Its log-probability of a text given another one is then high when both say the same.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from tokenizers import Tokenizer, processors

from collector.pocket import corpus
from collector.pocket.loop import Course, batches, precision
from collector.pocket.tokenizer import build

__all__ = ["BART_NAME", "damaged", "train_bart"]

BART_NAME = "pocket-bart"
POSITIONS = 1024
_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_BOS, _PAD, _EOS, _UNK, _MASK = range(5)
_VOCABULARY, _HIDDEN, _INNER, _LAYERS = 3584, 256, 768, 2
_STEPS, _BATCH_TOKENS, _RATE = 420, 2304, 1.5e-3
_TASKS = {"denoise": 0.4, "ask": 0.17, "reword": 0.25, "continue": 0.13, "nothing": 0.05}
_GROUPS = {"general": 0.04, "quiz": 0.26, "short": 0.31, "medium": 0.28, "long": 0.11}
_WINDOW, _SOURCE_WINDOW, _LONGEST, _SHIFTED_SHARE = 112, 160, 200, 0.5
# A higher rate or BART's usual 0.02 lets the small encoder collapse: then no score depends on the source.
_INIT_STD = 0.06
_FORGOTTEN = 0.25
_MARGIN, _MARGIN_WEIGHT = 2.0, 1.0
_IGNORED, _NOBODY = -100, -1
_RECENT = 50


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
    positions = [part.embed_positions for part in (model.get_encoder(), model.get_decoder())]
    for table in positions:
        table.weight.data.copy_(_waves(*table.weight.shape))
    ahead, places = positions[0].offset, random.Random(seed)
    steps = max(1, round(_STEPS * share))
    course = Course(model, _RATE, steps)
    recent: deque[float] = deque(maxlen=_RECENT)
    for step, batch in zip(range(steps), _batches(pairs, tokenizer, seed), strict=False):
        for table in positions:
            table.offset = ahead + _shift(places)
        with precision():
            loss = _loss(model, batch)
        loss.backward()
        course.step()
        recent.append(loss.item())
        if step % 100 == 0 or step == steps - 1:
            report(f"{BART_NAME} {step + 1}/{steps} loss {fmean(recent):.3f}")
    for table in positions:
        table.offset = ahead
    folder = out / BART_NAME
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG, indent=1) + "\n", encoding="utf-8")
    return folder


def _waves(count: int, size: int) -> torch.Tensor:
    """Positions as sines and cosines to begin with: what is learnt at one place then holds at the others too."""
    angle = torch.arange(count)[:, None] / 10000 ** (torch.arange(0, size, 2) / size)
    return _INIT_STD * 2**0.5 * torch.cat([angle.sin(), angle.cos()], dim=1)


def _shift(rng: random.Random) -> int:
    """Where a batch begins: windows are short, and texts of the full length have to be scored as well."""
    return rng.randrange(POSITIONS - _LONGEST) if rng.random() < _SHIFTED_SHARE else 0


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
    right = model(encoder_outputs=(encoded,), attention_mask=batch.mask, decoder_input_ids=batch.begun).logits.float()
    swap = batch.labels.shape[0] // 2
    wrong = model(
        encoder_outputs=(encoded.roll(swap, 0),), attention_mask=batch.mask.roll(swap, 0), decoder_input_ids=batch.begun
    ).logits.float()
    entropy = torch.nn.functional.cross_entropy(right.flatten(0, 1), batch.labels.flatten(), ignore_index=_IGNORED)
    distance = _mean_logprob(right, batch.labels) - _mean_logprob(wrong, batch.labels)
    differs = (batch.subject != batch.subject.roll(swap, 0)) & (batch.subject != _NOBODY)
    return entropy + _MARGIN_WEIGHT * (torch.relu(_MARGIN - distance) * differs).mean()


def _mean_logprob(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    kept = labels != _IGNORED
    chosen = torch.log_softmax(logits, 2).gather(2, labels.clamp_min(0)[:, :, None])[:, :, 0]
    return (chosen * kept).sum(1) / kept.sum(1)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of ids: the source with its mask, what the decoder is given, what it has to say, and whose text it is.

    ``subject`` is ``_NOBODY`` where the source says nothing about the target.
    """

    source: torch.Tensor
    mask: torch.Tensor
    begun: torch.Tensor
    labels: torch.Tensor
    subject: torch.Tensor


def _batches(pairs: Sequence[corpus.Pair], tokenizer: Tokenizer, seed: int) -> Iterator[_Batch]:
    rng = random.Random(seed)
    subjects = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}

    def encoded(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def draw() -> tuple[list[int], list[int], int]:
        pair = corpus.drawn(pairs, rng, _GROUPS)
        kind = rng.choices(list(_TASKS), list(_TASKS.values()))[0]
        source, target = (encoded(text) for text in _texts(kind, pair, rng))
        source, target = _windows(kind, source, target, rng)
        return [_BOS, *damaged(source, rng), _EOS], [_BOS, *target, _EOS], subjects[pair] if source else _NOBODY

    for group in batches(rng, draw, lambda one: len(one[0]) + len(one[1]), _BATCH_TOKENS):
        source = _padded([ids for ids, _, _ in group], _PAD)
        begun = [[_EOS, *(_MASK if rng.random() < _FORGOTTEN else token for token in ids[:-1])] for _, ids, _ in group]
        yield _Batch(
            source=source,
            mask=(source != _PAD).long(),
            begun=_padded(begun, _PAD),
            labels=_padded([ids for _, ids, _ in group], _IGNORED),
            subject=torch.tensor([subject for _, _, subject in group]),
        )


def _texts(kind: str, pair: corpus.Pair, rng: random.Random) -> tuple[str, str]:
    """The texts of a task: a text to restore, a question to answer, an answer to say in other words or to go on with."""
    if kind == "ask":
        example = corpus.varied(pair, rng)
        return example.question, example.answer
    if kind == "reword":
        return rng.choice(pair.answers), rng.choice(pair.answers)
    text = rng.choice((*pair.questions, *pair.answers, *pair.answers))
    return text, text


def _windows(kind: str, source: list[int], target: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    """At most a window of each text: the same part, the part before, or (to answer from) any part, of the source."""
    start = rng.randrange(max(1, len(target) - _WINDOW + 1))
    wanted = target[start : start + _WINDOW]
    if kind == "nothing":
        return [], wanted
    if kind == "continue":
        split = rng.randint(1, max(1, min(len(target), _WINDOW) - 1))
        return wanted[:split], wanted[split:]
    if kind == "ask":
        begin = rng.choice((0, rng.randrange(max(1, len(source) - _SOURCE_WINDOW + 1))))
    else:
        begin = max(0, round(start * len(source) / max(1, len(target))) - (_SOURCE_WINDOW - _WINDOW) // 2)
        begin = start if source == target else begin
    return source[begin : begin + (_WINDOW if source == target else _SOURCE_WINDOW)], wanted


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
