"""Answers of the server with real model folders: texts, counts, caching, prompts, inventory, unusable folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.pocket.catalog import DEMONSTRATION
from collector.pocket.runtime import PocketModel, Session
from tests.fakes.pocket_server import ANSWER, pocket_server, tiny_models, write_reciter
from tests.fakes.tiny_pocket import build_tiny, build_tiny_int8

OPTIONS = {"num_ctx": 512}
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    root = tmp_path_factory.mktemp("models")
    random = build_tiny(root)
    plain = shutil.copytree(tiny_models()["tiny:f16"], root / "plain")
    config = json.loads((plain / "tokenizer_config.json").read_text())
    (plain / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": ""}))
    refusing = shutil.copytree(plain, root / "refusing")
    template = "{{ raise_exception('no') }}"
    (refusing / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    return {
        **tiny_models(),
        "random:f16": random,
        "random:int8": build_tiny_int8(root, random),
        "plain:f16": plain,
        "refusing:f16": refusing,
        "halves:f16": write_reciter(root / "halves", (" 能", "效".encode()[:2], "效!".encode()[2:], " 级")),
    }


@pytest.fixture(scope="module")
def url(models: Mapping[str, Path]) -> Iterator[str]:
    with pocket_server(models=models, max_loaded=8) as url:
        yield url


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, trust_env=False) as client:
        yield client


class Talk:
    """Asks one server."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self.client, self.url = client, url

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(f"{self.url}/api/{path}", json=body)

    def lines(self, path: str, **body: Any) -> list[dict[str, Any]]:
        body = {"model": "tiny", "options": OPTIONS, **({"messages": MESSAGES} if path == "chat" else {}), **body}
        return [json.loads(line) for line in self.post(path, **body).text.splitlines()]

    def chat(self, **body: Any) -> list[dict[str, Any]]:
        return self.lines("chat", **body)

    def generate(self, **body: Any) -> list[dict[str, Any]]:
        return self.lines("generate", **body)


@pytest.fixture
def talk(client: httpx.Client, url: str) -> Talk:
    return Talk(client, url)


# --- texts and counts -------------------------------------------------------------------------------------------------
def test_one_chunk_for_each_token(talk: Talk) -> None:
    *chunks, final = talk.chat()
    assert tuple(chunk["message"]["content"] for chunk in chunks) == ANSWER
    assert (final["done_reason"], final["eval_count"]) == ("stop", len(ANSWER) + 1)
    stamps = [datetime.fromisoformat(chunk["created_at"]) for chunk in (*chunks, final)]
    assert stamps == sorted(stamps)


def test_the_same_text_in_one_piece(talk: Talk) -> None:
    (whole,) = talk.chat(stream=False)
    assert whole["message"] == {"role": "assistant", "content": "".join(ANSWER)}
    (whole,) = talk.generate(prompt="hi", stream=False)
    assert whole["response"] == "".join(ANSWER)


def test_a_character_of_several_tokens_comes_whole(talk: Talk) -> None:
    *chunks, final = talk.chat(model="halves")
    assert [chunk["message"]["content"] for chunk in chunks] == [" 能", "效!", " 级"]
    assert final["eval_count"] == 5
    *chunks, final = talk.chat(model="halves", options={**OPTIONS, "num_predict": 2})
    assert [chunk["message"]["content"] for chunk in chunks] == [" 能"], "half a character is never sent"
    assert (final["done_reason"], final["eval_count"]) == ("length", 2)


def test_logprobs_list_every_token(talk: Talk) -> None:
    *chunks, _ = talk.chat(model="halves", logprobs=True, top_logprobs=3)
    listed = [item for chunk in chunks for item in chunk["logprobs"]]
    assert b"".join(bytes(item["bytes"]) for item in listed).decode() == " 能效! 级"
    assert [len(chunk["logprobs"]) for chunk in chunks] == [1, 2, 1]
    for item in listed:
        assert item["logprob"] <= 0
        best = [other["logprob"] for other in item["top_logprobs"]]
        assert len(best) == 3
        assert best == sorted(best, reverse=True)
    (whole,) = talk.chat(model="halves", logprobs=True, stream=False)
    assert [item["bytes"] for item in whole["logprobs"]] == [item["bytes"] for item in listed]


@pytest.mark.parametrize("model", ["random:f16", "random:int8"])
def test_a_seed_repeats_an_answer(talk: Talk, model: str) -> None:
    def ask(seed: int) -> str:
        options = {**OPTIONS, "seed": seed, "temperature": 1.5, "num_predict": 12}
        return "".join(line.get("response", "") for line in talk.generate(model=model, prompt="hi", options=options))

    ask(0)  # a cached prompt is computed in another batch shape, which rounds differently: as on any engine
    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(8)}) > 1


