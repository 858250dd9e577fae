"""The rating: pure functions from measured answers to letters with their probability. Method: docs/method.md.

Nothing here reads a file, a clock or a database; ``python -m rating`` (``__main__``) does.
"""

from __future__ import annotations

from rating.advice import Residency, co2e_g_per_1000, cost_per_1000, keep_loaded, saving_to_next_class
from rating.advisor import Advice, Excluded, Option, Resources, Wish, advise
from rating.answers import Selected, columns_of, measurements_of
from rating.classes import EEI_BOUNDS, LETTERS, QUALITY_BOUNDS, class_of, quality_class_of
from rating.effects import Comparison, Trend, compare, size_trend
from rating.errors import BasketMissing, FileRefused, RatingError, SchemeError
from rating.export import csv_bytes
from rating.factors import FACTORS, Effect, SizeTrend, campaign_changes, factor_effects, size_trends
from rating.history import current
from rating.model import COLUMNS, Condition, Configuration, Group, Measurements, Rating
from rating.pareto import pareto_front
from rating.passk import PassAtK, pass_at_k, pass_at_k_by
from rating.ranks import probability_better, rank_ranges
from rating.rate import DRAWS, SEED, Wins, rate, wins
from rating.reasons import Reason
from rating.rescale import RESCALE_SHARE, BestClass, best_class_shares, needs_rescale
from rating.scheme import Basket, Member, Scheme, default_scheme, scheme_from_json
from rating.stability import SPREAD, WEIGHT_DRAWS, Stability, Stack, order_stability, stability_by

__all__ = [
    "COLUMNS", "DRAWS", "EEI_BOUNDS", "FACTORS", "LETTERS", "QUALITY_BOUNDS", "RESCALE_SHARE", "SEED", "SPREAD",
    "WEIGHT_DRAWS",
    "Advice", "Basket", "BasketMissing", "BestClass", "Comparison", "Condition", "Configuration", "Effect", "Excluded",
    "FileRefused", "Group", "Measurements", "Member", "Option", "PassAtK", "Rating", "RatingError", "Reason", "Residency",
    "Resources", "Scheme", "SchemeError", "Selected", "SizeTrend", "Stability", "Stack", "Trend", "Wins", "Wish",
    "advise", "best_class_shares", "campaign_changes", "class_of", "co2e_g_per_1000", "columns_of", "compare",
    "cost_per_1000", "csv_bytes", "current", "default_scheme", "factor_effects", "keep_loaded", "measurements_of",
    "needs_rescale", "order_stability", "pareto_front", "pass_at_k", "pass_at_k_by", "probability_better", "quality_class_of", "rank_ranges", "rate",
    "saving_to_next_class", "scheme_from_json", "size_trend", "size_trends", "stability_by", "wins",
]  # fmt: skip
