"""BARTScore: how probable a BART model finds a target text, given a source text.

The published algorithm (neulab/BARTScore, ``bart_score.py``): the mean natural-log probability per target token
under teacher forcing, ``<s>`` and ``</s>`` counted, both texts cut at the model's positions (1024 at most). Always
below 0, higher is better; there is no absolute scale (see ``collector.quality.anchors``).

Same numbers, less work: every source is encoded once for all its targets, batches hold targets of similar length,
and only real target positions are projected onto the vocabulary. In float32 a score does not depend on what else is
in the batch (within 1e-4). Out of memory halves the batch.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BartForConditionalGeneration,
    BertTokenizer,
    DynamicCache,
    EncoderDecoderCache,
)

from collector.errors import ScorerError
from collector.quality.checkpoints import Checkpoint, download_hint, locate

__all__ = ["BartScorer", "PairScore"]

log = logging.getLogger(__name__)

_MAX_TOKENS = 1024  # of the published algorithm; a checkpoint with fewer positions cuts earlier
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BATCH_TOKENS = {"cpu": 8192, "cuda": 65536}  # padded positions of a batch, sources and targets
_BLOCK_TOKENS = 32768  # source positions whose encoder output is held at once (128 MiB at width 1024)
_LOGITS = 1 << 25  # logits computed at once (128 MiB in float32)
# The hub name once carried an older model with 512 positions and another vocabulary (fastnlp/CPT, 2022-12-30).
_EXPECTED = {"fnlp/bart-large-chinese": {"max_position_embeddings": 1024, "vocab_size": 51271}}
_BERT_STYLE = {"fnlp/bart-large-chinese", "fnlp/bart-base-chinese"}


@dataclass(frozen=True, slots=True)
class PairScore:
    """Score of one target given one source.

    Attributes:
        sum_logprob: sum of natural-log probabilities of the target's tokens.
        token_count: number of those tokens, start and end mark included.
        truncated_source: whether the source was cut at the model's positions; likewise truncated_target.
    """

    sum_logprob: float
    token_count: int
    truncated_source: bool
    truncated_target: bool

    @property
    def mean(self) -> float:
        """Mean natural-log probability per token: the BARTScore."""
        return self.sum_logprob / self.token_count


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
            revision: commit of a hub name; None takes the newest that is here.

        Raises:
            ScorerError: it is not here, not a BART model, or broken.
        """
        if dtype not in _DTYPES:
            raise ScorerError(f"dtype must be one of {', '.join(_DTYPES)}.", f"dtype 只能是 {'、'.join(_DTYPES)}。")
        self.checkpoint = _found(checkpoint, revision)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = dtype
        self._tokenizer, self._model = _load(self.checkpoint, _DTYPES[dtype], self.device)
        self.max_tokens = min(_MAX_TOKENS, self._model.config.max_position_embeddings)
        self._batch_tokens = _BATCH_TOKENS.get(self.device.partition(":")[0], _BATCH_TOKENS["cpu"])

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
        """BARTScore of each target given its source: mean natural-log probability per token, below 0.

        Raises:
            ValueError: the numbers of sources and targets differ.
            ScorerError: not even one pair fits into memory.
        """
        return [pair.mean for pair in self.score_pairs(list(zip(sources, targets, strict=True)))]

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairScore]:
        """Score of each (source, target), in the order given; a pair that is there twice is computed once.

        Raises:
            ScorerError: not even one pair fits into memory.
        """
        texts = self._tokenized({text for pair in pairs for text in pair})
        targets_of: dict[str, list[str]] = defaultdict(list)
        for source, target in dict.fromkeys(pairs):
            targets_of[source].append(target)
        sums: dict[tuple[str, str], float] = {}
        with torch.inference_mode():
            for block in _blocks(sorted(targets_of, key=lambda s: len(texts[s].ids)), texts):
                jobs = [(source, target) for source in block for target in targets_of[source]]
                sums.update(self._scored(block, jobs, texts))
        return [PairScore(sums[s, t], len(texts[t].ids), texts[s].truncated, texts[t].truncated) for s, t in pairs]

    def _scored(
        self, sources: Sequence[str], jobs: list[tuple[str, str]], texts: dict[str, _Tokens]
    ) -> dict[tuple[str, str], float]:
        """Sum of log-probabilities of each job, a (source, target) pair."""
        states = self._encoded(sources, texts)
        jobs.sort(key=lambda job: (len(texts[job[1]].ids), job[0]))
        result: dict[tuple[str, str], float] = {}
        for batch, sums in self._batches(
            jobs,
            lambda job: len(texts[job[0]].ids) + len(texts[job[1]].ids),
            lambda batch: self._decoded(batch, states, texts),
        ):
            result.update(zip(batch, sums, strict=True))
        return result

    def _tokenized(self, texts: set[str]) -> dict[str, _Tokens]:
        result: dict[str, _Tokens] = {}
        for text in texts:
            # A lone surrogate cannot be encoded; a server's JSON may hold one.
            clean = text.encode("utf-8", "replace").decode("utf-8")
            ids = self._tokenizer(clean, return_token_type_ids=False, verbose=False)["input_ids"]
            truncated = len(ids) > self.max_tokens
            if truncated:
                ids = self._tokenizer(clean, truncation=True, max_length=self.max_tokens)["input_ids"]
            result[text] = _Tokens(ids, truncated)
        return result

    def _encoded(self, sources: Sequence[str], texts: dict[str, _Tokens]) -> dict[str, Tensor]:
        """Encoder output of each source, without padding."""

        def work(batch: Sequence[str]) -> list[Tensor]:
            ids, mask = self._padded([texts[source].ids for source in batch])
            states = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            return [state[: len(texts[source].ids)] for state, source in zip(states, batch, strict=True)]

        result: dict[str, Tensor] = {}
        for batch, states in self._batches(sources, lambda source: len(texts[source].ids), work):
            result.update(zip(batch, states, strict=True))
        return result

    def _decoded(
        self, batch: Sequence[tuple[str, str]], states: dict[str, Tensor], texts: dict[str, _Tokens]
    ) -> list[float]:
        """Sum of log-probabilities of each target of the batch."""
        sources = list(dict.fromkeys(source for source, _ in batch))
        rows = torch.tensor([sources.index(source) for source, _ in batch], device=self.device)
        encoder = pad_sequence([states[source] for source in sources], batch_first=True)
        encoder_mask = self._padded([texts[source].ids for source in sources])[1]
        labels, mask = self._padded([texts[target].ids for _, target in batch])
        start = torch.full_like(labels[:, :1], self._model.config.decoder_start_token_id)
        # Padding stands on the right, where a causal decoder cannot see it: no decoder mask is needed.
        hidden = self._model.get_decoder()(
            input_ids=torch.cat([start, labels[:, :-1]], dim=1),
            encoder_hidden_states=encoder[rows],
            encoder_attention_mask=encoder_mask[rows],
            past_key_values=self._cross_attention(encoder, rows),
            use_cache=False,
        ).last_hidden_state
        where = mask.bool()
        log_probs = self._log_probs(hidden[where], labels[where])
        owner = where.nonzero()[:, 0]
        sums = torch.zeros(len(batch), dtype=torch.float64, device=self.device)
        return list(sums.index_add(0, owner, log_probs.double()).tolist())

    def _cross_attention(self, encoder: Tensor, rows: Tensor) -> EncoderDecoderCache:
        """Keys and values of every decoder layer: projected once per source, then handed to each of its targets."""
        cross = DynamicCache()
        for index, layer in enumerate(self._model.get_decoder().layers):
            attention = layer.encoder_attn
            keys, values = (
                project(encoder).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)[rows]
                for project in (attention.k_proj, attention.v_proj)
            )
            cross.update(keys, values, index)
        return EncoderDecoderCache(DynamicCache(), cross)

    def _log_probs(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Log-probability of each label, a slice of the positions at a time."""
        bias = self._model.final_logits_bias[0]
        parts: list[Tensor] = []
        for part in torch.arange(len(labels), device=labels.device).split(max(1, _LOGITS // len(bias))):
            logits = linear(hidden[part], self._model.lm_head.weight, bias).float()
            parts.append(-cross_entropy(logits, labels[part], reduction="none"))
        return torch.cat(parts)

    def _padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Token ids padded on the right, and the mask that is 1 where they are real."""
        pad = self._model.config.pad_token_id
        ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=pad)
        mask = pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
        return ids.to(self.device), mask.to(self.device)

    def _batches(
        self,
        jobs: Sequence[_Job],
        length: Callable[[_Job], int],
        work: Callable[[Sequence[_Job]], list[_Result]],
    ) -> Iterator[tuple[Sequence[_Job], list[_Result]]]:
        """Works through jobs (short ones first) in batches within the budget, which halves when memory runs out."""
        at = 0
        while at < len(jobs):
            end, longest = at, 0
            while end < len(jobs):
                longest = max(longest, length(jobs[end]))
                if end > at and (end - at + 1) * longest > self._batch_tokens:
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


