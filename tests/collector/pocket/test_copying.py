"""Weights written by hand copy a source before anything was learnt."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from collector.pocket import train_bart
from collector.pocket.copying import copying

VOCABULARY = 600


@pytest.fixture(scope="module")
def untrained() -> BartForConditionalGeneration:
    model = BartForConditionalGeneration(BartConfig(**train_bart._config(VOCABULARY)))
    copying(model, seed=3)
    return model.eval()


def mean_logprob(model: BartForConditionalGeneration, source: list[int], target: list[int]) -> float:
    with torch.no_grad():
        logits = model(
            input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[train_bart._EOS, *target[:-1]]])
        ).logits[0]
    return float(torch.log_softmax(logits, 1)[range(len(target)), target].mean())


def some(seed: int, length: int) -> list[int]:
    return [random.Random(f"{seed}/{place}").randrange(10, VOCABULARY) for place in range(length)]


@pytest.mark.parametrize("length", [20, 200, 900])
def test_a_text_is_probable_given_itself_wherever_it_stands(
    untrained: BartForConditionalGeneration, length: int
) -> None:
    text = some(1, length)
    assert mean_logprob(untrained, text, text) > -1.0
    assert mean_logprob(untrained, some(2, length), text) < -4.0
    assert mean_logprob(untrained, text, text[length // 2 :]) > -1.0


def test_half_of_a_text_makes_it_half_as_probable(untrained: BartForConditionalGeneration) -> None:
    text = some(1, 100)
    whole, half, none = (mean_logprob(untrained, source, text) for source in (text, text[:50], some(2, 100)))
    assert whole > half + 1 > none + 2


def test_the_order_of_the_tokens_counts(untrained: BartForConditionalGeneration) -> None:
    text = some(1, 100)
    mixed = random.Random(1).sample(text, len(text))
    assert mean_logprob(untrained, mixed, text) < mean_logprob(untrained, text, text) - 2


def test_same_seed_same_weights(untrained: BartForConditionalGeneration) -> None:
    again = BartForConditionalGeneration(BartConfig(**train_bart._config(VOCABULARY)))
    copying(again, seed=3)
    theirs = again.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in untrained.state_dict().items())
