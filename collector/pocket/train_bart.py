"""Trains the pocket BART checkpoint: a small denoiser and paraphraser for BARTScore without downloads.

It begins with weights that copy (``collector.pocket.copying``) and learns to restore damaged text, to answer questions, to
say one answer in the words of another, how texts begin and how they go on, on the same texts as the language models. Its
log-probability of a text given another one is then high when both say the same, or when one follows from the other.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from tokenizers import Tokenizer, processors

from collector.pocket import corpus
from collector.pocket.copying import copying
from collector.pocket.loop import Course, batches, precision
from collector.pocket.tokenizer import build
from collector.quality.text import has_han, sentences

__all__ = ["BART_NAME", "damaged", "train_bart"]

BART_NAME = "pocket-bart"
POSITIONS = 1024
_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_BOS, _PAD, _EOS, _UNK, _MASK = range(5)
_VOCABULARY, _HIDDEN, _INNER, _LAYERS = 3584, 256, 768, 2
_STEPS, _BATCH_TOKENS, _RATE = 300, 2304, 1.5e-3
_TASKS = {"denoise": 0.14, "ask": 0.2, "reword": 0.18, "follow": 0.3, "nothing": 0.18}
_GROUPS = {"general": 0.04, "quiz": 0.2, "short": 0.26, "medium": 0.33, "long": 0.17}
_WINDOW, _SOURCE_WINDOW, _LONGEST, _SHIFTED_SHARE = 112, 160, 200, 0.5
_CONTEXTS = (1, 1, 2, 4, 8)  # sentences before the one that follows
_FORGOTTEN = 0.1
_MARGIN, _ORDER_MARGIN = 2.0, 0.5
_OTHERS_SHARE = 0.6  # of what follows, against other sentences; the rest against nothing
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
    copying(model, seed)
    positions = [part.embed_positions for part in (model.get_encoder(), model.get_decoder())]
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
        "dropout": 0.0, "attention_dropout": 0.0, "activation_function": "gelu",
        "bos_token_id": _BOS, "pad_token_id": _PAD, "eos_token_id": _EOS, "decoder_start_token_id": _EOS,
        "forced_eos_token_id": _EOS, "is_encoder_decoder": True, "tie_word_embeddings": True,
    }  # fmt: skip


def _loss(model: Any, batch: _Batch) -> torch.Tensor:
    """Cross entropy, and a margin between the right source and a wrong one.

    The texts are few, so a decoder alone would soon know them by heart and need no source. The margin makes the
    log-probability depend on what the source says, which is all that BARTScore looks at.
    """
    encoded = model.get_encoder()(input_ids=batch.source, attention_mask=batch.mask).last_hidden_state
    rows = torch.arange(len(batch.labels))
    right, entropy = _logprobs(model, encoded, batch, rows, rows)
    judged = batch.wrong != _NOBODY
    if not judged.any():
        return entropy
    wrong, _ = _logprobs(model, encoded, batch, batch.wrong[judged], rows[judged])
    return entropy + torch.relu(batch.margin[judged] - right[judged] + wrong).sum() / len(rows)


def _logprobs(
    model: Any, encoded: torch.Tensor, batch: _Batch, sources: torch.Tensor, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean log-probability of each row's labels given a source, and the cross entropy over all of them."""
    labels = batch.labels[rows]
    hidden = model.get_decoder()(
        input_ids=batch.begun[rows], encoder_hidden_states=encoded[sources], encoder_attention_mask=batch.mask[sources]
    ).last_hidden_state
    kept = labels != _IGNORED
    logits = model.lm_head(hidden[kept]).float()  # the padding is left out: this is the dearest step
    losses = torch.nn.functional.cross_entropy(logits, labels[kept], reduction="none")
    sums = torch.zeros(len(rows)).index_add(0, kept.nonzero()[:, 0], losses)
    return -sums / kept.sum(1), losses.mean()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One exercise as token ids: what is given, what is to be said, what must make it less likely, whose text it is.

    ``wrong`` is None where any other text of the batch will do, or where ``subject`` is ``_NOBODY`` none is needed.
    """

    source: list[int]
    target: list[int]
    wrong: list[int] | None
    subject: int

    def __len__(self) -> int:
        return len(self.source) + len(self.target)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of ids: sources with their mask, what the decoder is given, and what it has to say.

    After the sources of the targets stand wrong ones. ``wrong`` is for each target the row of a wrong source (``_NOBODY``:
    none), ``margin`` by how much the target must be less likely given that.
    """

    source: torch.Tensor
    mask: torch.Tensor
    begun: torch.Tensor
    labels: torch.Tensor
    wrong: torch.Tensor
    margin: torch.Tensor


