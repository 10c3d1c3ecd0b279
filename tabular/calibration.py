"""Fit the decision on the validation part: calibration, threshold, conformal interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from tabular.contract import Array
from tabular.decision import Decision, Floats, log_odds
from tabular.errors import DataError
from tabular.problem import Problem
from tabular.settings import Threshold


def fit_decision(problem: Problem, raw_answer: Array, y: Array) -> Decision:
    """Fit what follows the graph, on rows that neither training nor test has seen.

    Args:
        raw_answer: (n, n_classes) probabilities or (n, 1) values of the validation rows.
        y: (n,) place in `target.classes`, or the value.

    Raises:
        DataError: The validation part has one class only, or too few rows for the interval.
    """
    classes = tuple(problem.target.classes)
    if problem.task == "multiclass":
        return Decision(task="multiclass", classes=classes)
    if problem.task == "regression":
        level = problem.decision.interval_level
        return Decision(
            task="regression",
            unit=problem.target.unit,
            interval_level=level,
            interval_half_width=_half_width(problem, np.abs(y - raw_answer[:, 0]), level),
        )
    positive = classes.index(problem.target.positive)
    happened = np.asarray(y == positive, dtype=np.int64)
    if happened.min() == happened.max():
        raise DataError(
            f"{problem.name}: the {len(y)} validation rows have one class only, both are needed to "
            "fit the decision; raise split.validation_share or use split.kind stratified."
        )
    p = np.asarray(raw_answer[:, positive], dtype=np.float64)
    uncut = Decision(
        task="binary",
        classes=classes,
        positive=positive,
        threshold=0.5,
        **_calibration(problem.decision.calibration, p, happened),
    )
    calibrated = uncut.calibrate(raw_answer)[:, positive]
    # What calibrated probabilities expect varies less than what happened on the few rows near the
    # best threshold: over 8 other splits of network_security it gained .0032 F1 for LightGBM.
    is_calibrated = problem.decision.calibration != "none"
    outcomes = calibrated if is_calibrated else happened.astype(np.float64)
    cut = fit_threshold(problem.decision.threshold, calibrated, outcomes)
    return Decision.model_validate({**uncut.model_dump(), "threshold": cut})


def _calibration(kind: str, p: Floats, happened: npt.NDArray[np.int64]) -> dict[str, Any]:
    if kind == "sigmoid":
        fitted = LogisticRegression(C=math.inf).fit(log_odds(p)[:, None], happened)
        return {
            "calibration": kind,
            "slope": float(fitted.coef_[0, 0]),
            "intercept": float(fitted.intercept_[0]),
        }
    if kind == "isotonic":
        # No finite sample proves certainty: a 0 or 1 would make one surprise infinitely costly.
        floor = 1 / (len(p) + 1)
        fitted = IsotonicRegression(y_min=floor, y_max=1 - floor).fit(p, happened)
        return {
            "calibration": kind,
            "knots_x": tuple(fitted.X_thresholds_.tolist()),
            "knots_y": tuple(fitted.y_thresholds_.tolist()),
        }
    return {}


def fit_threshold(aim: Threshold, p: Floats, outcomes: Floats) -> float:
    """The threshold that serves the aim best on n rows.

    It lies midway between two neighbouring probabilities, so that rounding moves no row across.

    Args:
        aim: f1: the highest F1. cost: the lowest total cost. top_share: as near as ties allow to
            that share of the rows said to be positive.
        p: (n,) calibrated probability of the positive class.
        outcomes: (n,) 1 where the row is positive, else 0; or `p` again for the expected outcomes.
    """
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    values = p[order][ends]
    cuts = (values + np.append(values[1:], 0)) / 2
    n_said, hits, n_positive = ends + 1, np.cumsum(outcomes[order])[ends], outcomes.sum()
    if aim.cost is not None:
        wrong = aim.cost.false_positive * (n_said - hits)
        worth = -wrong - aim.cost.false_negative * (n_positive - hits)
        if worth.max() < -aim.cost.false_negative * n_positive:
            return float(np.nextafter((1 + values[0]) / 2, 2))
    elif aim.share is not None:
        worth = -np.abs(n_said / len(p) - aim.share)
    else:
        worth = 2 * hits / (n_said + n_positive)
    return float(cuts[worth.argmax()])


def _half_width(problem: Problem, errors: Floats, level: float) -> float:
    """Split conformal (Vovk 2005; Lei et al. 2018): the ceil((n + 1) * level)-th smallest error.

    Covers a new exchangeable row with a probability of at least `level`.
    """
    n = len(errors)
    place = math.ceil(round((n + 1) * level, 9))
    if place > n:
        raise DataError(
            f"{problem.name}: decision.interval_level {level:g} needs at least "
            f"{math.ceil(round(level / (1 - level), 9))} validation rows, got {n}; "
            "raise split.validation_share or lower the level."
        )
    return float(np.partition(errors, place - 1)[place - 1])
