"""Optional scorers: their figures stand beside the quality, and what they lack is said."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import EngineError, ModelMissing, ScorerError, UsageError
from collector.quality import evaluation
from collector.quality.extra import EXTRAS, ExtraOptions
from collector.quality.extra import run as running
from collector.quality.extra.judge import read_marks
from collector.quality.extra.run import run_extras
from db import Store
from tests.collector.quality.test_score import EN, ZH
from tests.fakes.scripted_server import Request, ScriptedServer, Step, answer, error, json_answer

Add = Callable[..., str]
TAGS = json_answer({"models": [
    {"name": name, "model": name, "digest": "ab" * 32, "size": 1, "details": {}} for name in ("bespoke-minicheck:latest", "other:1b", "a:latest")
]})  # fmt: skip


@pytest.fixture(autouse=True)
def unlocked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = running.measuring_alone
    monkeypatch.setattr(running, "measuring_alone", lambda: lock(tmp_path / "lock"))


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[str], str]], ScriptedServer]]:
    started: list[ScriptedServer] = []

    def start(reply: Callable[[str], str]) -> ScriptedServer:
        def chat(request: Request) -> list[Step]:
            return answer(reply(json.loads(request.body)["messages"][0]["content"]))

        started.append(ScriptedServer({"/api/tags": TAGS, "/api/chat": chat}).__enter__())
        return started[-1]

    yield start
    for one in started:
        one.__exit__(None, None, None)


def figures(store: Store) -> list[tuple[object, ...]]:
    frame = store.query("SELECT run_id, metric, direction, raw, value, reason FROM v_scores ORDER BY ALL")
    return list(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None))


def test_minicheck_asks_every_sentence(store: Store, answered: Add, server: Callable[..., ScriptedServer]) -> None:
    run = answered(EN, "Ice floats. Fish fly. It is light.")
    other = answered(ZH, "冰是轻的。")
    asked = server(lambda prompt: "No" if "Claim: Fish" in prompt else "Yes")
    found = run_extras(store, None, ["minicheck"], ExtraOptions(host=asked.url))
    assert found == {"minicheck": {"scored": 1, "checkpoint_language": 1}}
    assert figures(store) == [
        (run, "minicheck", "supported", pytest.approx(2 / 3), pytest.approx(2 / 3), None),
        (other, "minicheck", "supported", None, None, "checkpoint_language"),
    ]
    body = json.loads(next(r.body for r in asked.requests if r.path == "/api/chat"))
    assert (body["options"]["temperature"], body["options"]["seed"]) == (0.0, 7)
    assert body["messages"][0]["content"].startswith(f"Document: {EN.references[0]}")
    assert store.query("SELECT * FROM qualities").empty
    assert run_extras(store, None, ["minicheck"], ExtraOptions(host=asked.url)) == {"minicheck": {}}


def bookings(store: Store) -> list[dict[str, object]]:
    frame = store.query("SELECT * FROM evaluations ORDER BY campaign_id")
    return list(frame.astype(object).where(frame.notna(), None).to_dict("records"))


def test_the_judges_energy_is_booked_with_its_campaign(
    store: Store, answered: Add, server: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "RaplSensor", evaluation.NvmlSensor)  # no counter, wherever the test runs
    monkeypatch.setattr(evaluation.Attached, "pids", lambda _self: [os.getpid()])
    answered(EN, "Ice floats.")
    answered(EN, "Ice floats.", engine="pocket")
    asked = server(lambda _: "Yes")
    run_extras(store, None, ["minicheck"], ExtraOptions(host=asked.url))
    rows = bookings(store)
    assert [(row["campaign_id"], row["answers"], row["pairs"]) for row in rows] == [
        ("campaign-ollama", 1, 1), ("campaign-pocket", 1, 1),
    ]  # fmt: skip
    for row in rows:
        assert str(row["checkpoint"]).startswith("bespoke-minicheck@")
        assert row["energy_tier"] == "estimated"
        # this process and the "server", which is this process again
        assert row["energy_j"] == pytest.approx(10.0 * float(str(row["cpu_s"])))


def test_a_server_that_cannot_be_seen_has_a_reason_instead(
    store: Store, answered: Add, server: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "RaplSensor", evaluation.NvmlSensor)
    answered(EN, "Ice floats.")
    asked = server(lambda _: "Yes")
    run_extras(store, None, ["minicheck"], ExtraOptions(host=asked.url))
    assert [(row["energy_j"], row["energy_reason"]) for row in bookings(store)] == [(None, "engine_not_visible")]
    far = evaluation.Evaluation("c", server="http://192.0.2.7:11434")
    assert far.store(store, checkpoint="x", device=None, answers=1, pairs=1).reason == "engine_on_another_machine"


def test_judge_gives_marks_but_not_to_itself(
    store: Store, answered: Add, server: Callable[..., ScriptedServer]
) -> None:
    run = answered(EN, "Ice floats.")
    asked = server(lambda _: 'Sure: ```json\n{"factuality": 5, "relevance": 3, "fluency": 1}\n```')
    run_extras(store, None, ["judge"], ExtraOptions(model="other:1b", host=asked.url))
    assert [(row[2], row[3], row[4]) for row in figures(store)] == [
        ("factuality", 5.0, 1.0), ("fluency", 1.0, 0.0), ("relevance", 3.0, 0.5),
    ]  # fmt: skip
    found = run_extras(store, None, ["judge"], ExtraOptions(model="a", host=asked.url))  # the model that wrote it
    assert found == {"judge": {"judge_is_candidate": 3}}
    assert {row[5] for row in figures(store)} == {"judge_is_candidate"}
    assert figures(store)[0][0] == run


@pytest.mark.parametrize("reply", ["no idea", '{"factuality": 5}', '{"factuality": 9, "relevance": 1, "fluency": 1}'])
def test_unreadable_replies_are_a_reason(
    store: Store, answered: Add, server: Callable[..., ScriptedServer], reply: str
) -> None:
    answered(EN, "Ice floats.")
    asked = server(lambda _: reply)
    for name in ("judge", "minicheck"):
        found = run_extras(store, None, [name], ExtraOptions(model="other:1b", host=asked.url))
        assert set(found[name]) <= {"unreadable", "scored"}
    assert "unreadable" in {row[5] for row in figures(store)}


def test_nothing_to_score_is_not_asked_twice(
    store: Store, answered: Add, server: Callable[..., ScriptedServer]
) -> None:
    answered(EN, "")
    asked = server(lambda _: "Yes")
    run_extras(store, None, ["minicheck"], ExtraOptions(host=asked.url))
    assert [row[5] for row in figures(store)] == ["nothing_to_score"]
    assert not [r for r in asked.requests if r.path == "/api/chat"]


def test_what_is_missing_is_said(server: Callable[..., ScriptedServer]) -> None:
    asked = server(lambda _: "Yes")
    with pytest.raises(ModelMissing, match="ollama pull nobody"):
        EXTRAS["judge"](ExtraOptions(model="nobody", host=asked.url))
    with pytest.raises(UsageError, match="--judge-model"):
        EXTRAS["judge"](ExtraOptions(host=asked.url))


def test_a_failing_engine_is_told_and_what_was_scored_stays(store: Store, answered: Add) -> None:
    answered(EN, "Ice floats.")
    routes = {"/api/tags": TAGS, "/api/chat": error(500, {"error": "broken"})}
    with ScriptedServer(routes) as asked, pytest.raises(EngineError, match="broken"):
        run_extras(store, None, ["minicheck"], ExtraOptions(host=asked.url))
    assert [(row["answers"], row["pairs"]) for row in bookings(store)] == [(0, 0)]


def test_bert_score_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bert_score", None)
    with pytest.raises(ScorerError, match="pip install bert-score") as caught:
        EXTRAS["bert-score"](ExtraOptions())
    assert "pip install" in caught.value.zh


def test_bert_score_takes_the_best_reference_per_language(
    store: Store, answered: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleType("bert_score")
    calls: list[tuple[str, list[str], list[list[str]]]] = []

    class Fake:
        def __init__(self, lang: str, device: str | None) -> None:
            self.lang, self.device = lang, device or "cpu"

        def score(self, answers: list[str], references: list[list[str]]) -> tuple[torch.Tensor, ...]:
            calls.append((self.lang, answers, references))
            return tuple(torch.full((len(answers),), figure) for figure in (0.25, -0.5, 0.75))

    package.BERTScorer = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bert_score", package)
    answered(EN, "Ice floats.")
    answered(ZH, "冰浮着。")
    answered(EN, " ")
    found = run_extras(store, None, ["bert-score"], ExtraOptions())
    assert found["bert-score"]["scored"] == 6
    assert [(lang, len(references[0])) for lang, _, references in calls] == [
        ("en", len(EN.references)), ("zh", len(ZH.references)),
    ]  # fmt: skip
    (booking,) = store.query("SELECT * FROM evaluations").to_dict("records")
    assert (booking["checkpoint"], booking["device"], booking["pairs"]) == ("bert-score", "cpu", 6)
    assert booking["energy_j"] >= 0
    rows = [(row[2], row[3], row[4]) for row in figures(store) if row[5] is None]
    assert rows[:3] == [("f1", 0.75, 0.75), ("precision", 0.25, 0.25), ("recall", -0.5, 0.0)]


@given(st.text(alphabet='{}":,1factuality\\ ', max_size=60))
def test_any_reply_can_be_read(text: str) -> None:
    assert read_marks(text) is None or set(read_marks(text) or {}) == {"factuality", "relevance", "fluency"}
