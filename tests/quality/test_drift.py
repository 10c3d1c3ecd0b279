"""Shifts that are planted in real tables are named, and the tables' own movement alarms nobody."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quality import planted_shifts
from tests.quality.planted_shifts import DATA, FILES, WINDOW_ROWS, is_named, planted_in, watched

# `python -m benchmarks.monitor` plants each shift 20 times, in all four tables.
SEEDS = (0, 1, 2)
STRIDE = 2_000

pytestmark = pytest.mark.quality


def real(name: str, *, in_order: bool = False) -> planted_shifts.Watched:
    file = FILES[name]
    if file and not (DATA / file).exists():
        pytest.skip(f"{DATA / file} is not there; set BENTOLINE_DATA to the public tables' folder")
    return watched(name, in_order=in_order)


@pytest.mark.parametrize("name", ["food_delivery", "iris"])
def test_planted_shifts_are_named(name: str) -> None:
    table = real(name)
    for planted in planted_in(name):
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            drift = table.look(planted.plant(table.draw(rng), rng))
            assert is_named(planted, drift), (planted.kind, planted.columns, seed)


@pytest.mark.parametrize("in_order", [False, True])
def test_windows_in_order_of_time_alarm_nobody(in_order: bool) -> None:
    table = real("food_delivery", in_order=in_order)
    problem = table.problem
    rows = table.fresh if in_order else planted_shifts.in_time_order(table.whole, problem)
    starts = range(0, len(rows) - WINDOW_ROWS + 1, STRIDE)
    looks = [table.look(rows.iloc[start : start + WINDOW_ROWS]) for start in starts]
    alarmed = [look.alarms for look in looks if look.alarms]
    assert len(looks) >= 10
    assert alarmed == []
