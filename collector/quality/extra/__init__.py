"""Optional scorers: asked for by name after a campaign, shown beside the quality, never part of it.

Each is one file with a class that follows :class:`ExtraScorer`, and one line in :data:`EXTRAS`.
"""

from __future__ import annotations

from collector.quality.extra.base import Asked, ExtraOptions, ExtraScorer, Verdict
from collector.quality.extra.bertscore import BertScore
from collector.quality.extra.judge import Judge
from collector.quality.extra.minicheck import MiniCheck

__all__ = ["EXTRAS", "Asked", "ExtraOptions", "ExtraScorer", "Verdict"]

EXTRAS: dict[str, type[ExtraScorer]] = {"bert-score": BertScore, "minicheck": MiniCheck, "judge": Judge}
"""Name on the command line and in ``v_scores.metric``, and what scores."""
