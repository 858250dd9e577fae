"""Pulling: only what is missing, refused before the disk is full, every failure one sentence."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.errors import EngineError
from collector.ollama_types import PullProgress
from collector.pulling import PullFailed, missing_models, pull_models


class _Server:
    """Stands for the client: the lines that a server sends while it pulls."""

    def __init__(self, *lines: PullProgress, names: tuple[str, ...] = ()) -> None:
        self.lines, self.names, self.pulled = lines, names, []

    def tags(self) -> list[object]:
        return [type("Tag", (), {"name": name})() for name in self.names]

    def pull(self, tag: str) -> Iterator[PullProgress]:
        self.pulled.append(tag)
        yield from self.lines


LAYER = PullProgress("pulling abc", "sha256:abc", 4_000_000_000, 1_000_000_000)


def test_latest_is_the_default_tag() -> None:
    server = _Server(names=("llama3.2:3b", "mistral:latest"))
    assert missing_models(server, ["mistral", "phi3:3.8b", "llama3.2:3b"]) == ["phi3:3.8b"]


def test_every_line_is_told(tmp_path: Path) -> None:
    server, told = (
        _Server(PullProgress("pulling manifest", None, None, None), PullProgress("success", None, None, None)),
        [],
    )
    pull_models(server, ["a", "b"], tmp_path, lambda tag, line: told.append((tag, line.status)))
    assert told == [("a", "pulling manifest"), ("a", "success"), ("b", "pulling manifest"), ("b", "success")]


@pytest.mark.parametrize(("free", "fits"), [(10_000_000_000, True), (3_500_000_000, False)])
def test_a_model_that_does_not_fit_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, fits: bool
) -> None:
    monkeypatch.setattr("collector.disk.shutil.disk_usage", lambda _folder: type("Usage", (), {"free": free})())
    server = _Server(LAYER)
    if fits:
        pull_models(server, ["a"], tmp_path, lambda *_: None)
    else:
        with pytest.raises(EngineError, match="0.5 GB are missing") as caught:
            pull_models(server, ["a"], tmp_path, lambda *_: None)
        assert str(tmp_path) in caught.value.zh
    pull_models(server, ["a"], None, lambda *_: None)


REFUSALS = {
    "pull model manifest: file does not exist": "no such model; look its name up",
    "invalid model name": "write it like llama3.2:3b",
    'pull model manifest: Get "https://registry.ollama.ai/v2/x": dial tcp: lookup registry.ollama.ai: no such host':
        "the registry cannot be reached; check the network",
    "write /models/blobs/sha256-abc-partial: no space left on device": "is full while pulling",
    "something that nobody has seen yet": "could not be pulled: something",
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSALS)
def test_what_the_server_said_is_told_with_what_to_do(said: str, tmp_path: Path) -> None:
    class Refusing(_Server):
        def pull(self, tag: str) -> Iterator[PullProgress]:
            yield PullProgress("pulling manifest", None, None, None)
            raise EngineError(said, said)

    with pytest.raises(PullFailed, match=REFUSALS[said]) as caught:
        pull_models(Refusing(), ["a:1b"], tmp_path, lambda *_: None)
    assert said in caught.value.en
    assert said in caught.value.zh
    assert caught.value.fault == ("disk_full" if "no space" in said else "pull_failed")


def test_the_command_tells_what_a_server_refuses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from collector.__main__ import main
    from tests.fakes.pocket_server import pocket_server

    monkeypatch.setenv("PATH", str(tmp_path))
    with pocket_server() as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert main(["pull", "tiny:f16"]) == 0
        assert "0 pulled, 1 were there" in capsys.readouterr().out
        assert main(["pull", "nope:1b"]) == 3
        said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "nope" in said or "pull" in said


def test_an_embedded_experiment_has_nothing_to_pull(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from collector.__main__ import main

    path = tmp_path / "e.toml"
    path.write_text('engine = "pocket"\nmodels = ' + json.dumps(["pocket-s:f16"]))
    assert main(["pull", str(path)]) == 0
    assert "nothing to pull" in capsys.readouterr().out
    assert main(["pull", str(path), "a:b"]) == 2
