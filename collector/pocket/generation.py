"""One answer, token by token: limits, stop sequences, the passing of the context's end, counts and durations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from collector.pocket.api import Options
from collector.pocket.scheduler import ClientGone
from collector.pocket.wire import Logprob

__all__ = ["BrokenText", "Engine", "Finish", "Piece", "StopFilter", "generate"]

OPEN_ENDED_CONTEXTS = 10  # an answer without limit ends after ten context lengths
MAX_EQUAL_TOKENS = 30


class Engine(Protocol):
    """What the token loop needs of a loaded model."""

    @property
    def num_ctx(self) -> int:
        """Context length in tokens."""

    @property
    def broken(self) -> bool:
        """Whether the answer's bytes so far are no UTF-8."""

    def is_end(self, token: int) -> bool:
        """Whether the token ends the answer."""

    def prefill(self, tokens: Sequence[int]) -> int:
        """Evaluates a prompt; returns how many of its tokens were still in the cache."""

    def sample(self) -> int:
        """The next token; makes room for it where the context is full."""

    def text_of(self, token: int) -> str:
        """The text that becomes complete with this token; empty while a character is incomplete."""

    def logprob_of(self, token: int) -> Logprob:
        """The token sampled last, with the alternatives asked for."""


class BrokenText(Exception):
    """The model wrote bytes that are no UTF-8."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that can be sent, with the tokens it came from where they were asked for."""

    text: str
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer; durations in nanoseconds.

    Attributes:
        reason: ``stop`` (end token or stop sequence) or ``length``.
        prompt_tokens: with the cached ones.
        prompt_ns: evaluation of the uncached part and the first token.
        output_tokens: with the first one and the end token.
        output_ns: from the first token to the last.
    """

    reason: Literal["stop", "length"]
    prompt_tokens: int
    prompt_ns: int
    output_tokens: int
    output_ns: int


@dataclass(slots=True)
class StopFilter:
    """Holds text back that may become a stop sequence."""

    sequences: tuple[str, ...]
    _held: str = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """Text that can be sent now, and whether a stop sequence ended the answer."""
        self._held += text
        found = [at for sequence in self.sequences if (at := self._held.find(sequence)) >= 0]
        if found:
            return self._held[: min(found)], True
        keep = max((self._overlap(sequence) for sequence in self.sequences), default=0)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return ready, False

    def _overlap(self, sequence: str) -> int:
        longest = min(len(sequence) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(sequence[:n])), 0)

    def rest(self) -> str:
        """What was held back and turned out to be no stop sequence."""
        held, self._held = self._held, ""
        return held


@dataclass(slots=True)
class _Repeats:
    """Counts equal pieces in a row the way the imitated server does: compared without white space around them."""

    last: str = ""
    count: int = 0

    def too_many(self, text: str) -> bool:
        trimmed = text.strip()
        self.count = self.count + 1 if trimmed == self.last else 0
        self.last = trimmed
        return self.count > MAX_EQUAL_TOKENS


def _limit(num_ctx: int, prompt_tokens: int, num_predict: int, shift: bool) -> int:
    """Tokens an answer may have; ``num_predict`` < 0 asks for no limit."""
    limit = OPEN_ENDED_CONTEXTS * num_ctx if shift else num_ctx - prompt_tokens
    return limit if num_predict < 0 else min(num_predict, limit)


def generate(
    engine: Engine,
    prompt: Sequence[int],
    options: Options,
    *,
    shift: bool = True,
    end_on_repeats: bool = False,
    with_logprobs: bool = False,
    gone: Callable[[], bool] = lambda: False,
) -> Iterator[Piece | Finish]:
    """Pieces of text and, last, the finish.

    Args:
        engine: a loaded model, held by this request alone.
        prompt: token ids, fewer than the context holds.
        options: limits and stop sequences; sampling is the engine's.
        shift: forget old tokens at the context's end instead of ending there.
        end_on_repeats: end **without a finish** after more than 30 equal pieces in a row (``/api/generate``).
        with_logprobs: list each piece's tokens.
        gone: asked before every token.

    Raises:
        ClientGone: nobody waits for the answer any more.
        BrokenText: the model wrote bytes that are no UTF-8.
    """
    limit = _limit(engine.num_ctx, len(prompt), options.num_predict, shift)
    stops, repeats = StopFilter(options.stop), _Repeats()
    start = time.monotonic_ns()
    engine.prefill(prompt)
    first = last = 0
    logprobs: list[Logprob] = []
    reason: Literal["stop", "length"] | None = None
    count, stopped = 0, False
    while reason is None:
        if gone():
            raise ClientGone
        token = engine.sample()
        count += 1
        last = time.monotonic_ns()
        first = first or last
        if engine.is_end(token):
            reason = "stop"
            break
        if with_logprobs:
            logprobs.append(engine.logprob_of(token))
        ready, stopped = stops.feed(engine.text_of(token))
        if engine.broken:
            raise BrokenText
        if ready:
            if end_on_repeats and repeats.too_many(ready):
                return
            yield Piece(ready, tuple(logprobs))
            logprobs.clear()
        reason = "stop" if stopped else "length" if count >= limit else None
    if not stopped and (rest := stops.rest()):
        yield Piece(rest, tuple(logprobs))
    yield Finish(reason, len(prompt), max(first - start, 1), count, max(last - first, 1))
