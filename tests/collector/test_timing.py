"""Every derived figure, on answers whose figures can be worked out by hand, and what must hold for all of them."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ollama_types import ChatOutcome, Chunk
from collector.timing import Timing, derive

MS = 1_000_000
SENT_NS = 5_000 * MS
OFFSET_NS = 1_700_000_000_000_000_000  # unix minus monotonic


def _outcome(
    parts: list[tuple[float, float | None, str, str]], final: dict[str, Any] | None = None, end_ms: float | None = None
) -> ChatOutcome:
    """``parts``: arrival and server stamp in ms after sending, text, thinking."""
    chunks = [
        Chunk(
            SENT_NS + round(at * MS),
            None if made is None else SENT_NS + OFFSET_NS + round(made * MS), text, thinking,
        )
        for at, made, text, thinking in parts
    ]  # fmt: skip
    end_ns = SENT_NS + round(end_ms * MS) if end_ms is not None else chunks[-1].receipt_ns if chunks else SENT_NS
    return ChatOutcome(
        sent_ns=SENT_NS, end_ns=end_ns, started_at=datetime(2026, 9, 1, tzinfo=UTC), wall_offset_ns=OFFSET_NS,
        chunks=chunks, text="".join(c.text for c in chunks), thinking="".join(c.thinking for c in chunks),
        final=final, http_status=200, fault=None if final else "no_final_chunk", fault_detail=None,
    )  # fmt: skip


FINAL = {
    "done": True, "done_reason": "stop", "total_duration": 100 * MS, "load_duration": 10 * MS,
    "prompt_eval_count": 30, "prompt_eval_duration": 20 * MS, "eval_count": 5, "eval_duration": 64 * MS,
}  # fmt: skip


def test_every_figure() -> None:
    figures = derive(_outcome([
        (30.5, 30, "", ""), (40.5, 40, "", "Hm"), (50.5, 50, "", "."), (61.0, 60, "For", ""), (90.5, 90, "ty", ""),
        (102.0, 100, "", ""),
    ], {**FINAL, "prompt_eval_cached_count": 10}))  # fmt: skip
    assert figures.ttft_s == pytest.approx(0.0405)
    assert figures.ttft_thinking_s == pytest.approx(0.0405)
    assert figures.ttft_answer_s == pytest.approx(0.0610)
    assert figures.total_s == pytest.approx(0.102)
    assert figures.server_total_s == pytest.approx(0.1)
    assert figures.load_s == pytest.approx(0.01)
    assert figures.queue_s == pytest.approx(0.006)
    assert figures.prefill_s == pytest.approx(0.02)
    assert figures.decode_s == pytest.approx(0.064)
    assert (figures.prompt_tokens, figures.cached_prompt_tokens, figures.output_tokens) == (30, 10, 5)
    assert figures.prefill_tokens_per_s == pytest.approx(1000)
    assert figures.decode_tokens_per_s == pytest.approx(62.5)
    assert figures.throughput_tokens_per_s == pytest.approx(5 / 0.102)
    assert figures.tpot_s == pytest.approx(0.016)
    assert figures.itl_p50_s == pytest.approx(0.0105)
    assert figures.itl_p95_s == pytest.approx(0.0105 + 0.9 * (0.0295 - 0.0105))
    assert figures.client_lag_p50_s == pytest.approx(0.0005)
    assert figures.client_lag_p99_s == pytest.approx(0.00195)
    assert figures.chunk_t_s == pytest.approx([0.0305, 0.0405, 0.0505, 0.061, 0.0905, 0.102])
    assert figures.chunk_server_t_s == pytest.approx([0.03, 0.04, 0.05, 0.06, 0.09, 0.1])
    assert figures.chunk_chars == [0, 2, 1, 3, 2, 0]


def test_first_thought_and_first_word_are_told_apart() -> None:
    plain = derive(_outcome([(10, 9, "", ""), (20, 19, "For", "")], dict(FINAL)))
    assert (plain.ttft_s, plain.ttft_thinking_s, plain.ttft_answer_s) == (0.02, None, 0.02)
    only_thoughts = derive(_outcome([(10, 9, "", "Hm"), (20, 19, "", "")], dict(FINAL)))
    assert (only_thoughts.ttft_s, only_thoughts.ttft_thinking_s, only_thoughts.ttft_answer_s) == (0.01, 0.01, None)


def test_another_machine_s_clock_says_nothing_about_our_lag() -> None:
    outcome = _outcome([(10, 2, "a", ""), (20, 12, "b", "")], dict(FINAL))
    assert derive(outcome).client_lag_p99_s == pytest.approx(0.008)
    other = derive(outcome, same_clock=False)
    assert other.client_lag_p50_s is other.client_lag_p99_s is None
    assert other.chunk_server_t_s == derive(outcome).chunk_server_t_s, "the raw stamps are kept"


def test_a_slot_and_another_model_are_waited_for_in_different_figures() -> None:
    """As measured on a real server: the slot in the total alone, the other model in the load alone."""
    parts = [(40.0, 39.0, "a", ""), (102.0, 100.0, "", "")]
    slot = derive(_outcome(parts, {**FINAL, "total_duration": 309 * MS, "load_duration": 2 * MS}))
    model = derive(_outcome(parts, {**FINAL, "total_duration": 3080 * MS, "load_duration": 2990 * MS}))
    assert (slot.queue_s, slot.load_s) == (pytest.approx(0.223), pytest.approx(0.002))
    assert (model.queue_s, model.load_s) == (pytest.approx(0.006), pytest.approx(2.99))


def test_what_did_not_come_is_none() -> None:
    figures = derive(_outcome([], end_ms=5))
    lists = ("chunk_t_s", "chunk_server_t_s", "chunk_chars")
    assert {f.name: getattr(figures, f.name) for f in fields(Timing) if f.name not in lists} == {
        f.name: None for f in fields(Timing) if f.name not in lists
    }
    assert [getattr(figures, name) for name in lists] == [[], [], []]


def test_a_broken_answer_keeps_what_its_stamps_say() -> None:
    figures = derive(_outcome([(40, 39, "For", ""), (50, None, "ty", "")], end_ms=900))
    assert (figures.ttft_s, figures.itl_p50_s, figures.total_s) == (0.04, 0.01, None)
    assert figures.throughput_tokens_per_s is None
    assert figures.chunk_server_t_s == [pytest.approx(0.039), None]
    assert figures.client_lag_p50_s == pytest.approx(0.001)


@pytest.mark.parametrize("key", [k for k in FINAL if k not in ("done", "done_reason")])
@pytest.mark.parametrize("value", [None, -1, "7", 1.5, True])
def test_a_missing_or_impossible_number_makes_only_its_own_figures_none(key: str, value: object) -> None:
    final = {k: v for k, v in {**FINAL, key: value}.items() if v is not None}
    parts = [(40.0, 39.0, "a", ""), (102.0, 100.0, "", "")]
    figures, whole = derive(_outcome(parts, final)), derive(_outcome(parts, dict(FINAL)))
    touched = {f.name for f in fields(Timing) if getattr(figures, f.name) != getattr(whole, f.name)}
    assert touched == {
        "total_duration": {"server_total_s", "queue_s"},
        "load_duration": {"load_s", "queue_s"},
        "prompt_eval_count": {"prompt_tokens", "prefill_tokens_per_s"},
        "prompt_eval_duration": {"prefill_s", "prefill_tokens_per_s", "queue_s"},
        "eval_count": {"output_tokens", "decode_tokens_per_s", "throughput_tokens_per_s", "tpot_s"},
        "eval_duration": {"decode_s", "decode_tokens_per_s", "tpot_s", "queue_s"},
    }[key]
    assert all(getattr(figures, name) is None for name in touched)


def test_one_token_has_no_decode_rate() -> None:
    figures = derive(_outcome([(40, 39, "a", ""), (41, 40, "", "")], {**FINAL, "eval_count": 1}))
    assert (figures.decode_tokens_per_s, figures.tpot_s, figures.itl_p50_s) == (None, None, None)
    assert figures.throughput_tokens_per_s == pytest.approx(1 / 0.041)


def test_queue_time_shows_in_the_total_and_is_never_negative() -> None:
    parts = [(40.0, 39.0, "a", ""), (102.0, 100.0, "", "")]
    assert derive(_outcome(parts, {**FINAL, "total_duration": 400 * MS})).queue_s == pytest.approx(0.306)
    assert derive(_outcome(parts, {**FINAL, "total_duration": 50 * MS})).queue_s == 0.0


NS = st.integers(0, 10**12)


@given(
    st.lists(st.tuples(st.integers(0, 10**5), st.sampled_from(["", "a", "ab"]), st.sampled_from(["", "t"])), min_size=1),
    NS, NS, NS, NS, st.integers(0, 10**5), st.integers(0, 10**5),
)  # fmt: skip
def test_what_holds_for_every_answer(
    gaps: list[tuple[int, str, str]], total: int, load: int, prefill: int, decode: int, prompt: int, output: int
) -> None:
    at, parts = 0.0, []
    for gap, text, thinking in gaps:
        at += gap / 1000
        parts.append((at, at, text, thinking))
    final = {
        "done": True, "total_duration": total, "load_duration": load, "prompt_eval_duration": prefill,
        "eval_duration": decode, "prompt_eval_count": prompt, "eval_count": output,
    }  # fmt: skip
    figures = derive(_outcome(parts, final))
    assert figures.total_s is not None
    if figures.ttft_s is not None:
        assert 0 <= figures.ttft_s <= figures.total_s
        assert figures.ttft_answer_s is None or figures.ttft_s <= figures.ttft_answer_s <= figures.total_s
    if figures.decode_tokens_per_s is not None:
        assert figures.decode_s
        assert figures.output_tokens
        assert figures.decode_tokens_per_s == (figures.output_tokens - 1) / figures.decode_s
        assert figures.tpot_s
        assert figures.tpot_s * figures.decode_tokens_per_s == pytest.approx(1)
    assert figures.queue_s is not None
    assert figures.queue_s >= 0
    for name in (f.name for f in fields(Timing)):
        value = getattr(figures, name)
        if isinstance(value, float):
            assert value == value
            assert abs(value) != float("inf")
