"""The token loop: limits, stop sequences, repeats, ends and counts, with an engine that says what a test tells it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.pocket.api import Options
from collector.pocket.generation import BrokenText, Finish, Piece, StopFilter, generate
from collector.pocket.scheduler import ClientGone
from collector.pocket.wire import Logprob

END = -1


class Speaker:
    """An engine that says ``texts``; its tokens are their places, then the end token comes."""

    def __init__(self, texts: Iterable[str], num_ctx: int = 64) -> None:
        self.num_ctx, self.broken = num_ctx, False
        self._texts = iter(texts)
        self.said: list[str] = []

    def is_end(self, token: int) -> bool:
        return token == END

    def prefill(self, tokens: Sequence[int]) -> int:
        return 0

    def sample(self) -> int:
        text = next(self._texts, None)
        if text is None:
            return END
        self.said.append(text)
        return len(self.said) - 1

    def text_of(self, token: int) -> str:
        text = self.said[token]
        self.broken = "\ufffd" in text
        return text

    def logprob_of(self, token: int) -> Logprob:
        return Logprob(self.said[token], -0.5, self.said[token].encode())


def run(engine: Speaker, options: Options | None = None, **more: bool) -> tuple[list[str], Finish | None]:
    events = list(generate(engine, [1, 2, 3], options or Options(), **more))
    pieces = [event.text for event in events if isinstance(event, Piece)]
    finishes = [event for event in events if isinstance(event, Finish)]
    assert events[len(pieces) :] == finishes, "the finish comes last"
    return pieces, finishes[0] if finishes else None


def test_the_end_token_is_counted_and_not_said() -> None:
    pieces, finish = run(Speaker(["a", "b"]))
    assert pieces == ["a", "b"]
    assert finish is not None
    assert (finish.reason, finish.prompt_tokens, finish.output_tokens) == ("stop", 3, 3)


def test_a_length_end_counts_what_was_said() -> None:
    pieces, finish = run(Speaker("abcdef"), Options(num_predict=4))
    assert pieces == list("abcd")
    assert finish is not None
    assert (finish.reason, finish.output_tokens) == ("length", 4)


def test_an_immediate_end() -> None:
    pieces, finish = run(Speaker([]))
    assert pieces == []
    assert finish is not None
    assert (finish.reason, finish.output_tokens) == ("stop", 1)
    assert finish.prompt_ns > 0
    assert finish.output_ns > 0


@pytest.mark.parametrize("asked", [-1, -2, 10_000])
def test_no_answer_is_longer_than_ten_contexts(asked: int) -> None:
    pieces, finish = run(Speaker(itertools.cycle("ab"), num_ctx=8), Options(num_predict=asked))
    assert len(pieces) == 80
    assert finish is not None
    assert finish.reason == "length"


def test_without_shift_the_context_is_the_limit() -> None:
    _, finish = run(Speaker(itertools.cycle("ab"), num_ctx=8), shift=False)
    assert finish is not None
    assert (finish.reason, finish.prompt_tokens + finish.output_tokens) == ("length", 8)


def test_a_stop_sequence_across_tokens_is_counted_and_not_said() -> None:
    pieces, finish = run(Speaker(["one ", "tw", "o th", "ree"]), Options(stop=("two",)))
    assert "".join(pieces) == "one "
    assert finish is not None
    assert (finish.reason, finish.output_tokens) == ("stop", 3)


def test_text_held_back_comes_out_at_the_end() -> None:
    pieces, finish = run(Speaker(["a t", "w"]), Options(stop=("two",)))
    assert pieces == ["a ", "tw"]
    assert finish is not None
    assert finish.output_tokens == 3


@pytest.mark.parametrize("repeated", ["_", " ", "\n", " _"])
def test_more_than_thirty_equal_tokens_end_in_silence(repeated: str) -> None:
    pieces, finish = run(Speaker(itertools.chain("b", itertools.repeat(repeated))), end_on_repeats=True)
    assert pieces == ["b"] + [repeated] * 31
    assert finish is None


def test_thirty_one_equal_tokens_are_no_reason() -> None:
    _, finish = run(Speaker(["_"] * 31 + ["b"] + ["_"] * 31), end_on_repeats=True)
    assert finish is not None
    assert finish.output_tokens == 64


def test_a_chat_goes_on_repeating() -> None:
    pieces, finish = run(Speaker(["_"] * 50))
    assert len(pieces) == 50
    assert finish is not None


def test_broken_text_ends_the_answer() -> None:
    events = generate(Speaker(["a", "\ufffd", "b"]), [1], Options())
    assert next(events) == Piece("a")
    with pytest.raises(BrokenText):
        next(events)


def test_nobody_waits() -> None:
    left = iter([False, False, True])
    events = generate(Speaker("abc"), [1], Options(), gone=lambda: next(left))
    assert [next(events), next(events)] == [Piece("a"), Piece("b")]
    with pytest.raises(ClientGone):
        next(events)


def test_every_token_is_listed_with_the_piece_it_came_out_in() -> None:
    events = list(generate(Speaker(["a t", "w", "ice"]), [1], Options(stop=("two",)), with_logprobs=True))
    listed = [[item.token for item in event.logprobs] for event in events if isinstance(event, Piece)]
    assert listed == [["a t"], ["w", "ice"]]
    assert [event.text for event in events if isinstance(event, Piece)] == ["a ", "twice"]


ALPHABET = st.text("abc", max_size=30)


@settings(deadline=None)
@given(ALPHABET, st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.lists(st.integers(1, 4), max_size=40))
def test_what_passes_the_stop_filter(text: str, sequences: list[str], cuts: list[int]) -> None:
    """However the text is cut, everything before the earliest completed stop sequence comes out, and nothing after."""
    pieces, rest = [], text
    for size in [*cuts, len(text)]:
        pieces.append(rest[:size])
        rest = rest[size:]
    stops, out, stopped = StopFilter(tuple(sequences)), "", False
    fed = ""
    for piece in pieces:
        fed += piece
        ready, stopped = stops.feed(piece)
        out += ready
        if stopped:
            break
    if not stopped:
        out += stops.rest()
    found = [fed.find(sequence) for sequence in sequences if sequence in fed]
    assert stopped == bool(found)
    assert out == (fed[: min(found)] if found else text)
