"""Byte-level BPE for the pocket models, cutting text into the same tokens here and on Ollama.

Two rules make that so:

* the pre-tokenizer is Qwen2's pattern, which Ollama's importer knows by its checksum (``convert/tokenizer.go``) and
  llama.cpp cuts in the same way; an unknown pattern would get llama.cpp's default, which cuts differently;
* the first merges put the bytes of every character of the training text together, the later ones only join whole
  characters. So no token ends within a character, but for the single bytes and beginnings of characters which
  byte-level BPE needs for text it has never seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from collector.pocket.text import byte_alphabet

__all__ = ["PATTERN", "build", "fragment_ids"]

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's pre-tokenizer; a changed character changes the checksum by which Ollama knows it."""

_MAX_CHARACTERS, _MAX_HAN_CHARACTERS = 12, 4


def build(texts: Iterable[str], size: int, specials: Sequence[str], min_frequency: int = 2) -> Tokenizer:
    """A tokenizer for ``texts``.

    Args:
        texts: the training text; each of its characters becomes at most one token.
        size: the largest vocabulary wanted; characters and special tokens come in any case.
        specials: control tokens, which get the first ids in this order.
        min_frequency: how often two pieces must stand side by side to be joined.
    """
    texts = list(texts)
    stand_in = {byte: character for character, byte in byte_alphabet().items()}

    def written(text: str) -> str:
        return "".join(stand_in[byte] for byte in text.encode())

    merges = _character_merges(sorted(set("".join(texts))), stand_in)
    room = size - len(specials) - 256 - len(merges)
    merges += [(written(a), written(b)) for a, b in _word_merges(texts, max(0, room), min_frequency)]
    vocabulary = {token: place for place, token in enumerate([*specials, *(stand_in[b] for b in range(256))])}
    for first, second in merges:
        vocabulary.setdefault(first + second, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def fragment_ids(pieces: Sequence[bytes]) -> list[int]:
    """Tokens that are no whole characters on their own (``pieces`` as in ``PocketTokenizer``)."""

    def broken(piece: bytes) -> bool:
        return piece.decode("utf-8", errors="replace").encode() != piece

    return [token for token, piece in enumerate(pieces) if broken(piece)]


def _character_merges(characters: Iterable[str], stand_in: dict[int, str]) -> list[tuple[str, str]]:
    merges: dict[int, dict[tuple[str, str], None]] = {}
    for character in characters:
        pieces = [stand_in[byte] for byte in character.encode()]
        for length in range(1, len(pieces)):
            merges.setdefault(length, {})["".join(pieces[:length]), pieces[length]] = None
    return [merge for length in sorted(merges) for merge in merges[length]]


def _word_merges(texts: list[str], room: int, min_frequency: int) -> list[tuple[str, str]]:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    characters = sorted(set("".join(texts)))
    trainer = trainers.BpeTrainer(
        vocab_size=len(characters) + 3 * room,
        min_frequency=min_frequency,
        initial_alphabet=characters,
        max_token_length=_MAX_CHARACTERS,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = [(first, second) for first, second in json.loads(learner.to_str())["model"]["merges"]]
    # Whole Chinese phrases as one token would make answers of a few tokens; a piece that is refused takes the
    # longer ones built on it along, since they are longer still.
    return [pair for pair in learned if len("".join(pair)) <= _limit("".join(pair))][:room]


def _limit(piece: str) -> int:
    return _MAX_CHARACTERS if piece.isascii() else _MAX_HAN_CHARACTERS
