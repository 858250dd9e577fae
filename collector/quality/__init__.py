"""The quality of answers: gates, matching, BARTScore, one figure 0..1 or the reason why there is none.

``score_campaign`` is what the command ``score`` runs; ``BartScorer`` can be used on its own. Imports are left to the
modules, because torch takes seconds to load.
"""

from __future__ import annotations

__all__: list[str] = []
