"""The task suite: what models are asked, and what a good answer holds. How to add items: docs/tasks.md."""

from __future__ import annotations

from collector.suite.fields import TASKS
from collector.suite.item import Item
from collector.suite.ranges import Problem, range_problems
from collector.suite.suite import SHIPPED, Suite, load_file, load_suite
from collector.suite.tokens import LOAD_RANGES, LOAD_TOKENS, token_estimate

__all__ = [
    "LOAD_RANGES",
    "LOAD_TOKENS",
    "SHIPPED",
    "TASKS",
    "Item",
    "Problem",
    "Suite",
    "load_file",
    "load_suite",
    "range_problems",
    "token_estimate",
]