def test_an_identical_prompt_is_cached(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    reused = []
    prefill = Session.prefill

    def spy(session: Session, ids: Any) -> int:
        reused.append(prefill(session, ids))
        return reused[-1]

    monkeypatch.setattr(Session, "prefill", spy)
    first = talk.chat(options={"num_ctx": 300})[-1]
    again = talk.chat(options={"num_ctx": 300})[-1]
    count = first["prompt_eval_count"]
    assert again["prompt_eval_count"] == count
    assert reused == [0, count - 1], "all but the last token"
    talk.chat(messages=[{"role": "user", "content": "ho"}], options={"num_ctx": 300})
    assert 0 < reused[2] < count - 1, "the shared beginning"


# --- prompts ----------------------------------------------------------------------------------------------------------
def test_generate_reads_the_prompt_as_a_chat_would(talk: Talk) -> None:
    chat = talk.chat(messages=[{"role": "system", "content": "Be brief."}, *MESSAGES])[-1]
    generate = talk.generate(prompt="hi", system="Be brief.")[-1]
    assert generate["prompt_eval_count"] == chat["prompt_eval_count"]
    raw = talk.generate(prompt="hi", raw=True)[-1]
    assert raw["prompt_eval_count"] == len("hi")
    assert "context" not in raw


def test_a_model_without_a_template(talk: Talk) -> None:
    assert talk.generate(model="plain", prompt="hi")[-1]["prompt_eval_count"] == len("hi")
    refused = talk.post("chat", model="plain", messages=MESSAGES)
    assert (refused.status_code, refused.json()) == (400, {"error": '"plain" does not support chat'})


def test_a_template_that_refuses(talk: Talk) -> None:
    refused = talk.post("chat", model="refusing", messages=MESSAGES, stream=False)
    assert refused.status_code == 500
    assert "template" in refused.json()["error"]


def test_a_context_goes_on(talk: Talk, models: Mapping[str, Path]) -> None:
    first = talk.generate(prompt="hi")[-1]
    model = PocketModel.load(models["tiny:f16"])
    assert model.decode(first["context"]) == "hi" + "".join(ANSWER)
    second = talk.generate(prompt="hi", context=first["context"])[-1]
    assert second["prompt_eval_count"] > first["prompt_eval_count"]
    refused = talk.post("generate", model="tiny", prompt="hi", context=[10**9])
    assert refused.status_code == 500
    assert list(refused.json()) == ["error"]


def test_old_messages_go_while_a_chat_does_not_fit(talk: Talk) -> None:
    long = {"role": "user", "content": "x" * 600}
    system = {"role": "system", "content": "Be brief."}
    kept = talk.chat(messages=[system, *MESSAGES])[-1]["prompt_eval_count"]
    assert talk.chat(messages=[system, long, *MESSAGES])[-1]["prompt_eval_count"] == kept
    refused = talk.post("chat", model="tiny", messages=[long, *MESSAGES], truncate=False, options=OPTIONS)
    assert refused.status_code == 400
    refused = talk.post("chat", model="tiny", messages=[*MESSAGES, long], options=OPTIONS)
    error = json.loads(refused.json()["error"])["error"]
    assert error["n_ctx"] == 512
    assert error["n_prompt_tokens"] > 600


@pytest.mark.parametrize(("num_keep", "count"), [(None, 258), (0, 256), (100, 306), (-1, 511), (9999, 511)])
def test_a_long_prompt_is_cut_to_about_half(talk: Talk, num_keep: int | None, count: int) -> None:
    """258 of 512 is the recorded figure (prompt_too_long_truncated)."""
    options = OPTIONS if num_keep is None else {**OPTIONS, "num_keep": num_keep}
    assert talk.generate(prompt="x" * 900, raw=True, options=options)[-1]["prompt_eval_count"] == count


def test_without_shift_nothing_is_cut(talk: Talk) -> None:
    refused = talk.post("generate", model="tiny", prompt="x" * 900, shift=False, options=OPTIONS)
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("chat", {"messages": MESSAGES, "format": "json"}, 501),
        ("chat", {"messages": MESSAGES, "format": {"type": "object"}}, 501),
        ("generate", {"prompt": "x", "template": "{{ .Prompt }}!"}, 501),
        ("generate", {"prompt": "x", "raw": True, "system": "y"}, 400),
        ("chat", {"messages": MESSAGES, "options": {"min_p": 0.5}}, 400),
        ("create", {"from": "tiny"}, 501),
        ("embed", {"input": "x"}, 501),
    ],
)
def test_what_it_cannot_do_it_says(talk: Talk, path: str, body: dict[str, Any], status: int) -> None:
    answer = talk.post(path, model="tiny", **body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("fmt", [None, "", {}])
def test_no_format_is_fine(talk: Talk, fmt: object) -> None:
    assert talk.chat(format=fmt)[-1]["done"] is True


@pytest.mark.parametrize("content", ["", " ", "\x00", "🙂" * 20, "<|end|><|assistant|>", "\ud800", "名" * 50])
def test_odd_prompts_are_answered(talk: Talk, content: str) -> None:
    body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": content}], "options": OPTIONS})
    answer = talk.client.post(f"{talk.url}/api/chat", content=body.encode())
    assert json.loads(answer.text.splitlines()[-1])["done_reason"] == "stop"


# --- inventory --------------------------------------------------------------------------------------------------------
def test_what_is_said_of_a_model_is_what_is_loaded(talk: Talk, models: Mapping[str, Path]) -> None:
    listed = {entry["name"]: entry for entry in talk.client.get(f"{talk.url}/api/tags").json()["models"]}
    assert set(listed) == set(models)
    for name, folder in models.items():
        model, entry = PocketModel.load(folder), listed[name]
        shown = talk.post("show", model=name).json()
        assert entry["digest"] == model.digest
        assert entry["size"] == model.size_bytes
        assert entry["details"]["quantization_level"] == model.quantization == shown["details"]["quantization_level"]
        assert entry["details"]["context_length"] == shown["model_info"]["llama.context_length"] == model.context_length
        assert shown["model_info"]["general.parameter_count"] == model.parameter_count
        assert shown["model_info"]["llama.embedding_length"] == model.embedding_length


def test_a_demonstration_says_so(talk: Talk) -> None:
    shown = talk.post("show", model="random:int8").json()
    assert shown["license"] == DEMONSTRATION
    assert DEMONSTRATION in shown["modelfile"]
    assert shown["model_info"]["general.basename"] == "random"
    names = [tensor["name"] for tensor in shown["tensors"]]
    assert {"token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_down.scale", "output_norm.weight"} <= set(names)


def test_names_are_found_as_ollama_finds_them(talk: Talk) -> None:
    for name in ("tiny", "tiny:latest", "TINY:F16", "library/tiny:f16"):
        assert talk.post("show", model=name).status_code == 200
    assert talk.chat(model="Tiny")[0]["model"] == "Tiny", "answers carry the name they were asked by"
    assert talk.post("show", model="random:q8_0").status_code == 404
    assert talk.post("show", name="tiny").status_code == 200
    assert talk.post("show").json() == {"error": "model is required"}


def test_pulling_and_deleting(talk: Talk) -> None:
    pulled = [json.loads(line) for line in talk.post("pull", model="tiny").text.splitlines()]
    assert pulled == [{"status": "pulling manifest"}, {"status": "success"}]
    assert talk.post("pull", model="tiny", stream=False).json() == {"status": "success"}
    missing = talk.post("pull", model="nope", stream=False)
    assert (missing.status_code, list(missing.json())) == (500, ["error"])
    refused = talk.client.request("DELETE", f"{talk.url}/api/delete", json={"model": "tiny"})
    assert refused.status_code == 400
    assert talk.post("show", model="tiny").status_code == 200


# --- unusable folders -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", None),
        ("config.json", b"{"),
        ("config.json", b"{}"),
        ("model.safetensors", None),
        ("model.safetensors", b"nonsense"),
        ("tokenizer.json", None),
        ("tokenizer.json", b"{}"),
        ("tokenizer_config.json", b"[]"),
    ],
)
def test_an_unusable_folder_is_named(client: httpx.Client, tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = shutil.copytree(tiny_models()["tiny:f16"], tmp_path / "bad")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pocket_server(models={"bad:f16": folder, **tiny_models()}) as url:
        talk = Talk(client, url)
        refused = talk.post("chat", model="bad", messages=MESSAGES, options=OPTIONS)
        assert refused.status_code == 500
        assert str(folder) in refused.json()["error"]
        assert talk.chat(model="tiny")[-1]["done_reason"] == "stop", "the other models go on"
        for answer in (client.get(f"{url}/api/tags"), talk.post("show", model="bad")):
            assert answer.status_code == 200 or str(folder) in answer.json()["error"]


def test_no_models_at_all(client: httpx.Client) -> None:
    with pocket_server(models={"none:f16": Path("nowhere")}) as url:
        assert Talk(client, url).post("show", model="none").status_code == 500
