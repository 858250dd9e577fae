"""What is unusual about one answer, seen beside the other answers of its case. Names are those of db/flags.py.

**Cached prompt.** Every prompt begins with its own nonce, so an engine can only find what stands before it: the chat
template's own tokens. How many those are is learnt from the requests of the same load: the smallest count that the server
reports (the first request after a load has nothing to find and is left out). A count more than 8 above it, the room for
nonces that begin alike, is a cached prompt; while nothing was learnt yet, more than 20 % of the prompt. A server that does
not tell is caught by its rate: more than 3 times the median prefill rate of the case's other answers and 1.5 times the
highest of them, where the whole prompt would have taken at least 20 ms (below that a rate is noise, and so is what a cache
saves); below 200 ms, where a busy machine still makes rates jump, the prompt must also have taken no longer than three steps
of the answer.

**Cut prompt**, five signs. The tokens are fewer than 3/4 of what this tokenizer makes of so much text in this language
(learnt from prompts that fill less than 45 % of the context, which no server cuts) and so much text would fill 60 % of
the context. Or, while nothing was learnt, fewer than half of the estimate of a prompt that fills 40 %: no tokenizer is that
good; or fewer than the estimate and exactly as many as Ollama leaves of a prompt that is too long (the first four tokens
and half of the rest of the context: 258 of 512, 802 of 1600, seen on 0.32.15 with ``/api/chat``). Or the same item's
prompt, which differs by its nonce alone, had more than 16 tokens (and 5 %) more in another repeat.
Or another item, longer or shorter by a fifth, has the same count: both were cut at the same place. What is learnt later in a
case may tell of earlier answers too (:meth:`History.cut_after_all`).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from collector.suite import token_estimate
from collector.timing import Timing

__all__ = ["CacheState", "History", "Loaded", "answer_flags", "surroundings_flags"]

CacheState = Literal["cold", "unique_prefix", "cached"]

_LAG_LIMIT_S: Final = 0.005  # p99
_DRIFT_C: Final = 10.0
_NONCE_TOKENS: Final = 8
_CACHED_SHARE: Final = 0.2
_CACHED_RATE: Final = 3.0
_ABOVE_ALL: Final = 1.5  # a busy machine makes rates low, never high
_NOTICED_S: Final = 0.02
_CERTAIN_S: Final = 0.2
_CACHED_STEPS: Final = 3.0  # what is left to be read of a cached prompt takes hardly more than a step of the answer
_ENOUGH: Final = 3  # answers behind a median
_UNCUT: Final = 0.45  # of the context; a server that cuts keeps about half of it
_CUT: Final = 0.75
_FILLED: Final = 0.6
_KEPT_FIRST: Final = 4  # num_keep
_SIBLING_TOKENS: Final = 16
_SIBLING_SHARE: Final = 0.95
_SAME_TOKENS: Final = 2
_OTHER_LENGTH: Final = 0.2
_WAIT_S: Final = 0.25  # routing takes 3-6 ms, a loaded model's load_duration some 10 ms
_WAIT_SHARE: Final = 0.1  # of the time to the first token, which a wait spoils however long the answer is
_BUSY_CORES: Final = 0.5
_BUSY_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model as the engine really runs it.

    Attributes:
        configuration_id: key of the configurations table.
        model: tag as it is sent.
        options: options sent with every request of the case, without seed and cap.
        effective_context_length: ``/api/ps``, None on servers that do not tell.
        memory_bytes: weights, cache and buffers by ``/api/ps``; None when not told.
        vram_bytes: the part on GPUs.
    """

    configuration_id: str
    model: str
    options: Mapping[str, Any]
    effective_context_length: int | None
    memory_bytes: int | None
    vram_bytes: int | None

    @property
    def context(self) -> int:
        """Tokens of context in force: what the engine says, else what was asked for."""
        return self.effective_context_length or int(self.options["num_ctx"])


def _many_steps(figures: Timing) -> bool:
    """Whether the prompt took longer than a few tokens of the answer; no where it cannot be told."""
    if figures.prefill_s is None or figures.tpot_s is None:
        return False
    return figures.prefill_s > _CACHED_STEPS * figures.tpot_s


