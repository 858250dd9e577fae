"""How often the 95 % interval of one request's energy holds the truth, on synthetic traces whose truth is known.

``python -m benchmarks.energy [--requests 400] [--seed 1]`` prints one JSON line. Each request is a window of random
length and phase on a random power curve; the sensor is made from the curve: a counter that ticks every 20 to 100 ms,
read at 20 Hz with jitter, and an instant power that is the mean of the first 25 ms of every 100 ms (the duty cycle seen
on A100 and H100). Each sensor carries a gain error drawn so that 95 % lie within 5 %. The baseline is measured on the
same sensor, idle. Beside our figure, two simpler ones on the same samples:

* ``last_minus_first``: counter at the last sample inside minus the first (drops the edges);
* ``power_times_time``: mean of the power readings inside times the duration.

Target: >= 90 % of the intervals hold the truth, in every kind of trace.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.energy import idle_baseline, request_energy
from collector.telemetry import Capability, GpuSample, IdleBaseline, Sample

_STEP_S = 0.001
_SAMPLE_S = 0.05
_GAIN_SIGMA = 0.05 / 1.96
_TAIL_S = 2.0
_IDLE_S = 10.0
Array = NDArray[np.float64]


def _at(total: Array, t_s: float) -> float:
    """Cumulative energy at a moment, linear within the step."""
    step, rest = divmod(t_s / _STEP_S, 1.0)
    low, high = total[int(step)], total[min(int(step) + 1, len(total) - 1)]
    return float(low + (high - low) * rest)


@dataclass(frozen=True, slots=True)
class Case:
    """One request on one power curve, in steps of a millisecond."""

    power_w: Array
    start_s: float
    end_s: float

    def truth_j(self) -> float:
        """Energy in the window, exact for the stepwise curve."""
        total = np.concatenate(([0.0], np.cumsum(self.power_w) * _STEP_S))
        return _at(total, self.end_s) - _at(total, self.start_s)


def _grid(duration_s: float) -> Array:
    return np.arange(round((_IDLE_S + duration_s + 2 * _TAIL_S) / _STEP_S)) * _STEP_S


def _case(rng: np.random.Generator, shape: Callable[[Array, Array], Array]) -> Case:
    """``shape`` gives the power above idle from (seconds since the request, random levels), inside the request."""
    duration_s = float(np.exp(rng.uniform(np.log(0.4), np.log(12.0))))
    start_s = _IDLE_S + _TAIL_S + float(rng.uniform(0, 0.2))
    t = _grid(duration_s)
    idle_w, swing_w = rng.uniform(15, 80), rng.uniform(40, 350)
    inside = (t >= start_s) & (t < start_s + duration_s)
    power_w = idle_w + rng.normal(0, 0.02 * idle_w, len(t))
    power_w[inside] += swing_w * shape(t[inside] - start_s, rng.uniform(0, 1, 8))
    return Case(power_w, start_s, start_s + duration_s)


def _plateau(t: Array, _levels: Array) -> Array:
    return np.ones_like(t)


def _two_steps(t: Array, levels: Array) -> Array:
    return np.where(t < levels[0] * 0.5 * t[-1], 1.0, 0.3 + 0.5 * levels[1])


def _bursts(t: Array, levels: Array) -> Array:
    period_s = 0.02 + 0.28 * levels[0]
    return np.where((t / period_s + levels[1]) % 1.0 < 0.2 + 0.6 * levels[2], 1.0, 0.2)


def _ramp(t: Array, levels: Array) -> Array:
    return 0.3 + 0.7 * np.minimum(1.0, t / (0.1 + levels[0]))


SHAPES = {"plateau": _plateau, "two_steps": _two_steps, "bursts": _bursts, "ramp": _ramp}


def _samples(rng: np.random.Generator, case: Case, tick_s: float, *, counter: bool) -> list[Sample]:
    """What the sensor says: energy up to the last tick, and power of the last finished 25 ms observation."""
    gain = 1.0 + rng.normal(0, _GAIN_SIGMA)
    total = np.concatenate(([0.0], np.cumsum(case.power_w * gain) * _STEP_S))
    phase_s, length_s = rng.uniform(0, tick_s), len(case.power_w) * _STEP_S
    samples = []
    read_s = 0.2 + float(rng.uniform(0, _SAMPLE_S))
    while read_s < length_s - 0.05:
        tick = (np.floor((read_s - phase_s) / tick_s)) * tick_s + phase_s
        observed_from = np.floor(max(0.0, read_s - 0.025 - phase_s) / 0.1) * 0.1 + phase_s
        first = round(observed_from / _STEP_S)
        power_w = float(np.mean(case.power_w[first : first + 25])) * gain
        energy_j = _at(total, tick)
        card = GpuSample(0, power_w=power_w, energy_j=energy_j if counter else None)
        samples.append(Sample(round(read_s * 1e9), gpus=(card,)))
        read_s += _SAMPLE_S + abs(float(rng.normal(0, 0.0005)))
    return samples


def _capabilities(tick_s: float, *, counter: bool) -> list[Capability]:
    status: Any = "ok" if counter else "unsupported"
    return [
        Capability("nvml", "gpu_energy_j", "synthetic", "J", "gpu", "counter", status, update_period_s=tick_s),
        Capability("nvml", "gpu_power_w", "synthetic", "W", "gpu", "counter", "ok", update_period_s=0.1),
    ]


def _rivals(samples: list[Sample], case: Case, *, counter: bool) -> dict[str, float]:
    inside = [s for s in samples if case.start_s * 1e9 <= s.t_ns <= case.end_s * 1e9]
    figures = {}
    if counter and inside:
        figures["last_minus_first"] = (inside[-1].gpus[0].energy_j or 0.0) - (inside[0].gpus[0].energy_j or 0.0)
    powers = [s.gpus[0].power_w or 0.0 for s in inside]
    if powers:
        figures["power_times_time"] = float(np.mean(powers)) * (case.end_s - case.start_s)
    return figures


def _percentiles(errors: list[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(np.abs(errors), q)) * 100, 2) for q in (50, 90, 99)}


def trial(rng: np.random.Generator, shape: str, requests: int, *, counter: bool) -> dict[str, Any]:
    """Coverage and relative errors in percent of ``requests`` requests of one shape."""
    held, sharp, errors, widths = 0, 0, [], []
    rivals: dict[str, list[float]] = {}
    for _ in range(requests):
        case = _case(rng, SHAPES[shape])
        tick_s = float(rng.uniform(0.02, 0.1)) if counter else 0.1
        samples, rows = _samples(rng, case, tick_s, counter=counter), _capabilities(tick_s, counter=counter)
        t0_ns, t1_ns = round(case.start_s * 1e9), round(case.end_s * 1e9)
        baseline: IdleBaseline | None = idle_baseline(samples, round(0.5e9), round(_IDLE_S * 1e9), rows)
        result = request_energy(samples, t0_ns, t1_ns, rows, baseline=baseline)
        if result.energy_j is None or result.energy_low_j is None or result.energy_high_j is None:
            raise SystemExit(f"no energy for a synthetic request: {result.reason}")
        truth_j = case.truth_j()
        held += result.energy_low_j <= truth_j <= result.energy_high_j
        sharp += "not_resolvable" not in result.flags
        errors.append(result.energy_j / truth_j - 1)
        widths.append((result.energy_high_j - result.energy_low_j) / 2 / result.energy_j)
        for name, figure in _rivals(samples, case, counter=counter).items():
            rivals.setdefault(name, []).append(figure / truth_j - 1)
    return {
        "coverage": round(held / requests, 4),
        "resolvable": round(sharp / requests, 4),
        "half_width_percent_median": round(float(np.median(widths)) * 100, 2),
        "error_percent": _percentiles(errors),
        "reference_error_percent": {name: _percentiles(values) for name, values in rivals.items()},
    }


def main() -> None:
    """Prints the line; ends with 1 when a kind of trace misses the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400, help="requests of each kind")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    kinds = {
        f"{shape}_{'counter' if counter else 'duty25'}": trial(rng, shape, arguments.requests, counter=counter)
        for counter in (True, False)
        for shape in SHAPES
    }
    worst = min(kind["coverage"] for kind in kinds.values())
    print(json.dumps({"benchmark": "energy", "requests": arguments.requests, "worst_coverage": worst, "kinds": kinds}))
    raise SystemExit(0 if worst >= 0.90 else 1)


if __name__ == "__main__":
    main()
