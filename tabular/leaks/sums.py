"""Find the few number columns of which the target is a weighted sum, or a product of powers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tabular.contract import Array
from tabular.leaks.measures import Inspected, TargetValues

SUM_R2 = 0.999  # rounding of the parts to whole units may cost so much, noise of nature costs more
MIN_ROWS = 40
ROWS_PER_COLUMN = 5


@dataclass(frozen=True)
class WeightedSum:
    """The columns, their weights in the columns' own units, and R2 on rows not fitted on."""

    columns: tuple[str, ...]
    weights: tuple[float, ...]
    r2: float
    is_product: bool = False


def find_sum(columns: Sequence[Inspected], target: TargetValues) -> WeightedSum | None:
    """The smallest sum found by least squares that gives the target, or None.

    For classes the indicator of one class is tried after the other. For numbers above 0 the same is
    tried on logarithms, which finds products and ratios. Needs two columns at least: one alone is
    for other rules.
    """
    names, numbers, rows = _complete(columns)
    if len(names) < 2:
        return None
    responses = target.matrix.T[1:] if target.matrix.shape[1] == 2 else target.matrix.T
    if target.task == "regression":
        responses = target.y[None, :]
    for response in responses:
        if found := _fitted_sum(names, numbers, response[rows]):
            return found
    positive: Array = np.all(numbers > 0, axis=0)
    if target.task != "regression" or positive.sum() < 2 or not (target.y[rows] > 0).all():
        return None
    kept = [name for place, name in enumerate(names) if positive[place]]
    found = _fitted_sum(kept, np.log(numbers[:, positive]), np.log(target.y[rows]))
    return found and WeightedSum(found.columns, found.weights, found.r2, is_product=True)


def _complete(columns: Sequence[Inspected]) -> tuple[list[str], Array, Array]:
    """Numbers without gaps: the fullest columns, as many as leave half of the rows."""
    numeric = sorted(
        ((c.name, c.numbers) for c in columns if c.numbers is not None and c.n_distinct > 1),
        key=lambda pair: int(np.isnan(pair[1]).sum()),
    )
    names: list[str] = []
    rows = np.ones(len(numeric[0][1]) if numeric else 0, dtype=bool)
    for name, numbers in numeric:
        if (rows & ~np.isnan(numbers)).sum() * 2 < len(rows):
            break
        rows &= ~np.isnan(numbers)
        names.append(name)
    values = [numbers[rows] for _, numbers in numeric[: len(names)]]
    return names, np.column_stack(values) if values else np.empty((0, 0)), rows


def _fitted_sum(names: Sequence[str], numbers: Array, response: Array) -> WeightedSum | None:
    """Fit on every other row; drop what is not needed; score on the rows between."""
    spread = numbers.std(axis=0)
    usable: Array = spread > 0
    names = [name for place, name in enumerate(names) if usable[place]]
    n, k = len(response), len(names)
    if k < 2 or n < max(MIN_ROWS, 2 * ROWS_PER_COLUMN * k) or response.std() == 0:
        return None
    scaled = (numbers[:, usable] - numbers[:, usable].mean(axis=0)) / spread[usable]
    centred = response - response.mean()
    if _r2(scaled, centred, list(range(k)))[0] < SUM_R2:
        return None
    kept = _needed(scaled[::2], centred[::2])
    r2, weights = _r2(scaled, centred, kept)
    if r2 < SUM_R2 or len(kept) < 2:
        return None
    own_units = weights / spread[usable][kept]
    return WeightedSum(tuple(names[i] for i in kept), tuple(map(float, own_units)), r2)


def _r2(scaled: Array, centred: Array, kept: list[int]) -> tuple[float, Array]:
    """R2 on odd rows of a least-squares fit on even rows, and the weights."""
    weights = np.linalg.lstsq(scaled[::2][:, kept], centred[::2], rcond=None)[0]
    residual = centred[1::2] - scaled[1::2][:, kept] @ weights
    return 1 - float(residual @ residual) / float(centred[1::2] @ centred[1::2]), weights


def _needed(scaled: Array, centred: Array) -> list[int]:
    """Try to leave each column out, the lightest first; keep those without which the sum breaks."""
    gram, products, total = scaled.T @ scaled, scaled.T @ centred, float(centred @ centred)

    def explained(some: list[int]) -> float:
        weights = np.linalg.lstsq(gram[np.ix_(some, some)], products[some], rcond=None)[0]
        return float(weights @ products[some]) / total

    weights = np.linalg.lstsq(gram, products, rcond=None)[0]
    kept = list(range(len(weights)))
    for place in map(int, np.argsort(np.abs(weights), kind="stable")):
        rest = [i for i in kept if i != place]
        if rest and explained(rest) >= SUM_R2:
            kept = rest
    return kept
