"""BARTScore: how probable a BART model finds a target text, given a source text.

The published algorithm (neulab/BARTScore, ``bart_score.py``): the mean natural-log probability per target token
under teacher forcing, ``<s>`` and ``</s>`` counted, both texts cut at the model's positions (1024 at most). Always
below 0, higher is better; there is no absolute scale (see ``collector.quality.anchors``).

Same numbers, less work: every source is encoded once for all its targets, texts lie end to end without padding
(``collector.quality.packed``), and the model's own loss is not computed. In float32 a score does not depend on what else
is in the batch (within 1e-4). Out of memory halves the batch.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any, Literal, TypeVar

import torch

from collector.errors import ScorerError
from collector.quality.bart_files import load_bart
from collector.quality.checkpoints import Checkpoint, download_hint, locate
from collector.quality.packed import EncodedSource, PackedBart
from collector.quality.windows import Split, split_pair

__all__ = ["BartScorer", "Directions", "PairScore"]

log = logging.getLogger(__name__)

_MAX_TOKENS = 1024  # of the published algorithm; a checkpoint with fewer positions cuts earlier
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_JOINS: dict[str, Callable[[list[float]], float]] = {"mean": fmean, "max": max}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Tokens of a batch (on a CPU more do not stay in the cache), and bytes of encoded sources held at once.
_ROOM = {"cpu": (2048, 1 << 28), "cuda": (32768, 1 << 32)}


@dataclass(frozen=True, slots=True)
class PairScore:
    """Score of one target given one source.

    Attributes:
        sum_logprob: sum of natural-log probabilities of the target's tokens.
        token_count: number of those tokens, start and end mark included.
        truncated_source: whether the source was cut at the model's positions; likewise truncated_target.
        windowed: whether a text too long for the model was scored in parts instead.
    """

    sum_logprob: float
    token_count: int
    truncated_source: bool
    truncated_target: bool
    windowed: bool = False

    @property
    def mean(self) -> float:
        """Mean natural-log probability per token: the BARTScore."""
        return self.sum_logprob / self.token_count


@dataclass(frozen=True, slots=True)
class Directions:
    """BARTScores of one hypothesis, each None where a text for it is missing.

    Attributes:
        src_hypo: source → hypothesis (faithfulness); likewise ref_hypo (precision) and hypo_ref (recall).
        f: mean of ref_hypo and hypo_ref, the published ``avg_f``.
    """

    src_hypo: float | None
    ref_hypo: float | None
    hypo_ref: float | None
    f: float | None


@dataclass(frozen=True, slots=True)
class _Tokens:
    ids: list[int]
    truncated: bool


class BartScorer:
    """Scores pairs of texts with one checkpoint.

    Attributes:
        checkpoint: what is loaded, with its revision.
        device: where it computes, ``cpu`` or ``cuda``.
        dtype: precision of weights and arithmetic; only float32 keeps the 1e-4.
        max_tokens: longest source and target.
    """

    def __init__(
        self,
        checkpoint: str | Checkpoint,
        *,
        device: str | None = None,
        dtype: str = "float32",
        revision: str | None = None,
    ) -> None:
        """Loads a checkpoint that is on this machine.

        Args:
            checkpoint: a local folder, ``pocket-bart`` or a hub name whose files are in the hub's cache.
            device: None takes CUDA where it works, else the CPU.
            dtype: ``float32``, ``bfloat16`` or ``float16``.
            revision: commit of a hub name; None takes the pinned one, else the newest that is here.

        Raises:
            ScorerError: it is not here, not a BART model, or broken.
        """
        if dtype not in _DTYPES:
            raise ScorerError(f"dtype must be one of {', '.join(_DTYPES)}.", f"dtype 只能是 {'、'.join(_DTYPES)}。")
        self.checkpoint = _found(checkpoint, revision)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = dtype
        self._tokenizer, model = load_bart(self.checkpoint, _DTYPES[dtype], self.device)
        # The published loss ignores the padding mark, so one that is spelt out in a text counts with 0. A careless config
        # may name an ordinary word as padding; that word is judged.
        pad = self._tokenizer.pad_token_id
        self._model = PackedBart(model, pad if pad == model.config.pad_token_id else None)
        self._words, self._unknown = model.config.vocab_size, self._tokenizer.unk_token_id
        self.max_tokens = min(_MAX_TOKENS, model.config.max_position_embeddings)
        kind = self.device.partition(":")[0]
        self._batch_tokens, self._held_bytes = _ROOM.get(kind, _ROOM["cpu"])

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
        """BARTScore of each target given its source: mean natural-log probability per token, below 0.

        Raises:
            ValueError: the numbers of sources and targets differ.
            ScorerError: not even one pair fits into memory.
        """
        return [pair.mean for pair in self.score_pairs(list(zip(sources, targets, strict=True)))]

    def multi_ref_score(
        self, sources: Sequence[str], references: Sequence[Sequence[str]], agg: Literal["mean", "max"] = "mean"
    ) -> list[float]:
        """BARTScore of each source's targets, mean or best of them; a source may have more of them than another.

        Raises:
            ValueError: the numbers of sources and lists differ, or a list is empty.
            ScorerError: not even one pair fits into memory.
        """
        join = _JOINS[agg]
        _filled(references)
        pairs = [(source, one) for source, own in zip(sources, references, strict=True) for one in own]
        found = iter(self.score_pairs(pairs))
        return [join([next(found).mean for _ in own]) for own in references]

    def score_directions(
        self,
        hypotheses: Sequence[str],
        *,
        sources: Sequence[str] | None = None,
        references: Sequence[Sequence[str]] | None = None,
        agg: Literal["mean", "max"] = "mean",
    ) -> list[Directions]:
        """Every direction of each hypothesis; several references are joined by their mean or the best of them.

        Args:
            hypotheses: what is judged.
            sources: the text each was made from.
            references: one or more per hypothesis, not always the same number.
            agg: how references are joined; for ``f`` the F of each of them.

        Raises:
            ValueError: the numbers of texts differ, or a hypothesis has an empty list of references.
            ScorerError: not even one pair fits into memory.
        """
        join = _JOINS[agg]
        count = len(hypotheses)
        own_sources: Sequence[str | None] = [None] * count if sources is None else sources
        own_references = [[]] * count if references is None else _filled(references)
        rows = list(zip(hypotheses, own_sources, own_references, strict=True))
        pairs = [(source, hypothesis) for hypothesis, source, _ in rows if source is not None]
        for hypothesis, _, wanted in rows:
            pairs += [pair for one in wanted for pair in ((one, hypothesis), (hypothesis, one))]
        found = {pair: score.mean for pair, score in zip(pairs, self.score_pairs(pairs), strict=True)}
        return [
            Directions(
                None if source is None else found[source, hypothesis],
                join([found[one, hypothesis] for one in wanted]) if wanted else None,
                join([found[hypothesis, one] for one in wanted]) if wanted else None,
                join([(found[one, hypothesis] + found[hypothesis, one]) / 2 for one in wanted]) if wanted else None,
            )
            for hypothesis, source, wanted in rows
        ]

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairScore]:
        """Score of each (source, target), in the order given; a pair that is there twice is computed once.

        Raises:
            ScorerError: not even one pair fits into memory, or the checkpoint's weights are broken.
        """
        texts = self._tokenized({text for pair in pairs for text in pair})
        targets_of: dict[str, list[str]] = defaultdict(list)
        for source, target in dict.fromkeys(pairs):
            targets_of[source].append(target)
        sums: dict[tuple[str, str], float] = {}
        with torch.inference_mode():
            for block in self._blocks(list(targets_of), texts):
                jobs = [(source, target) for source in block for target in targets_of[source]]
                sums.update(self._scored(block, jobs, texts))
        if not all(map(math.isfinite, sums.values())):
            raise ScorerError(
                f"The checkpoint {self.checkpoint.name} gives no numbers in {self.dtype}; delete {self.checkpoint.folder} and "
                "get it again, or take another one.",
                f"模型 {self.checkpoint.name} 以 {self.dtype} 计算得不到数值；请删除 {self.checkpoint.folder} 后重新获取，或换用其他模型。",
            )
        return [PairScore(sums[s, t], len(texts[t].ids), texts[s].truncated, texts[t].truncated) for s, t in pairs]

    def score_whole(self, pairs: Sequence[tuple[str, str]]) -> list[PairScore]:
        """As :meth:`score_pairs`, but nothing is cut: texts too long for the model are scored in parts (``windows``).

        Raises:
            ScorerError: not even one pair fits into memory.
        """
        length = lru_cache(maxsize=None)(lambda text: len(self._ids(text)))
        long = {text for pair in pairs for text in pair if length(text) > self.max_tokens}
        plans = {
            pair: split_pair(*pair, length, self.max_tokens) for pair in dict.fromkeys(pairs) if long.intersection(pair)
        }
        single = [pair for pair in dict.fromkeys(pairs) if pair not in plans]
        wanted = single + [pair for plan in plans.values() for choice in plan.choices for pair in choice]
        found = dict(zip(wanted, self.score_pairs(wanted), strict=True))
        joined = {pair: _joined(plan, found) for pair, plan in plans.items()}
        return [joined[pair] if pair in joined else found[pair] for pair in pairs]

    def _scored(
        self, sources: Sequence[str], jobs: list[tuple[str, str]], texts: dict[str, _Tokens]
    ) -> dict[tuple[str, str], float]:
        """Sum of log-probabilities of each job, a (source, target) pair; the jobs of one source stand together."""
        encoded: dict[str, EncodedSource] = {}
        for batch, found in self._batches(
            sources,
            lambda source: len(texts[source].ids),
            lambda batch: self._model.encoded([texts[source].ids for source in batch]),
        ):
            encoded.update(zip(batch, found, strict=True))
        result: dict[tuple[str, str], float] = {}
        for pairs, sums in self._batches(
            jobs,
            lambda job: len(texts[job[1]].ids),
            lambda pairs: self._model.sums([(encoded[source], texts[target].ids) for source, target in pairs]),
        ):
            result.update(zip(pairs, sums, strict=True))
        return result

    def _tokenized(self, texts: set[str]) -> dict[str, _Tokens]:
        result: dict[str, _Tokens] = {}
        for text in texts:
            ids = self._ids(text)
            truncated = len(ids) > self.max_tokens
            if truncated:
                ids = self._ids(text, truncation=True, max_length=self.max_tokens)
            result[text] = _Tokens(ids, truncated)
        return result

    def _ids(self, text: str, **options: Any) -> list[int]:
        # A lone surrogate cannot be encoded; a server's JSON may hold one.
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._tokenizer(clean, return_token_type_ids=False, verbose=False, **options)["input_ids"]
        # bart-large-cnn has no row for the <mask> that its tokenizer knows, and an answer may spell it out
        return [token if token < self._words else self._unknown for token in ids]

    def _blocks(self, sources: Sequence[str], texts: dict[str, _Tokens]) -> Iterator[list[str]]:
        """Sources, few enough to hold what the decoder needs of them."""
        room = self._held_bytes // self._model.memory_per_token
        block: list[str] = []
        tokens = 0
        for source in sources:
            length = len(texts[source].ids)
            if block and tokens + length > room:
                yield block
                block, tokens = [], 0
            block.append(source)
            tokens += length
        if block:
            yield block

    def _batches(
        self,
        jobs: Sequence[_Job],
        length: Callable[[_Job], int],
        work: Callable[[Sequence[_Job]], list[_Result]],
    ) -> Iterator[tuple[Sequence[_Job], list[_Result]]]:
        """Works through jobs in batches within the budget of tokens, which halves when memory runs out."""
        at = 0
        while at < len(jobs):
            end, tokens = at, 0
            while end < len(jobs):
                tokens += length(jobs[end])
                if end > at and tokens > self._batch_tokens:
                    break
                end += 1
            batch = jobs[at:end]
            try:
                result = work(batch)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._shrink(len(batch), sum(map(length, batch)), error)
                continue
            yield batch, result
            at = end

    def _shrink(self, size: int, tokens: int, error: BaseException) -> None:
        if size == 1:
            raise ScorerError(
                f"{self.checkpoint.name}: not even one answer fits into the memory of {self.device}; "
                "free memory or score with --device cpu.",
                f"{self.checkpoint.name}：{self.device} 的内存放不下一个回答；请释放内存，或使用 --device cpu。",
            ) from error
        self._batch_tokens = max(1, tokens // 2)
        log.warning("out of memory on %s with %d answers, batches are halved", self.device, size)
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


def _joined(plan: Split, found: Mapping[tuple[str, str], PairScore]) -> PairScore:
    """The best pair of each part of a target; the parts' sums and tokens are added."""
    best = [max((found[pair] for pair in choice), key=lambda score: score.mean) for choice in plan.choices]
    return PairScore(
        sum(score.sum_logprob for score in best),
        sum(score.token_count for score in best),
        plan.cut_source or any(score.truncated_source for score in best),
        plan.cut_target or any(score.truncated_target for score in best),
        windowed=True,
    )


def _filled(references: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    if not all(references):
        raise ValueError("every text needs at least one reference")
    return references


def _found(checkpoint: str | Checkpoint, revision: str | None) -> Checkpoint:
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    found = locate(checkpoint, revision=revision)
    if found is None:
        command = download_hint({"en": checkpoint})
        raise ScorerError(
            f"The checkpoint {checkpoint} is not on this machine; get it with: {command}",
            f"本机没有模型 {checkpoint}；获取方法：{command}",
        )
    return found


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU allocator has no class of its own.
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)
