"""Cached and cut prompts: what the other answers of a case tell about one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from collector.suite import token_estimate
from collector.timing import Timing
from collector.validity import History, Loaded, answer_flags, surroundings_flags

_NOTHING: dict[str, Any] = {f.name: None for f in fields(Timing)} | {"chunk_t_s": [], "chunk_server_t_s": [], "chunk_chars": []}
FIGURES = Timing(**_NOTHING)
PROMPT = "What does a watt measure, and why is a kilowatt hour no power? " * 20
CONTEXT = 1024


def _figures(prompt_tokens: int = 100, cached: int | None = None, rate: float | None = 500.0) -> Timing:
    return replace(FIGURES, prompt_tokens=prompt_tokens, cached_prompt_tokens=cached, prefill_tokens_per_s=rate, output_tokens=10)


def test_a_busy_machine_does_not_look_like_a_cache() -> None:
    """Rates of 110 tokens on a real server between other programs' work, and one of a prompt sent twice."""
    history = History()
    for rate in (3971.0, 3476.0, 5790.0):
        _learn(history, _figures(rate=rate))
    quick = replace(_figures(117, rate=31158.0), prefill_s=0.003755, tpot_s=0.000927)
    assert not history.cached(quick), "four steps of the answer: it was read"
    assert history.cached(replace(quick, prefill_s=0.0018))
    assert not history.cached(_figures(60, rate=31158.0)), "15 ms in all"
    slow = History()
    for rate in (150.0, 118.0, 151.0):
        _learn(slow, _figures(446, rate=rate))
    assert slow.cached(replace(_figures(446, rate=5720.0), prefill_s=0.078, tpot_s=0.02)), "3 s became 78 ms: no doubt"


def _learn(history: History, figures: Timing, prompt: str = PROMPT, item: str = "i1") -> None:
    history.learn(figures, prompt, "en", item, CONTEXT)


@pytest.mark.parametrize("template", [0, 6, 140])
def test_the_template_in_front_of_the_nonce_is_no_cached_prompt(template: int) -> None:
    history = History()
    _learn(history, _figures(200, 0))  # nothing is there after a load
    _learn(history, _figures(200, template + 5))  # nonces that begin alike
    for cached in (template, template + 3, template + 8):
        assert not history.cached(_figures(200, cached))
        _learn(history, _figures(200, cached))
    assert not history.cached(_figures(200, None)), "this server drops a count of 0"
    assert history.cached(_figures(200, template + 20))


def test_before_anything_was_learnt_a_fifth_of_the_prompt_is_cached() -> None:
    history = History()
    assert not history.cached(_figures(100, 15))
    assert history.cached(_figures(100, 25))


def test_a_server_that_does_not_tell_is_caught_by_its_rate() -> None:
    history = History()
    for rate in (480.0, 500.0):
        _learn(history, _figures(rate=rate))
        assert not history.cached(_figures(rate=9000.0)), "too few to tell"
    _learn(history, _figures(rate=530.0))
    assert history.cached(_figures(rate=1600.0))
    assert not history.cached(_figures(rate=1400.0))
    _learn(history, _figures(rate=1300.0))
    assert not history.cached(_figures(rate=1900.0)), "on a busy machine rates scatter downwards"
    history.learn(_figures(rate=9999.0), PROMPT, "en", "i1", CONTEXT, cached=True)
    assert history.cached(_figures(rate=2000.0)), "a cached one is no example"
    assert not history.cached(_figures(prompt_tokens=9, rate=1600.0)), "18 ms in all are noise"
    assert not history.cached(_figures(rate=None))


def test_the_state_of_the_cache_is_a_factor() -> None:
    history = History()
    assert history.cache_state(False) == "cold"
    _learn(history, _figures())
    assert history.cache_state(False) == "unique_prefix"
    assert history.cache_state(True) == "cached"
    history.reloaded()
    assert history.cache_state(False) == "cold"


