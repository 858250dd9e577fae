"""BARTScore equals the published algorithm, whatever the batch, and says what it cut."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
import torch
from huggingface_hub import try_to_load_from_cache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BartForConditionalGeneration

from collector.errors import ScorerError
from collector.quality.bartscore import BartScorer
from collector.quality.windows import parts, windows
from collector.suite import load_suite

EN = [item.references[0] for item in load_suite().select(languages=["en"], loads=["short"]).items][:3] + ["Yes.", ""]
ZH = [item.references[0] for item in load_suite().select(languages=["zh"], loads=["short"]).items][:3] + ["是。", ""]
GOLDEN = "facebook/bart-large-cnn"


def reference_scores(folder: Path, pairs: list[tuple[str, str]], positions: int) -> list[float]:
    """The published algorithm, one pair at a time: log-softmax, ``NLLLoss(ignore_index=pad)``, over the target's length."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BartForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    with torch.no_grad():
        for source, target in pairs:
            a = tokenizer(source, return_tensors="pt", truncation=True, max_length=positions)
            b = tokenizer(target, return_tensors="pt", truncation=True, max_length=positions)["input_ids"]
            logits = model(input_ids=a["input_ids"], attention_mask=a["attention_mask"], labels=b).logits
            loss = torch.nn.NLLLoss(reduction="none", ignore_index=model.config.pad_token_id)
            found.append(-loss(torch.log_softmax(logits[0], -1), b[0]).sum().item() / b.shape[1])
    return found


@pytest.mark.parametrize(("kind", "texts"), [("byte_checkpoint", EN), ("byte_checkpoint", ZH), ("bert_checkpoint", ZH)])
def test_equals_the_published_algorithm(request: pytest.FixtureRequest, kind: str, texts: list[str]) -> None:
    folder = request.getfixturevalue(kind)
    pairs = [(s, t) for s in texts for t in texts]
    scorer = BartScorer(str(folder))
    found = scorer.score([s for s, _ in pairs], [t for _, t in pairs])
    wanted = reference_scores(folder, pairs, scorer.max_tokens)
    assert found == pytest.approx(wanted, abs=1e-4)
    assert all(score < 0 for score in found)


@pytest.mark.parametrize("kind", ["byte_checkpoint", "bert_checkpoint"])
def test_marks_spelt_out_in_a_text_are_scored_as_published(request: pytest.FixtureRequest, kind: str) -> None:
    folder = request.getfixturevalue(kind)
    texts = ["<s> a <pad> b </s>", "[CLS] 水 [PAD] 冰 [SEP]", "<pad>" * 100, "水" * 300, "word " * 300, " \n"]
    pairs = [(s, t) for s in texts for t in texts]
    scorer = BartScorer(str(folder))
    found = scorer.score([s for s, _ in pairs], [t for _, t in pairs])
    assert found == pytest.approx(reference_scores(folder, pairs, scorer.max_tokens), abs=1e-4)


def test_several_references_in_unequal_numbers(
    scorer: BartScorer, alone: dict[tuple[str, str], float]
) -> None:
    first, second, third = EN[:3]
    references = [[second], [first, third, first]]
    for agg, join in (("mean", fmean), ("max", max)):
        found = scorer.multi_ref_score([first, second], references, agg)
        assert found == pytest.approx([
            join([alone[first, second]]), join([alone[second, first], alone[second, third], alone[second, first]]),
        ], abs=1e-4)  # fmt: skip
    assert scorer.multi_ref_score([], []) == []
    with pytest.raises(ValueError, match="at least one"):
        scorer.multi_ref_score([first], [[]])
    with pytest.raises(ValueError, match="zip"):
        scorer.multi_ref_score([first], [])


