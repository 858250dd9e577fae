"""The rating: pure functions from measured answers to letters with their probability. Method: docs/method.md.

Nothing here reads a file, a clock or a database; ``python -m rating`` (``__main__``) does.
"""

from __future__ import annotations

from rating.classes import EEI_BOUNDS, LETTERS, QUALITY_BOUNDS, class_of, quality_class_of
from rating.errors import BasketMissing, FileRefused, RatingError, SchemeError
from rating.export import csv_bytes
from rating.history import current
from rating.model import COLUMNS, Condition, Configuration, Group, Measurements, Rating
from rating.pareto import pareto_front
from rating.rate import DRAWS, SEED, rate
from rating.reasons import Reason
from rating.scheme import Basket, Member, Scheme, default_scheme, scheme_from_json

__all__ = [
    "COLUMNS", "DRAWS", "EEI_BOUNDS", "LETTERS", "QUALITY_BOUNDS", "SEED",
    "Basket", "BasketMissing", "Condition", "Configuration", "FileRefused", "Group", "Measurements", "Member",
    "Rating", "RatingError", "Reason", "Scheme", "SchemeError",
    "class_of", "csv_bytes", "current", "default_scheme", "pareto_front", "quality_class_of", "rate", "scheme_from_json",
]  # fmt: skip
