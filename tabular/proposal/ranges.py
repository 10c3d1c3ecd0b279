"""How far a column's numbers may go: as far again as they went, in round figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tabular.contract import Array

PLACEHOLDERS = (-9999, -999, -99, -9, -1, 99, 999, 9999, 99999, 999999)
MIN_PLACEHOLDER_SHARE = 0.01


def number_range(values: Array, weights: Array) -> dict[str, Any]:
    """Propose `min` and `max`, and `out_of_range: missing` where a number stands for "not known".

    Args:
        values: (m,) distinct numbers, NaN for what could not be read.
        weights: (m,) rows of each.
    """
    known = ~np.isnan(values)
    values, weights = values[known].astype(float), weights[known]
    inside = _without_placeholder(values, weights)
    low, high = float(inside.min()), float(inside.max())
    if len(values) == 2:  # a flag
        return {"min": _plain(low), "max": _plain(high)}
    room = max(high - low, abs(high), 1e-9) if low >= 0 else high - low
    keys: dict[str, Any] = {
        "min": 0 if low >= 0 else rounded(low - room, up=False),
        "max": rounded(high + room, up=True) if high > 0 or low >= 0 else 0,
    }
    if len(inside) < len(values):
        keys["min"] = (
            max(keys["min"], math.ceil(values.min() + 1)) if values.min() < low else keys["min"]
        )
        keys["max"] = (
            min(keys["max"], math.floor(values.max() - 1)) if values.max() > high else keys["max"]
        )
        keys["out_of_range"] = "missing"
    return keys


def _without_placeholder(values: Array, weights: Array) -> Array:
    """The numbers but -999 and the like: frequent, at one end, and far from the others."""
    if len(values) < 10:
        return values
    order = np.argsort(values)
    for end, rest in ((order[0], order[1:]), (order[-1], order[:-1])):
        others = values[rest]
        spread = float(np.ptp(others)) or 1.0
        gap = min(abs(values[end] - others.min()), abs(values[end] - others.max()))
        is_known = (
            values[end] in PLACEHOLDERS and weights[end] >= MIN_PLACEHOLDER_SHARE * weights.sum()
        )
        is_alone = gap > spread or (
            values[end] < 0 <= others.min() and (others.min() > 0 or spread > 20)
        )
        if is_known and is_alone:
            return others
    return values


def _plain(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def rounded(value: float, *, up: bool) -> int | float:
    """The next number of two digits, towards or away from minus infinity."""
    if value == 0:
        return 0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    number = (math.ceil if up else math.floor)(round(value / step, 6)) * step
    return round(number) if abs(number) >= 10 or number % 1 == 0 else float(f"{number:.2g}")
