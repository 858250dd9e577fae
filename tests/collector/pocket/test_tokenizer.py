"""Whole characters per token, exact round trips, and the pattern Ollama's importer knows."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import EngineError
from collector.pocket import corpus
from collector.pocket.folder import SPECIALS
from collector.pocket.text import PocketTokenizer, Utf8Stream, byte_alphabet
from collector.pocket.tokenizer import PATTERN, build, fragment_ids
from tests.fakes.tiny_pocket import build_tiny


@pytest.fixture(scope="module")
def text():
    return corpus.texts(corpus.pairs())


@pytest.fixture(scope="module")
def trained(text):
    return build(text, 3584, SPECIALS)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return PocketTokenizer(build_tiny(tmp_path_factory.mktemp("tiny")))


def pieces(tokenizer):
    alphabet = byte_alphabet()
    names = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    return [b"" if i < len(SPECIALS) else bytes(alphabet[c] for c in name) for i, name in enumerate(names)]


def test_pattern_is_the_one_ollama_knows_as_qwen2(trained):
    stored = [p for p in json.loads(trained.to_str())["pre_tokenizer"]["pretokenizers"] if p["type"] == "Split"]
    assert [p["pattern"]["Regex"] for p in stored] == [PATTERN]
    # convert/tokenizer.go of Ollama: case "1ff7...": t.Pre = "qwen2"
    assert hashlib.sha256(PATTERN.encode()).hexdigest() == (
        "1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e"
    )


def test_every_token_of_the_corpus_is_whole_characters(trained, text):
    broken = set(fragment_ids(pieces(trained)))
    for sample in text:
        assert not broken & set(trained.encode(sample).ids), sample


def test_only_bytes_and_beginnings_of_characters_are_fragments(trained):
    table = pieces(trained)
    for token in fragment_ids(table):
        assert len(table[token]) == 1 or table[token][0] >= 0xE0


def test_special_tokens_come_first_and_stay_whole(trained):
    assert [trained.token_to_id(mark) for mark in SPECIALS] == list(range(len(SPECIALS)))
    assert trained.encode("<|user|>能量<|end|>").ids[0] == SPECIALS.index("<|user|>")


def test_same_text_gives_the_same_tokenizer(text, trained):
    assert build(text, 3584, SPECIALS).to_str() == trained.to_str()


def test_no_room_still_gives_every_character(text):
    small = build(text, 0, SPECIALS)
    broken = set(fragment_ids(pieces(small)))
    assert not broken & set(small.encode(text[0]).ids)


@given(st.text())
def test_any_text_survives_encoding_and_streaming(tokenizer, text):
    if any(mark in text for mark in SPECIALS):
        return
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    stream = Utf8Stream(tokenizer)
    assert "".join([*(stream.push(token) for token in ids), stream.flush()]) == text
    assert stream.broken == ("\ufffd" in text)


@given(st.lists(st.integers(0, 300), max_size=30))
def test_stream_never_sends_half_a_character_early(tokenizer, ids):
    ids = [token % len(tokenizer) for token in ids]
    stream = Utf8Stream(tokenizer)
    shown = "".join([*(stream.push(token) for token in ids), stream.flush()])
    assert shown == tokenizer.decode(ids)


def test_byte_alphabet_is_a_bijection():
    assert sorted(byte_alphabet().values()) == list(range(256))


def test_an_end_token_that_is_not_there_is_named(tmp_path):
    folder = build_tiny(tmp_path)
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"eos_token": "<|end|>"', '"eos_token": "<|no|>"'))
    with pytest.raises(EngineError, match="no"):
        PocketTokenizer(folder)


def test_a_template_that_refuses_is_a_clear_error(tmp_path):
    folder = build_tiny(tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["chat_template"] = "{{ messages[5].content }}"
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(EngineError, match="template"):
        PocketTokenizer(folder).render_chat([{"role": "user", "content": "x"}])
