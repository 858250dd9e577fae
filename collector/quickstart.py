"""The first experiment of a fresh machine: what is there, measured within minutes."""

from __future__ import annotations

from collector import engines
from collector.errors import EngineError
from collector.experiment import Experiment, parse_experiment
from collector.i18n import t
from collector.ollama_client import OllamaClient
from collector.ollama_types import ModelDetails, ModelTag
from collector.pocket import registry

__all__ = ["QUICKSTART_MINUTES", "quickstart_experiment"]

QUICKSTART_MINUTES = {"pocket": 3.0, "ollama": 30.0}
_MODELS = 3


def _completes(details: ModelDetails) -> bool:
    """Whether a model writes text; servers before capabilities were told are taken at their architecture."""
    if details.capabilities is not None:
        return "completion" in details.capabilities
    return details.family is None or "bert" not in details.family


def _smallest(client: OllamaClient) -> list[str]:
    """Tags of the smallest local models that can complete text."""
    chosen: list[ModelTag] = []
    for model in sorted(client.tags(), key=lambda m: m.size_bytes or 0):
        if not model.size_bytes:
            continue  # a cloud model has no local weights
        if _completes(client.show(model.name)):
            chosen.append(model)
        if len(chosen) == _MODELS:
            break
    return [m.name for m in chosen]


def quickstart_experiment() -> Experiment:
    """The quickstart for this machine: an answering Ollama's three smallest models, else the embedded engine's.

    Raises:
        EngineError: an Ollama answers but has no model that can complete text.
    """
    found = engines.probe("auto", None)
    settings: dict[str, object] = {
        "name": "quickstart", "tasks": ["qa"], "loads": ["short"], "repeats": 1,
        "protocol": {"profile": "quick"}, "quality": {"when": "end"},
    }  # fmt: skip
    if found.name == "pocket" or found.url is None:
        settings |= {"engine": "pocket", "models": sorted(registry()), "generation": {"num_ctx": 1024}}
        return parse_experiment(settings, "quickstart")
    with OllamaClient(found.url) as client:
        tags = _smallest(client)
    if not tags:
        raise EngineError(
            f"The Ollama server at {found.url} has no model that can complete text; get one with: python -m collector pull llama3.2:3b",
            f"Ollama 服务器 {found.url} 没有可生成文本的模型；请先运行：python -m collector pull llama3.2:3b",
        )
    settings |= {"engine": {"kind": "ollama", "host": found.url}, "models": tags, "generation": {"num_ctx": 2048}}
    return parse_experiment(settings, t("quickstart", "快速开始"))
