"""Training is reproducible, and what ships answers, keeps to its size and never says half a character."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from transformers import AutoTokenizer, BartForConditionalGeneration, LlamaForCausalLM

from collector.errors import UsageError
from collector.pocket import BART_DIR, MODELS_DIR, corpus, registry, train_bart
from collector.pocket import train as training
from collector.pocket.folder import EOS, SPECIALS
from collector.pocket.loop import batches, schedule
from collector.pocket.runtime import PocketModel, Sampler, Sampling
from collector.pocket.silence import silence, unsayable_ids
from collector.pocket.tokenizer import build, fragment_ids
from collector.pocket.train_bart import damaged
from collector.suite import load_suite
from tests.fakes.tiny_pocket import TEXTS

SHIPPED = registry(MODELS_DIR)
FLOAT = [name for name in SHIPPED if name.endswith(":f16")]
ITEMS = load_suite().select(tasks=("qa",), loads=("short",), per_cell=15).items


FEW = [
    corpus.Pair(("What is energy? Say it briefly.",), ("Energy is the ability to do work.",), "quiz"),
    corpus.Pair(("什么是能量？请简短回答。",), ("能量是做功的本领，单位是焦耳。",), "quiz"),
    corpus.Pair(("Name one unit of power.",), ("The watt.", "One unit of power is the watt."), "short"),
    corpus.Pair(("Tell it all. " + "Power is energy per time. " * 40,), ("Power, again. " * 60,), "long"),
]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(training.corpus, "pairs", lambda: FEW)
    monkeypatch.setattr(training, "SPECS", (training.Spec("pocket-l", 128, 1, 128, steps=40, rate=4e-3),))
    monkeypatch.setattr(training, "_BATCH_TOKENS", 256)
    monkeypatch.setattr(training, "_ANSWER_TOKENS", 64)
    monkeypatch.setattr(train_bart, "_STEPS", 6)
    monkeypatch.setattr(train_bart, "_BATCH_TOKENS", 512)


def test_same_seed_same_weights(small, tmp_path, capsys):
    first = training.train(tmp_path / "a", names=["pocket-l"], seed=5, workers=1)
    training.train(tmp_path / "b", names=["pocket-l"], seed=5, workers=1)
    training.train(tmp_path / "c", names=["pocket-l"], seed=6, workers=1)
    assert [folder.name for folder in first] == ["pocket-l", "pocket-l-int8"]
    digests = [PocketModel.load(tmp_path / run / "pocket-l").digest for run in "abc"]
    assert digests[0] == digests[1] != digests[2]
    assert PocketModel.load(first[1]).quantization == "INT8"
    lines = [line for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert float(lines[1].split()[-1]) < float(lines[0].split()[-1]) - 0.5


def test_bart_trains_into_an_ordinary_checkpoint(small, tmp_path, capsys):
    folder = training.train(tmp_path, names=["pocket-bart"], workers=1)[0]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BartForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer("能量 is energy").input_ids
    assert ids[0] == model.config.bos_token_id
    assert ids[-1] == model.config.eos_token_id == model.config.decoder_start_token_id
    assert model.config.max_position_embeddings == 1024


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(UsageError, match="pocket-x"):
        training.train(tmp_path, names=["pocket-x"])


def test_schedule_rises_then_falls():
    values = [schedule(step, 100) for step in range(100)]
    assert values.index(max(values)) in range(3, 6)
    assert max(values) == pytest.approx(1)
    assert values[-1] < 0.05
    assert schedule(0, 1) > 0


def test_batches_hold_similar_lengths_and_keep_to_their_size():
    rng = random.Random(1)
    drawn = batches(rng, lambda: "x" * rng.randint(1, 100), len, 400)
    groups = [group for group, _ in zip(drawn, range(80), strict=False)]
    assert all(max(map(len, group)) * len(group) <= 400 for group in groups)
    assert len({len(group) for group in groups}) > 3
    spans = [max(map(len, group)) - min(map(len, group)) for group in groups]
    assert sum(spans) / len(spans) < 15


def test_what_is_too_long_for_a_batch_comes_alone():
    lengths = itertools.cycle([50, 10, 900])
    groups = batches(random.Random(1), lambda: "x" * next(lengths), len, 100)
    seen = [group for group, _ in zip(groups, range(40), strict=False)]
    assert all(len(group) == 1 for group in seen if max(map(len, group)) == 900)
    assert any(len(group) == 10 for group in seen)


@pytest.fixture
def draws(small):
    tokenizer = build(corpus.texts(FEW), 700, SPECIALS)
    return training._Draws(FEW, tokenizer, 3, corpus.GROUPS)


def test_a_long_prompt_keeps_its_places_where_pieces_are_left_out(draws):
    seen = [draws.one() for _ in range(400)]
    assert all(one.places == sorted(set(one.places)) for one in seen)
    cut = [one for one in seen if one.places[-1] + 1 > len(one)]
    assert cut
    assert all(one.places[one.asked - 1] + 1 == one.places[one.asked] for one in seen), "the answer follows the prompt"
    assert sum(len(one) for one in cut) < 0.6 * sum(one.places[-1] + 1 for one in cut), "at a fraction of the cost"


def test_an_answer_is_asked_for_from_its_first_token_to_the_end_mark(draws):
    group = [draws.one() for _ in range(30)]
    batch = draws.batch(group)
    for row, one in enumerate(group):
        asked = batch.labels[row] != training._IGNORED
        assert batch.labels[row][asked].tolist() == one.ids[one.asked :]
        assert one.ids[-1] == SPECIALS.index(EOS)
        assert int(asked.nonzero()[0]) == one.asked - 1
        assert batch.places[row][: len(one) - 1].tolist() == one.places[:-1]


def test_long_answers_are_taught_in_short(draws):
    ids = training.answer_ids(draws.tokenizer, FEW[3].answers[0])
    assert len(ids) <= 64
    assert draws.tokenizer.decode(ids).endswith(".")
    whole = FEW[0].answers[0]
    assert draws.tokenizer.decode(training.answer_ids(draws.tokenizer, whole)) == whole


def test_windows_keep_to_their_size_and_place():
    rng = random.Random(4)
    text = list(range(1000))
    for kind in ("denoise", "reword", "ask", "follow", "nothing"):
        for _ in range(40):
            source, target = train_bart._windows(kind, text[:700] if kind == "ask" else text, text, rng)
            assert 0 < len(target) <= 112
            assert len(source) <= 160
            if kind == "denoise":
                assert source == target
            if kind in ("follow", "nothing"):  # of a text too short for either: its beginning, given nothing
                assert not source
                assert target == text[:112]


def test_what_follows_is_held_against_what_does_not_stand_before():
    rng = random.Random(5)
    own = [f"Sentence number {place} stands here." for place in range(6)]
    pair = corpus.Pair((" ".join(own),), (" ".join(own),))
    seen = [train_bart._steps("follow", pair, rng) for _ in range(80)]
    for before, target, wrong in seen:
        place = own.index(target)
        told = train_bart.sentences(before)
        assert told == own[place - len(told) : place]
        assert not set(train_bart.sentences(wrong)) & {*told, target}
    assert {len(train_bart.sentences(before)) for before, *_ in seen} == {1, 2, 3, 4, 5}
    assert {bool(wrong) for *_, wrong in seen} == {True, False}
    for before, begun, wrong in (train_bart._steps("nothing", pair, rng) for _ in range(40)):
        assert not before
        assert " ".join(own).startswith(begun)
        assert own[0] not in wrong
    assert train_bart._steps("follow", corpus.Pair(("Alone.",), ("Alone.",)), rng) is None


def test_every_target_is_held_against_a_source_of_its_own_or_of_another_text(small):
    tokenizer = build(corpus.texts(FEW), 700, train_bart._SPECIALS)
    kinds = set()
    for _, batch in zip(range(60), train_bart._batches(FEW, tokenizer, 3), strict=False):
        count = len(batch.labels)
        assert batch.source.shape == batch.mask.shape
        for row, place in enumerate(batch.wrong.tolist()):
            assert place == train_bart._NOBODY or (place != row and place < len(batch.source))
            own = place >= count
            kinds.add((own, float(batch.margin[row]), place == train_bart._NOBODY))
            assert not own or batch.margin[row] == train_bart._ORDER_MARGIN
        assert sorted(place for place in batch.wrong.tolist() if place >= count) == list(range(count, len(batch.source)))
    assert kinds == {(True, 0.5, False), (False, 2.0, False), (False, 2.0, True)}


def test_damage_grows_from_nothing_and_keeps_to_the_text():
    ids = list(range(10, 60))
    seen = [damaged(ids, random.Random(seed)) for seed in range(60)]
    assert ids in seen
    assert any(len(out) < 40 for out in seen)
    assert all(token == 4 or token in ids for out in seen for token in out)


def test_silence_refuses_a_model_without_a_common_direction():
    tokenizer = build(TEXTS, 420, SPECIALS)
    quiet = torch.tensor(unsayable_ids(tokenizer))

    class Opposed(torch.nn.Module):
        """Hidden states that come in opposite pairs: no row can point away from all of them."""

        def __init__(self):
            super().__init__()
            self.lm_head = torch.nn.Linear(8, tokenizer.get_vocab_size(), bias=False)
            self.config = type("Config", (), {"vocab_size": tokenizer.get_vocab_size()})()

        def model(self, input_ids):
            one = torch.ones(*input_ids.shape, 8)
            one[:, ::2] *= -1
            return type("Out", (), {"last_hidden_state": one})()

    with pytest.raises(RuntimeError, match="direction"):
        silence(Opposed(), quiet, torch.full((2, 8), 10), 0)


def test_shipped_models_keep_to_their_sizes():
    assert {"pocket-s:f16", "pocket-m:f16", "pocket-l:f16", "pocket-l:int8"} <= set(SHIPPED)
    assert list(SHIPPED)[0] == "pocket-s:f16"
    total = sum(path.stat().st_size for folder in SHIPPED.values() for path in folder.iterdir())
    assert total <= 20e6
    assert sum(path.stat().st_size for path in BART_DIR.iterdir()) <= 10e6


@pytest.mark.parametrize("name", SHIPPED)
def test_half_characters_are_practically_impossible(name):
    model = PocketModel.load(SHIPPED[name])
    broken = torch.tensor(fragment_ids(model.tokenizer.pieces))
    assert len(broken) > 128
    session = model.session()
    worst = 0.0
    prompts = [item.prompt for item in ITEMS[:2]] + ["龘靐齉 emoji 🙂 ñ", "1+1=?", "\x01\x02"]
    for seed, prompt in enumerate(prompts):
        session.prefill(model.encode(model.render_chat([{"role": "user", "content": prompt}])))
        sampler = Sampler(Sampling(temperature=1.5, top_k=0, top_p=1.0, seed=seed))
        for _ in range(120):
            session.step(sampler)
            worst = max(worst, float(torch.softmax(session.logits / 1.5, 0)[broken].sum()))
    assert worst < 1e-6


def mean_logprob(model, tokenizer, prompt, answer):
    asked = tokenizer.encode(tokenizer.render_chat([{"role": "user", "content": prompt}]))
    wanted = [*tokenizer.encode(answer), tokenizer.eos_id]
    with torch.no_grad():
        logits = model(torch.tensor([asked + wanted])).logits[0, len(asked) - 1 : -1]
    return float(torch.log_softmax(logits, 1).gather(1, torch.tensor(wanted)[:, None]).mean())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_bigger_models_know_the_answers_better(language):
    items = [item for item in ITEMS if item.language == language]
    scores = []
    for name in FLOAT:
        model = LlamaForCausalLM.from_pretrained(SHIPPED[name], dtype=torch.float32).eval()
        tokenizer = PocketModel.load(SHIPPED[name]).tokenizer
        prompts = [(f"[0123abc{place % 10}]\n{item.prompt}", item.references[0]) for place, item in enumerate(items)]
        scores.append(sum(mean_logprob(model, tokenizer, *pair) for pair in prompts) / len(prompts))
    assert len(scores) >= 3
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 0.2


def test_int8_variant_says_nearly_the_same():
    exact, rounded = (PocketModel.load(SHIPPED[f"pocket-l:{kind}"]) for kind in ("f16", "int8"))
    item = ITEMS[0]
    ids = exact.encode(exact.render_chat([{"role": "user", "content": item.prompt}]) + item.references[0])
    distances = []
    for length in range(len(ids) - 30, len(ids)):
        one, other = exact.session(), rounded.session()
        one.prefill(ids[:length])
        other.prefill(ids[:length])
        distances.append(float((one.logits.softmax(0) - other.logits.softmax(0)).abs().sum() / 2))
    assert 0 < sum(distances) / len(distances) < 0.1


def test_bart_prefers_the_matching_reference():
    tokenizer = AutoTokenizer.from_pretrained(BART_DIR)
    model = BartForConditionalGeneration.from_pretrained(BART_DIR, dtype=torch.float32).eval()

    def scores(source, targets):
        asked = tokenizer([source] * len(targets), return_tensors="pt")
        wanted = tokenizer(list(targets), return_tensors="pt", padding=True)
        with torch.no_grad():
            logits = model(**asked, labels=wanted.input_ids).logits
        chosen = torch.log_softmax(logits, 2).gather(2, wanted.input_ids[:, :, None])[:, :, 0]
        return ((chosen * wanted.attention_mask).sum(1) / wanted.attention_mask.sum(1)).tolist()

    for language in ("zh", "en"):
        items = [item for item in ITEMS if item.language == language]
        targets = [item.references[1] for item in items]
        wins = total = 0
        for place, item in enumerate(items):
            row = scores(item.references[0], targets)
            wins += sum(row[place] > other for spot, other in enumerate(row) if spot != place)
            total += len(row) - 1
        assert wins / total > 0.95
