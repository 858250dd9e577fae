"""Turns ``assert`` statements of a benchmark's tests into cases. Nothing of the tests is executed.

An assert becomes a case when it says a value outright:

* ``assert f(1, [2]) == [3]``, either way round, and ``assert f(1) is True`` (None, False);
* ``assert abs(f(1) - 0.5) < 1e-6``, and ``math.isclose(f(1), 0.5, rel_tol=1e-6)``.

Arguments and values must be Python literals (``ast.literal_eval``). Every other assert (in a loop, with arithmetic or
another function in it) is counted and left out: a case says exactly what was asserted, or does not exist.
"""

from __future__ import annotations

import ast
import json
import math
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["Cases", "called", "cases_of_asserts", "cases_of_check", "parsed"]

_CONSTANTS = (True, False, None)
_ISCLOSE_REL_TOL = 1e-9  # math.isclose's own


class Cases(NamedTuple):
    """Cases as item files hold them, and how many asserts did not become one."""

    cases: list[dict[str, Any]]
    left_out: int


class _NoCaseError(Exception):
    """The assert does not say a value outright."""


def parsed(code: str) -> ast.Module | None:
    """The tree of a Python text; None when it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: NUL bytes
        return None


def cases_of_check(test: str) -> Cases:
    """The cases of HumanEval's ``test``: a function ``check(candidate)`` full of asserts."""
    tree = parsed(test)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)] if tree else []
    check = next((node for node in functions if node.name == "check" and node.args.args), None)
    if tree is None or check is None:
        return Cases([], 0)
    return _cases(check.body, check.args.args[0].arg, _asserts(tree))


def cases_of_asserts(lines: Iterable[str], name: str) -> Cases:
    """The cases of MBPP's ``test_list``: one assert a text, about the function ``name``."""
    cases: list[dict[str, Any]] = []
    left_out = 0
    for line in lines:
        tree = parsed(line.strip())
        found = _cases(tree.body, name, _asserts(tree)) if tree else Cases([], 1)
        cases += found.cases
        left_out += found.left_out
    return Cases(cases, left_out)


def called(lines: Iterable[str]) -> list[str]:
    """Names of the functions that the texts call, in their order."""
    names: dict[str, None] = {}
    for line in lines:
        for node in ast.walk(parsed(line.strip()) or ast.Module([], [])):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names[node.func.id] = None
    return list(names)


def _asserts(tree: ast.AST) -> int:
    """Asserts that say anything: HumanEval has some ``assert True``."""
    return sum(isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant) for node in ast.walk(tree))


def _cases(statements: Iterable[ast.stmt], name: str, asserts: int) -> Cases:
    cases: list[dict[str, Any]] = []
    for statement in statements:
        if isinstance(statement, ast.Assert):
            try:
                cases.append(_case(statement.test, name))
            except _NoCaseError:
                continue
    return Cases(cases, asserts - len(cases))


def _case(test: ast.expr, name: str) -> dict[str, Any]:
    if isinstance(test, ast.Call):
        return _isclose(test, name)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        raise _NoCaseError
    left, right = test.left, test.comparators[0]
    if isinstance(test.ops[0], ast.Eq):
        call, value = (left, right) if _is_call(left, name) else (right, left)
        return _equal(call, _literal(value), name)
    if isinstance(test.ops[0], ast.Is) and isinstance(right, ast.Constant) and right.value in _CONSTANTS:
        return _equal(left, right.value, name)
    if isinstance(test.ops[0], ast.Lt | ast.LtE) and isinstance(left, ast.Call) and _named(left.func) == "abs":
        return _near(left, _literal(right), name)
    raise _NoCaseError


def _equal(call: ast.expr, value: Any, name: str) -> dict[str, Any]:
    case = _input(call, name) | {"expected": _written(value)}
    # In Python 1 == 1.0; a case wants the exact type unless it has a tolerance.
    return case | {"tolerance": 0} if _has_number(value) else case


def _near(distance: ast.Call, tolerance: Any, name: str) -> dict[str, Any]:
    """``abs(f(..) - value)``, or the other way round."""
    inner = distance.args[0] if len(distance.args) == 1 and not distance.keywords else None
    if not isinstance(inner, ast.BinOp) or not isinstance(inner.op, ast.Sub):
        raise _NoCaseError
    call, value = (inner.left, inner.right) if _is_call(inner.left, name) else (inner.right, inner.left)
    return _tolerant(call, _literal(value), tolerance, name)


def _isclose(test: ast.Call, name: str) -> dict[str, Any]:
    allowed = {word.arg: word.value for word in test.keywords}
    if _named(test.func) != "isclose" or len(test.args) != 2 or not set(allowed) <= {"rel_tol", "abs_tol"}:
        raise _NoCaseError
    call, value = test.args if _is_call(test.args[0], name) else reversed(test.args)
    tolerances = [_literal(node) for node in allowed.values()]
    if not all(map(_is_number, tolerances)):
        raise _NoCaseError
    return _tolerant(call, _literal(value), max(tolerances, default=_ISCLOSE_REL_TOL), name)


def _tolerant(call: ast.expr, value: Any, tolerance: Any, name: str) -> dict[str, Any]:
    if not _is_number(value) or not _is_number(tolerance) or tolerance < 0:
        raise _NoCaseError
    # A case looks for the exact type of a whole number, whatever its tolerance
    return _input(call, name) | {"expected": float(value), "tolerance": tolerance}


def _input(call: ast.expr, name: str) -> dict[str, Any]:
    if not isinstance(call, ast.Call) or not _is_call(call, name):
        raise _NoCaseError
    if any(isinstance(arg, ast.Starred) for arg in call.args) or any(word.arg is None for word in call.keywords):
        raise _NoCaseError
    case: dict[str, Any] = {"args": [_written(_literal(arg)) for arg in call.args]}
    if call.keywords:
        case["kwargs"] = {str(word.arg): _written(_literal(word.value)) for word in call.keywords}
    return case


def _is_call(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _named(function: ast.expr) -> str | None:
    """``abs`` of ``abs``, ``isclose`` of ``math.isclose``."""
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else None


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise _NoCaseError from error


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _has_number(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_number, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_number, value))
    return type(value) in (int, float)


def _written(value: Any) -> Any:
    """A value as an item file holds it: as it is where JSON can say it, else as a Python literal."""
    if _json_says(value):
        return value
    try:
        if ast.literal_eval(repr(value)) == value:
            return {"python": repr(value)}
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:  # inf, an Ellipsis
        raise _NoCaseError from error
    raise _NoCaseError


def _json_says(value: object) -> bool:
    try:
        back = json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return False
    return _same_types(back, value) and not _reads_as_literal(value)


def _same_types(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_types(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_types, one, other))
    return one == other


def _reads_as_literal(value: object) -> bool:
    """Whether a table in the value would be taken for a written literal."""
    if isinstance(value, dict):
        return set(value) == {"python"} or any(map(_reads_as_literal, value.values()))
    return isinstance(value, list) and any(map(_reads_as_literal, value))
