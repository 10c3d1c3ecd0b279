"""What resampling would have cost or gained, measured on few rows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sklearn.model_selection import train_test_split

from tabular.candidates import Trial, fit_with, pipeline_answer, with_params
from tabular.contract import Array, Feature, Frozen, Matrix
from tabular.errors import ConfigError
from tabular.estimators import RESAMPLERS, RESAMPLINGS, check_candidate
from tabular.problem import Problem
from tabular.search import binary_score


class ResamplingRow(Frozen):
    """What one way of resampling the training rows gives on untouched validation rows."""

    method: str
    f1: float
    pr_auc: float
    brier: float
    seconds: float


def measure_resampling(
    problem: Problem,
    trial: Trial,
    features: Sequence[Feature],
    X: Matrix,
    y: Array,
    X_val: Matrix,
    y_val: Array,
) -> tuple[ResamplingRow, ...]:
    """Fit the trial's candidate with every way of resampling, and score on untouched rows.

    Args:
        X: (n, k) training rows; at most `evaluation.resampling_rows` of them are used, stratified.
        X_val: (m, k) validation rows, never resampled. F1 is taken at its best threshold on them.

    Returns:
        A row for each method that the estimator takes; none where the task is not binary.
    """
    if problem.task != "binary":
        return ()
    if len(y) > (limit := problem.evaluation.resampling_rows):
        X, _, y, _ = train_test_split(X, y, train_size=limit, random_state=problem.seed, stratify=y)
    candidate = with_params(problem.candidates[trial.candidate], trial.params)
    place = list(problem.target.classes).index(problem.target.positive)
    rows = []
    for method in RESAMPLINGS:
        update = {"resample": method}
        if method in RESAMPLERS and candidate.impute == "none":
            update["impute"] = "median"
        tried = candidate.model_copy(update=update)
        try:
            check_candidate(trial.candidate, tried, problem.task)
        except ConfigError:
            continue  # this estimator takes no class weights
        started = time.perf_counter()
        fitted = fit_with(problem, tried, features, X, y)
        share = pipeline_answer(fitted, X_val, problem.task)[:, place]
        scores = {m: binary_score(m, y_val == place, share) for m in ("f1", "pr_auc", "brier")}
        rows.append(ResamplingRow(method=method, seconds=time.perf_counter() - started, **scores))
    return tuple(rows)
