"""Correctness of a code answer: its program runs in the sandbox, the expected values stay outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from collector.errors import NoSandbox
from collector.quality.extract import extract
from collector.quality.sandbox import Case, run_cases

__all__ = ["VERSION", "CodeVerdict", "code_verdict"]

VERSION = 2
"""Part of the scorer version: raise it when the same answer could get another verdict."""


class CodeVerdict(NamedTuple):
    """What became of an answer's program.

    Attributes:
        passed: whether every case passed; None when it could not be run (``reason`` says why).
        share: share of the cases passed, shown beside it and never rated.
        detail: how the program was found, and the first case that did not pass.
        reason: why there is no verdict: ``no_sandbox`` or ``bad_cases``; None when there is one.
    """

    passed: bool | None
    share: float | None
    detail: dict[str, Any] | None
    reason: str | None


def code_verdict(answer: str, prompt: str, payload: Mapping[str, Any]) -> CodeVerdict:
    """Runs an answer's program on its item's cases.

    Args:
        answer: what the model wrote.
        prompt: the task text, for the imports it shows.
        payload: the item's ``entry_point`` and ``cases``.
    """
    try:
        cases = [Case.from_table(table) for table in payload["cases"]]
    except ValueError as error:
        return CodeVerdict(None, None, {"cases": str(error)}, "bad_cases")
    program = extract(answer, str(payload["entry_point"]), prompt)
    if program is None:
        return CodeVerdict(False, 0.0, {"method": None, "first_failure": "no code in the answer"}, None)
    try:
        result = run_cases(program.code, str(payload["entry_point"]), cases)
    except NoSandbox:
        return CodeVerdict(None, None, None, "no_sandbox")
    failure = next((f"{o.status}: {o.detail}" for o in result.outcomes if o.status != "pass"), None)
    return CodeVerdict(result.passed, result.share, {"method": program.method, "first_failure": failure}, None)
