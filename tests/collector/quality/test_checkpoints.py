"""Where checkpoints are found, and what is said when they are not."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from collector.errors import ScorerError
from collector.quality import checkpoints
from collector.quality.bartscore import BartScorer
from collector.quality.checkpoints import POCKET, CheckpointChoice, judges, locate


def test_local_folder_is_named_by_its_content(byte_checkpoint: Path, bert_checkpoint: Path) -> None:
    one, other = locate(str(byte_checkpoint)), locate(str(bert_checkpoint))
    assert one is not None
    assert other is not None
    assert one.revision.startswith("sha256:")
    assert one.revision != other.revision
    assert one.label == f"{byte_checkpoint}@{one.revision[7:]}"


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScorerError, match=r"config\.json"):
        locate(str(tmp_path))


def test_unknown_name_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkpoints, "_HUB_CACHE", tmp_path / "none")
    assert locate("nobody/no-such-bart") is None
    with pytest.raises(ScorerError, match="--download --checkpoint en=nobody/no-such-bart"):
        BartScorer("nobody/no-such-bart")


def test_hub_cache_needs_config_and_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkpoints, "_HUB_CACHE", tmp_path)
    commit = "c" * 40
    snapshot = tmp_path / "models--nobody--bart" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text(commit)
    (snapshot / "config.json").write_text("{}")
    assert locate("nobody/bart") is None
    (snapshot / "model.safetensors").write_bytes(b"x")
    found = locate("nobody/bart")
    assert found is not None
    assert (found.folder, found.revision, found.label) == (snapshot, commit, "nobody/bart@cccccccccccc")
    assert locate("nobody/bart", revision="main") == found
    assert locate("nobody/bart", revision="d" * 40) is None


def test_download_with_a_name_the_hub_cannot_have() -> None:
    with pytest.raises(ScorerError, match="neither a folder"):
        locate("no such/bart/name", allow_download=True)


def test_download_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_args: object, **_kwargs: object) -> str:
        raise FileNotFoundError("no network")

    monkeypatch.setattr(checkpoints, "snapshot_download", offline)
    with pytest.raises(ScorerError, match="no network"):
        locate("nobody/bart", allow_download=True)


def test_download_takes_safetensors_and_else_the_state_dict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def fetch(_name: str, *, allow_patterns: list[str], **_kwargs: object) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(checkpoints, "snapshot_download", fetch)
    monkeypatch.setattr(checkpoints, "_HUB_CACHE", tmp_path / "none")
    assert locate("nobody/bart", allow_download=True) is None
    assert asked[-1] == ["pytorch_model.bin"]
    (tmp_path / "model.safetensors").write_bytes(b"x")
    asked.clear()
    locate("nobody/bart", allow_download=True)
    assert len(asked) == 1
    assert not any("bin" in pattern for pattern in asked[0])


def _copy(source: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "t5"}, "t5"),
        ({"d_model": 64}, "cannot be loaded"),
        ({"encoder_layers": 3}, "weights are missing"),
    ],
)
def test_checkpoints_that_do_not_fit_their_config(
    byte_checkpoint: Path, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    folder = _copy(byte_checkpoint, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ScorerError, match=words):
        BartScorer(str(folder))


def test_broken_weights_and_pickled_code(byte_checkpoint: Path, tmp_path: Path) -> None:
    folder = _copy(byte_checkpoint, tmp_path / "copy")
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ScorerError, match="cannot be loaded"):
        BartScorer(str(folder))
    (folder / "model.safetensors").unlink()
    torch.save({"model.shared.weight": _Evil(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(ScorerError, match="cannot be loaded"):
        BartScorer(str(folder))
    assert not (tmp_path / "ran").exists()


class _Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_folder_with_only_a_word_list_is_read_as_bert_style(bert_checkpoint: Path, tmp_path: Path) -> None:
    folder = _copy(bert_checkpoint, tmp_path / "copy")
    words = [line for line in _vocabulary(folder) if line]
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    one, other = BartScorer(str(folder)), BartScorer(str(bert_checkpoint))
    assert one.score(["水"], ["冰浮在水上。"]) == pytest.approx(other.score(["水"], ["冰浮在水上。"]), abs=1e-4)


def test_a_word_list_beside_a_fast_tokenizer_without_a_name(bert_checkpoint: Path, tmp_path: Path) -> None:
    folder = _copy(bert_checkpoint, tmp_path / "copy")
    (folder / "vocab.txt").write_text("\n".join(_vocabulary(folder)), encoding="utf-8")
    (folder / "tokenizer_config.json").unlink()
    one, other = BartScorer(str(folder)), BartScorer(str(bert_checkpoint))
    assert one.score(["水"], ["冰浮在水上。"]) == pytest.approx(other.score(["水"], ["冰浮在水上。"]), abs=1e-4)


def test_a_tokenizer_of_another_model(byte_checkpoint: Path, bert_checkpoint: Path, tmp_path: Path) -> None:
    folder = _copy(byte_checkpoint, tmp_path / "copy")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((bert_checkpoint / name).read_bytes())
    with pytest.raises(ScorerError, match="its tokenizer has"):
        BartScorer(str(folder))


def test_a_mark_that_the_model_has_no_row_for(byte_checkpoint: Path, tmp_path: Path) -> None:
    folder = _copy(byte_checkpoint, tmp_path / "copy")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    tokenizer.save_pretrained(folder)
    scorer = BartScorer(str(folder))
    assert scorer.score(["a <mask> b"], ["<mask>"]) == scorer.score(["a <unk> b"], ["<unk>"])


def test_a_device_that_is_not_there_is_no_fault_of_the_checkpoint(byte_checkpoint: Path) -> None:
    with pytest.raises(ScorerError, match="--device cpu") as caught:
        BartScorer(str(byte_checkpoint), device="abacus")
    assert "delete" not in caught.value.en
    assert "--device cpu" in caught.value.zh


def _vocabulary(folder: Path) -> list[str]:
    by_id = AutoTokenizer.from_pretrained(folder).get_vocab()
    return sorted(by_id, key=lambda word: by_id[word])


def test_outdated_copy_of_the_chinese_checkpoint(bert_checkpoint: Path) -> None:
    old = checkpoints.Checkpoint("fnlp/bart-large-chinese", bert_checkpoint, "x")
    with pytest.raises(ScorerError, match="outdated"):
        BartScorer(old)


def test_choice_of_engine_and_language(byte_checkpoint: Path) -> None:
    choice = CheckpointChoice({"en": str(byte_checkpoint), "fr": None})
    assert choice.name("ollama", "zh") == "fnlp/bart-large-chinese"
    assert choice.name("pocket", "zh") == POCKET
    assert choice.name("pocket", "en") == str(byte_checkpoint)
    assert choice.name("ollama", "fr") is None
    assert choice.name("ollama", "de") is None
    assert choice.find("ollama", "de", needed=True) is None
    found = choice.find("ollama", "en", needed=True)
    assert found is not None
    assert found.folder == byte_checkpoint.resolve()


def test_languages_of_known_checkpoints() -> None:
    assert judges("facebook/bart-large-cnn", "en")
    assert not judges("facebook/bart-large-cnn", "zh")
    assert judges("/my/own", "zh")


def test_a_pinned_name_stands_for_one_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkpoints, "_HUB_CACHE", tmp_path)
    asked: list[str | None] = []
    monkeypatch.setattr(checkpoints, "_download", lambda _name, revision: asked.append(revision))
    name, commit = next(iter(checkpoints.PINNED.items()))
    snapshots = tmp_path / f"models--{name.replace('/', '--')}" / "snapshots"
    for one in ("e" * 40, commit):
        assert locate(name, allow_download=True) is None
        (snapshots / one).mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            (snapshots / one / file).write_text("{}", encoding="utf-8")
    found = locate(name)
    assert found is not None
    assert found.revision == commit
    assert set(asked) == {commit}
    other = locate(name, revision="e" * 40)
    assert other is not None
    assert other.revision == "e" * 40
