"""Whether an answer has the length that was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from collector.suite.tokens import token_estimate

__all__ = ["VERSION", "length_kept"]

VERSION = 1


def length_kept(answer: str, bounds: Mapping[str, int] | None) -> float | None:
    """1 inside the bounds; below them tokens / min; above them falling linearly to 0 at twice the maximum.

    Args:
        answer: what the model wrote; its length is the documented estimate (``token_estimate``).
        bounds: the item's ``min_tokens`` and ``max_tokens``; None when it asks for no length, and then there is no figure.
    """
    if not bounds:
        return None
    tokens, low, high = token_estimate(answer), bounds["min_tokens"], bounds["max_tokens"]
    if tokens < low:
        return tokens / low
    return 1.0 if tokens <= high else max(0.0, 2.0 - tokens / high)
