"""Candidates, decision and gates that suit a table's size and balance.

The gates come from what a quick model reaches on the sample: nobody can know a good limit for a
table that nobody has modelled, and a limit of nothing would let anything pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tabular.candidates import Trial
from tabular.fitting import compare_candidates
from tabular.problem import Problem
from tabular.settings import Candidate, Search, Task

SMALL, LARGE = 2_000, 100_000  # rows: below, every candidate is cheap; above, few are
MAX_ONE_HOT = 2_000  # columns that a linear model is given
PROBE_ROWS = 8_000
# What is searched where each stands alone: within a blend the values that fit less closely.
BLENDED = {
    "ridge": {"alpha": 1.0},
    "lightgbm": {"num_leaves": 7},
    "random_forest": {"min_samples_leaf": 5},
}
MANY_FEATURES = 300
RARE_POSITIVE = 0.1
LATENCY_MS = 50
PROBE_METRIC: dict[Task, str] = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "r2"}


@dataclass(frozen=True)
class Size:
    """What candidates depend on; `n_wide` counts columns once categories are spread out."""

    n_rows: int
    n_features: int
    n_wide: int
    n_classes: int
    positive_share: float = 0.5


def search_of(task: Task, size: Size) -> dict[str, Any]:
    """How candidates are compared."""
    metric = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[task]
    if task == "binary" and size.positive_share < RARE_POSITIVE / 2:
        metric = "pr_auc"
    folds = 5 if size.n_rows < SMALL / 2 else 3
    return {"metric": metric, "folds": folds, "max_rows": 20_000}


def candidates_of(task: Task, size: Size) -> dict[str, Any]:
    """A simple model to beat, and boosted trees; on small tables a forest and a blend too."""
    found: dict[str, Any] = {}
    if size.n_wide <= MAX_ONE_HOT:
        found |= _linear(task, size)
    found["lightgbm"] = _lightgbm(size)
    if size.n_rows < SMALL and size.n_classes <= 20:
        found["random_forest"] = {
            "estimator": "random_forest",
            "params": {"n_estimators": 150, "max_depth": 12, "max_features": 0.5},
            "search": {"min_samples_leaf": [1, 5]},
            "n_trials": 2,
        }
    if size.n_rows < LARGE and size.n_classes <= 2 and size.n_features <= MANY_FEATURES:
        iterations = 300 if size.n_rows < SMALL else 500
        found["catboost"] = {
            "estimator": "catboost",
            "params": {"iterations": iterations, "learning_rate": 0.05, "depth": 5},
            "n_trials": 1,
        }
    if task == "regression" and size.n_rows < SMALL and size.n_wide <= MAX_ONE_HOT:
        found["blend"] = _blend(found)
    return found


def _blend(singles: Mapping[str, Any]) -> dict[str, Any]:
    """Line, boosted trees and forest, weighted by their answers to rows they were not fitted on.

    Where rows are few, no single one is the best on every table, nor on every part of one.
    """
    members = {
        name: {"estimator": name, "params": singles[name]["params"] | chosen}
        | {key: value for key, value in singles[name].items() if key == "scale"}
        for name, chosen in BLENDED.items()
    }
    final = {"estimator": "ridge", "params": {"alpha": 1.0}}
    return {"estimator": "stacking", "members": members, "final": final}


def _linear(task: Task, size: Size) -> dict[str, Any]:
    name = "ridge" if task == "regression" else "logistic_regression"
    params = {} if task == "regression" else {"max_iter": 300}
    strengths = {"alpha": [1.0, 100.0]} if task == "regression" else {"C": [0.02, 1.0]}
    linear: dict[str, Any] = {"estimator": name, "params": params, "scale": "standard"}
    if size.n_rows < LARGE:
        return {name: linear | {"search": strengths, "n_trials": 2}}
    return {name: linear | {"n_trials": 1}}


def _lightgbm(size: Size) -> dict[str, Any]:
    is_small = size.n_rows < SMALL
    params: dict[str, Any] = {
        "n_estimators": 150 if is_small else 300,
        "learning_rate": 0.05,
        "subsample": 0.8,
        "subsample_freq": 1,
        "colsample_bytree": 0.3 if size.n_features > MANY_FEATURES else 0.7,
        "min_child_samples": 5 if is_small else 20,
    }
    leaves = [7, 15] if is_small else [15, 63]
    return {
        "estimator": "lightgbm",
        "params": params,
        "search": {"num_leaves": leaves},
        "n_trials": 2,
    }


def decision_of(task: Task, size: Size, validation_share: float) -> dict[str, Any]:
    """What is fitted on validation rows, as far as there are enough of them."""
    if task == "regression":
        return {"interval_level": 0.9}
    if task == "multiclass":
        return {}
    n_positive = size.n_rows * validation_share * min(size.positive_share, 1 - size.positive_share)
    calibration = "sigmoid" if n_positive >= 30 else "none"
    return {"calibration": calibration, "threshold": {"aim": "f1"}}


def probe(rows: pd.DataFrame, draft: Problem) -> Trial:
    """What a quick model reaches by cross-validation on (n, k) typed rows: the best of two."""
    name = "ridge" if draft.task == "regression" else "logistic_regression"
    quick = {"lightgbm": Candidate(estimator="lightgbm", params={"n_estimators": 60})}
    if name in draft.candidates:
        quick[name] = draft.candidates[name].model_copy(update={"search": {}, "n_trials": 1})
    search = Search(metric=PROBE_METRIC[draft.task], folds=3, max_rows=PROBE_ROWS)
    return compare_candidates(
        rows, draft.model_copy(update={"candidates": quick, "search": search})
    ).trials[0]


def gates_of(task: Task, reached: Trial, size: Size, chance: float, n_test: int) -> list[Any]:
    """Limits that a model like the quick one holds, and one that has learned little does not.

    Args:
        task: What is predicted.
        reached: The quick model's score, and how it varied over the folds.
        size: Of the whole table.
        chance: What an answer without any model scores.
        n_test: Rows of the test part.
    """
    metric = PROBE_METRIC[task]
    value = reached.mean
    room = max(0.15 * (value - chance), 3 * _noise(task, value, size, n_test), 2 * reached.sd)
    limit = math.floor(max(value - room, min(chance, value)) * 100) / 100
    return [
        {"metric": metric, "min": limit},
        {"metric": "label_disagreement_share", "max": 0.01},
        {"metric": "latency_ms", "max": LATENCY_MS, "severity": "warn"},
    ]


def _noise(task: Task, value: float, size: Size, n_test: int) -> float:
    """The standard error of the metric on the test part, roughly."""
    if task == "regression":
        return 2 * (1 - min(max(value, 0.0), 1.0)) / math.sqrt(n_test)
    share = min(size.positive_share, 1 - size.positive_share) if task == "binary" else 1.0
    return math.sqrt(value * (1 - value) / max(n_test * share, 1))
