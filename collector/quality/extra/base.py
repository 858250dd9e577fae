"""The interface of an optional scorer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from collector.errors import CollectorError, EngineError, ModelMissing
from collector.ollama_client import ChatRequest, Limits, OllamaClient, same_model

__all__ = ["Asked", "ExtraOptions", "ExtraScorer", "OllamaExtra", "Verdict"]

_LIMITS = Limits(first_token_s=600.0, stall_s=120.0, deadline_s=900.0)
_SEED = 7


@dataclass(frozen=True, slots=True)
class ExtraOptions:
    """What an optional scorer may be told.

    Attributes:
        model: tag of the Ollama model that judges; None for the scorer's own default.
        host: address of the Ollama server, None for the usual one.
        device: ``cpu`` or ``cuda``, None for what works.
    """

    model: str | None = None
    host: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer to be scored.

    Attributes:
        model: tag of the model that wrote it.
        source: the text a summary is of, None elsewhere.
    """

    run_id: str
    model: str
    task: str
    language: str
    prompt: str
    answer: str
    references: tuple[str, ...]
    source: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure of one answer.

    Attributes:
        direction: what was scored given what, or what was asked.
        raw: the metric's own figure, None when there is none (``reason`` says why).
        value: the same as 0..1.
    """

    direction: str
    raw: float | None = None
    value: float | None = None
    reason: str | None = None


class ExtraScorer(ABC):
    """An optional scorer.

    Attributes:
        label: what scores, with its version; goes into ``v_scores.checkpoint``.
    """

    name: ClassVar[str]
    label: str

    @abstractmethod
    def __init__(self, options: ExtraOptions) -> None:
        """Gets ready.

        Raises:
            CollectorError: what it needs is not here; the sentence names the cure.
        """

    @abstractmethod
    def verdicts(self, asked: Sequence[Asked]) -> list[list[Verdict]]:
        """The figures of each answer, in the order given; an empty list where the scorer has nothing to say."""

    @property
    def server(self) -> str | None:
        """Address of the engine that computes; None when this process does."""
        return None

    def device(self) -> str | None:
        """``cuda`` where a GPU computed, ``cpu`` where none did, None when that is not known."""
        return None

    def close(self) -> None:  # noqa: B027 (most hold nothing)
        """Lets everything go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OllamaExtra(ExtraScorer):
    """A scorer that asks an Ollama model, at temperature 0 and with a fixed seed."""

    default_model: ClassVar[str | None] = None
    max_tokens: ClassVar[int] = 16

    def __init__(self, options: ExtraOptions) -> None:
        self.model = options.model or self.default_model or ""
        self.client = OllamaClient(options.host)
        try:
            digest = next((tag.digest for tag in self.client.tags() if same_model(tag.name, self.model)), None)
        except CollectorError:
            self.client.close()
            raise
        if digest is None:
            self.client.close()
            raise ModelMissing(
                f"The model {self.model} is not on {self.client.url}; get it with: ollama pull {self.model}",
                f"{self.client.url} 上没有模型 {self.model}；获取方法：ollama pull {self.model}",
            )
        self.label = f"{self.model}@{digest.removeprefix('sha256:')[:12]}"

    def ask(self, prompt: str) -> str:
        """The model's answer.

        Raises:
            EngineError: no whole answer came.
        """
        options = {"temperature": 0.0, "seed": _SEED, "num_predict": self.max_tokens, "num_ctx": 8192}
        outcome = self.client.chat(ChatRequest(self.model, [{"role": "user", "content": prompt}], options), _LIMITS)
        if outcome.fault is not None:
            raise EngineError(
                f"{self.model} gave no answer ({outcome.fault}: {outcome.fault_detail}); what was scored is stored, repeat the command.",
                f"{self.model} 没有给出回答（{outcome.fault}：{outcome.fault_detail}）；已评分的结果已保存，请重新运行命令。",
            )
        return outcome.text

    @property
    def server(self) -> str | None:
        """Address of the Ollama server."""
        return self.client.url

    def device(self) -> str | None:
        """Where the server holds the model, by its own word."""
        try:
            loaded = [one for one in self.client.ps() if same_model(one.name, self.model)]
        except EngineError:
            return None
        sizes = [one.size_vram_bytes for one in loaded if one.size_vram_bytes is not None]
        return None if not sizes else "cuda" if any(sizes) else "cpu"

    def close(self) -> None:
        """Closes the connection; the server lets the model go by itself."""
        self.client.close()
