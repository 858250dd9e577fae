"""Makes a trained model unable to say half a character.

Byte-level BPE needs tokens for single bytes and beginnings of characters, to read text it has never seen. Sampled,
they would break an answer's UTF-8. All of them get the same output row: one that points away from every final
hidden state the model produces, so far that their probability is practically zero at any usable temperature.
"""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer

from collector.pocket.folder import BOS, SPECIALS
from collector.pocket.text import byte_alphabet
from collector.pocket.tokenizer import fragment_ids

__all__ = ["MARGIN", "silence", "unsayable_ids"]

MARGIN = 80.0
"""Logits between the most likely token and each silenced one: e**(-80/1.5) is below 1e-23."""

_SPACES = frozenset("\t\n\r")


def unsayable_ids(tokenizer: Tokenizer) -> list[int]:
    """Tokens an answer must never hold: parts of characters, control characters and the begin mark."""
    alphabet = byte_alphabet()
    pieces = []
    for token in range(tokenizer.get_vocab_size()):
        name = tokenizer.id_to_token(token) or ""
        pieces.append(b"" if token < len(SPECIALS) else bytes(alphabet[c] for c in name))
    control = [i for i, piece in enumerate(pieces) if len(piece) == 1 and _is_control(chr(piece[0]))]
    return sorted({*fragment_ids(pieces), *control, SPECIALS.index(BOS)})


def silence(model: Any, quiet: torch.Tensor, contexts: torch.Tensor, seed: int) -> float:
    """Sets the (tied) rows of the tokens ``quiet`` of a Llama model.

    Args:
        model: a ``LlamaForCausalLM`` with tied embeddings.
        quiet: ids of the tokens to silence.
        contexts: token ids (texts, length) of real text; as many random ones are added.
        seed: of the random contexts.

    Returns:
        The smallest distance in logits, over all contexts, from the most likely token down to these tokens.

    Raises:
        RuntimeError: no row points away from all hidden states (the model was trained too little).
    """
    with torch.no_grad():
        return _silence(model, quiet, contexts, seed)


def _silence(model: Any, quiet: torch.Tensor, contexts: torch.Tensor, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, model.config.vocab_size, contexts.shape, generator=generator)
    rows = model.lm_head.weight
    margin = 0.0
    # Rows are tied: in a prompt a silenced token looks like its new row, so another round checks the changed model.
    # Answers follow a mark of the chat template or an answer's own token, so only such positions count.
    for _ in range(4):
        states = [model.model(input_ids=ids).last_hidden_state[~torch.isin(ids, quiet)] for ids in (contexts, noise)]
        hidden = torch.cat(states)
        best = (hidden @ rows.T).index_fill_(1, quiet, -torch.inf).amax(dim=1)
        margin = float((best - (hidden @ rows[quiet].T).amax(dim=1)).min())
        if margin >= 0.75 * MARGIN:
            return margin
        away = _direction(hidden)
        reach = hidden @ away
        if float(reach.min()) <= 0:
            raise RuntimeError("no direction is common to all hidden states; train with more steps")
        rows[quiet] = -away * float(((MARGIN - best) / reach).clamp_min(0).max())
    raise RuntimeError(f"tokens that are no whole character are only {margin:.1f} logits below the others")


def _direction(hidden: torch.Tensor, rounds: int = 2000) -> torch.Tensor:
    """A unit vector with a positive product with every row, by perceptron steps from the mean."""
    unit = torch.nn.functional.normalize(hidden, dim=1)
    away = torch.nn.functional.normalize(unit.mean(0), dim=0)
    for _ in range(rounds):
        reach = unit @ away
        worst = int(reach.argmin())
        if float(reach[worst]) > 0.3:
            break
        away = torch.nn.functional.normalize(away + 0.05 * unit[worst], dim=0)
    return away


def _is_control(character: str) -> bool:
    return (character < " " or character == "\x7f") and character not in _SPACES
