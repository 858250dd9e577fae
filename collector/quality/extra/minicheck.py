"""MiniCheck: is each sentence of an answer supported by the source (or the reference)? English only.

Asks ``bespoke-minicheck`` of the Ollama library with the fields it was trained on; it answers Yes or No.
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.quality.extra.base import Asked, OllamaExtra, Verdict
from collector.quality.text import sentences

__all__ = ["MiniCheck"]


class MiniCheck(OllamaExtra):
    """Share of an answer's sentences that the document supports."""

    name = "minicheck"
    default_model = "bespoke-minicheck"
    max_tokens = 4

    def verdicts(self, asked: Sequence[Asked]) -> list[list[Verdict]]:
        """One figure per answer with a document; other languages than English get the reason."""
        return [self._verdicts(one) for one in asked]

    def _verdicts(self, one: Asked) -> list[Verdict]:
        document = one.source or "\n".join(one.references)
        claims = sentences(one.answer)
        if one.task not in ("qa", "summary") or not document or not claims:
            return []
        if one.language != "en":
            return [Verdict("supported", reason="checkpoint_language")]
        answers = [self.ask(f"Document: {document}\nClaim: {claim}").strip().lower() for claim in claims]
        if not all(answer.startswith(("yes", "no")) for answer in answers):
            return [Verdict("supported", reason="unreadable")]
        share = sum(answer.startswith("yes") for answer in answers) / len(answers)
        return [Verdict("supported", share, share)]
