"""Every time, count and rate of one answer, derived in one place from the stamps and the server's own figures.

Client stamps are monotonic and counted from ``sent_ns`` (just before the request's first byte left us).
Server durations are those of the final chunk, untouched but for the unit. Formulas: Ollama's counters as they
behave on real servers, where ``eval_count`` counts the first token and ``eval_duration`` starts after it, so
that N tokens took N - 1 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector.ollama_types import ChatOutcome
from collector.ollama_wire import count_of

__all__ = ["Timing", "derive"]


@dataclass(frozen=True, slots=True)
class Timing:
    """The figures of one answer, named as in ``v_runs``; None means that it could not be derived, never zero.

    Attributes:
        ttft_s: request sent to arrival of the first chunk that carries a token, thinking or answer.
        ttft_thinking_s: request sent to arrival of the first chunk that carries thinking; None where the model did
            not think. Likewise ttft_answer_s of answer text.
        total_s: request sent to arrival of the final chunk; None without a final chunk.
        server_total_s: ``total_duration``: the server's handler start to done.
        load_s: ``load_duration``: handler start to runner ready, waiting for another model included; some 10 ms for
            a model that is loaded. How long loading takes is timed by us (``model_loads.load_s``): the server's
            answer to a load carries no durations.
        queue_s: ``total - load - prompt_eval - eval`` durations, not below 0: waiting for a busy slot, and
            the server's own routing (3-6 ms without a queue). Waiting for another model is in load_s alone. None
            when one of the four is absent.
        prefill_s: ``prompt_eval_duration``: the uncached part of the prompt; the first token comes out of it.
        decode_s: ``eval_duration``: from the end of the prompt to the last token.
        prompt_tokens: ``prompt_eval_count``, cached ones included.
        cached_prompt_tokens: ``prompt_eval_cached_count``; None on servers that do not tell.
        output_tokens: ``eval_count``, the first token and an end-of-text token included.
        prefill_tokens_per_s: ``(prompt_tokens - cached_prompt_tokens) / prefill_s``; where the server does
            not tell the cached ones they count as 0, which makes this an upper bound.
        decode_tokens_per_s: ``(output_tokens - 1) / decode_s``; None below two tokens.
        throughput_tokens_per_s: ``output_tokens / total_s``.
        tpot_s: time per output token after the first, ``decode_s / (output_tokens - 1)``; None below two
            tokens.
        itl_p50_s: median gap between the arrivals of successive chunks that carry a token, on our clock;
            likewise itl_p95_s. A chunk is not always one token. None below two such chunks.
        client_lag_p50_s: median of arrival minus the server's own stamp of the chunk, on the wall clock: how
            late we are; None for a server on another machine. Likewise client_lag_p99_s.
        chunk_t_s: arrival of every chunk in seconds after the request was sent, the final one included.
        chunk_server_t_s: the server's stamps of the same chunks on the same scale; None where a chunk has
            none.
        chunk_chars: characters of each chunk, thinking and answer together.
    """

    ttft_s: float | None
    ttft_thinking_s: float | None
    ttft_answer_s: float | None
    total_s: float | None
    server_total_s: float | None
    load_s: float | None
    queue_s: float | None
    prefill_s: float | None
    decode_s: float | None
    prompt_tokens: int | None
    cached_prompt_tokens: int | None
    output_tokens: int | None
    prefill_tokens_per_s: float | None
    decode_tokens_per_s: float | None
    throughput_tokens_per_s: float | None
    tpot_s: float | None
    itl_p50_s: float | None
    itl_p95_s: float | None
    client_lag_p50_s: float | None
    client_lag_p99_s: float | None
    chunk_t_s: list[float]
    chunk_server_t_s: list[float | None]
    chunk_chars: list[int]


def derive(outcome: ChatOutcome, same_clock: bool = True) -> Timing:
    """Figures of an answer, whole or not; what the fault kept from coming is None.

    Args:
        outcome: what the client saw.
        same_clock: the server runs on this machine; the stamps of another machine's clock say nothing about our lag.
    """
    sent_ns, final = outcome.sent_ns, outcome.final or {}
    offset_ns = outcome.wall_offset_ns
    tokens_ns = [c.receipt_ns for c in outcome.chunks if c.text or c.thinking]
    answer_ns = [c.receipt_ns for c in outcome.chunks if c.text]
    thinking_ns = [c.receipt_ns for c in outcome.chunks if c.thinking]
    gaps_s = [(b - a) / 1e9 for a, b in zip(tokens_ns, tokens_ns[1:], strict=False)]
    stamped = [(c.receipt_ns, c.created_at_ns) for c in outcome.chunks if c.created_at_ns is not None]
    lags_s = [(receipt + offset_ns - created) / 1e9 for receipt, created in stamped if same_clock]

    total_s = (outcome.end_ns - sent_ns) / 1e9 if outcome.final is not None else None
    server_total_s, load_s = _seconds(final, "total_duration"), _seconds(final, "load_duration")
    prefill_s, decode_s = _seconds(final, "prompt_eval_duration"), _seconds(final, "eval_duration")
    prompt, output = count_of(final, "prompt_eval_count"), count_of(final, "eval_count")
    cached = count_of(final, "prompt_eval_cached_count")
    steps = output - 1 if output is not None and output > 1 else None
    parts = (load_s, prefill_s, decode_s)
    queue_s = None
    if server_total_s is not None and None not in parts:
        queue_s = max(0.0, server_total_s - sum(part for part in parts if part is not None))
    return Timing(
        ttft_s=(tokens_ns[0] - sent_ns) / 1e9 if tokens_ns else None,
        ttft_thinking_s=(thinking_ns[0] - sent_ns) / 1e9 if thinking_ns else None,
        ttft_answer_s=(answer_ns[0] - sent_ns) / 1e9 if answer_ns else None,
        total_s=total_s, server_total_s=server_total_s, load_s=load_s, queue_s=queue_s,
        prefill_s=prefill_s, decode_s=decode_s,
        prompt_tokens=prompt, cached_prompt_tokens=cached, output_tokens=output,
        prefill_tokens_per_s=_ratio(None if prompt is None else prompt - (cached or 0), prefill_s),
        decode_tokens_per_s=_ratio(steps, decode_s),
        throughput_tokens_per_s=_ratio(output, total_s),
        tpot_s=_ratio(decode_s, steps),
        itl_p50_s=_percentile(gaps_s, 50), itl_p95_s=_percentile(gaps_s, 95),
        client_lag_p50_s=_percentile(lags_s, 50), client_lag_p99_s=_percentile(lags_s, 99),
        chunk_t_s=[(c.receipt_ns - sent_ns) / 1e9 for c in outcome.chunks],
        chunk_server_t_s=[
            None if c.created_at_ns is None else (c.created_at_ns - offset_ns - sent_ns) / 1e9
            for c in outcome.chunks
        ],
        chunk_chars=[len(c.text) + len(c.thinking) for c in outcome.chunks],
    )  # fmt: skip


def _seconds(final: dict[str, object], key: str) -> float | None:
    value = count_of(final, key)
    return None if value is None else value / 1e9


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    """None where a part is missing, the denominator 0 or the numerator negative (a contradiction)."""
    if numerator is None or denominator is None or denominator <= 0 or numerator < 0:
        return None
    return numerator / denominator


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None