def test_a_cut_prompt_is_seen_by_what_the_tokenizer_makes_of_uncut_ones() -> None:
    history = History()
    short = "What does a watt measure? " * 10
    _learn(history, _figures(round(1.4 * token_estimate(short))), short, "short")
    whole = round(1.4 * token_estimate(PROMPT * 3))
    assert whole > CONTEXT
    assert not history.cut(whole, PROMPT * 3, "en", "i1", 4096)
    assert history.cut(CONTEXT // 2, PROMPT * 3, "en", "i1", CONTEXT)
    assert not history.cut(40, short, "en", "i3", CONTEXT), "a prompt that fits is never cut"
    assert not history.cut(700, PROMPT * 3, "zh", "i1", CONTEXT), "another language, nothing learnt: plausible"
    assert history.cut(500, PROMPT * 3, "zh", "i1", CONTEXT), "no tokenizer is twice as good as the estimate"


def test_a_cut_prompt_is_seen_beside_the_same_item() -> None:
    history = History()
    _learn(history, _figures(900))
    assert not history.cut(889, PROMPT, "en", "i1", 8192)
    assert history.cut(800, PROMPT, "en", "i1", 8192)
    assert not history.cut(800, PROMPT, "en", "i2", 8192)


def test_a_first_prompt_that_is_cut_has_the_length_that_ollama_leaves() -> None:
    kept = {512: 258, 1600: 802, CONTEXT: 514}  # as seen on 0.32.15
    for context, tokens in kept.items():
        long = "What does a watt measure? " * (tokens // 5)
        assert History().cut(tokens, long, "en", "i1", context)
        assert not History().cut(tokens + 1, long, "en", "i1", context)
        assert not History().cut(tokens, "What does a watt measure? " * 9, "en", "i1", context), "it may have so many"


def test_two_texts_of_different_length_and_one_count_were_cut_at_the_same_place() -> None:
    history = History()
    _learn(history, _figures(530), PROMPT * 2, "i1")
    assert history.cut(530, PROMPT * 3, "en", "i2", CONTEXT)
    assert not history.cut(530, PROMPT * 2, "en", "i2", CONTEXT), "as long as the other"
    assert not history.cut(546, PROMPT * 3, "en", "i2", CONTEXT)


def test_what_is_learnt_late_tells_of_earlier_answers() -> None:
    history = History()
    for run_id, tokens, prompt in (("r1", 530, PROMPT * 3), ("r2", 60, "What is a watt? " * 8)):
        assert not history.cut(tokens, prompt, "en", run_id, CONTEXT)
        history.passed(run_id, tokens, prompt, "en", run_id, CONTEXT)
        _learn(history, _figures(tokens), prompt, run_id)
    assert history.cut_after_all() == ["r1"]


def test_flags_of_the_server_s_own_figures() -> None:
    loaded = Loaded("k", "m", {"num_ctx": 1024}, None, None, None)

    def flags(figures: Timing, loaded: Loaded = loaded, on_gpu: bool = True) -> list[str]:
        return answer_flags(figures, loaded, History(), PROMPT, "en", "i1", on_gpu=on_gpu)

    quiet = replace(_figures(400), queue_s=0.006, load_s=0.05, server_total_s=1.0, client_lag_p99_s=0.001)
    assert flags(quiet) == []
    assert flags(replace(quiet, queue_s=0.3)) == ["queued"]
    assert flags(replace(quiet, load_s=0.3)) == ["reloaded"]
    long_prompt = replace(quiet, load_s=0.3, server_total_s=9.0)
    assert flags(long_prompt) == [], "a thirtieth of the time to the first token"
    assert flags(replace(long_prompt, decode_s=8.0)) == ["reloaded"], "a third of it, however long the answer"
    assert flags(replace(quiet, client_lag_p99_s=0.006)) == ["client_lag"]
    assert flags(replace(quiet, output_tokens=700)) == ["context_shifted"]
    assert flags(quiet, replace(loaded, effective_context_length=512)) == ["context_lowered"]
    half = replace(loaded, memory_bytes=100, vram_bytes=50)
    assert flags(quiet, half) == ["cpu_spill"]
    assert flags(quiet, replace(half, vram_bytes=None)) == ["cpu_spill"], "the CPU alone, without being asked"
    assert flags(quiet, replace(half, options={"num_ctx": 1024, "num_gpu": 0})) == []
    assert flags(quiet, half, on_gpu=False) == []
    assert flags(FIGURES) == []


@pytest.mark.parametrize(
    ("start_c", "others", "flags"),
    [(45.0, 0.2, []), (51.0, None, ["temperature_drift"]), (29.0, 2.1, ["temperature_drift", "busy_machine"]), (None, 1.9, [])],
)
def test_surroundings(start_c: float | None, others: float | None, flags: list[str]) -> None:
    assert surroundings_flags(start_c, 40.0, others, 8) == flags