def _batches(pairs: Sequence[corpus.Pair], tokenizer: Tokenizer, seed: int) -> Iterator[_Batch]:
    rng = random.Random(seed)
    subjects = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}

    @cache
    def encoded(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def draw() -> _Drawn:
        pair = corpus.drawn(pairs, rng, _GROUPS)
        kind = rng.choices(list(_TASKS), list(_TASKS.values()))[0]
        steps = _steps(kind, pair, rng) if kind in ("follow", "nothing") else None
        if steps:
            source, target, wrong = (encoded(text) for text in steps)
            return _Drawn(
                _marked(source[-_SOURCE_WINDOW:]),
                _marked(target[:_WINDOW]),
                _marked(wrong[-_SOURCE_WINDOW:]),
                subjects[pair],
            )
        source, target = (encoded(text) for text in _texts(kind, pair, rng))
        source, target = _windows(kind, source, target, rng)
        known = source and kind != "denoise"  # what is copied depends on its source anyway
        return _Drawn(_marked(damaged(source, rng)), _marked(target), None, subjects[pair] if known else _NOBODY)

    for group in batches(rng, draw, len, _BATCH_TOKENS):
        yield _batch(group, rng)


def _batch(group: Sequence[_Drawn], rng: random.Random) -> _Batch:
    sources = [one.source for one in group]
    wrong: list[int] = []
    swap = len(group) // 2
    for row, one in enumerate(group):
        place = (row - swap) % len(group)
        if one.wrong is not None:
            place = len(sources)
            sources.append(one.wrong)
        elif one.subject in (_NOBODY, group[place].subject):
            place = _NOBODY
        wrong.append(place)
    source = _padded(sources, _PAD)
    begun = [[_EOS, *(_MASK if rng.random() < _FORGOTTEN else token for token in one.target[:-1])] for one in group]
    return _Batch(
        source=source,
        mask=(source != _PAD).long(),
        begun=_padded(begun, _PAD),
        labels=_padded([one.target for one in group], _IGNORED),
        wrong=torch.tensor(wrong),
        margin=torch.tensor([_MARGIN if one.wrong is None else _ORDER_MARGIN for one in group]),
    )


def _marked(ids: Sequence[int]) -> list[int]:
    return [_BOS, *ids, _EOS]


def _texts(kind: str, pair: corpus.Pair, rng: random.Random) -> tuple[str, str]:
    """The texts of a task: a text to restore, a question to answer, an answer to say in other words."""
    if kind == "ask":
        example = corpus.varied(pair, rng)
        return example.question, example.answer
    if kind == "reword":
        return rng.choice(pair.answers), rng.choice(pair.answers)
    text = rng.choice((*pair.questions, *pair.answers, *pair.answers))
    return text, text


def _steps(kind: str, pair: corpus.Pair, rng: random.Random) -> tuple[str, str, str] | None:
    """What stands before in a text, what follows, and what from the same text must not stand before; None if it is too short.

    ``follow`` takes one sentence after its predecessors, against nothing at all or the text's other sentences. ``nothing``
    takes the beginning of the text, against sentences that come later.
    """
    own = sentences(rng.choice((*pair.questions, *pair.answers, *pair.answers, *pair.answers)))
    if len(own) < 2:  # noqa: PLR2004
        return None
    if kind == "nothing":
        first = rng.randint(1, len(own))
        return "", _joined(own[:first]), _joined(rng.sample(own[1:], min(len(own) - 1, rng.choice(_CONTEXTS))))
    place = rng.randrange(1, len(own))
    before = own[max(0, place - rng.choice(_CONTEXTS)) : place]
    others = [sentence for spot, sentence in enumerate(own) if spot not in range(place - len(before), place + 1)]
    wrong = rng.sample(others, min(len(others), len(before))) if rng.random() < _OTHERS_SHARE else []
    return _joined(before), own[place], _joined(wrong)


def _joined(own: Sequence[str]) -> str:
    text = " ".join(own)
    return "".join(own) if has_han(text) else text


def _windows(kind: str, source: list[int], target: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    """At most a window of each text: the same part, or (to answer from) any part, of the source."""
    start = rng.randrange(max(1, len(target) - _WINDOW + 1))
    wanted = target[start : start + _WINDOW]
    if kind in ("nothing", "follow"):
        return [], target[:_WINDOW]
    if kind == "ask":
        begin = rng.choice((0, rng.randrange(max(1, len(source) - _SOURCE_WINDOW + 1))))
    else:
        begin = max(0, round(start * len(source) / max(1, len(target))) - (_SOURCE_WINDOW - _WINDOW) // 2)
        begin = start if source == target else begin
    return source[begin : begin + (_WINDOW if source == target else _SOURCE_WINDOW)], wanted


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
