"""The benchmark of the interval, small and with a fixed seed."""

import numpy as np
import pytest

from benchmarks.energy import SHAPES, trial


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("counter", [True, False])
def test_intervals_hold_the_truth(shape: str, counter: bool) -> None:
    figures = trial(np.random.default_rng(7), shape, 40, counter=counter)
    assert figures["coverage"] >= 0.85  # 40 requests; the benchmark itself asks for 0.90 of 400
    reference = figures["reference_error_percent"].get("last_minus_first")
    assert reference is None or figures["error_percent"]["p90"] < reference["p90"]
