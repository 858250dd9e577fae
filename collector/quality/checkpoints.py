"""Which BART checkpoint judges which language, and where it lies on this machine.

A hub name is used only when its files are already here, unless the caller allows a download. Weights are read
as safetensors, or as a weights-only state dict where a publisher offers nothing else; no code is ever unpickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, scan_cache_dir, snapshot_download
from huggingface_hub.errors import CacheNotFound, HFValidationError

from collector.errors import ScorerError

__all__ = [
    "DEFAULTS", "PINNED", "POCKET", "POCKET_DEFAULTS", "Checkpoint", "CheckpointChoice", "download_hint", "judges", "locate",
]  # fmt: skip

POCKET = "pocket-bart"
"""The shipped demonstration checkpoint."""

DEFAULTS: dict[str, str] = {"en": "facebook/bart-large-cnn", "zh": "fnlp/bart-large-chinese"}
POCKET_DEFAULTS: dict[str, str] = {"en": POCKET, "zh": POCKET}
"""Checkpoint per language for campaigns on the embedded engine."""

PINNED: dict[str, str] = {"fnlp/bart-large-chinese": "75cdf21ffc77809dd8cd5fd52d552f3bb35eafc3"}
"""Commit on the hub that a name stands for: this one's files were replaced in 2022 by another model; here it is version 2.0
as safetensors (https://huggingface.co/fnlp/bart-large-chinese/tree/75cdf21ffc77809dd8cd5fd52d552f3bb35eafc3)."""

_POCKET_FOLDER = Path(__file__).resolve().parent.parent / "pocket" / "models" / POCKET
_HUB_CACHE = Path(constants.HF_HUB_CACHE)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_SMALL_FILES = ["*.json", "*.txt"]
# What the models were trained on (their cards): another language gives numbers without a meaning.
_LANGUAGES: dict[str, frozenset[str]] = {
    "facebook/bart-large-cnn": frozenset({"en"}),
    "facebook/bart-large": frozenset({"en"}),
    "facebook/bart-large-xsum": frozenset({"en"}),
    "facebook/bart-base": frozenset({"en"}),
    "fnlp/bart-large-chinese": frozenset({"zh"}),
    "fnlp/bart-base-chinese": frozenset({"zh"}),
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on this machine.

    Attributes:
        name: as the user wrote it.
        folder: where its files lie.
        revision: commit of the hub, or ``sha256:`` and 12 hex digits of a local folder's weights.
    """

    name: str
    folder: Path
    revision: str

    @property
    def label(self) -> str:
        """Name and revision: two checkpoints with one label give the same scores."""
        return f"{self.name}@{self.revision.removeprefix('sha256:')[:12]}"


def judges(name: str, language: str) -> bool:
    """Whether the checkpoint is meant for the language; an unknown checkpoint is taken at the user's word."""
    return language in _LANGUAGES.get(name, {language})


def download_hint(languages_to_names: dict[str, str]) -> str:
    """The command that downloads these checkpoints and scores."""
    pairs = " ".join(f"{language}={name}" for language, name in sorted(languages_to_names.items()))
    return f"python -m collector score --download --checkpoint {pairs}"


def locate(name: str, *, revision: str | None = None, allow_download: bool = False) -> Checkpoint | None:
    """Finds a checkpoint: ``pocket-bart``, a local folder, or a name on the Hugging Face hub.

    Args:
        name: what to look for.
        revision: commit, branch or tag on the hub; None takes the one of :data:`PINNED`, else the newest that is here.
        allow_download: whether a hub name may be fetched from the hub.

    Returns:
        None when it is not on this machine.

    Raises:
        ScorerError: the download failed, or the name is neither a folder nor a name the hub could have.
    """
    if name == POCKET:
        return _local(name, _POCKET_FOLDER)
    if Path(name).is_dir():
        found = _local(name, Path(name).resolve())
        if found is None:
            raise ScorerError(
                f"The folder {name} holds no BART checkpoint (config.json and model.safetensors).",
                f"文件夹 {name} 中没有 BART 模型（config.json 与 model.safetensors）。",
            )
        return found
    wanted = revision or PINNED.get(name)
    if allow_download:
        _download(name, wanted)
    return _cached(name, wanted)


def _local(name: str, folder: Path) -> Checkpoint | None:
    weights = next((folder / file for file in _WEIGHTS if (folder / file).is_file()), None)
    if weights is None or not (folder / "config.json").is_file():
        return None
    digest = hashlib.sha256()
    for path in (folder / "config.json", weights):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Checkpoint(name, folder, f"sha256:{digest.hexdigest()[:12]}")


def _cached(name: str, revision: str | None) -> Checkpoint | None:
    """The newest complete snapshot in the hub's cache, or the one of ``revision``."""
    try:
        repos = [
            repo for repo in scan_cache_dir(_HUB_CACHE).repos if repo.repo_type == "model" and repo.repo_id == name
        ]
    except CacheNotFound:
        return None
    snapshots = [
        snapshot
        for repo in repos
        for snapshot in repo.revisions
        if revision is None or revision == snapshot.commit_hash or revision in snapshot.refs
    ]
    for snapshot in sorted(snapshots, key=lambda s: ("main" not in s.refs, -s.last_modified)):
        names = {file.file_name for file in snapshot.files}
        if "config.json" in names and names.intersection(_WEIGHTS):
            return Checkpoint(name, Path(snapshot.snapshot_path), snapshot.commit_hash)
    return None


def _download(name: str, revision: str | None) -> None:
    """Fetches the small files and one kind of weights, safetensors where they exist."""
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*_SMALL_FILES, "model*.safetensors"]))
        if not any(folder.glob("model*.safetensors")):
            snapshot_download(name, revision=revision, allow_patterns=["pytorch_model.bin"])
    except HFValidationError as error:
        raise ScorerError(
            f"{name!r} is neither a folder nor a checkpoint name such as facebook/bart-large-cnn.",
            f"{name!r} 既不是文件夹，也不是 facebook/bart-large-cnn 这样的模型名称。",
        ) from error
    except OSError as error:  # every failure of the hub's client: no network, no such name, disk full
        raise ScorerError(
            f"The checkpoint {name} could not be downloaded to {_HUB_CACHE} ({error}); "
            "check name and network, or give a local folder.",
            f"无法将模型 {name} 下载到 {_HUB_CACHE}（{error}）；请检查名称与网络，或改用本地文件夹。",
        ) from error


