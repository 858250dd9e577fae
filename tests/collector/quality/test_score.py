"""From stored answers to stored qualities."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.cli import score as command
from collector.errors import UsageError
from collector.quality import checkpoints, judgement
from collector.quality.bartscore import BartScorer
from collector.quality.cache import CachedScorer
from collector.quality.code import CodeVerdict
from collector.quality.composite import SCORER_VERSION
from collector.quality.judgement import REASONS
from collector.quality.score import Summary, score_campaign
from collector.suite import Item, load_suite
from db import Store, StoreMissing
from tests.collector.quality.test_anchors import overlap

Add = Callable[..., str]
EN = next(i for i in load_suite().items if i.id == "qa-short-en-02")
ZH = next(i for i in load_suite().items if i.id == "qa-short-zh-01")
OTHER = next(i for i in load_suite().items if i.id == "qa-short-en-08")


@pytest.fixture
def folder(byte_checkpoint: Path) -> dict[str, str | None]:
    return {"en": str(byte_checkpoint), "zh": str(byte_checkpoint)}


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces the model by a score that counts shared words; the list holds how many pairs were computed."""
    computed: list[int] = []

    def fake(_self: CachedScorer, pairs: list[tuple[str, str]]) -> list[object]:
        computed.append(len(pairs))
        return [overlap(pair) for pair in pairs]

    monkeypatch.setattr(CachedScorer, "_computed", fake)
    return computed


def quality(store: Store, run: str) -> dict[str, object]:
    (row,) = store.query("SELECT * FROM qualities WHERE run_id = ?", [run]).astype(object).to_dict("records")
    return {key: None if isinstance(value, float) and value != value else value for key, value in row.items()}


def scores(store: Store, run: str) -> dict[tuple[str, str], dict[str, object]]:
    frame = store.query("SELECT * FROM scores WHERE run_id = ?", [run]).astype(object)
    rows = frame.where(frame.notna(), None).to_dict("records")
    return {(row["metric"], row["direction"]): row for row in rows}


def test_good_answers_beat_wrong_ones(
    store: Store, answered: Add, folder: dict[str, str | None], counting: list[int]
) -> None:
    good = answered(EN, EN.references[0])
    partly = answered(EN, "Ice floats on the lake because it is less dense than the water, and so the fish can live.")
    wrong = answered(EN, OTHER.references[0])
    chinese = answered(ZH, ZH.references[1])
    summary = score_campaign(store, None, checkpoints=folder)
    assert (summary.scored, summary.total, summary.outdated) == (4, 4, 0)
    found = {run: quality(store, run) for run in (good, partly, wrong, chinese)}
    assert found[good]["quality"] == pytest.approx(1.0, abs=0.03)
    assert found[chinese]["quality"] == pytest.approx(1.0, abs=0.03)
    assert found[good]["quality"] > found[partly]["quality"] > found[wrong]["quality"]  # type: ignore[operator]
    assert found[wrong]["quality"] < 0.3  # type: ignore[operator]
    assert found[good]["scorer_version"] == SCORER_VERSION
    assert str(found[good]["checkpoint"]).startswith(str(folder["en"]) + "@")
    rows = scores(store, good)
    assert found[good]["bartscore"] == rows["bartscore", "factuality"]["raw"]
    assert rows["match", "answers"]["value"] == 1.0
    assert rows["gates", "answer"]["value"] == 1.0
    assert rows["bartscore", "fluency"]["reason"] == "anchors"
    assert rows["bartscore", "coverage"]["floor"] == 1.0
    detail = json.loads(str(found[good]["detail"]))
    assert set(detail["parts"]) == set(detail["weights"]) == {"match", "informativeness", "factuality", "relevance"}


def test_the_model_itself_is_asked(store: Store, answered: Add, folder: dict[str, str | None]) -> None:
    run = answered(EN, "Ice is less dense than water and floats.")
    score_campaign(store, None, checkpoints=folder)
    row = quality(store, run)
    scorer = BartScorer(str(folder["en"]))
    answer = "Ice is less dense than water and floats."
    expected = max(score.mean for score in scorer.score_whole([(text, answer) for text in EN.references]))
    assert row["bartscore"] == pytest.approx(expected, abs=1e-4)
    assert (row["quality"] is None) == (row["quality_reason"] == "anchors")
    stored = scores(store, run)["bartscore", "factuality"]
    assert stored["dtype"] == "float32"
    assert str(stored["revision"]).startswith("sha256:")
    assert stored["raw"] == pytest.approx(stored["sum_logprob"] / stored["token_count"])  # type: ignore[operator]
    assert (stored["truncated"], stored["windowed"]) == (False, True)  # the tiny checkpoint has 64 positions
    assert len(json.loads(str(stored["pairs"]))) == len(EN.references)


