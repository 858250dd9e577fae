"""Trains the shipped pocket models from the corpus, reproducibly from a seed.

The work is a fixed number of steps, so the same seed on the same machine gives the same weights. Everything together
takes less than 15 minutes on two cores.
"""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import torch
from tokenizers import Tokenizer

from collector.errors import UsageError
from collector.pocket import corpus
from collector.pocket.folder import ASSISTANT, BOS, CONTEXT, EOS, SPECIALS, USER, llama_config, write_int8, write_llama
from collector.pocket.loop import Course, batches, precision
from collector.pocket.silence import silence, unsayable_ids
from collector.pocket.tokenizer import build
from collector.pocket.train_bart import BART_NAME, train_bart

__all__ = ["INT8_OF", "SEED", "SPECS", "Spec", "train", "train_llama"]

SEED = 20260
INT8_OF = "pocket-l"
"""The float model that also ships as an int8 variant."""

_LONGEST_FIRST = ("pocket-l", "pocket-bart", "pocket-m", "pocket-s")
_VOCABULARY = 3584
_BATCH_TOKENS = 1536
_ANSWER_TOKENS = 480
_CHUNK, _CHUNK_SHARE = 16, 0.12
_WHOLE_PROMPT = {"short": 0.4, "medium": 0.1, "long": 0.05}
_NOISE, _ANSWER_NOISE = 0.04, 0.02
_SILENCE_EXAMPLES, _SILENCE_LENGTH = 24, 768
_QUIET_LOGIT, _QUIET_WEIGHT = -30.0, 0.02
_IGNORED = -100
_RECENT = 50

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
    groups: Mapping[str, float] = field(default_factory=lambda: corpus.GROUPS)


SPECS = (
    Spec("pocket-s", 256, 1, 256, steps=230, rate=4e-3, groups=corpus.SMALL_GROUPS),
    Spec("pocket-m", 256, 1, 1024, steps=290, rate=4e-3, groups=corpus.SMALL_GROUPS),
    Spec("pocket-l", 512, 1, 1024, steps=1150, rate=3e-3),
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
    course = Course(model, spec.rate, steps)
    draws = _Draws(pairs, tokenizer, seed, spec.groups)
    recent: deque[float] = deque(maxlen=_RECENT)
    for step, group in zip(range(steps), batches(draws.rng, draws.one, len, _BATCH_TOKENS), strict=False):
        batch = draws.batch(group)
        with precision():
            hidden = model.model(input_ids=batch.inputs, position_ids=batch.places).last_hidden_state
            asked = batch.labels != _IGNORED
            logits = model.lm_head(hidden[asked]).float()
            loudness = (hidden[~torch.isin(batch.inputs, quiet)][::4] @ model.lm_head.weight[quiet].T).float()
        loss = torch.nn.functional.cross_entropy(logits, batch.labels[asked])
        (loss + _QUIET_WEIGHT * torch.relu(loudness - _QUIET_LOGIT).mean()).backward()
        course.step()
        recent.append(loss.item())
        if step % 100 == 0 or step == steps - 1:
            report(f"{spec.name} {step + 1}/{steps} loss {fmean(recent):.3f}")
    others = _Draws(pairs, tokenizer, seed + 1, corpus.GROUPS)
    contexts = others.batch([others.one() for _ in range(_SILENCE_EXAMPLES)]).inputs[:, :_SILENCE_LENGTH]
    margin = silence(model, quiet, contexts, seed)
    report(f"{spec.name} tokens that are no whole character stay {margin:.0f} below the most likely token")
    tensors = {name: t.detach() for name, t in model.state_dict().items() if name != "lm_head.weight"}
    write_llama(out / spec.name, config, tensors, tokenizer)
    return out / spec.name


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of ids, each id's place in the whole text, and what has to come next (``_IGNORED``: anything)."""

    inputs: torch.Tensor
    places: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One example as ids with their places; the first ``asked`` of them are the prompt."""

    ids: list[int]
    places: list[int]
    asked: int

    def __len__(self) -> int:
        return len(self.ids)


class _Draws:
    """Examples as token ids.

    A long prompt mostly keeps only some pieces. They keep their places in the whole, so that the position encoding
    sees the distances of a real request at a fraction of its cost. Long answers are taught in short.
    """

    def __init__(
        self, pairs: Sequence[corpus.Pair], tokenizer: Tokenizer, seed: int, groups: Mapping[str, float]
    ) -> None:
        self.rng = random.Random(seed)
        self.groups = groups
        self.pairs = pairs
        self.tokenizer = tokenizer
        self.allowed = range(len(SPECIALS), tokenizer.get_vocab_size())
        self._answers: dict[str, list[int]] = {}

    def one(self) -> _Drawn:
        """One example."""
        pair = corpus.drawn(self.pairs, self.rng, self.groups)
        example = corpus.varied(pair, self.rng)
        user, end, assistant = (SPECIALS.index(mark) for mark in (USER, EOS, ASSISTANT))
        asked = [user, *self._noisy(self.tokenizer.encode(example.question).ids, _NOISE), end, assistant]
        answer = [*self._answer(example.answer), end][: CONTEXT - len(asked)]
        kept = self._kept(len(asked), _WHOLE_PROMPT.get(pair.group, 1.0))
        places = [*kept, *range(len(asked), len(asked) + len(answer))]
        return _Drawn([*(asked[place] for place in kept), *answer], places, len(kept))

    def batch(self, group: Sequence[_Drawn]) -> _Batch:
        """The examples as rows; some ids of the answers are replaced, so that the model learns to go on after a slip."""
        shape = len(group), max(map(len, group)) - 1
        inputs = torch.full(shape, SPECIALS.index(BOS))
        places = torch.zeros(shape, dtype=torch.long)
        labels = torch.full(shape, _IGNORED)
        for row, one in enumerate(group):
            end = len(one) - 1
            given = [*one.ids[: one.asked], *self._noisy(one.ids[one.asked : end], _ANSWER_NOISE)]
            inputs[row, :end] = torch.tensor(given)
            places[row, :end] = torch.tensor(one.places[:end])
            labels[row, one.asked - 1 : end] = torch.tensor(one.ids[one.asked :])
        return _Batch(inputs, places, labels)

    def _noisy(self, ids: Sequence[int], share: float) -> list[int]:
        return [self.rng.choice(self.allowed) if self.rng.random() < share else token for token in ids]

    def _answer(self, text: str) -> list[int]:
        if text not in self._answers:
            self._answers[text] = answer_ids(self.tokenizer, text)
        return self._answers[text]

    def _kept(self, length: int, whole: float) -> list[int]:
        if self.rng.random() < whole:
            return list(range(length))
        starts = range(0, length, _CHUNK)
        chosen = [s for s in starts if s == 0 or s + _CHUNK >= length or self.rng.random() < _CHUNK_SHARE]
        return [place for start in chosen for place in range(start, min(start + _CHUNK, length))]


def answer_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of an answer as it is taught: in short where it is long."""
    short = corpus.shortened(text, lambda part: len(tokenizer.encode(part).ids) <= _ANSWER_TOKENS)
    return tokenizer.encode(short).ids[:_ANSWER_TOKENS]
