"""The metrics of each task as functions of row weights.

A resample of n rows is n weights that sum to n, so that a bootstrap sorts the rows once and then
only draws weights. Agrees with scikit-learn's metrics under `sample_weight`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tabular.contract import Array
from tabular.decision import Decision, Floats
from tabular.settings import Evaluation

# n weights in the order of the rows -> value by metric; NaN where one is not defined.
Weigh = Callable[[Floats], dict[str, float]]

TINY = float(np.finfo(np.float64).eps)


def weigher(
    decision: Decision, calibrated: Floats, y: Array, config: Evaluation, *, only: str = ""
) -> Weigh:
    """The metrics of a task as a function of n row weights, all sorting done beforehand.

    Where `only` names a metric, those that would cost extra beside it are left out.
    """
    if decision.task == "binary" and only:
        part = _binary_ranks if only in ("roc_auc", "pr_auc") else _binary_sums
        return part(decision, calibrated, y)
    if decision.task == "binary":
        return _binary(decision, calibrated, y)
    if decision.task == "multiclass":
        return _multiclass(decision, calibrated, y)
    has_p95 = only in ("", "p95_error")
    return _regression(decision, calibrated[:, 0], y, config.extreme_error, has_p95=has_p95)


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else math.nan


def _sums(rows: Floats, weights: Floats) -> Floats:
    """`rows @ weights` in this thread: BLAS wakes its threads each time, five times the CPU."""
    return np.asarray(np.einsum("...j,j->...", rows, weights))


def _binary(decision: Decision, calibrated: Floats, y: Array) -> Weigh:
    ranks, sums = _binary_ranks(decision, calibrated, y), _binary_sums(decision, calibrated, y)
    return lambda weights: ranks(weights) | sums(weights)


def _binary_ranks(decision: Decision, calibrated: Floats, y: Array) -> Weigh:
    p = calibrated[:, decision.positive or 0]
    order = np.argsort(-p, kind="stable")
    p, positive = p[order], (y[order] == decision.positive).astype(np.float64)
    ends = tie_ends(p) if len(np.unique(p)) < len(p) else slice(None)

    def weigh(weights: Floats) -> dict[str, float]:
        weights = weights[order]
        tp, n_above = np.cumsum(weights * positive)[ends], np.cumsum(weights)[ends]
        n_positive, n = tp[-1], n_above[-1]
        new_tp, new_rows = np.diff(tp, prepend=0), np.diff(n_above, prepend=0)
        area = float(_sums(new_rows - new_tp, tp - new_tp / 2))
        gained = new_tp > 0
        precisions = float(_sums(new_tp[gained], tp[gained] / n_above[gained]))
        both = n_positive > 0 and n > n_positive
        return {
            "roc_auc": _ratio(area, n_positive * (n - n_positive)) if both else math.nan,
            "pr_auc": _ratio(precisions, n_positive),
        }

    return weigh


def _binary_sums(decision: Decision, calibrated: Floats, y: Array) -> Weigh:
    p = calibrated[:, decision.positive or 0]
    positive = (y == decision.positive).astype(np.float64)
    said = (decision.labels(calibrated) == decision.positive).astype(np.float64)
    per_row = np.stack(
        [
            said * positive,
            said,
            positive,
            said == positive,
            (p - positive) ** 2,
            log_loss(np.where(positive == 1, p, 1 - p)),
        ]
    ).astype(np.float64)

    def weigh(weights: Floats) -> dict[str, float]:
        n = weights.sum()
        hits, n_said, n_positive, right, squares, losses = _sums(per_row, weights)
        return {
            "f1": _ratio(2 * hits, n_said + n_positive),
            "precision": hits / n_said if n_said > 0 else 0.0,
            "recall": _ratio(hits, n_positive),
            "accuracy": _ratio(right, n),
            "brier": _ratio(squares, n),
            "log_loss": _ratio(losses, n),
        }

    return weigh


def _multiclass(decision: Decision, calibrated: Floats, y: Array) -> Weigh:
    n_classes = len(decision.classes)
    cells = y * n_classes + decision.labels(calibrated)
    losses = log_loss(calibrated[np.arange(len(y)), y])

    def weigh(weights: Floats) -> dict[str, float]:
        n = weights.sum()
        confusion = np.bincount(cells, weights, n_classes**2).reshape(n_classes, n_classes)
        hits, seen = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1)
        f1 = 2 * hits[seen > 0] / seen[seen > 0]
        return {
            "accuracy": _ratio(hits.sum(), n),
            "f1_macro": float(f1.mean()) if len(f1) else math.nan,
            "log_loss": _ratio(float(_sums(losses, weights)), n),
        }

    return weigh


def _regression(
    decision: Decision,
    predicted: Floats,
    y: Array,
    extreme_error: float | None,
    *,
    has_p95: bool,
) -> Weigh:
    errors, centred = np.abs(y - predicted), y - y.mean()
    order = np.argsort(errors, kind="stable")
    errors_in_order = errors[order]
    half_width = decision.interval_half_width
    per_row = np.stack(
        [
            errors,
            errors**2,
            centred,
            centred**2,
            errors <= (math.inf if half_width is None else half_width),
            errors > (math.inf if extreme_error is None else extreme_error),
        ]
    ).astype(np.float64)

    def weigh(weights: Floats) -> dict[str, float]:
        n = weights.sum()
        absolute, squares, first, second, covered, extreme = _sums(per_row, weights) / n
        metrics = {
            "mae": absolute,
            "rmse": math.sqrt(squares),
            "r2": 1 - squares / (second - first**2) if second - first**2 > TINY else math.nan,
        }
        if has_p95:
            at_95 = np.searchsorted(np.cumsum(weights[order]), 0.95 * n * (1 - TINY))
            metrics["p95_error"] = errors_in_order[at_95]
        if half_width is not None:
            metrics |= {"coverage": covered, "interval_width": 2 * half_width}
        if extreme_error is not None:
            metrics["extreme_error_share"] = extreme
        return metrics

    return weigh


def tie_ends(descending: Floats) -> npt.NDArray[np.intp]:
    """The last place of each run of equal values."""
    return np.append(np.flatnonzero(np.diff(descending)), len(descending) - 1)


def log_loss(p_true: Floats) -> Floats:
    return np.asarray(-np.log(np.clip(p_true, TINY, 1 - TINY)))
