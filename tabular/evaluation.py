"""Measure a bundle's answers on rows it has not seen: metrics, intervals, slices, curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from tabular.contract import MISSING, Array, Columns, Frozen
from tabular.decision import Decision, Floats
from tabular.metrics import Weigh, log_loss, tie_ends, weigher
from tabular.settings import Cost, Evaluation

Points = list[tuple[float, float]]

INTERVAL_LEVEL = 0.95
SHARES_OF_ROWS = frozenset({"accuracy", "coverage"})
MAX_POINTS = 100
MAX_RESIDUALS = 400
N_BINS = 10
N_HISTOGRAM_BINS = 40
# A numeric slice column with more distinct values than this is cut at its quartiles.
MAX_SLICES = 12


class Metric(Frozen):
    """A measured value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class SliceScore(Frozen):
    """The metrics of the rows where one column has one value (or lies in one range)."""

    column: str
    value: str
    n_rows: int
    metrics: dict[str, float]


class Scores(Frozen):
    """All that was measured. A metric that is not defined on the rows is left out."""

    metrics: dict[str, Metric]
    slices: tuple[SliceScore, ...]
    curves: dict[str, Points]


def evaluate(
    decision: Decision,
    answer: Array,
    y: Array,
    config: Evaluation,
    *,
    seed: int,
    slice_values: Mapping[str, Array],
    cost: Cost | None = None,
) -> Scores:
    """Measure calibrated answers against labels.

    Args:
        answer: (n, n_classes) or (n, 1) out of `decision.calibrate`.
        y: (n,) place in `decision.classes`, or the value.
        seed: Drives the bootstrap and the sample of residuals.
        slice_values: For each slice column n values, str or number.
        cost: What wrong answers cost, for the curve of the cost by threshold.
    """
    calibrated = np.asarray(answer, dtype=np.float64)
    weigh = weigher(decision, calibrated, y, config)
    slices = [
        SliceScore(
            column=column,
            value=value,
            n_rows=int(rows.sum()),
            metrics=_defined(
                weigher(decision, calibrated[rows], y[rows], config)(np.ones(int(rows.sum())))
            ),
        )
        for column, values in slice_values.items()
        for value, rows in slice_rows(values, config.min_slice_rows)
    ]
    return Scores(
        metrics=_with_intervals(weigh, len(y), config.bootstrap, seed),
        slices=tuple(slices),
        curves=_curves(decision, calibrated, y, seed, cost),
    )


def _with_intervals(weigh: Weigh, n_rows: int, n_resamples: int, seed: int) -> dict[str, Metric]:
    """Percentile bootstrap: a resample of n rows is n weights that sum to n."""
    values = _defined(weigh(np.ones(n_rows)))
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(n_resamples):
        for name, value in _defined(weigh(draw_weights(rng, n_rows))).items():
            if name in draws:
                draws[name].append(value)
    intervals = {name: with_interval(value, draws[name]) for name, value in values.items()}
    for name in SHARES_OF_ROWS.intersection(intervals):
        if intervals[name].low == intervals[name].high:
            intervals[name] = _wilson(intervals[name].value, n_rows)
    return intervals


def _wilson(share: float, n_rows: int) -> Metric:
    """Wilson's score interval (1927): resampling rows that are all right knows no doubt."""
    counted = binomtest(round(share * n_rows), n_rows)
    interval = counted.proportion_ci(INTERVAL_LEVEL, method="wilson")
    return Metric(value=share, low=float(interval.low), high=float(interval.high))


def draw_weights(rng: np.random.Generator, n_rows: int) -> Floats:
    """How often each of n rows stands in one resample of n rows: (n,), summing to n."""
    drawn = np.bincount(rng.integers(0, n_rows, n_rows), minlength=n_rows)
    return drawn.astype(np.float64)


def with_interval(value: float, draws: Sequence[float]) -> Metric:
    """A value between the 2.5 % and 97.5 % quantiles of its resampled values."""
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.quantile(draws or [value], [tail, 1 - tail])
    return Metric(value=value, low=float(low), high=float(high))


