"""Calls a function of the program with each case's input, inside, and compares what comes back outside.

The expected values never enter the sandbox: a program can lie about its results, but not know which lie would pass.
"""

from __future__ import annotations

import ast
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from collector.quality.sandbox.backends import Backend
from collector.quality.sandbox.supervise import SandboxResult, limits_of, supervise
from collector.quality.sandbox.wire import decode, encode

__all__ = ["Case", "CaseOutcome", "CasesResult", "call_cases", "same"]

_MOST_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One call and what it should give.

    Attributes:
        args: positional arguments; plain values (None, bool, int, float, complex, str, bytes, list, tuple, set, dict).
        expected: the value that a right program returns, of exactly this type.
        kwargs: arguments by name.
        tolerance: for every float in ``expected``: absolute, or relative to it where that is more; then int and float
            may stand for each other. None: equal floats, exact types.
        raises: name of the exception that a right program raises instead; subclasses of it pass, too.
    """

    args: Sequence[Any] = ()
    expected: Any = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float | None = None
    raises: str | None = None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Reads a case as items hold it: the fields above by name.

        What JSON and TOML cannot say is written as ``{"python": "(1, 2)"}``: a Python literal, anywhere in ``args``,
        ``kwargs`` and ``expected``.

        Raises:
            ValueError: an unknown or missing field, a wrong type, no literal; says which.
        """
        unknown = set(table) - {"args", "kwargs", "expected", "tolerance", "raises"}
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
        if ("expected" in table) == ("raises" in table):
            raise ValueError("give either expected or raises")
        args, kwargs = _literal(table.get("args", [])), _literal(table.get("kwargs", {}))
        tolerance, raises = table.get("tolerance"), table.get("raises")
        if not isinstance(args, list):
            raise ValueError("args must be a list")
        if not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
            raise ValueError("kwargs must be a table")
        if tolerance is not None and not (_number(tolerance) and math.isfinite(tolerance) and tolerance >= 0):
            raise ValueError("tolerance must be a number that is not negative")
        if raises is not None and not (isinstance(raises, str) and raises.isidentifier()):
            raise ValueError("raises must be the name of an exception")
        return cls(args, _literal(table.get("expected")), kwargs, tolerance, raises)


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """How one case went.

    Attributes:
        status: ``pass``; ``wrong`` another value or none that is plain; else as a program ends (``error`` an exception).
        detail: what came instead, for people; empty when it passed.
    """

    status: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CasesResult:
    """How all cases went, in their order; times as in :class:`SandboxResult`, of all processes together."""

    outcomes: tuple[CaseOutcome, ...]
    cpu_s: float | None
    wall_s: float

    @property
    def passed(self) -> bool:
        """Every case passed, and there was one."""
        return bool(self.outcomes) and all(outcome.status == "pass" for outcome in self.outcomes)

    @property
    def share(self) -> float | None:
        """Share of cases passed, 0..1; None without a case."""
        if not self.outcomes:
            return None
        return sum(outcome.status == "pass" for outcome in self.outcomes) / len(self.outcomes)


def _literal(value: Any) -> Any:
    """The value with every ``{"python": "..."}`` in it read as a literal."""
    if isinstance(value, list):
        return [_literal(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"python"} and isinstance(value["python"], str):
        try:
            return ast.literal_eval(value["python"])
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise ValueError(f"{value['python'][:60]!r} is no Python literal") from error
    return {key: _literal(entry) for key, entry in value.items()}


def call_cases(backend: Backend, code: str, entry_point: str, cases: Sequence[Case], timeout_s: float) -> CasesResult:
    """Runs all cases in one process; when it ends early, the rest in another, up to three times.

    Raises:
        NoSandbox: the sandbox itself did not start.
        TypeError: an input is not a plain value.
        ValueError: ``timeout_s`` is not a positive, finite number.
    """
    limits = limits_of(timeout_s)
    inputs = [(encode(list(case.args)), encode(dict(case.kwargs))) for case in cases]
    outcomes: list[CaseOutcome] = []
    cpu_s: float | None = 0.0
    wall_s = 0.0
    for _ in range(1 + _MOST_RESTARTS):
        rest = cases[len(outcomes) :]
        nonce = secrets.token_hex(16)
        job = {"nonce": nonce, "code": code, "entry_point": entry_point, "cases": inputs[len(outcomes) :]}
        ended = supervise(backend, job, "", limits)
        cpu_s = None if cpu_s is None or ended.cpu_s is None else cpu_s + ended.cpu_s
        wall_s += ended.wall_s
        said = _Said.of(ended.stdout, nonce)
        for number, case in enumerate(rest):
            if number not in said.cases:
                break
            outcomes.append(_judged(case, said.cases[number]))
        if len(outcomes) == len(cases):
            break
        failure = _raised(said.load) if said.load is not None else _ended(ended)
        if not said.started:  # it never came to a call, and would not the next time
            break
        outcomes.append(failure)
        if len(outcomes) == len(cases):
            break
    while len(outcomes) < len(cases):
        outcomes.append(failure)
    return CasesResult(tuple(outcomes), cpu_s, wall_s)


@dataclass(slots=True)
class _Said:
    """What the inside said: a failure to load the program, whether a call began, one record per case; first words count."""

    load: dict[str, Any] | None = None
    started: bool = False
    cases: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, stdout: str, nonce: str) -> _Said:
        """Reads the tagged lines; the program may have made up any of them."""
        said = cls()
        for line in stdout.split("\n"):
            if not line.startswith(nonce + " {"):
                continue
            try:
                record = json.loads(line[len(nonce) + 1 :])
            except (ValueError, RecursionError):
                continue
            number = record.get("case")
            if "start" in record:
                said.started = True
            elif type(number) is int:
                said.cases.setdefault(number, record)
            elif said.load is None:
                said.load = record
        return said


