"""The target's raw values: read, and refused by row where they are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tabular.contract import Array, Column, category_text
from tabular.errors import listed
from tabular.problem import Problem
from tabular.settings import Target
from tabular.tables.arrow_columns import raw_values

TARGET_MISSING = "target: missing"


def read_target(problem: Problem, values: pa.Array) -> tuple[Array, dict[int, str]]:
    """`parse_target` for an Arrow array, each distinct text once."""
    is_number = problem.task == "regression"
    raw = raw_values(Column(type="number" if is_number else "id"), values)
    parsed, broken = parse_target(problem, raw.distinct)
    rules = np.full(len(parsed), "", dtype=object)
    rules[list(broken)] = list(broken.values())
    by_row = raw.spread(rules)
    rows = np.flatnonzero(by_row.astype(bool)).tolist()
    return raw.spread(parsed), {row: by_row[row] for row in rows}


def parse_target(problem: Problem, values: Array) -> tuple[Array, dict[int, str]]:
    """Read n target values: float64 for regression, else the int64 place in `target.classes`.

    Returns:
        The values, 0 where there is none; and by row the rule that its value breaks.
    """
    parsed, broken = (_numbers if problem.task == "regression" else _places)(problem.target, values)
    is_missing = _missing(values, problem.contract.tokens(Column(type="number")))
    return parsed, broken | dict.fromkeys(np.flatnonzero(is_missing).tolist(), TARGET_MISSING)


def _missing(values: Array, tokens: frozenset[str]) -> npt.NDArray[np.bool_]:
    if values.dtype.kind in "iuf":
        return np.isnan(values) | np.isin(values, [_number(token) for token in tokens])
    return np.array(
        [
            value is None or value != value or str(value).strip().casefold() in tokens
            for value in values
        ],
        dtype=bool,
    )


def _numbers(target: Target, values: Array) -> tuple[Array, dict[int, str]]:
    is_numeric = values.dtype.kind in "iuf"
    numbers = (
        values.astype(np.float64)
        if is_numeric
        else np.array([_number(value, target.read_number) for value in values])
    )
    is_number = np.isfinite(numbers)
    low = -np.inf if target.min is None else target.min
    high = np.inf if target.max is None else target.max
    outside = is_number & ((numbers < low) | (numbers > high))
    broken = dict.fromkeys(np.flatnonzero(~is_number).tolist(), "target: number")
    broken |= dict.fromkeys(np.flatnonzero(outside).tolist(), f"target: {range_text(target)}")
    return np.where(is_number & ~outside, numbers, 0.0), broken


def _number(value: Any, read: Callable[[Any], float] = float) -> float:
    try:
        return read(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _places(target: Target, values: Array) -> tuple[Array, dict[int, str]]:
    place = {category_text(raw): i for i, raw in enumerate(target.classes.values())}
    rule = f"target: one of {listed(target.classes.values())}"
    texts = [category_text(value) for value in values]
    places = [place.get(target.aliases.get(text, text), -1) for text in texts]
    parsed = np.array(places, dtype=np.int64)
    broken = dict.fromkeys(np.flatnonzero(parsed < 0).tolist(), rule)
    return np.maximum(parsed, 0), broken


def range_text(limits: Target | Column) -> str:
    """The interval of `min` and `max`, as rules name it."""
    low = "-inf" if limits.min is None else f"{limits.min:g}"
    high = "inf" if limits.max is None else f"{limits.max:g}"
    return f"in [{low}, {high}]"
