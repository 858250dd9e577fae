"""Copies the float models to folders a real Ollama imports, each with its Modelfile."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from collector.errors import UsageError
from collector.pocket import registry

__all__ = ["GO_TEMPLATE", "export"]

GO_TEMPLATE = "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}<|end|>{{ end }}<|assistant|>"
"""The chat template (``collector.pocket.folder.CHAT_TEMPLATE``) in Go's words."""

_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")

_README = """\
# Pocket models for Ollama

These are the language models of the embedded engine, the same weights in the same format. They are a demonstration:
what they show about speed and energy is true of them, and says nothing about real language models.

Create each model once, with a running Ollama server:

{commands}

`-q q8_0` is the counterpart of the embedded engine's int8 variant; `-q q4_K_M` works as well.
At temperature 0 the answers have the same tokens on both engines.
"""


def export(target: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Writes one folder per float model, with a Modelfile, and a README with the commands.

    Args:
        target: folder to write into; made when it is not there.
        names: models such as ``pocket-s`` or ``pocket-s:f16``; None exports every float model.

    Returns:
        The model folders.

    Raises:
        UsageError: a name is not a float model.
    """
    available = {name.partition(":")[0]: folder for name, folder in registry().items() if name.endswith(":f16")}
    chosen = [name.removesuffix(":f16") for name in names] if names is not None else list(available)
    for name in chosen:
        if name not in available:
            known = ", ".join(available)
            raise UsageError(
                f"{name!r} is not a float model of the embedded engine; there are: {known}.",
                f"{name!r} 不是内置引擎的浮点模型；可用：{known}。",
            )
    written = [_export_one(available[name], target / name) for name in chosen]
    lines = [line for name in chosen for line in _commands(name)]
    (target / "README.md").write_text(_README.format(commands="\n".join(lines)), encoding="utf-8")
    return written


def _export_one(source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(source / name, folder / name)
    (folder / "Modelfile").write_text(f'FROM .\nTEMPLATE """{GO_TEMPLATE}"""\n', encoding="utf-8")
    return folder


def _commands(name: str) -> list[str]:
    return [
        f"    ollama create {name}:f16 -f {name}/Modelfile",
        f"    ollama create {name}:q8_0 -q q8_0 -f {name}/Modelfile",
    ]