def _load(checkpoint: Checkpoint, dtype: torch.dtype, device: str) -> tuple[Any, Any]:
    """Tokenizer and model; nothing is fetched and no code of the checkpoint runs."""
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
        return tokenizer, model.to(device).eval()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise ScorerError(
            f"The checkpoint {checkpoint.name} in {checkpoint.folder} cannot be loaded ({error}); "
            "delete that folder and get it again.",
            f"无法加载 {checkpoint.folder} 中的模型 {checkpoint.name}（{error}）；请删除该文件夹后重新获取。",
        ) from error


def _is_bert_style(checkpoint: Checkpoint) -> bool:
    """Whether its vocabulary is a plain word list, as of the Chinese BART; its config alone would name BartTokenizer."""
    files = {path.name for path in checkpoint.folder.iterdir()}
    return checkpoint.name in _BERT_STYLE or ("vocab.txt" in files and not files & {"merges.txt", "tokenizer.json"})


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


def _blocks(sources: Sequence[str], texts: dict[str, _Tokens]) -> Iterator[list[str]]:
    """Sources of similar length, few enough to hold their encoder output; ``sources`` comes sorted by length."""
    block: list[str] = []
    tokens = 0
    for source in sources:
        length = len(texts[source].ids)
        if block and (tokens + length > _BLOCK_TOKENS or length > 1.25 * len(texts[block[0]].ids) + 16):
            yield block
            block, tokens = [], 0
        block.append(source)
        tokens += length
    if block:
        yield block


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU allocator has no class of its own.
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)
