"""Kept figures are those that the answers give, and are not used when the answers have moved on."""

from __future__ import annotations

import pandas as pd
import pytest

import db
from db import Store


@pytest.fixture
def kept(filled: Store) -> Store:
    with filled.write() as writer:
        db.keep_figures(writer)
    return filled


def test_kept_figures_are_those_of_the_answers(filled: Store) -> None:
    made = db.figures(filled)
    assert not made.empty
    assert not db.kept_figures(filled)
    with filled.write() as writer:
        db.keep_figures(writer)
    assert db.kept_figures(filled)
    pd.testing.assert_frame_equal(db.figures(filled), made)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM runs WHERE run_id = (SELECT min(run_id) FROM runs)",
        "UPDATE qualities SET quality = 0, scored_at = scored_at + INTERVAL 1 DAY",
        "UPDATE flag_effects SET effect = 'left_out' WHERE flag = 'client_lag'",
    ],
)
def test_after_a_change_they_are_made_from_the_answers(kept: Store, change: str) -> None:
    with kept.write() as writer:
        writer.execute(change)
    assert not db.kept_figures(kept)
    found = db.figures(kept)
    with kept.write() as writer:
        db.keep_figures(writer)
    pd.testing.assert_frame_equal(db.figures(kept), found)


def test_a_part_is_always_made_from_the_answers(kept: Store) -> None:
    with kept.write() as writer:
        writer.execute("UPDATE figures SET answers = -1")
    assert (db.figures(kept)["answers"] == -1).all()
    assert (db.figures(kept, load="short")["answers"] > 0).all()
