"""Asserts become cases that say the same, or are counted."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.sandbox.cases import Case, same
from collector.suite.asserts import called, cases_of_asserts, cases_of_check

CHECK = '''
METADATA = {"author": "x"}

def check(candidate):
    """Tests."""
    assert True, "may fail"
    assert candidate([1, 2], sep="-") == "1-2", "message"
    assert candidate(()) == (1, 2)
    assert 3 == candidate(-1)
    assert candidate("x") is None
    assert abs(candidate(3) - 0.5) < 1e-6
    assert abs(1 - candidate(4)) <= 0.1
    for n in range(3):
        assert candidate(n) == n
    assert candidate(2 * 3) == 6
    assert sorted(candidate([2, 1])) == [1, 2]
    assert candidate(x) == 1
'''


def test_human_eval_checks() -> None:
    found = cases_of_check(CHECK)
    assert found.cases == [
        {"args": [[1, 2]], "kwargs": {"sep": "-"}, "expected": "1-2"},
        {"args": [{"python": "()"}], "expected": {"python": "(1, 2)"}, "tolerance": 0},
        {"args": [-1], "expected": 3, "tolerance": 0},
        {"args": ["x"], "expected": None},
        {"args": [3], "expected": 0.5, "tolerance": 1e-6},
        {"args": [4], "expected": 1.0, "tolerance": 0.1},
    ]
    assert found.left_out == 4


@pytest.mark.parametrize(
    "line",
    [
        "assert g(1) == 1",
        "assert f(*[1]) == 1",
        "assert f(**{}) == 1",
        "assert f(1) == 1 == 1",
        "assert f(1) != 1",
        "assert f(1)",
        "assert not f(1)",
        "assert f(1) is f",
        "assert f(1) is 2",
        "assert f(1) == float('nan')",
        "assert f(1) == 1e999",
        "assert f(...) == 1",
        "assert f(1) == 2 ** 3",
        "assert set(f(1)) == {1}",
        "assert abs(f(1)) < 1",
        "assert abs(f(1) + 1) < 1",
        "assert abs(f(1) - 1) < -1",
        "assert abs(f(1) - 1) < 1e999",
        "assert abs(f(1) - 'x') < 1",
        "assert math.isclose(f(1), 1, rel_tol=x)",
        "assert math.isclose(f(1), 1, places=3)",
        "assert math.isclose(f(1))",
        "assert f.g(1) == 1",
        "assert f(1) ==",
        "assert f(1) == '\0'",
        "(" * 5000,
    ],
)
def test_what_says_no_value_outright_is_counted(line: str) -> None:
    assert cases_of_asserts([line], "f") == ([], 1)


@pytest.mark.parametrize(
    ("line", "case"),
    [
        ("assert math.isclose(f(1), 2, rel_tol=0.001)", {"args": [1], "expected": 2.0, "tolerance": 0.001}),
        ("assert isclose(2.5, f(1))", {"args": [1], "expected": 2.5, "tolerance": 1e-9}),
        ("assert f({'a': 1}) == {1: 'a'}", {"args": [{"a": 1}], "expected": {"python": "{1: 'a'}"}}),
        ("assert f({'python': '1'})==True", {"args": [{"python": "{'python': '1'}"}], "expected": True}),
        ("assert f(b'x') == {2}", {"args": [{"python": "b'x'"}], "expected": {"python": "{2}"}}),
        ("  assert (f(1) == ('a'))", {"args": [1], "expected": "a"}),
    ],
)
def test_mbpp_asserts(line: str, case: dict[str, object]) -> None:
    assert cases_of_asserts([line], "f") == ([case], 0)
    Case.from_table(case)


def test_a_check_that_is_none_has_no_case() -> None:
    for test in ("", "def check():\n    assert f(1) == 1", "check = 3", "def check(c)", "assert candidate(1) == 1"):
        assert cases_of_check(test).cases == []


def test_nothing_is_executed(tmp_path) -> None:
    mark = tmp_path / "executed"
    write = f"open({str(mark)!r}, 'w')"
    cases_of_check(f"{write}\ndef check(candidate):\n    {write}\n    assert candidate({write}) == {write}")
    cases_of_asserts([f"assert f({write}) == 1"], "f")
    assert not mark.exists()


def test_called_functions_come_in_their_order() -> None:
    assert called(["assert set(f(1)) == g(2)", "assert h(1)", "broken ("]) == ["set", "g", "f", "h"]


_LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=3) | st.integers() | st.just("python"), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(_LITERALS, max_size=3), st.dictionaries(st.sampled_from(["a", "b"]), _LITERALS), _LITERALS)
def test_a_case_says_what_the_assert_says(args: list[object], kwargs: dict[str, object], value: object) -> None:
    words = [repr(arg) for arg in args] + [f"{name}={arg!r}" for name, arg in kwargs.items()]
    found = cases_of_asserts([f"assert f({', '.join(words)}) == {value!r}"], "f")
    assert found.left_out == 0
    case = Case.from_table(found.cases[0])
    assert same([args, kwargs], [list(case.args), dict(case.kwargs)])
    assert same(value, case.expected)
    assert same(case.expected, value, case.tolerance)


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    found = cases_of_check("def check(candidate):\n    assert candidate(1) == 1\n    " + text)
    assert all(ast.literal_eval(repr(case)) == case for case in found.cases)
    cases_of_asserts([text], "f")
