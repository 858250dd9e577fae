"""A loaded model of the embedded engine behind the narrow door the token loop uses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from collector.pocket.api import Options
from collector.pocket.runtime import PocketModel, Sampler, Sampling, Utf8Stream, set_threads
from collector.pocket.wire import Logprob

__all__ = ["Answer", "Runner"]


class Runner:
    """One model in memory with the one window of text it works in.

    Args:
        folder: the model's folder.
        num_ctx: context length in tokens.
        num_thread: threads to compute with; 0 for the engine's choice.

    Raises:
        EngineError: the folder cannot be used.
    """

    def __init__(self, folder: Path, num_ctx: int, num_thread: int) -> None:
        self.model = PocketModel.load(folder)
        self.session = self.model.session(num_ctx)
        self._num_thread = num_thread

    @property
    def memory_bytes(self) -> int:
        """Weights as they are computed with (float32, or int8 where a kernel takes it) and the cache."""
        weight_bytes = 1 if self.model.kernel == "int8" else 4
        return int(self.model.parameter_count * weight_bytes + self.session.cache_bytes)

    def answer(self, options: Options, prompt_tokens: int, top_logprobs: int) -> Answer:
        """Gets ready for one answer, in the thread that will compute it."""
        set_threads(min(self._num_thread, os.cpu_count() or 1))
        keep = options.num_keep if options.num_keep >= 0 else prompt_tokens
        self.session.num_keep = max(0, min(keep, self.session.num_ctx - 4))
        return Answer(self, options, top_logprobs)


class Answer:
    """One answer's sampling and text, see :class:`collector.pocket.generation.Engine`."""

    def __init__(self, runner: Runner, options: Options, top_logprobs: int) -> None:
        self._model, self._session, self._top = runner.model, runner.session, top_logprobs
        sampling = Sampling(options.temperature, options.top_k, options.top_p, options.seed)
        self._sampler, self._text = Sampler(sampling), Utf8Stream(runner.model.tokenizer)

    @property
    def num_ctx(self) -> int:
        """Context length in tokens."""
        return self._session.num_ctx

    @property
    def broken(self) -> bool:
        """Whether the bytes so far are no UTF-8."""
        return self._text.broken

    def is_end(self, token: int) -> bool:
        """Whether the token ends the answer."""
        return token == self._model.eos_id

    def prefill(self, tokens: Sequence[int]) -> int:
        """Evaluates a prompt; returns how many of its tokens were cached."""
        return self._session.prefill(tokens)

    def sample(self) -> int:
        """Evaluates the token sampled last, if any, and samples the next one."""
        return self._session.step(self._sampler)

    def text_of(self, token: int) -> str:
        """The text that becomes complete with this token."""
        return self._text.push(token)

    def logprob_of(self, token: int) -> Logprob:
        """Of the token sampled last: its probability before the sampling options, and the best others."""
        logprobs = torch.log_softmax(self._session.logits, 0)
        best = torch.topk(logprobs, self._top).indices.tolist() if self._top else []
        top = tuple(self._logprob(other, float(logprobs[other])) for other in best)
        return self._logprob(token, float(logprobs[token]), top)

    def _logprob(self, token: int, logprob: float, top: tuple[Logprob, ...] = ()) -> Logprob:
        raw = self._model.tokenizer.pieces[token]
        return Logprob(raw.decode("utf-8", "replace"), logprob, raw, top)
