"""The collector's own client against the embedded engine: whole answers, and the name it gives to each fault."""

from __future__ import annotations

from typing import Any

import pytest

from collector.errors import ModelMissing
from collector.ollama_client import OllamaClient
from collector.ollama_types import ChatOutcome, ChatRequest, Limits
from tests.fakes.pocket_server import ANSWER, pocket_server

OPTIONS = {"num_ctx": 256, "num_predict": 40, "temperature": 0.7, "seed": 1}
REQUEST = ChatRequest("tiny:f16", [{"role": "user", "content": "hi"}], OPTIONS, think=False)


def ask(faults: Any = (), **limits: float) -> ChatOutcome:
    with pocket_server(faults=faults) as url, OllamaClient(url) as client:
        return client.chat(REQUEST, Limits(**limits))  # type: ignore[arg-type]


def test_a_whole_answer() -> None:
    outcome = ask()
    assert outcome.fault is None
    assert outcome.text == "".join(ANSWER)
    assert outcome.done_reason == "stop"
    assert outcome.final is not None
    assert outcome.final["eval_count"] == len(ANSWER) + 1
    stamps = [chunk.created_at_ns for chunk in outcome.chunks]
    assert None not in stamps
    assert len(stamps) == len(ANSWER) + 1


def test_inventory_and_loading() -> None:
    with pocket_server() as url, OllamaClient(url) as client:
        assert client.version().endswith("-pocket")
        tags = {tag.name: tag for tag in client.tags()}
        assert set(tags) == {"tiny:f16", "loop:f16"}
        assert tags["tiny:f16"].capabilities == ("completion",)
        details = client.show("tiny:f16")
        assert details.parameter_count is not None
        assert (details.family, details.quantization, details.base_name) == ("llama", "F16", "tiny")
        assert details.context_length_trained == 2048
        assert client.load("tiny:f16", {"num_ctx": 256}).fault is None
        (loaded,) = client.ps()
        assert (loaded.name, loaded.context_length, loaded.size_vram_bytes) == ("tiny:f16", 256, 0)
        assert loaded.digest == tags["tiny:f16"].digest
        assert client.unload_all(20)
        assert client.ps() == []
        assert [step.status for step in client.pull("tiny:f16")][-1] == "success"
        with pytest.raises(ModelMissing):
            client.show("nope:1b")


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("hang_first", "hang_first_token"),
        ("hang_mid", "hang_mid_stream"),
        ({"fault": "drip", "delay_s": 0.3}, "deadline"),
        ("cut", "connection_lost"),
        ("silent_end", "no_final_chunk"),
        ("error_line", "error_line"),
        ("malformed", "malformed_line"),
        ("long_line", "line_too_long"),
        ("bad_utf8", "invalid_utf8"),
        ("status_400", "http_400"),
        ("status_404", "http_404"),
        ("status_500", "http_500"),
        ("status_503", "http_503"),
    ],
)
def test_every_fault_gets_its_name(fault: Any, name: str) -> None:
    short = {
        "hang_first_token": {"first_token_s": 0.5},
        "hang_mid_stream": {"stall_s": 0.5},
        "deadline": {"deadline_s": 1.5},
    }
    outcome = ask([fault], **{"first_token_s": 30.0, "stall_s": 30.0, "deadline_s": 30.0, **short.get(name, {})})
    assert outcome.fault == name, outcome.fault_detail
    assert outcome.final is None
    if not name.startswith(("http", "hang_first")):
        assert outcome.text, "what came before the fault is kept"


@pytest.mark.parametrize("fault", ["no_counts", "wrong_counts"])
def test_bad_counts_come_as_they_were_sent(fault: str) -> None:
    final = ask([fault]).final
    assert final is not None
    assert final.get("eval_count") in {None, 10 * (len(ANSWER) + 1)}
