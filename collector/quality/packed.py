"""BART's forward pass over texts laid end to end, without padding.

All layers but attention look at one token at a time, so the tokens of many texts form one long row of them. Attention
runs text by text: a source attends to itself, a target to what stands before it, and all targets of one source attend to
it together, through keys and values that were projected once. The modules and their weights are those of
``transformers``; only the way through them is ours, and it gives the library's numbers (float32: within 1e-4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

__all__ = ["EncodedSource", "PackedBart"]

_VOCABULARY_SLICE = 2048  # the logits of a batch over this many words stay in a CPU's cache


@dataclass(frozen=True, slots=True)
class EncodedSource:
    """What the decoder needs of a source: keys and values, (layers, tokens, heads, head width) each."""

    keys: Tensor
    values: Tensor


class PackedBart:
    """Teacher-forced log-probabilities of a ``BartForConditionalGeneration`` in eval mode."""

    def __init__(self, model: Any, ignored: int | None = None) -> None:
        """Takes the model.

        Args:
            model: stays as it is.
            ignored: token that adds nothing to a sum where a target holds it.
        """
        self._model, self._config, self._ignored = model, model.config, ignored
        self._encoder, self._decoder = model.get_encoder(), model.get_decoder()
        bias = model.final_logits_bias[0]
        self._bias = bias if bool(bias.any()) else None  # zero in most checkpoints

    @property
    def memory_per_token(self) -> int:
        """Bytes of an encoded source per token."""
        weight = self._model.lm_head.weight
        return 2 * len(self._decoder.layers) * int(weight.shape[1]) * int(weight.element_size())

    def encoded(self, sources: Sequence[Sequence[int]]) -> list[EncodedSource]:
        """Encodes sources, given as token ids."""
        spans = list(_spans([len(source) for source in sources]))
        hidden = self._embedded(self._encoder, sources)
        for layer in self._encoder.layers:
            attended = torch.empty_like(hidden)
            query, keys, values = _projected(layer.self_attn, hidden)
            for span in spans:
                attended[span] = _attention(query[span], keys[span], values[span], causal=False)
            hidden = _finished(layer, _normed(layer.self_attn, layer.self_attn_layer_norm, attended, hidden))
        crossing = [layer.encoder_attn for layer in self._decoder.layers]
        keys, values = (
            torch.stack([_heads(project(hidden), attention) for attention, project in projections])
            for projections in ([(a, a.k_proj) for a in crossing], [(a, a.v_proj) for a in crossing])
        )
        return [EncodedSource(keys[:, span], values[:, span]) for span in spans]

    def sums(self, jobs: Sequence[tuple[EncodedSource, Sequence[int]]]) -> list[float]:
        """Sum of log-probabilities of each target's token ids given its source; jobs of one source stand together."""
        targets = [target for _, target in jobs]
        lengths = [len(target) for target in targets]
        spans = list(_spans(lengths))
        shared = list(_shared([source for source, _ in jobs], spans))
        start = [self._config.decoder_start_token_id]
        hidden = self._embedded(self._decoder, [[*start, *target[:-1]] for target in targets])
        for index, layer in enumerate(self._decoder.layers):
            attended = torch.empty_like(hidden)
            query, keys, values = _projected(layer.self_attn, hidden)
            for span in spans:
                attended[span] = _attention(query[span], keys[span], values[span], causal=True)
            hidden = _normed(layer.self_attn, layer.self_attn_layer_norm, attended, hidden)
            query = _heads(layer.encoder_attn.q_proj(hidden), layer.encoder_attn)
            for source, span in shared:
                attended[span] = _attention(query[span], source.keys[index], source.values[index], causal=False)
            hidden = _finished(layer, _normed(layer.encoder_attn, layer.encoder_attn_layer_norm, attended, hidden))
        labels = torch.tensor([token for target in targets for token in target], device=hidden.device)
        found = self._log_probs(hidden, labels).double()
        if self._ignored is not None:
            found[labels == self._ignored] = 0.0
        return [float(part.sum()) for part in found.cpu().split(lengths)]

    def _embedded(self, side: Any, rows: Sequence[Sequence[int]]) -> Tensor:
        """Embeddings of the rows' tokens, one row after the other: (tokens, width)."""
        device = side.embed_tokens.weight.device
        ids = torch.tensor([token for row in rows for token in row], device=device)
        places = torch.cat([torch.arange(len(row)) for row in rows]).to(device)
        embedded: Tensor = side.embed_tokens(ids) + side.embed_positions(ids[None], position_ids=places)[0]
        normed: Tensor = side.layernorm_embedding(embedded)
        return normed

    def _log_probs(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Log-probability of each label: its logit less the logsumexp, taken over one slice of the vocabulary at a time."""
        weight = self._model.lm_head.weight
        own = (hidden * weight[labels]).sum(1, dtype=torch.float32)
        if self._bias is not None:
            own = own + self._bias[labels]
        total = torch.full_like(own, -torch.inf)
        for at in range(0, len(weight), _VOCABULARY_SLICE):
            part = slice(at, at + _VOCABULARY_SLICE)
            logits = linear(hidden, weight[part], None if self._bias is None else self._bias[part])
            total = torch.logaddexp(total, logits.float().logsumexp(1))
        return own - total


def _spans(lengths: Sequence[int]) -> Iterator[slice]:
    """Where each text lies in the row of tokens."""
    at = 0
    for length in lengths:
        yield slice(at, at + length)
        at += length


def _shared(sources: Sequence[EncodedSource], spans: Sequence[slice]) -> Iterator[tuple[EncodedSource, slice]]:
    """Each source and the stretch of its targets."""
    first = 0
    for index, source in enumerate(sources):
        if index + 1 == len(sources) or sources[index + 1] is not source:
            yield source, slice(spans[first].start, spans[index].stop)
            first = index + 1


def _heads(states: Tensor, attention: Any) -> Tensor:
    return states.unflatten(-1, (-1, attention.head_dim))


def _projected(attention: Any, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, (tokens, heads, head width) each."""
    return (
        _heads(attention.q_proj(hidden), attention),
        _heads(attention.k_proj(hidden), attention),
        _heads(attention.v_proj(hidden), attention),
    )


def _attention(query: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    """Attention of one text's (tokens, heads, head width), as (tokens, width)."""
    query, keys, values = (side.transpose(0, 1)[None] for side in (query, keys, values))
    return scaled_dot_product_attention(query, keys, values, is_causal=causal)[0].transpose(0, 1).flatten(1)


def _normed(attention: Any, norm: Any, attended: Tensor, hidden: Tensor) -> Tensor:
    result: Tensor = norm(attention.out_proj(attended).add_(hidden))
    return result


def _finished(layer: Any, hidden: Tensor) -> Tensor:
    """The feed-forward half of a layer."""
    inner = layer.fc2(layer.activation_fn(layer.fc1(hidden))).add_(hidden)
    result: Tensor = layer.final_layer_norm(inner)
    return result
