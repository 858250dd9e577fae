"""Scores of pairs by content: what was scored once with a checkpoint is never computed again.

The checkpoint is loaded at the first pair that is not known, so a run in which everything is known loads nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from collector.quality.checkpoints import Checkpoint
from collector.quality.directions import Pair
from db import Store

if TYPE_CHECKING:
    from collector.quality.bartscore import BartScorer, PairScore

__all__ = ["CachedScorer", "PairResult"]

_ALGORITHM = "bartscore 3"
_CHUNK = 512  # pairs between two writes: what an interruption can lose


@dataclass(frozen=True, slots=True)
class PairResult:
    """Score of one pair: sum of natural-log probabilities, number of tokens, whether a text was cut or scored in windows."""

    sum_logprob: float
    token_count: int
    truncated: bool
    windowed: bool = False

    @classmethod
    def of(cls, score: PairScore) -> Self:
        """What is kept of a score."""
        cut = score.truncated_source or score.truncated_target
        return cls(score.sum_logprob, score.token_count, cut, score.windowed)


class CachedScorer:
    """Scores pairs with one checkpoint, remembering them in the store.

    Attributes:
        checkpoint: what scores.
        dtype: its precision.
        computed: pairs that were not known and had to be computed.
    """

    def __init__(self, store: Store, checkpoint: Checkpoint, device: str | None = None, dtype: str = "float32") -> None:
        self.checkpoint = checkpoint
        self.dtype = dtype
        self._store, self._device = store, device
        self._scorer: BartScorer | None = None
        self.computed = 0

    @property
    def device(self) -> str | None:
        """Where pairs were computed, ``cpu`` or ``cuda``; None when all were known."""
        return self._scorer.device if self._scorer else None

    @property
    def loaded(self) -> bool:
        """Whether the checkpoint had to be loaded."""
        return self._scorer is not None

    def scores(self, pairs: Iterable[Pair]) -> dict[Pair, PairResult]:
        """Score of every pair.

        Raises:
            ScorerError: the checkpoint cannot be loaded, or a pair does not fit into memory.
            StoreError: the store cannot be read or written.
        """
        keys = {pair: self._key(pair) for pair in pairs}
        known = self._known(list(keys.values()))
        # Pairs of one source stay together, so that it is encoded once.
        missing = sorted(pair for pair, key in keys.items() if key not in known)
        for chunk in _chunks(missing):
            new = dict(zip((keys[pair] for pair in chunk), self._computed(chunk), strict=True))
            rows = [
                {"key": key, "sum_logprob": s.sum_logprob, "token_count": s.token_count, "truncated": s.truncated,
                 "windowed": s.windowed}
                for key, s in new.items()
            ]  # fmt: skip
            with self._store.write() as writer:
                writer.upsert("score_cache", rows)
            known.update(new)
            self.computed += len(new)
        return {pair: known[key] for pair, key in keys.items()}

    def _key(self, pair: Pair) -> str:
        parts = (_ALGORITHM, self.checkpoint.label, self.dtype, *pair)
        digest = hashlib.sha256()
        for part in parts:
            data = part.encode("utf-8", "replace")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.hexdigest()

    def _known(self, keys: list[str]) -> dict[str, PairResult]:
        if not keys:
            return {}
        frame = self._store.query(
            "SELECT key, sum_logprob, token_count, truncated, coalesce(windowed, false) FROM score_cache "
            "WHERE key IN (SELECT unnest(?))",
            [keys],
        )
        return {
            str(key): PairResult(float(total), int(count), bool(cut), bool(windowed))
            for key, total, count, cut, windowed in frame.itertuples(index=False)
        }

    def _computed(self, pairs: Sequence[Pair]) -> list[PairResult]:
        if self._scorer is None:
            # Imported here: torch takes seconds to load, and often everything is known.
            from transformers.utils.logging import disable_progress_bar

            from collector.quality.bartscore import BartScorer

            disable_progress_bar()  # loading is short, and the command's output is read by other programs
            self._scorer = BartScorer(self.checkpoint, device=self._device, dtype=self.dtype)
        return [PairResult.of(score) for score in self._scorer.score_whole(pairs)]


def _chunks(pairs: list[Pair]) -> Iterator[list[Pair]]:
    for start in range(0, len(pairs), _CHUNK):
        yield pairs[start : start + _CHUNK]