class CheckpointChoice:
    """Which checkpoint judges which engine's answers in which language; each is looked for once."""

    def __init__(self, chosen: Mapping[str, str | None], *, allow_download: bool = False) -> None:
        """Takes the user's choice.

        Args:
            chosen: language to checkpoint, over the defaults; None for a language leaves it without one.
            allow_download: whether :meth:`find` may fetch a hub name.
        """
        self._chosen, self._download = dict(chosen), allow_download
        self._found: dict[tuple[str, bool], Checkpoint | None] = {}

    def name(self, engine: str, language: str) -> str | None:
        """What should judge the language; None when nothing is named for it."""
        defaults = POCKET_DEFAULTS if engine == "pocket" else DEFAULTS
        return {**defaults, **self._chosen}.get(language)

    def find(self, engine: str, language: str, *, needed: bool) -> Checkpoint | None:
        """The checkpoint; None when none is named or it is not on this machine.

        Args:
            engine: the campaign's engine.
            language: the item's language.
            needed: whether an answer waits for it, so that it may be downloaded.

        Raises:
            ScorerError: see :func:`locate`.
        """
        name = self.name(engine, language)
        if name is None:
            return None
        key = (name, needed and self._download)
        if key not in self._found:
            self._found[key] = locate(name, allow_download=key[1])
        return self._found[key]
