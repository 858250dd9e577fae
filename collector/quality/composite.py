"""One quality per answer, from its parts.

A gate gives 0: the model's fault. A part that we could not judge gives NULL with its reason: our limit. A part that the
item does not define (a user's question without accepted answers) drops out and the others keep their proportion; the
stored detail names parts and weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from collector.quality import anchors, code, constraints, directions, gates, length, lexical, match

__all__ = ["SCORER_VERSION", "WEIGHTS", "composite"]

WEIGHTS: dict[str, dict[str, float]] = {
    # Half for what can be checked (an accepted answer, the share of key facts), half for BARTScore.
    "qa": {"match": 0.3, "informativeness": 0.2, "factuality": 0.3, "relevance": 0.2},
    # Above all true to its source; then whether it says what matters, all of it; the rest is form.
    "summary": {
        "factuality": 0.35,
        "relevance": 0.2,
        "coverage": 0.2,
        "fluency": 0.1,
        "coherence": 0.05,
        "length": 0.1,
    },
    # What was demanded and can be checked, then whether it is about the prompt at all.
    "creative": {"constraints": 0.4, "relevance": 0.3, "fluency": 0.15, "repetition": 0.15},
}
"""Weight of each part, per task; a code answer is 1 when every case passes, else 0 (``code.py``). Hashed into the version."""

SCORER_VERSION = hashlib.sha256(
    json.dumps(
        [WEIGHTS, {module.__name__.rpartition(".")[2]: module.VERSION for module in
                   (anchors, code, constraints, directions, gates, length, lexical, match)}],
        sort_keys=True,
    ).encode()
).hexdigest()[:12]  # fmt: skip
"""Changes when a weight or a way of judging changes; answers of two versions are not compared."""


def composite(task: str, parts: Mapping[str, float]) -> tuple[float, dict[str, float]] | None:
    """Weighted mean of the parts, 0..1, and the weights that were used; None when nothing of the task's table is there.

    Args:
        task: a task of :data:`WEIGHTS`.
        parts: value of each part that the item defines, 0..1.
    """
    weights = {name: weight for name, weight in WEIGHTS[task].items() if name in parts}
    total = sum(weights.values())
    if not total:
        return None
    used = {name: weight / total for name, weight in weights.items()}
    return min(1.0, max(0.0, sum(parts[name] * weight for name, weight in used.items()))), used