def _ended(ended: SandboxResult) -> CaseOutcome:
    """The process ended before the result was there; leaving with code 0 is no way to pass."""
    last = ended.stderr.strip().rsplit("\n", 1)[-1]
    return CaseOutcome("error" if ended.status == "ok" else ended.status, last[:200] or "the program ended early")


def _raised(record: Mapping[str, Any]) -> CaseOutcome:
    names = record.get("raised")
    name = str(names[0]) if isinstance(names, list) and names else "unknown"
    return CaseOutcome("memory" if record.get("memory") is True else "error", f"{name}: {record.get('text', '')}"[:200])


def _judged(case: Case, record: Mapping[str, Any]) -> CaseOutcome:
    if "raised" in record:
        names = record["raised"]
        expected = case.raises is not None and isinstance(names, list) and case.raises in names
        return CaseOutcome("pass") if expected else _raised(record)
    if "value" not in record:
        return CaseOutcome("wrong", f"returned {str(record.get('odd'))[:100]}, not a plain value")
    try:
        value = decode(record["value"])
    except ValueError:
        return CaseOutcome("wrong", "not a plain value")
    if case.raises is None and same(case.expected, value, case.tolerance):
        return CaseOutcome("pass")
    return CaseOutcome("wrong", f"returned {_shown(value)}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of more digits than Python prints
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 120 else text[:119] + "…"


def same(expected: Any, value: Any, tolerance: float | None = None) -> bool:
    """Whether two plain values are equal in value and exact type, all the way down.

    NaN equals NaN and -0.0 equals 0.0. ``tolerance`` as in :class:`Case`; members of sets and keys of dicts are always
    compared exactly.
    """
    if tolerance is not None and _number(expected) and _number(value) and float in (type(expected), type(value)):
        return _near(expected, value, tolerance)
    if type(expected) is not type(value):
        return False
    if isinstance(expected, float):
        return bool(expected == value or (math.isnan(expected) and math.isnan(value)))
    if isinstance(expected, list | tuple):
        return len(expected) == len(value) and all(same(a, b, tolerance) for a, b in zip(expected, value, strict=True))
    if isinstance(expected, dict):
        ours, theirs = ({_key(key): entry for key, entry in d.items()} for d in (expected, value))
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key], tolerance) for key in ours)
    if isinstance(expected, set | frozenset):
        return {_key(entry) for entry in expected} == {_key(entry) for entry in value}
    return bool(expected == value)


def _number(value: object) -> bool:
    return type(value) in (int, float)


def _near(expected: float, value: float, tolerance: float) -> bool:
    try:
        expected, value = float(expected), float(value)
    except OverflowError:
        return False
    if math.isnan(expected) or math.isnan(value):
        return math.isnan(expected) and math.isnan(value)
    return math.isclose(expected, value, rel_tol=tolerance, abs_tol=tolerance)


def _key(value: object) -> str:
    """A text that is equal exactly for equal plain values of equal types."""
    if isinstance(value, frozenset):
        return json.dumps(["frozenset", sorted(_key(entry) for entry in value)])
    if isinstance(value, tuple):
        return json.dumps(["tuple", [_key(entry) for entry in value]])
    return json.dumps(encode(0.0 if value == 0 and type(value) is float else value))
