"""BERTScore of an answer against its references: the package ``bert-score``, not installed by default."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from collector.errors import ScorerError
from collector.quality.extra.base import Asked, ExtraOptions, ExtraScorer, Verdict

__all__ = ["BertScore"]

_LANGUAGES = ("en", "zh")


class BertScore(ExtraScorer):
    """The package's own model per language (en roberta-large, zh bert-base-chinese), best reference, no rescaling."""

    name = "bert-score"

    def __init__(self, options: ExtraOptions) -> None:
        """Finds the package.

        Raises:
            ScorerError: it is not installed.
        """
        try:
            self._package: Any = importlib.import_module("bert_score")
        except ModuleNotFoundError as error:
            raise ScorerError(
                "bert-score is not installed; install it with: pip install bert-score==0.3.13",
                "未安装 bert-score；安装方法：pip install bert-score==0.3.13",
            ) from error
        self._device = options.device
        self._scorers: dict[str, Any] = {}
        self.label = f"bert-score {getattr(self._package, '__version__', '')}".strip()

    def verdicts(self, asked: Sequence[Asked]) -> list[list[Verdict]]:
        """Precision, recall and F1 against the best reference."""
        found: list[list[Verdict]] = [[] for _ in asked]
        for language in _LANGUAGES:
            places = [
                place
                for place, one in enumerate(asked)
                if one.language == language and one.references and one.answer.strip()
            ]
            if places:
                scorer = self._scorer(language)
                figures = scorer.score([asked[p].answer for p in places], [list(asked[p].references) for p in places])
                for place, values in zip(places, zip(*(side.tolist() for side in figures), strict=True), strict=True):
                    found[place] = [
                        Verdict(name, value, min(1.0, max(0.0, value)))
                        for name, value in zip(("precision", "recall", "f1"), values, strict=True)
                    ]
        return found

    def device(self) -> str | None:
        """Where the package put its model; None before the first answer."""
        return next((str(scorer.device) for scorer in self._scorers.values()), None)

    def _scorer(self, language: str) -> Any:
        if language not in self._scorers:
            self._scorers[language] = self._package.BERTScorer(lang=language, device=self._device)
        return self._scorers[language]
