"""Text in and out of the embedded models: byte-level BPE, chat template, whole characters only."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from collector.errors import EngineError

__all__ = ["PocketTokenizer", "Utf8Stream", "byte_alphabet"]


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte: character -> byte value (Radford et al. 2019, encoder.py)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + place): b for place, b in enumerate(others)}


class PocketTokenizer:
    """``tokenizer.json`` and ``tokenizer_config.json`` of one model folder.

    Attributes:
        eos_id: the token that ends an answer.
        special_ids: tokens that are counted but never shown.
        pieces: bytes of each token, empty for special tokens.
    """

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.template: str = config.get("chat_template", "")
        jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._render = jinja.from_string(self.template)
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(token for token, entry in added.items() if entry.special)
        eos = self._tokenizer.token_to_id(config["eos_token"])
        if eos is None:
            path, end = folder / "tokenizer_config.json", config["eos_token"]
            raise EngineError(
                f"{path} names the end token {end!r}, which tokenizer.json does not have; train the model again.",
                f"{path} 的结束符 {end!r} 不在 tokenizer.json 中；请重新训练该模型。",
            )
        self.eos_id: int = eos
        alphabet = byte_alphabet()
        self.pieces: list[bytes] = []
        for token in range(self._tokenizer.get_vocab_size()):
            name = self._tokenizer.id_to_token(token) or ""
            shown = token not in self.special_ids and all(c in alphabet for c in name)
            self.pieces.append(bytes(alphabet[c] for c in name) if shown else b"")

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Token ids; special tokens written out in ``text`` become one id each, nothing is added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids`` without special tokens; broken characters become U+FFFD."""
        return b"".join(self.pieces[token] for token in ids).decode("utf-8", errors="replace")

    def render_chat(self, messages: Sequence[dict[str, str]]) -> str:
        """The prompt the model was trained on, up to where the answer begins.

        Args:
            messages: each with ``role`` (system, user, assistant) and ``content``.

        Raises:
            EngineError: the template refuses the messages.
        """
        try:
            return self._render.render(messages=list(messages), add_generation_prompt=True)
        except TemplateError as error:
            raise EngineError(
                f"The chat template refused the messages: {error}.", f"聊天模板拒绝了这些消息：{error}。"
            ) from error


class Utf8Stream:
    """Turns tokens into text as they come; bytes of an unfinished character wait for the rest.

    Attributes:
        broken: True once bytes came that are no UTF-8 (shown as U+FFFD).
    """

    def __init__(self, tokenizer: PocketTokenizer) -> None:
        self._pieces = tokenizer.pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.broken = False

    def push(self, token_id: int) -> str:
        """The characters that are complete after this token (often one token's text, sometimes none)."""
        return self._checked(self._decoder.decode(self._pieces[token_id]))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for an unfinished character, else nothing."""
        return self._checked(self._decoder.decode(b"", final=True))

    def _checked(self, text: str) -> str:
        self.broken = self.broken or "\ufffd" in text
        return text
