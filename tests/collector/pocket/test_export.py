"""Folders for a real Ollama: complete, with a template that says what the model was trained on."""

from __future__ import annotations

import json

import pytest

from collector.errors import UsageError
from collector.pocket.export import GO_TEMPLATE, export
from collector.pocket.runtime import FILES, PocketModel
from tests.fakes.tiny_pocket import build_tiny, build_tiny_int8


@pytest.fixture
def models(tmp_path, monkeypatch):
    root = tmp_path / "models"
    folder = build_tiny(root, "pocket-t")
    build_tiny(root, "pocket-u", layers=3)
    build_tiny_int8(root, folder)
    monkeypatch.setenv("POCKET_MODELS", str(root))
    return root


def test_every_float_model_gets_a_complete_folder(models, tmp_path):
    written = export(tmp_path / "out")
    assert [folder.name for folder in written] == ["pocket-t", "pocket-u"]
    for folder in written:
        assert {path.name for path in folder.iterdir()} == {*FILES, "Modelfile"}
        assert PocketModel.load(folder).digest == PocketModel.load(models / folder.name).digest
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "ollama create pocket-u:q8_0 -q q8_0 -f pocket-u/Modelfile" in readme
    assert "demonstration" in readme


def test_exporting_again_overwrites(models, tmp_path):
    folder = export(tmp_path / "out", ["pocket-t:f16"])[0]
    (folder / "config.json").write_text("{}", encoding="utf-8")
    export(tmp_path / "out", ["pocket-t"])
    assert PocketModel.load(folder).name == "pocket-t:f16"


@pytest.mark.parametrize("name", ["pocket-t:int8", "gpt"])
def test_other_models_are_refused_by_name(models, tmp_path, name):
    with pytest.raises(UsageError, match=name):
        export(tmp_path / "out", [name])
    assert not (tmp_path / "out").exists()


def test_the_two_templates_say_the_same(models, tmp_path):
    folder = export(tmp_path / "out", ["pocket-t"])[0]
    assert f'TEMPLATE """{GO_TEMPLATE}"""' in (folder / "Modelfile").read_text(encoding="utf-8")
    begin, inside, end = GO_TEMPLATE.replace("{{ end }}", "{{ range .Messages }}").split("{{ range .Messages }}")
    messages = [{"role": "system", "content": "短"}, {"role": "user", "content": "a\nb"}]
    written = [inside.replace("{{ .Role }}", m["role"]).replace("{{ .Content }}", m["content"]) for m in messages]
    assert begin + "".join(written) + end == PocketModel.load(folder).render_chat(messages)


def test_the_template_is_where_the_importer_looks(models, tmp_path):
    folder = export(tmp_path / "out", ["pocket-t"])[0]
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert "<|assistant|>" in config["chat_template"]
    assert config["add_bos_token"] is False
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"] == ["LlamaForCausalLM"]
