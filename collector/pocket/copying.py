"""Weights with which an untrained BART already copies its source, so that training need not discover how.

A model of this size finds copying only after many thousand steps, and without it no score depends on what the source says.
So it begins with the circuit that trained transformers are known to form (induction heads: Olsson et al. 2022,
https://arxiv.org/abs/2209.11895), written by hand:

* encoder, first layer: two heads note at each token which token stands one and two places before it;
* decoder, first layer: one head notes the token before the current one, and the cross attention looks for the place in the
  source where the same two tokens stand before, or at least the same one, and says what stands there.

The width is shared out at the start (place, token, the two notes); training is free to use it otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["copying"]

_PLACE, _TOKEN, _NOTE = 64, 128, 32
_AT_PLACE = slice(0, _PLACE)
_AT_TOKEN = slice(_PLACE, _PLACE + _TOKEN)
_AT_FIRST = slice(_PLACE + _TOKEN, _PLACE + _TOKEN + _NOTE)
_AT_SECOND = slice(_PLACE + _TOKEN + _NOTE, _PLACE + _TOKEN + 2 * _NOTE)
_HEAD = 64
# Angles per place, the fastest first: the fast ones tell neighbours apart, the slow ones tell far places apart.
_FASTEST, _SLOWEST = 2.5, 0.01
_TOKEN_STD, _REST_STD, _MATRIX_STD = 0.085, 0.005, 0.02
_LOOK_BACK, _MATCH, _SAY = 2.0, 3.0, 2.0  # how sharply a head looks at one place, and how loudly it says what is there


def copying(model: Any, seed: int) -> None:
    """Gives a ``BartForConditionalGeneration`` of width 256 with heads of 64 the weights that copy.

    Args:
        model: changed in place; biases and norms keep what the library gave them.
        seed: of everything that is random in the weights.
    """
    rng = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embed" not in name and "shared" not in name:
            weight.data.normal_(0, _MATRIX_STD, generator=rng)
    words = model.model.shared.weight.data
    words.normal_(0, _REST_STD, generator=rng)
    words[:, _AT_TOKEN].normal_(0, _TOKEN_STD, generator=rng)
    encoder, decoder = model.get_encoder(), model.get_decoder()
    for side in (encoder, decoder):
        side.embed_positions.weight.data.copy_(_waves(*side.embed_positions.weight.shape))
    one, two = (torch.linalg.qr(torch.randn(_TOKEN, _NOTE, generator=rng))[0].T for _ in range(2))
    _note(encoder.layers[0].self_attn, 0, 1, one, _AT_FIRST)
    _note(encoder.layers[0].self_attn, 1, 2, two, _AT_SECOND)
    _note(decoder.layers[0].self_attn, 0, 1, two, _AT_FIRST)
    _say_what_followed(decoder.layers[0].encoder_attn, one)


def _angles() -> Tensor:
    """Of each pair of sine and cosine, radians per place."""
    count = _PLACE // 2
    return _FASTEST * (_SLOWEST / _FASTEST) ** (torch.arange(count) / (count - 1))


def _waves(count: int, width: int) -> Tensor:
    """Places as sines and cosines, together as large as a token: what is learnt at one place holds at the others too."""
    angle = (torch.arange(count)[:, None].double() * _angles().double()).float()
    waves = torch.zeros(count, width)
    waves[:, _AT_PLACE] = _TOKEN_STD * math.sqrt(2 * _TOKEN / _PLACE) * torch.cat([angle.sin(), angle.cos()], dim=1)
    return waves


def _note(attention: Any, head: int, steps: int, projection: Tensor, where: slice) -> None:
    """A head that writes the token ``steps`` places back, projected, to ``where``: its query is the place turned back."""
    rows, count = slice(head * _HEAD, (head + 1) * _HEAD), _PLACE // 2
    cosine, sine = (torch.diag(turned) for turned in ((_angles() * steps).cos(), (_angles() * steps).sin()))
    back = torch.cat([torch.cat([cosine, -sine], dim=1), torch.cat([sine, cosine], dim=1)])
    _clear(attention, rows)
    attention.q_proj.weight.data[rows, _AT_PLACE] = _LOOK_BACK * back
    attention.k_proj.weight.data[rows, _AT_PLACE] = torch.eye(2 * count)
    attention.v_proj.weight.data[rows.start : rows.start + _NOTE, _AT_TOKEN] = projection
    attention.out_proj.weight.data[where, rows.start : rows.start + _NOTE] = torch.eye(_NOTE)


def _say_what_followed(attention: Any, projection: Tensor) -> None:
    """Heads that look where the same tokens stand before; each hands on one part of the token found there."""
    same = torch.eye(_NOTE)
    for head in range(_TOKEN // _NOTE):
        rows = slice(head * _HEAD, (head + 1) * _HEAD)
        upper, lower = slice(rows.start, rows.start + _NOTE), slice(rows.start + _NOTE, rows.stop)
        part = slice(_PLACE + head * _NOTE, _PLACE + (head + 1) * _NOTE)
        _clear(attention, rows)
        attention.q_proj.weight.data[upper, _AT_TOKEN] = _MATCH * projection
        attention.q_proj.weight.data[lower, _AT_FIRST] = _MATCH * same
        attention.k_proj.weight.data[upper, _AT_FIRST] = same
        attention.k_proj.weight.data[lower, _AT_SECOND] = same
        attention.v_proj.weight.data[upper, part] = same
        attention.out_proj.weight.data[part, upper] = _SAY * same


def _clear(attention: Any, rows: slice) -> None:
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight.data[rows] = 0
    attention.out_proj.weight.data[:, rows] = 0
