"""When a model is parked."""

import pytest

from collector.breaker import Breaker


@pytest.mark.parametrize(
    ("ends", "parked"),
    [("fff", True), ("ff.ff.ff.", False), ("f" + ".f" * 5, True), (".f" * 20, False), ("." * 9, False), ("..f.ff.fff", True)],
)  # fmt: skip
def test_in_a_row_or_too_often(ends: str, parked: bool) -> None:
    breaker = Breaker(3)
    for end in ends:
        breaker.note("m", end == ".")
    assert breaker.parked("m") is parked
    assert not breaker.parked("other")


def test_it_stays_parked_and_counts_across_cases() -> None:
    breaker = Breaker(2)
    breaker.note("m", False)
    breaker.note("n", True)
    breaker.note("m", False)
    breaker.note("m", True)
    assert breaker.parked("m")
    breaker.park("n")
    assert breaker.parked("n")
