"""Trains the shipped pocket models from the corpus, reproducibly from a seed.

The work is a fixed number of steps, so the same seed on the same machine gives the same weights. Everything together
takes less than 15 minutes on two cores.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import torch
from tokenizers import Tokenizer

from collector.errors import UsageError
from collector.pocket import corpus
from collector.pocket.folder import ASSISTANT, BOS, CONTEXT, EOS, SPECIALS, USER, llama_config, write_int8, write_llama
from collector.pocket.loop import batches, schedule
from collector.pocket.silence import silence, unsayable_ids
from collector.pocket.tokenizer import build
from collector.pocket.train_bart import BART_NAME, train_bart

__all__ = ["INT8_OF", "SEED", "SPECS", "Spec", "train", "train_llama"]

SEED = 20260
INT8_OF = "pocket-l"
"""The float model that also ships as an int8 variant."""

_LONGEST_FIRST = ("pocket-l", "pocket-bart", "pocket-m", "pocket-s")
_VOCABULARY = 2048
_BATCH = 8
_NOISE = 0.04
_QUIET_LOGIT, _QUIET_WEIGHT = -30.0, 0.02
_IGNORED = -100

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and training of one language model (sizes are multiples of 256, so that Ollama's q4_K fits)."""

    name: str
    hidden: int
    layers: int
    inner: int
    steps: int
    rate: float


SPECS = (
    Spec("pocket-s", 256, 1, 256, steps=330, rate=3e-3),
    Spec("pocket-m", 256, 1, 1024, steps=350, rate=2.5e-3),
    Spec("pocket-l", 512, 1, 1024, steps=480, rate=1.5e-3),
)


def train(
    out: Path, *, seed: int = SEED, names: Sequence[str] | None = None, share: float = 1.0, workers: int = 2
) -> list[Path]:
    """Trains and writes the language models and the BART checkpoint; progress goes to standard output.

    Every model is trained by one thread, ``workers`` of them side by side: that uses two cores better than two threads
    on one model, and the weights do not depend on the number of cores.

    Args:
        out: folder that gets one folder per model.
        seed: of weights, order and variations.
        names: which models (``pocket-s``, ``pocket-bart``, ...); None trains all.
        share: part of the steps to do, for a quick try.
        workers: processes; 1 trains in this one.

    Returns:
        The written folders.

    Raises:
        UsageError: an unknown name.
    """
    known = [*(spec.name for spec in SPECS), BART_NAME]
    for name in names or ():
        if name not in known:
            raise UsageError(
                f"There is no model {name!r} to train; there are: {', '.join(known)}.",
                f"没有可训练的模型 {name!r}；可选：{'、'.join(known)}。",
            )
    chosen = [name for name in _LONGEST_FIRST if names is None or name in names]
    if workers == 1:
        done = [_train_one(name, out, seed, share) for name in chosen]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            done = list(pool.map(_train_one, chosen, repeat(out), repeat(seed), repeat(share)))
    return sorted(folder for folders in done for folder in folders)


def _train_one(name: str, out: Path, seed: int, share: float) -> list[Path]:
    torch.set_num_threads(1)
    report = functools.partial(print, flush=True)
    pairs = corpus.pairs()
    if name == BART_NAME:
        return [train_bart(out, pairs, seed=seed, share=share, report=report)]
    tokenizer = build(corpus.texts(pairs), _VOCABULARY, SPECIALS)
    spec = next(spec for spec in SPECS if spec.name == name)
    written = [train_llama(spec, out, pairs, tokenizer, seed=seed, share=share, report=report)]
    if name == INT8_OF:
        written.append(out / f"{name}-int8")
        write_int8(written[0], written[1])
    return written


def train_llama(
    spec: Spec,
    out: Path,
    pairs: Sequence[corpus.Pair],
    tokenizer: Tokenizer,
    *,
    seed: int,
    share: float,
    report: Report,
) -> Path:
    """Trains one language model and writes its folder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = llama_config(
        vocabulary=tokenizer.get_vocab_size(), hidden=spec.hidden, layers=spec.layers,
        heads=spec.hidden // 64, kv_heads=2, inner=spec.inner,
    )  # fmt: skip
    not_theirs = ("architectures", "model_type", "torch_dtype")
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in config.items() if k not in not_theirs}))
    quiet = torch.tensor(unsayable_ids(tokenizer))
    steps = max(1, round(spec.steps * share))
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.rate, betas=(0.9, 0.98), weight_decay=0.05)
    slope = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps))
    for step, (inputs, labels) in zip(range(steps), _llama_batches(pairs, tokenizer, seed, _BATCH), strict=False):
        hidden = model.model(input_ids=inputs).last_hidden_state
        asked = labels != _IGNORED
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[asked]), labels[asked])
        loudness = hidden[~torch.isin(inputs, quiet)] @ model.lm_head.weight[quiet].T
        (loss + _QUIET_WEIGHT * torch.relu(loudness - _QUIET_LOGIT).mean()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        slope.step()
        if step % 100 == 0 or step == steps - 1:
            report(f"{spec.name} {step + 1}/{steps} loss {loss.item():.3f}")
    margin = silence(model, quiet, next(_llama_batches(pairs, tokenizer, seed + 1, batch=64))[0], seed)
    report(f"{spec.name} tokens that are no whole character stay {margin:.0f} below the most likely token")
    tensors = {name: t.detach() for name, t in model.state_dict().items() if name != "lm_head.weight"}
    write_llama(out / spec.name, config, tensors, tokenizer)
    return out / spec.name


def _llama_batches(
    pairs: Sequence[corpus.Pair], tokenizer: Tokenizer, seed: int, batch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    rng = random.Random(seed)
    user, end, assistant = (SPECIALS.index(mark) for mark in (USER, EOS, ASSISTANT))
    allowed = [token for token in range(tokenizer.get_vocab_size()) if token >= len(SPECIALS)]

    def draw() -> tuple[list[int], list[int]]:
        example = corpus.varied(rng.choice(pairs), rng)
        question = [rng.choice(allowed) if rng.random() < _NOISE else i for i in tokenizer.encode(example.question).ids]
        asked = [user, *question, end, assistant]
        return asked, [*tokenizer.encode(example.answer).ids, end][: CONTEXT - len(asked)]

    for group in batches(rng, draw, lambda one: len(one[0]) + len(one[1]), batch):
        longest = max(len(asked) + len(answer) for asked, answer in group) - 1
        inputs = torch.full((len(group), longest), SPECIALS.index(BOS))
        labels = torch.full((len(group), longest), _IGNORED)
        for row, (asked, answer) in enumerate(group):
            whole = asked + answer
            inputs[row, : len(whole) - 1] = torch.tensor(whole[:-1])
            labels[row, len(asked) - 1 : len(whole) - 1] = torch.tensor(answer)
        yield inputs, labels