def test_all_directions_of_a_hypothesis(scorer: BartScorer, alone: dict[tuple[str, str], float]) -> None:
    source, good, bad = EN[:3]
    both = scorer.score_directions([good, bad], sources=[source, source], references=[[source, bad], [good]], agg="max")
    assert both[0].src_hypo == pytest.approx(alone[source, good], abs=1e-4)
    assert both[0].ref_hypo == pytest.approx(max(alone[source, good], alone[bad, good]), abs=1e-4)
    assert both[0].hypo_ref == pytest.approx(max(alone[good, source], alone[good, bad]), abs=1e-4)
    halves = [(alone[source, good] + alone[good, source]) / 2, (alone[bad, good] + alone[good, bad]) / 2]
    assert both[0].f == pytest.approx(max(halves), abs=1e-4)
    assert both[1].f == pytest.approx((alone[good, bad] + alone[bad, good]) / 2, abs=1e-4)
    (mean,) = scorer.score_directions([good], references=[[source, bad]])
    assert mean.src_hypo is None
    assert mean.f == pytest.approx(fmean(halves), abs=1e-4)
    (alone_with_source,) = scorer.score_directions([good], sources=[source])
    assert (alone_with_source.ref_hypo, alone_with_source.hypo_ref, alone_with_source.f) == (None, None, None)
    with pytest.raises(ValueError, match="zip"):
        scorer.score_directions([good], sources=[source, source])
    with pytest.raises(ValueError, match="at least one"):
        scorer.score_directions([good], references=[[]])


def test_a_checkpoint_that_gives_no_numbers_is_refused(byte_checkpoint: Path) -> None:
    scorer = BartScorer(str(byte_checkpoint))
    with torch.no_grad():
        scorer._model._encoder.layers[0].fc1.weight[0, 0] = torch.nan
    with pytest.raises(ScorerError, match="no numbers") as caught:
        scorer.score(EN[:2], EN[:2])
    assert "数值" in caught.value.zh


def scorer_length(scorer: BartScorer) -> Callable[[str], int]:
    return lambda text: len(scorer._ids(text))


@pytest.fixture(scope="module")
def scorer(byte_checkpoint: Path) -> BartScorer:
    return BartScorer(str(byte_checkpoint))


@pytest.fixture(scope="module")
def alone(scorer: BartScorer) -> dict[tuple[str, str], float]:
    return {(s, t): scorer.score([s], [t])[0] for s in EN for t in EN}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(st.lists(st.tuples(st.sampled_from(EN), st.sampled_from(EN)), max_size=12), st.integers(1, 400))
def test_the_batch_does_not_matter(
    scorer: BartScorer, alone: dict[tuple[str, str], float], pairs: list[tuple[str, str]], budget: int
) -> None:
    scorer._batch_tokens = budget
    assert scorer.score([s for s, _ in pairs], [t for _, t in pairs]) == pytest.approx(
        [alone[p] for p in pairs], abs=1e-4
    )


def test_counts_and_truncation_are_told(scorer: BartScorer) -> None:
    short, long = "Yes.", "word " * 500
    first, second, third = scorer.score_pairs([(short, short), (long, short), (short, long)])
    assert (first.truncated_source, first.truncated_target) == (False, False)
    assert (second.truncated_source, second.truncated_target) == (True, False)
    assert (third.truncated_source, third.truncated_target) == (False, True)
    assert third.token_count == scorer.max_tokens == 64
    assert first.mean == pytest.approx(first.sum_logprob / first.token_count)


def test_nothing_is_cut_when_texts_are_scored_whole(scorer: BartScorer) -> None:
    short = "Yes."
    source = " ".join(f"Fish number {n} swims." for n in range(12))
    target = " ".join(f"Ice number {n} floats." for n in range(12))
    whole = scorer.score_whole([(short, short), (source, short), (short, target), (source, target)])
    assert whole[0] == scorer.score_pairs([(short, short)])[0]
    assert [score.windowed for score in whole] == [False, True, True, True]
    assert not any(score.truncated_source or score.truncated_target for score in whole)
    # one short sentence: the best of all windows, and no window scores better
    best = max(scorer.score([w], [short])[0] for w in windows(source, scorer_length(scorer), 64))
    assert whole[1].mean == pytest.approx(best, abs=1e-5)
    chunks = list(parts(target, scorer_length(scorer), 64))
    assert len(chunks) > 1
    added = scorer.score_pairs([(short, chunk) for chunk in chunks])
    assert whole[2].sum_logprob == pytest.approx(sum(score.sum_logprob for score in added), abs=1e-3)
    assert whole[2].token_count == sum(score.token_count for score in added)


