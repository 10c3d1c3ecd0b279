"""What moved an answer: Shapley values of one record against the bundle's reference row.

The reference row holds each column's median, or its most frequent category, of the training rows.
A column's contribution is the mean change of the answer when its value joins those of the columns
before it, over sampled orders of the columns: Castro, Gomez and Tejada, "Polynomial calculation of
the Shapley value based on sampling", 2009; each order is used forwards and backwards. Along any
order the changes sum to the answer minus the reference row's, and so do their means.
Needs numpy and onnxruntime only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabular.contract import MISSING, Array, Column
from tabular.predictor import Predictor
from tabular.records import dtype_of

MAX_ROWS = 4_096  # mixed rows that one explanation may ask of the graph
SEED = 0


@dataclass(frozen=True)
class Explanation:
    """`contributions` by input column sum to `answer - reference_answer`.

    The answer is the calibrated probability of class `label`, or the value where there are no
    classes.
    """

    label: str
    answer: float
    reference_answer: float
    contributions: dict[str, float]


def reference_row(predictor: Predictor) -> dict[str, Any]:
    """The typed value of each input column of the reference row."""
    profile = predictor.bundle.read_json("reference.json")["columns"]
    inputs = predictor.contract.inputs()
    return {name: _usual(profile[name], column) for name, column in inputs.items()}


def _usual(profile: Mapping[str, Any], column: Column) -> str | float:
    if column.type == "category":
        shares: dict[str, float] = profile["shares"]
        return max(shares, key=shares.__getitem__, default=MISSING)
    grid: list[float] = profile["quantiles"]
    return grid[len(grid) // 2] if grid else float("nan")


def explain(
    predictor: Predictor, columns: Mapping[str, Array], reference: Mapping[str, Any]
) -> Explanation:
    """Explain the answer to one row.

    Args:
        predictor: Its bundle answers.
        columns: The row's typed input columns, of one value each.
        reference: As `reference_row` gives it.
    """
    names = list(columns)
    orders = _orders(len(names))
    has_joined = _coalitions(orders)
    mixed = {
        name: _mixed(columns[name][0], reference[name], has_joined[:, place], predictor, name)
        for place, name in enumerate(names)
    }
    answers = predictor.decision.calibrate(predictor.answer(mixed))
    # Row 0 of each order is the reference row, its last row the record itself.
    label = int(predictor.decision.labels(answers[-1:])[0]) if predictor.decision.classes else 0
    steps = answers[:, label].reshape(len(orders), len(names) + 1)
    changes = np.empty((len(orders), len(names)))
    np.put_along_axis(changes, orders, np.diff(steps, axis=1), axis=1)
    means = changes.mean(axis=0)
    return Explanation(
        label=predictor.decision.classes[label] if predictor.decision.classes else "",
        answer=float(steps[0, -1]),
        reference_answer=float(steps[0, 0]),
        contributions=dict(zip(names, means.tolist(), strict=True)),
    )


def _orders(n_columns: int) -> Array:
    """(m, n_columns) orders of the columns, each followed by its reverse."""
    n_pairs = max(1, MAX_ROWS // (2 * (n_columns + 1)))
    rng = np.random.default_rng(SEED)
    forwards = np.array([rng.permutation(n_columns) for _ in range(min(n_pairs, 64))])
    return np.stack([forwards, forwards[:, ::-1]], axis=1).reshape(-1, n_columns)


def _coalitions(orders: Array) -> Array:
    """(m * (k + 1), k) bool: which of k columns have joined, after 0 to k steps of each order."""
    n_columns = orders.shape[1]
    joins_at = np.argsort(orders, axis=1)
    steps = np.arange(n_columns + 1)[None, :, None]
    joined: Array = joins_at[:, None, :] < steps
    return joined.reshape(-1, n_columns)


def _mixed(value: Any, usual: Any, has_joined: Array, predictor: Predictor, name: str) -> Array:
    dtype = dtype_of(predictor.contract.columns[name].type)
    pair = np.array([usual, value], dtype=dtype)
    return pair[has_joined.astype(np.intp)]
