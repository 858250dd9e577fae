"""Calling functions with inputs: the right ones pass, nothing else does."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.sandbox import Case, CasesResult
from collector.quality.sandbox import cases as cases_module
from collector.quality.sandbox.attempts import FORGERIES
from collector.quality.sandbox.backends import BACKENDS, Backend
from collector.quality.sandbox.cases import call_cases, same
from collector.quality.sandbox.supervise import supervise
from collector.quality.sandbox.wire import decode, encode

from .conftest import usable


@pytest.fixture
def backend() -> Backend:
    """One that is here; comparing does not depend on which."""
    return usable(*(b.name for b in BACKENDS))


ADD = "def add(a, b=1):\n    return a + b"


def called(backend: Backend, code: str, *cases: Case, name: str = "f", timeout_s: float = 10.0) -> CasesResult:
    return call_cases(backend, code, name, cases, timeout_s)


def statuses(result: CasesResult) -> list[str]:
    return [outcome.status for outcome in result.outcomes]


def test_right_and_wrong(backend: Backend) -> None:
    cases = [
        Case([1, 2], 3),
        Case([1, 2], 4),
        Case([1], 2),
        Case([1], 3, {"b": 2}),
        Case(["a", "b"], "ab"),
        Case([], 0),
    ]
    result = called(backend, ADD, *cases, name="add")
    assert statuses(result) == ["pass", "wrong", "pass", "pass", "pass", "error"]
    assert result.outcomes[1].detail == "returned 3"
    assert result.outcomes[5].detail.startswith("TypeError")
    assert not result.passed
    assert result.share == pytest.approx(4 / 6)


VALUES: list[Any] = [
    None, True, 0, -(10**5000), 1.5, math.inf, 1 + 2j, "题\ud800\0", b"\x00\xff", [1, [2]], (1, (2,)), {1, 2},
    frozenset({(1, "a")}), {"a": [1], 2: None, (1, 2): {}}, [],
]  # fmt: skip


def test_plain_values_come_back_as_they_are(backend: Backend) -> None:
    result = called(backend, "def f(x): return x", *[Case([value], value) for value in VALUES])
    assert result.passed, result.outcomes


WRONG = {
    "1 is not True": ("def f(x): return True", 1),
    "1 is not 1.0": ("def f(x): return 1.0", 1),
    "a tuple is no list": ("def f(x): return (1,)", [1]),
    "a subclass is not the type": ("class I(int): pass\ndef f(x): return I(1)", 1),
    "a subclass of dict": ("import collections\ndef f(x): return collections.Counter('a')", {"a": 1}),
    "nothing": ("def f(x): pass", 1),
    "a generator": ("def f(x): yield 1", [1]),
    "a coroutine": ("async def f(x): return 1", 1),
    "holds itself": ("def f(x):\n    x = []; x.append(x); return x", [1]),
    "too large": ("def f(x): return 'a' * 10**6", "a"),
    "prints instead": ("def f(x): print(1)", 1),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_only_looks_right_is_wrong(backend: Backend, name: str) -> None:
    code, expected = WRONG[name]
    assert statuses(called(backend, code, Case([0], expected))) == ["wrong"]


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forgery_passes(backend: Backend, name: str) -> None:
    result = called(backend, FORGERIES[name], Case([1], 4711), Case([2], "x"), name="answer")
    assert "pass" not in statuses(result)
    assert len(result.outcomes) == 2


ENDS = {
    "does not parse": ("def f(", ["error", "error"]),
    "raises while loading": ("1/0", ["error", "error"]),
    "has no such function": ("def g(x): return x", ["error", "error"]),
    "is not callable": ("f = 3", ["error", "error"]),
    "leaves while loading": ("import os; os._exit(0)", ["error", "error"]),
    "leaves in a call": ("import os\ndef f(x):\n    if x == 1: os._exit(0)\n    return x", ["error", "pass"]),
    "SystemExit": ("def f(x):\n    if x == 1: raise SystemExit(0)\n    return x", ["error", "pass"]),
    "crashes in a call": ("import ctypes\ndef f(x): return x if x == 2 else ctypes.string_at(0)", ["killed", "pass"]),
    "memory": ("def f(x): return x if x == 2 else bytes(3 << 30)", ["memory", "pass"]),
    "deep recursion": ("def f(x): return x if x == 2 else f(x)", ["error", "pass"]),
    "prints": ("def f(x):\n    print('x' * 1000)\n    return x", ["pass", "pass"]),
    "prints for ever": ("def f(x):\n    while x == 1: print('x' * 1000)\n    return x", ["killed", "pass"]),
    "an exception whose text raises": (
        "class E(Exception):\n    def __str__(self): raise self\ndef f(x):\n    raise E",
        ["error", "error"],
    ),
    "reads input": ("def f(x): return input()", ["error", "error"]),
    "closes everything": ("import os\ndef f(x):\n    for fd in range(20):\n        try: os.close(fd)\n        except OSError: pass\n    return x", ["error", "error"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_every_end_is_explained(backend: Backend, name: str) -> None:
    code, expected = ENDS[name]
    result = called(backend, code, Case([1], 1), Case([2], 2))
    assert statuses(result) == expected
    assert all(outcome.detail for outcome in result.outcomes if outcome.status != "pass")


def test_an_endless_call_costs_its_case_only(backend: Backend) -> None:
    code = "def f(x):\n    while x == 1: pass\n    return x"
    result = called(backend, code, Case([0], 0), Case([1], 1), Case([2], 2), timeout_s=0.5)
    assert statuses(result) == ["pass", "timeout", "pass"]


def test_hopeless_programs_are_given_up(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    monkeypatch.setattr(cases_module, "supervise", lambda *args: starts.append(args) or supervise(*args))
    result = called(backend, "def f(x):\n    while True: pass", *[Case([n], n) for n in range(20)], timeout_s=0.2)
    assert statuses(result) == ["timeout"] * 20
    assert len(starts) == 4


def test_an_expected_exception(backend: Backend) -> None:
    code = "class Own(ValueError): pass\ndef f(x):\n    if x: raise Own(x)\n    return 1"
    cases = [Case([n], raises=kind) for n, kind in ((1, "ValueError"), (1, "KeyError"), (0, "ValueError"))]
    assert statuses(called(backend, code, *cases)) == ["pass", "error", "wrong"]


def test_expected_values_are_not_inside(backend: Backend) -> None:
    code = "import gc\ndef f(x): return [o for o in gc.get_objects() if 'expected' in repr(o)[:10_000] and 'NEEDLE' in repr(o)[:10_000]]"
    result = called(backend, code, Case([1], "NEEDLE-9731"))
    assert "9731" not in result.outcomes[0].detail


def test_no_case_is_no_pass(backend: Backend) -> None:
    result = called(backend, "def f(x): return x")
    assert not result.passed
    assert result.share is None


def test_an_input_must_be_plain(backend: Backend) -> None:
    with pytest.raises(TypeError):
        called(backend, "def f(x): return x", Case([object()], 1))


@pytest.mark.parametrize(
    ("expected", "value", "tolerance", "equal"),
    [
        (0.3, 0.1 + 0.2, None, False),
        (0.3, 0.1 + 0.2, 1e-9, True),
        (2.0, 2, None, False),
        (2.0, 2, 1e-9, True),
        (2, 2.0, 1e-9, True),
        (2, 3, 0.9, False),  # two integers stay exact
        (1, True, 1e-9, False),
        (1.0, True, 1e-9, False),
        (math.nan, math.nan, None, True),
        (math.nan, 1.0, 1e-3, False),
        (math.inf, math.inf, 1e-3, True),
        (math.inf, 1e300, 1e-3, False),
        (1.0, 10**400, 1e-3, False),
        (0.0, -0.0, None, True),
        ([1.0, (2.0,)], [1.0 + 1e-12, (2.0,)], 1e-9, True),
        ({"a": 1.0}, {"a": 1.0 + 1e-12}, 1e-9, True),
        ({"a": 1.0}, {"b": 1.0}, 1e-9, False),
        ({1: 2}, {True: 2}, None, False),
        ({1, 2}, {1.0, 2}, None, False),
        ({frozenset({1})}, {frozenset({1})}, None, True),
        ([1], [1, 2], None, False),
        (None, 0, None, False),
    ],
)
def test_same(expected: Any, value: Any, tolerance: float | None, equal: bool) -> None:
    assert same(expected, value, tolerance) is equal


_ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
_PLAIN = st.recursive(
    _ATOMS, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(_KEYS, inner) | st.sets(_KEYS)
)


@given(_PLAIN)
def test_the_wire_keeps_value_and_type(value: Any) -> None:
    assert same(value, decode(encode(value)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["int", "list", "dict", "set", "float", "none", "complex", "bytes", "0x1p9999"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(_JSON)
def test_whatever_is_made_up_is_a_value_or_refused(made_up: Any) -> None:
    try:
        value = decode(made_up)
    except ValueError:
        return
    encode(value)


def test_a_case_out_of_an_item() -> None:
    table = {
        "args": [1, {"python": "(1, {2})"}],
        "kwargs": {"b": None},
        "expected": [{"python": "None"}],
        "tolerance": 1e-6,
    }
    assert Case.from_table(table) == Case([1, (1, {2})], [None], {"b": None}, 1e-6)
    assert Case.from_table({"raises": "ValueError"}) == Case([], raises="ValueError")
    assert Case.from_table({"expected": None}) == Case([])
    assert Case.from_table({"expected": {"python": 1, "a": 2}}).expected == {"python": 1, "a": 2}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "either expected or raises"),
        ({"expected": 1, "raises": "E"}, "either"),
        ({"expected": 1, "input": 1}, "'input'"),
        ({"expected": 1, "args": 3}, "args"),
        ({"expected": 1, "kwargs": []}, "kwargs"),
        ({"expected": 1, "tolerance": -1}, "tolerance"),
        ({"expected": 1, "tolerance": "a"}, "tolerance"),
        ({"expected": 1, "tolerance": math.nan}, "tolerance"),
        ({"raises": "not a name"}, "raises"),
        ({"expected": {"python": "open('x')"}}, "literal"),
        ({"expected": {"python": "("}}, "literal"),
    ],
)
def test_a_wrong_case_is_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Case.from_table(table)