@pytest.mark.parametrize("text", ["\ud800 lone", "😀" * 30, "a\0b", "中文 and English", "x" * 100_000])
def test_strange_texts_get_a_score(scorer: BartScorer, text: str) -> None:
    (score,) = scorer.score_pairs([(text, text)])
    assert score.mean < 0
    (whole,) = scorer.score_whole([(text[:40], text)])
    assert whole.mean < 0
    assert whole.truncated_target == (len(text) > 10_000)


def test_every_source_is_encoded_once(scorer: BartScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, seen = scorer._model.encoded, []

    def counting(sources: list[list[int]]) -> object:
        seen.append(len(sources))
        return encoded(sources)

    monkeypatch.setattr(scorer._model, "encoded", counting)
    scorer.score_pairs([(s, t) for s in EN[:3] for t in EN] * 2)
    assert sum(seen) == 3


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_halves_the_batch(
    byte_checkpoint: Path, alone: dict[tuple[str, str], float], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    scorer = BartScorer(str(byte_checkpoint))
    sums, sizes = scorer._model.sums, []

    def small_memory(jobs: list[object]) -> object:
        sizes.append(len(jobs))
        if sizes[-1] > 2:
            raise error
        return sums(jobs)

    monkeypatch.setattr(scorer._model, "sums", small_memory)
    pairs = list(alone)
    assert [s.mean for s in scorer.score_pairs(pairs)] == pytest.approx([alone[p] for p in pairs], abs=1e-4)
    assert sizes[0] > 2


def test_not_even_one_pair_fits(byte_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = BartScorer(str(byte_checkpoint))

    def full(*_args: object, **_kwargs: object) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(scorer._model, "sums", full)
    with pytest.raises(ScorerError, match="memory") as caught:
        scorer.score(EN[:3], EN[:3])
    assert "内存" in caught.value.zh


def test_other_errors_are_not_swallowed(byte_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = BartScorer(str(byte_checkpoint))

    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(scorer._model, "encoded", broken)
    with pytest.raises(RuntimeError, match="shape"):
        scorer.score(["a"], ["b"])


def test_lengths_must_agree(scorer: BartScorer) -> None:
    with pytest.raises(ValueError, match="zip"):
        scorer.score(["a", "b"], ["c"])
    assert scorer.score([], []) == []


def test_dtype_is_checked(byte_checkpoint: Path) -> None:
    with pytest.raises(ScorerError, match="float32"):
        BartScorer(str(byte_checkpoint), dtype="int4")


@pytest.mark.skipif(
    not isinstance(try_to_load_from_cache(GOLDEN, "config.json"), str), reason=f"{GOLDEN} is not in the hub's cache"
)
def test_golden_numbers_of_the_publishers() -> None:
    """README, issue #11 of neulab/BARTScore and the expected outputs of obss/jury."""
    scorer = BartScorer(GOLDEN)
    assert scorer.score(["This is interesting."], ["This is fun."])[0] == pytest.approx(-2.510652780532837, abs=1e-4)
    meal = ["This is a very good meal.", "This is a good meal ."]
    assert scorer.score(meal, meal) == pytest.approx([-0.40471726655960083, -0.4944288432598114], abs=1e-4)
    sources = ["I'm super happy today.", "This is a good idea."]
    targets = [["I feel good today.", "I feel sad today."], ["Not bad.", "Sounds like a good idea."]]
    assert scorer.multi_ref_score(sources, targets, "max") == pytest.approx([-2.5008113384246826, -1.626236081123352], abs=1e-4)