def test_failed_answers_are_zero_without_any_checkpoint(store: Store, answered: Add) -> None:
    cases = [
        ("", "stop", "empty"),
        (None, "stop", "empty"),
        (EN.references[0], "length", "cut_off"),
        ("哈" * 60, "stop", "looping"),
        ("I'm sorry, but I can't help with that.", "stop", "refused"),
        (ZH.references[0], "stop", "wrong_language"),
    ]
    runs = {answered(EN, answer, done_reason=done_reason): gate for answer, done_reason, gate in cases}
    summary = score_campaign(store, None, checkpoints={"en": None})
    assert summary.gates == {"empty": 2, "cut_off": 1, "looping": 1, "refused": 1, "wrong_language": 1}
    shown = store.query("SELECT run_id, flags FROM v_runs")
    for run, flags in zip(shown["run_id"], shown["flags"], strict=True):
        row = quality(store, run)
        assert (row["quality"], row["quality_reason"]) == (0.0, runs[run])
        assert set(flags.split(",")) == set(row["flags"])  # type: ignore[call-overload]
        assert scores(store, run)["gates", "answer"]["reason"] == runs[run]


def test_without_checkpoint_the_rest_is_stored_and_filled_in_later(
    store: Store,
    answered: Add,
    folder: dict[str, str | None],
    counting: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(checkpoints, "_HUB_CACHE", tmp_path / "none")
    run = answered(EN, EN.references[0])
    summary = score_campaign(store, None, checkpoints={})
    assert summary.unscored == {"no_checkpoint": 1}
    assert summary.missing == {"en": "facebook/bart-large-cnn"}
    row = quality(store, run)
    assert (row["quality"], row["quality_reason"], row["checkpoint"]) == (None, "no_checkpoint", None)
    rows = scores(store, run)
    assert rows["match", "answers"]["value"] == 1.0
    assert rows["bartscore", "factuality"]["reason"] == "no_checkpoint"
    assert rows["bartscore", "factuality"]["floor"] == 1.0
    assert score_campaign(store, None, checkpoints={}).total == 0
    assert score_campaign(store, None, checkpoints=folder).scored == 1
    assert quality(store, run)["quality"] == pytest.approx(1.0, abs=0.03)


def test_reasons_for_no_quality(
    store: Store, answered: Add, folder: dict[str, str | None], counting: list[int]
) -> None:
    base = {"task": "qa", "load": "short", "language": "en", "prompt": "Why does ice float?"}
    cases = {
        "language_without_checkpoint": Item.from_table(base | {"language": "fr", "reference": "Parce que."}, "t"),
        "no_reference": Item.from_table(base, "t"),
        "no_cases": Item.from_table(base | {"task": "code", "reference": "print(1)"}, "t"),
        "no_source": Item.from_table(base | {"task": "summary", "reference": "It floats."}, "t"),
        "anchors": Item.from_table(base | {"reference": "Because it is " + "very " * 9000 + "light."}, "t"),
    }
    runs = {reason: answered(item, "Ice floats because it is light.") for reason, item in cases.items()}
    summary = score_campaign(store, None, checkpoints=folder)
    assert {reason: quality(store, run)["quality_reason"] for reason, run in runs.items()} == {r: r for r in cases}
    assert summary.unscored == dict.fromkeys(cases, 1)
    assert set(cases) <= set(REASONS)
    assert score_campaign(store, None, checkpoints=folder).total == 0


def test_checkpoint_of_another_language_gives_raw_scores_but_no_quality(
    store: Store, answered: Add, byte_checkpoint: Path, counting: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "facebook/bart-large-cnn"
    found = checkpoints.Checkpoint(name, byte_checkpoint, "x" * 40)
    monkeypatch.setattr(checkpoints, "locate", lambda *_args, **_kwargs: found)
    run = answered(ZH, ZH.references[0])
    score_campaign(store, None, checkpoints={"zh": name})
    row = quality(store, run)
    assert (row["quality"], row["quality_reason"]) == (None, "checkpoint_language")
    assert row["bartscore"] < 0  # type: ignore[operator]
    assert row["factuality"] is None


def test_own_item_without_key_facts_is_judged_by_bartscore_alone(
    store: Store, answered: Add, folder: dict[str, str | None], counting: list[int]
) -> None:
    item = Item.from_table(
        {
            "task": "qa",
            "load": "short",
            "language": "en",
            "prompt": "Why does the ice float here?",
            "reference": EN.references[0],
        },
        "t",
    )
    run = answered(item, EN.references[0])
    score_campaign(store, None, checkpoints=folder)
    detail = json.loads(str(quality(store, run)["detail"]))
    assert detail["weights"] == {"factuality": pytest.approx(0.6), "relevance": pytest.approx(0.4)}


def test_summary_and_creative_are_scored_as_far_as_possible(
    store: Store, answered: Add, folder: dict[str, str | None], counting: list[int]
) -> None:
    base = {
        "load": "short",
        "language": "en",
        "prompt": "Write about ice and fish in a cold lake.",
        "reference": EN.references[0],
    }
    summary_item = Item.from_table(
        base | {"task": "summary", "source": " ".join(EN.references), "length": {"min_tokens": 5, "max_tokens": 200}},
        "t",
    )
    demands = [{"kind": "must", "words": ["fish"]}, {"kind": "must_not", "words": ["lake"]}]
    creative_item = Item.from_table(base | {"task": "creative", "constraints": demands}, "t")
    one, two = answered(summary_item, EN.references[1]), answered(creative_item, "Cold ice and a fish in a lake.")
    score_campaign(store, None, checkpoints=folder)
    # the fake score is blind to word order, so fluency has no anchors: it drops out and the detail says so
    detail = json.loads(str(quality(store, one)["detail"]))
    assert set(detail["parts"]) == {"factuality", "relevance", "coverage", "length"}
    assert detail["left_out"] == ["coherence", "fluency"]
    assert sum(detail["weights"].values()) == pytest.approx(1.0)
    assert detail["parts"]["length"] == scores(store, one)["length", "answer"]["value"] == 1.0
    assert quality(store, one)["quality"] > 0.5  # type: ignore[operator]
    assert scores(store, one)["bartscore", "fluency"]["reason"] == "anchors"
    assert quality(store, two)["bartscore"] == scores(store, two)["bartscore", "relevance"]["raw"]
    assert scores(store, two)["repetition", "answer"]["value"] == 1.0
    assert scores(store, two)["constraints", "answer"]["value"] == 0.5


def test_only_what_waits_is_scored_and_nothing_twice(
    store: Store, answered: Add, folder: dict[str, str | None], counting: list[int]
) -> None:
    answered(EN, EN.references[0])
    assert score_campaign(store, None, checkpoints=folder).total == 1
    first = sum(counting)
    answered(EN, EN.references[0])
    answered(EN, "It floats.", status="fault")
    assert score_campaign(store, None, checkpoints=folder).total == 1
    assert sum(counting) == first  # the same answer to the same item: every pair was known
    assert score_campaign(store, None, checkpoints=folder).total == 0
    assert score_campaign(store, None, checkpoints=folder, rescore=True).scored == 2
    assert sum(counting) == first


def test_nothing_is_loaded_when_nothing_needs_it(
    store: Store, answered: Add, folder: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a checkpoint was loaded")

    monkeypatch.setattr(CachedScorer, "_computed", never)
    assert score_campaign(store, None, checkpoints=folder).total == 0
    answered(EN, "")
    assert score_campaign(store, None, checkpoints=folder).gates.total() == 1


def test_nothing_is_downloaded_when_nothing_needs_it(
    store: Store, answered: Add, counting: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def locate(_name: str, *, allow_download: bool) -> None:
        asked.append(allow_download)

    monkeypatch.setattr(checkpoints, "locate", locate)
    answered(EN, "")
    score_campaign(store, None, checkpoints={}, allow_download=True)
    assert asked == []
    answered(EN, "Ice floats.")
    score_campaign(store, None, checkpoints={}, allow_download=True)
    assert asked == [True]


def test_pocket_campaigns_have_their_own_default(
    store: Store, answered: Add, counting: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(checkpoints, "locate", lambda name, **_kwargs: asked.append(name))
    answered(EN, "Ice floats.", engine="pocket")
    answered(EN, "Ice floats.", engine="ollama")
    summary = score_campaign(store, None, checkpoints={})
    assert sorted(asked) == ["facebook/bart-large-cnn", checkpoints.POCKET]
    assert summary.unscored == {"no_checkpoint": 2}
    assert score_campaign(store, "campaign-pocket", checkpoints={}, rescore=True).total == 1


def test_anchors_are_kept_until_rescored(
    store: Store, answered: Add, folder: dict[str, str | None], counting: list[int]
) -> None:
    answered(EN, EN.references[0])
    score_campaign(store, None, checkpoints=folder)
    with store.write() as writer:
        writer.execute("UPDATE anchors SET lo = -9, hi = -8")
    run = answered(EN, OTHER.references[0])
    score_campaign(store, None, checkpoints=folder)
    assert quality(store, run)["factuality"] == 1.0
    score_campaign(store, None, checkpoints=folder, rescore=True)
    assert quality(store, run)["factuality"] < 0.5  # type: ignore[operator]


def test_other_checkpoint_or_version_is_reported_not_mixed(
    store: Store, answered: Add, folder: dict[str, str | None], bert_checkpoint: Path, counting: list[int]
) -> None:
    answered(EN, EN.references[0])
    score_campaign(store, None, checkpoints=folder)
    other = score_campaign(store, None, checkpoints={"en": str(bert_checkpoint)})
    assert (other.total, other.outdated) == (0, 1)
    with store.write() as writer:
        writer.execute("UPDATE qualities SET scorer_version = 'old'")
    assert score_campaign(store, None, checkpoints=folder).outdated == 1
    assert score_campaign(store, None, checkpoints=folder, rescore=True).outdated == 0


def test_unknown_campaign_is_named(store: Store) -> None:
    with pytest.raises(UsageError, match="no campaign nope"):
        score_campaign(store, "nope", checkpoints={})


def test_a_wrong_path_is_told_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        score_campaign(Store(tmp_path / "none.duckdb"), None, checkpoints={})
    assert not list(tmp_path.iterdir())


def test_every_strange_answer_ends_in_an_explained_outcome(
    store: Store, answered: Add, folder: dict[str, str | None]
) -> None:
    answers = ["😀" * 100, "x" * 100_000, "\ud800", "中en混合mixed文text本 words 字", "0", "\0"]
    runs = [answered(EN, answer) for answer in answers]
    assert score_campaign(store, None, checkpoints=folder).total == len(answers)
    for run in runs:
        row = quality(store, run)
        assert row["quality"] is not None or row["quality_reason"] in REASONS


STRANGE = [
    "\0",
    "a\0b. c\0d.",
    "x " * 50_000,
    "😀🎉" * 40,
    "中en混合mixed文text本 words 字。 Second one!",
    "\ud800 half. Two.",
    ".",
    "。。。",
]


@pytest.mark.parametrize("task", ["summary", "creative"])
def test_strange_answers_to_every_task_are_explained(
    store: Store, answered: Add, folder: dict[str, str | None], counting: list[int], task: str
) -> None:
    item = load_suite().select(tasks=[task], languages=["en"], loads=["short"]).items[0]
    runs = [answered(item, answer) for answer in STRANGE]
    assert score_campaign(store, None, checkpoints=folder).total == len(STRANGE)
    for run in runs:
        row = quality(store, run)
        gate = scores(store, run)["gates", "answer"]["reason"]
        assert row["quality"] is not None or row["quality_reason"] in REASONS
        assert row["quality"] is None or 0 <= row["quality"] <= 1  # type: ignore[operator]
        assert gate is None or (row["quality"], row["quality_reason"]) == (0.0, gate)


def test_command_line_words() -> None:
    assert command._checkpoints(["en=a/b", "zh=none"]) == {"en": "a/b", "zh": None}
    for words in (["en"], ["=x"], ["en="], ["en=a", "en=b"]):
        with pytest.raises(UsageError, match="--checkpoint"):
            command._checkpoints(words)


def test_command_says_what_is_missing_and_how_to_get_it() -> None:
    summary = Summary(scored=3, missing={"en": "facebook/bart-large-cnn", "zh": checkpoints.POCKET}, outdated=2)
    summary.gates["cut_off"] = 1
    summary.unscored["no_checkpoint"] = 2
    text = "\n".join(command._lines(summary, " --db x.duckdb"))
    assert "3 answers scored, 1 failed (quality 0), 2 without" in text
    assert "1 × cut_off" in text
    assert "python -m collector score --download --checkpoint en=facebook/bart-large-cnn --db x.duckdb" in text
    assert "collector/pocket/models" in text
    assert "--rescore --db x.duckdb" in text
    assert "Nothing" in command._lines(Summary(), "")[0]


def test_code_that_had_no_sandbox_is_run_when_there_is_one(
    store: Store, answered: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = next(i for i in load_suite().items if i.task == "code")
    run = answered(item, item.references[0])
    verdict = CodeVerdict(None, None, None, "no_sandbox")
    monkeypatch.setattr(judgement, "code_verdict", lambda *_: verdict)
    for _ in range(2):
        assert score_campaign(store, None, checkpoints={}).unscored == {"no_sandbox": 1}
        assert quality(store, run)["quality_reason"] == "no_sandbox"
    verdict = CodeVerdict(True, 1.0, {}, None)
    assert score_campaign(store, None, checkpoints={}).scored == 1
    assert (quality(store, run)["quality"], quality(store, run)["passed"]) == (1.0, True)
    assert score_campaign(store, None, checkpoints={}).total == 0