@dataclass
class History:
    """What the answers of a case so far, warm-up included, tell about the next one.

    Attributes:
        requests: since the model was loaded.
        start_c: hottest GPU when the case's first answer began; None without a sensor.
    """

    requests: int = 0
    start_c: float | None = None
    _tells_cached: bool = False
    _template_tokens: int | None = None
    _rates: list[float] = field(default_factory=list)
    _per_estimate: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _prompts: dict[str, tuple[int, int]] = field(default_factory=dict)  # per item: most tokens, their estimate
    _passed: list[tuple[str, tuple[int, str, str, str, int]]] = field(default_factory=list)

    def reloaded(self) -> None:
        """The model was loaded anew: nothing is cached."""
        self.requests = 0

    def learn(
        self, figures: Timing, prompt: str, language: str, item: str, context: int, *, cached: bool = False
    ) -> None:  # fmt: skip
        """Takes one whole answer in; the rate of a cached prompt is no example for the others."""
        if figures.cached_prompt_tokens is not None:
            self._tells_cached = True
            if self.requests:
                least, found = self._template_tokens, figures.cached_prompt_tokens
                self._template_tokens = found if least is None else min(least, found)
        elif not cached and figures.prefill_tokens_per_s is not None:
            self._rates.append(figures.prefill_tokens_per_s)
        if (tokens := figures.prompt_tokens) is not None:
            estimate = token_estimate(prompt)
            self._prompts[item] = max((tokens, estimate), self._prompts.get(item, (0, 0)))
            if tokens < _UNCUT * context and estimate:
                self._per_estimate[language].append(tokens / estimate)
        self.requests += 1

    def cached(self, figures: Timing) -> bool:
        """Whether more than the template came out of the engine's cache."""
        cached = figures.cached_prompt_tokens
        if cached is None:
            rate = figures.prefill_tokens_per_s
            if self._tells_cached or rate is None or len(self._rates) < _ENOUGH:
                return False
            usual = statistics.median(self._rates)
            usual_s = (figures.prompt_tokens or 0) / usual
            if usual_s <= _NOTICED_S or (usual_s < _CERTAIN_S and _many_steps(figures)):
                return False
            return rate > _CACHED_RATE * usual and rate > _ABOVE_ALL * max(self._rates)
        if self._template_tokens is not None:
            return cached > self._template_tokens + _NONCE_TOKENS
        return cached > _CACHED_SHARE * (figures.prompt_tokens or 0)

    def cut(self, tokens: int, prompt: str, language: str, item: str, context: int) -> bool:
        """Whether the engine read less than what was sent."""
        estimate = token_estimate(prompt)
        known = self._per_estimate[language]
        if known:
            expected = statistics.median(known) * estimate
            if tokens < _CUT * expected and expected > _FILLED * context:
                return True
        else:
            no_tokenizer = tokens < 0.5 * estimate and estimate > 0.4 * context
            what_is_left = tokens < estimate and tokens == _KEPT_FIRST + (context - _KEPT_FIRST) // 2
            if no_tokenizer or what_is_left:
                return True
        most, _ = self._prompts.get(item, (0, 0))
        if tokens < most - _SIBLING_TOKENS and tokens < _SIBLING_SHARE * most:
            return True
        return tokens >= _UNCUT * context and any(
            abs(other - tokens) <= _SAME_TOKENS and abs(its - estimate) > _OTHER_LENGTH * max(its, estimate)
            for name, (other, its) in self._prompts.items()
            if name != item
        )

    def passed(self, run_id: str, tokens: int, prompt: str, language: str, item: str, context: int) -> None:
        """An answer whose prompt looked whole when it came."""
        self._passed.append((run_id, (tokens, prompt, language, item, context)))

    def cut_after_all(self) -> list[str]:
        """Answers that looked whole and, beside what was learnt since, were not."""
        return [run_id for run_id, seen in self._passed if self.cut(*seen)]

    def cache_state(self, cached: bool) -> CacheState:
        """The factor that is recorded with the answer that comes next."""
        return "cached" if cached else "unique_prefix" if self.requests else "cold"


def answer_flags(
    figures: Timing, loaded: Loaded, history: History, prompt: str, language: str, item: str, *, on_gpu: bool
) -> list[str]:  # fmt: skip
    """Flags that the server's own figures and its placement of the model give rise to."""
    flags = []
    if figures.client_lag_p99_s is not None and figures.client_lag_p99_s > _LAG_LIMIT_S:
        flags.append("client_lag")
    if history.cached(figures):
        flags.append("prompt_cached")
    if loaded.context < int(loaded.options["num_ctx"]):
        flags.append("context_lowered")
    if figures.prompt_tokens is not None:
        if history.cut(figures.prompt_tokens, prompt, language, item, loaded.context):
            flags.append("prompt_truncated")
        if figures.output_tokens is not None and figures.prompt_tokens + figures.output_tokens > loaded.context:
            flags.append("context_shifted")
    limit_s = max(_WAIT_S, _WAIT_SHARE * ((figures.server_total_s or 0.0) - (figures.decode_s or 0.0)))
    # a busy slot shows only in the total, another model's load only in the load: that tells them apart
    if (figures.queue_s or 0.0) > limit_s:
        flags.append("queued")
    if (figures.load_s or 0.0) > limit_s:
        flags.append("reloaded")
    # a machine without a GPU, or num_gpu = 0, has everything on the CPU: a placement and not a spill
    wanted = on_gpu and loaded.options.get("num_gpu") != 0
    if wanted and loaded.memory_bytes and (loaded.vram_bytes or 0) < loaded.memory_bytes:
        flags.append("cpu_spill")
    return flags


def surroundings_flags(
    start_c: float | None, reference_c: float | None, other_cores: float | None, cores: int
) -> list[str]:
    """Flags of what went on around the answer: a GPU warmer or colder than at the case's start, a busy processor."""
    flags = []
    if start_c is not None and reference_c is not None and abs(start_c - reference_c) > _DRIFT_C:
        flags.append("temperature_drift")
    if other_cores is not None and other_cores > max(_BUSY_CORES, _BUSY_SHARE * cores):
        flags.append("busy_machine")
    return flags
