"""``python -m collector pocket``: what it prints, writes and refuses."""

from __future__ import annotations

import argparse

import pytest

from collector.cli.pocket import register
from collector.errors import UsageError
from tests.fakes.tiny_pocket import build_tiny, build_tiny_int8


@pytest.fixture
def pocket(tmp_path, monkeypatch):
    folder = build_tiny(tmp_path / "models")
    build_tiny_int8(tmp_path / "models", folder)
    monkeypatch.setenv("POCKET_MODELS", str(tmp_path / "models"))
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True))

    def run(*words):
        options = parser.parse_args(["pocket", *map(str, words)])
        return options.func(options)

    return run


def test_list_names_every_model_and_says_what_they_are(pocket, capsys):
    assert pocket("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pocket-t:int8")
    assert lines[1].startswith("pocket-t:f16")
    assert "float32" in lines[1]
    assert "demonstration" in lines[-1]


def test_export_writes_folders_and_says_where(pocket, tmp_path, capsys):
    assert pocket("export", tmp_path / "out") == 0
    assert (tmp_path / "out" / "pocket-t" / "Modelfile").is_file()
    assert str(tmp_path / "out" / "README.md") in capsys.readouterr().out


def test_unknown_models_are_refused(pocket, tmp_path):
    with pytest.raises(UsageError, match="nothing"):
        pocket("export", tmp_path / "out", "--models", "nothing")
    with pytest.raises(UsageError, match="nothing"):
        pocket("train", "--out", tmp_path / "out", "--models", "nothing")


def test_serve_refuses_a_port_that_cannot_be(pocket):
    with pytest.raises(UsageError, match="70000"):
        pocket("serve", "--port", "70000")


def test_an_action_is_required(pocket):
    with pytest.raises(SystemExit):
        pocket()