def _defined(metrics: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def slice_rows(values: Array, min_rows: int) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Name and rows (a mask) of each slice with at least `min_rows` rows, the largest first."""
    found: list[tuple[str, npt.NDArray[np.bool_]]] = []
    if values.dtype.kind in "OUS":
        found = [(str(v) if v != MISSING else "(missing)", values == v) for v in set(values)]
    else:
        number = values.astype(np.float64)
        known = number[~np.isnan(number)]
        distinct = np.unique(known)
        if len(distinct) <= MAX_SLICES:
            found = [(f"{v:g}", number == v) for v in distinct]
        else:
            cuts = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
            for low, high in pairwise(cuts):
                above = number >= low if low == cuts[0] else number > low
                found.append((f"{low:g} to {high:g}", above & (number <= high)))
        found.append(("(missing)", np.isnan(number)))
    kept = [(name, rows) for name, rows in found if rows.sum() >= min_rows]
    return sorted(kept, key=lambda one: (-int(one[1].sum()), one[0]))[:MAX_SLICES]


def _curves(
    decision: Decision, calibrated: Floats, y: Array, seed: int, cost: Cost | None
) -> dict[str, Points]:
    if decision.task == "regression":
        return _regression_curves(calibrated[:, 0], y, seed)
    if decision.task == "multiclass":
        return {
            "calibration": _calibration(
                calibrated.max(axis=1), (calibrated.argmax(axis=1) == y).astype(np.float64)
            )
        }
    p = calibrated[:, decision.positive or 0]
    positive = (y == decision.positive).astype(np.float64)
    order = np.argsort(-p, kind="stable")
    ends = tie_ends(p[order])
    tp = np.cumsum(positive[order])[ends]
    fp = np.cumsum(1 - positive[order])[ends]
    curves = {"calibration": _calibration(p, positive)}
    if tp[-1] > 0:
        recall = tp / tp[-1]
        curves["pr"] = _thinned(recall, tp / (tp + fp), recall)
    if tp[-1] > 0 and fp[-1] > 0:
        x, height = np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1])
        curves["roc"] = _thinned(x, height, x + height)
        curves |= _threshold_curves(p[order][ends], tp, fp, cost)
    return curves


def _threshold_curves(
    thresholds: Floats, tp: Floats, fp: Floats, cost: Cost | None
) -> dict[str, Points]:
    """What each threshold would give on these rows, and what it would cost by row if that is known.

    Args:
        thresholds: Falling; the last one calls every row positive.
        tp: Positive rows from there on.
        fp: The same of negative ones.
        cost: Of one wrong answer of each kind.
    """
    n_rows, n_positive = tp[-1] + fp[-1], tp[-1]
    by_threshold = {
        "threshold_precision": tp / (tp + fp),
        "threshold_recall": tp / n_positive,
        "threshold_f1": 2 * tp / (tp + fp + n_positive),
    }
    if cost is not None:
        wrong = cost.false_positive * fp + cost.false_negative * (n_positive - tp)
        by_threshold["threshold_cost"] = wrong / n_rows
    return {
        name: _thinned(thresholds, height, -thresholds) for name, height in by_threshold.items()
    }


def _thinned(x: Floats, height: Floats, along: Floats) -> Points:
    """At most 100 points of a curve, spread evenly along a rising number, both ends kept."""
    places = np.searchsorted(along, np.linspace(along[0], along[-1], MAX_POINTS))
    return _points(x[np.unique(places)], height[np.unique(places)])


def _points(x: Any, height: Any) -> Points:
    return [(round(float(a), 5), round(float(b), 5)) for a, b in zip(x, height, strict=True)]


def _calibration(p: Floats, happened: Floats) -> Points:
    """Mean probability and observed share in ten bins of equally many rows."""
    bins = [b for b in np.array_split(np.argsort(p, kind="stable"), N_BINS) if len(b)]
    return _points([p[b].mean() for b in bins], [happened[b].mean() for b in bins])


def _regression_curves(predicted: Floats, y: Array, seed: int) -> dict[str, Points]:
    """`residuals`: (predicted, actual) of a sample. `error_histogram`: (bin centre, rows)."""
    n_shown = min(len(y), MAX_RESIDUALS)
    shown = np.random.default_rng(seed).choice(len(y), n_shown, replace=False)
    counts, edges = np.histogram(y - predicted, bins=N_HISTOGRAM_BINS)
    return {
        "residuals": _points(predicted[shown], y[shown]),
        "error_histogram": _points((edges[:-1] + edges[1:]) / 2, counts),
    }


def permutation_importance(
    predict: Callable[[Columns], Array],
    columns: Columns,
    y: Array,
    decision: Decision,
    *,
    seed: int,
    n_rows: int = 3000,
) -> dict[str, float]:
    """How much worse the answer gets when one input column is shuffled.

    Args:
        predict: Typed columns to a calibrated answer.
        columns: Typed columns of the contract, n rows each; at most `n_rows` of them are read.

    Returns:
        For each column the rise of the log loss, or of the mean absolute error; largest first.
    """
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(y), min(len(y), n_rows), replace=False)
    columns, y = {name: values[rows] for name, values in columns.items()}, y[rows]

    def loss(of: Columns) -> float:
        answer = np.asarray(predict(of), dtype=np.float64)
        if decision.task == "regression":
            return float(np.abs(y - answer[:, 0]).mean())
        return float(log_loss(answer[np.arange(len(y)), y]).mean())

    before = loss(columns)
    rises = {
        name: loss({**columns, name: values[rng.permutation(len(y))]}) - before
        for name, values in columns.items()
    }
    return dict(sorted(rises.items(), key=lambda one: -one[1]))
