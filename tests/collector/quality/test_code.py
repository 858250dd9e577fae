"""Code answers: 1 when every case passes, else 0; never run without a sandbox that holds."""

import pytest

from collector.errors import NoSandbox
from collector.quality import code
from collector.quality.code import code_verdict
from collector.quality.sandbox import available

ITEM = {"entry_point": "double", "cases": [{"args": [2], "expected": 4}, {"args": [0], "expected": 0}]}
needs_sandbox = pytest.mark.skipif(available() is None, reason="no sandbox holds on this machine")


def _answer(body: str) -> str:
    return f"Here it is:\n```python\ndef double(x):\n    {body}\n```\n"


@needs_sandbox
@pytest.mark.parametrize(
    ("body", "passed", "share", "words"),
    [
        ("return 2 * x", True, 1.0, None),
        ("return x + 2", False, 0.5, "wrong"),
        ("return 1 / 0", False, 0.0, "error"),
        ("return str(2 * x)", False, 0.0, "wrong"),
    ],
)
def test_every_case_has_to_pass(body: str, passed: bool, share: float, words: str | None) -> None:
    found = code_verdict(_answer(body), "Write double(x).", ITEM)
    assert (found.passed, found.share, found.reason) == (passed, share, None)
    assert found.detail is not None
    first = found.detail["first_failure"]
    assert first is None if words is None else first.startswith(words)


def test_an_answer_without_code_fails() -> None:
    found = code_verdict("I would multiply it by two.", "Write double(x).", ITEM)
    assert (found.passed, found.share) == (False, 0.0)


def test_cases_that_cannot_be_read_are_our_fault_not_the_models() -> None:
    found = code_verdict(_answer("return 2 * x"), "", {**ITEM, "cases": [{"arguments": [1]}]})
    assert (found.passed, found.reason) == (None, "bad_cases")


def test_without_a_sandbox_there_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise NoSandbox("none holds", "没有")

    monkeypatch.setattr(code, "run_cases", refuse)
    found = code_verdict(_answer("return 2 * x"), "", ITEM)
    assert (found.passed, found.share, found.reason) == (None, None, "no_sandbox")
