"""The forward pass against transformers, the window's rules, sampling and int8."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaForCausalLM

from collector.errors import EngineError
from collector.pocket import registry
from collector.pocket.linear import Int8Linear, int8_kernels, quantize_rows
from collector.pocket.runtime import ContextFull, PocketModel, Sampler, Sampling, Utf8Stream
from tests.fakes.tiny_pocket import TEXTS, build_tiny, build_tiny_int8


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def folder(root):
    return build_tiny(root)


@pytest.fixture(scope="module")
def model(folder):
    return PocketModel.load(folder)


@pytest.fixture(scope="module")
def int8(root, folder):
    return PocketModel.load(build_tiny_int8(root, folder))


@pytest.fixture(scope="module")
def reference(folder):
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def greedy(session, count):
    sampler = Sampler(Sampling(temperature=0))
    return [session.step(sampler) for _ in range(count)]


def test_logits_equal_transformers(model, reference):
    ids = model.encode(TEXTS[0] + TEXTS[1])
    with torch.no_grad():
        expected = reference(torch.tensor([ids])).logits[0]
    for length in (1, 2, 7, len(ids)):
        session = model.session()
        session.prefill(ids[:length])
        assert torch.allclose(session.logits, expected[length - 1], atol=1e-4)


def test_greedy_tokens_equal_transformers(model, reference):
    ids = model.encode(TEXTS[1])
    session = model.session()
    session.prefill(ids)
    got = greedy(session, 40)
    with torch.no_grad():
        expected = reference.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
            max_new_tokens=40, eos_token_id=None, pad_token_id=0,
        )[0, len(ids) :].tolist()  # fmt: skip
    assert got == expected


def test_prefix_is_reused_and_changes_nothing(model):
    ids = model.encode(TEXTS[0])
    fresh = model.session()
    assert fresh.prefill(ids) == 0
    expected = greedy(fresh, 8)
    session = model.session()
    session.prefill(ids[:10] + model.encode(TEXTS[1]))
    greedy(session, 5)
    assert session.prefill(ids) == 10
    assert greedy(session, 8) == expected
    assert session.prefill(ids) == len(ids) - 1
    assert greedy(session, 8) == expected


def test_long_prompt_in_batches_equals_one_pass(model, reference):
    ids = (model.encode(TEXTS[0]) * 40)[:1100]
    session = model.session()
    session.prefill(ids)
    with torch.no_grad():
        expected = reference(torch.tensor([ids])).logits[0, -1]
    assert torch.allclose(session.logits, expected, atol=1e-3)


def test_full_window_drops_the_older_half(model):
    session = model.session(num_ctx=32, num_keep=4)
    ids = model.encode(TEXTS[0])[:20]
    session.prefill(ids)
    answer = greedy(session, 13)
    assert session.context_used == 33
    greedy(session, 1)
    everything = ids + answer
    assert session.tokens == everything[:4] + everything[4 + 14 :]
    while len(session.tokens) < 32:
        greedy(session, 1)
    with pytest.raises(ContextFull):
        session.step(Sampler(Sampling(temperature=0)), shift=False)


def test_shifted_keys_stand_as_if_computed_at_their_new_place(folder):
    # With one layer keys depend on token and position only: the shift must equal the fresh computation.
    model = PocketModel.load(build_tiny(folder.parent, "pocket-one", layers=1))
    session = model.session(num_ctx=32, num_keep=4)
    session.prefill(model.encode(TEXTS[0])[:20])
    greedy(session, 14)
    fresh = model.session(num_ctx=32)
    fresh.prefill(session.tokens)
    assert torch.allclose(session.logits, fresh.logits, atol=1e-4)


def test_prompt_must_fit(model):
    session = model.session(num_ctx=16)
    with pytest.raises(ValueError, match="window of 16"):
        session.prefill([5] * 17)
    with pytest.raises(ValueError, match="0 tokens"):
        session.prefill([])


def test_same_seed_same_text_and_other_seed_other_text(model):
    def answer(seed, temperature=1.0):
        session = model.session()
        session.prefill(model.encode(TEXTS[0]))
        sampler = Sampler(Sampling(temperature=temperature, seed=seed))
        return [session.step(sampler) for _ in range(30)]

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)
    assert answer(None) != answer(None)
    assert answer(1, 0) == answer(2, 0)


def test_sampler_frequencies_follow_the_probabilities():
    logits = torch.tensor([0.0, 2.0, 1.0, -9.0])
    sampler = Sampler(Sampling(temperature=0.5, top_k=0, top_p=1.0, seed=3))
    drawn = torch.bincount(torch.tensor([sampler.choose(logits) for _ in range(4000)]), minlength=4) / 4000
    assert torch.allclose(drawn, torch.softmax(logits / 0.5, 0).to(drawn.dtype), atol=0.03)


def test_top_k_and_top_p_cut_the_tail():
    logits = torch.tensor([3.0, 2.9, 2.8, -1.0])
    only = {Sampler(Sampling(temperature=5, top_k=2, top_p=1.0, seed=s)).choose(logits) for s in range(200)}
    assert only == {0, 1}
    only = {Sampler(Sampling(temperature=5, top_k=0, top_p=0.5, seed=s)).choose(logits) for s in range(200)}
    assert only == {0, 1}


def test_int8_is_near_the_float_model_but_not_equal(model, int8):
    ids = model.encode(TEXTS[0])
    exact, rounded = model.session(), int8.session()
    exact.prefill(ids)
    rounded.prefill(ids)
    difference = (exact.logits - rounded.logits).norm() / exact.logits.norm()
    assert 1e-5 < difference < 0.2
    assert int8.quantization == "INT8"
    assert int8.parameter_count == model.parameter_count
    assert int8.name == "pocket-t:int8"
    sizes = [(m.folder / "model.safetensors").stat().st_size for m in (int8, model)]
    assert sizes[0] < 0.7 * sizes[1]


@pytest.mark.parametrize("rows", [1, 5])
def test_int8_without_a_kernel_gives_the_same_result(rows):
    generator = torch.Generator().manual_seed(1)
    weight, scale = quantize_rows(torch.randn(96, 128, generator=generator))
    x = torch.randn(rows, 128, generator=generator)
    plain = Int8Linear(weight, scale, frozenset())(x)
    assert torch.allclose(plain, x @ (weight.float() * scale[:, None]).T, atol=1e-3)
    fast = Int8Linear(weight, scale, int8_kernels())(x)
    assert (fast - plain).norm() / plain.norm() < 0.03


def test_model_describes_itself(model, folder):
    assert (model.name, model.family, model.quantization) == ("pocket-t:f16", "llama", "F16")
    theirs = LlamaForCausalLM.from_pretrained(folder)
    assert model.parameter_count == sum(weight.numel() for weight in theirs.parameters())
    assert (model.context_length, model.embedding_length) == (2048, 64)
    assert len(model.digest) == 64
    assert model.digest == PocketModel.load(folder).digest
    assert model.size_bytes > (folder / "model.safetensors").stat().st_size


def test_digest_follows_the_contents(root, model):
    assert PocketModel.load(build_tiny(root, "pocket-u", seed=1)).digest != model.digest


def test_registry_lists_small_before_large(root, folder, int8):
    names = list(registry(root))
    assert names.index("pocket-t:int8") < names.index("pocket-t:f16")
    assert registry(root)["pocket-t:f16"] == folder


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(tmp_path, missing):
    folder = build_tiny(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(EngineError, match=missing):
        PocketModel.load(folder)


def test_other_architectures_are_refused(tmp_path):
    folder = build_tiny(tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("LlamaForCausalLM", "GPT2LMHeadModel"))
    with pytest.raises(EngineError, match="Llama"):
        PocketModel.load(folder)


def test_stream_holds_back_unfinished_characters(model):
    stream = Utf8Stream(model.tokenizer)
    ids = model.encode("能é龘")  # the last one is not in the tiny vocabulary: three byte tokens
    shown = [stream.push(token) for token in ids]
    assert "".join(shown) == "能é龘"
    assert shown[-3:] == ["", "", "龘"]
    assert stream.flush() == ""
    assert not stream.broken


def test_stream_shows_and_reports_broken_characters(model):
    stream = Utf8Stream(model.tokenizer)
    assert stream.push(model.encode("龘")[0]) == ""
    assert stream.flush() == "\ufffd"
    assert stream.broken


def test_chat_template_agrees_with_transformers(model, folder):
    from transformers import AutoTokenizer

    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "什么是能量？\n one"}]
    theirs = AutoTokenizer.from_pretrained(folder)
    text = model.render_chat(messages)
    assert text == theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert model.encode(text) == theirs.encode(text, add_special_tokens=False)
    assert model.decode(model.encode(text)) == "Be brief.什么是能量？\n one"
