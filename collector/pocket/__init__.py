"""The embedded engine: small language models that speak Ollama's API where no Ollama is.

They show the product at work and are what its tests run against; they say nothing about real language models.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["BART_DIR", "MODELS_DIR", "model_name", "registry"]

MODELS_DIR = Path(__file__).parent / "models"
"""Where the shipped models are."""

BART_DIR = MODELS_DIR / "pocket-bart"
"""The shipped BART checkpoint."""


def registry(models_dir: Path | None = None) -> dict[str, Path]:
    """Language models by name (``pocket-s:f16``, ``pocket-l:int8``), smallest first.

    Args:
        models_dir: another folder of model folders; None takes ``POCKET_MODELS`` of the environment, else the
            shipped models.
    """
    root = models_dir or Path(os.environ.get("POCKET_MODELS") or MODELS_DIR)
    folders = [path.parent for path in root.glob("*/model.safetensors") if path.parent.name != BART_DIR.name]
    folders.sort(key=lambda folder: ((folder / "model.safetensors").stat().st_size, folder.name))
    return {model_name(folder): folder for folder in folders}


def model_name(folder: Path) -> str:
    """``pocket-l-int8`` -> ``pocket-l:int8``; a folder without that ending is a float16 model (``:f16``)."""
    stem, int8, _ = folder.name.partition("-int8")
    return f"{stem}:int8" if int8 else f"{stem}:f16"
