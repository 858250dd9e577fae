"""Questions of the advisor: what each configuration takes, what loading costs, and what to run under given wishes."""

from __future__ import annotations

import pandas as pd

import rating
from db import Store, effect_of, reader

__all__ = ["advice", "loading", "needs"]


def needs(store: Store, cohort: str) -> pd.DataFrame:
    """What a configuration takes: ``configuration vram_bytes memory_bytes total_s``, None where it was not measured.

    Most GPU memory and most resident memory of any answer that counts, and the median seconds of a whole answer.
    """
    return store.query(
        """
SELECT configuration, max(vram_bytes_max) AS vram_bytes, max(memory_bytes_max) AS memory_bytes, median(total_s) AS total_s
FROM v_runs_valid WHERE cohort = ? GROUP BY configuration ORDER BY configuration
""",
        [cohort],
    )


def loading(store: Store, cohort: str) -> pd.DataFrame:
    """Loads without a fault: ``configuration loads load_s energy_j holding_power_w estimated``, medians, joules net of idle.

    ``energy_j`` and ``holding_power_w`` are None where no sensor or no idle power without the model gave one.
    """
    return store.query(
        """
SELECT configuration, count(*) AS loads, median(load_s) AS load_s, median(energy_net_j) AS energy_j,
    median(holding_power_w) AS holding_power_w, bool_or(energy_tier = 'estimated') AS estimated
FROM v_model_loads WHERE cohort = ? AND cause <> 'fault' GROUP BY configuration ORDER BY configuration
""",
        [cohort],
    )


def advice(
    store: Store, cohort: str, weights: tuple[tuple[str, float], ...], min_quality: float | None,
    max_vram_bytes: float | None, max_latency_s: float | None, price_per_kwh: float | None,
) -> rating.Advice:  # fmt: skip
    """What to run (``rating.advise``); limits of None do not limit.

    Raises:
        RatingError: no weight is above 0.
    """
    columns = rating.columns_of(reader.answers_for_rating(store))
    measurements = rating.measurements_of(columns, effect_of, rating.default_scheme().min_items).measurements
    known = needs(store, cohort)
    resources = {
        str(row.configuration): rating.Resources(_known(row.vram_bytes), _known(row.total_s))
        for row in known.itertuples()
    }
    wish = rating.Wish(dict(weights), min_quality, max_vram_bytes, max_latency_s, price_per_kwh)
    return rating.advise(measurements, cohort, wish, resources)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
