"""Candidate models: from the YAML to fitted pipelines.

A pipeline has the steps "prepare" (impute, scale, encode), "resample" (optional; training rows
only) and "estimate". Its input is the float32 matrix of `contract.encode`. Training only: the
serving image has none of these libraries.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline as PlainPipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

from tabular.contract import Array, Feature, Frozen, Matrix
from tabular.errors import DataError
from tabular.estimators import (
    ESTIMATORS,
    OTHER,
    RESAMPLERS,
    STACKING_FOLDS,
    estimator_class,
    is_stack,
    parts_of,
    settings,
)
from tabular.problem import Problem
from tabular.settings import Candidate, Task, Value

Answer = npt.NDArray[np.float64]


class Trial(Frozen):
    """One set of parameters, scored on the folds; `mean` and `sd` have the metric's own sign."""

    candidate: str
    params: dict[str, Value]
    mean: float
    sd: float
    seconds: float
    resample: str = "none"


def build_pipeline(
    candidate: Candidate, features: Sequence[Feature], *, task: Task, seed: int, n_threads: int = 2
) -> Any:
    """Build an unfitted pipeline.

    Args:
        candidate: Of a checked problem; its `search` is not read.
        features: The k columns of the model input, in order.
        seed: Drives every random choice.

    Returns:
        An imblearn Pipeline that takes float32 (n, k), as `contract.encode` writes it.
    """
    from imblearn.pipeline import Pipeline

    steps: list[tuple[str, Any]] = [("prepare", _prepare(candidate, features))]
    if candidate.resample in RESAMPLERS:
        from imblearn import combine

        resampler = getattr(combine, RESAMPLERS[candidate.resample])
        steps.append(("resample", resampler(random_state=seed)))
    inner = _ordered(candidate, features)
    return Pipeline([*steps, ("estimate", _estimator(candidate, inner, task, seed, n_threads))])


def _prepare(candidate: Candidate, features: Sequence[Feature]) -> ColumnTransformer:
    """Numbers first, then categories; where nothing is to be done the order is kept."""
    impute, scale, encode = settings(candidate)
    everything = list(range(len(features)))
    numbers = [i for i in everything if features[i].kind == "number"]
    categories = [i for i in everything if features[i].kind == "category"]
    scaler = {"robust": RobustScaler, "standard": StandardScaler}.get(scale)
    steps: list[tuple[str, Any]] = []
    if impute == "median":
        steps.append(("impute", SimpleImputer(strategy="median", keep_empty_features=True)))
    if scaler:
        steps.append(("scale", scaler()))
    if (not steps or not numbers) and (encode == "codes" or not categories):
        return ColumnTransformer([("all", "passthrough", everything)])
    parts: list[tuple[str, Any, list[int]]] = []
    if numbers:
        parts.append(("numbers", PlainPipeline(steps) if steps else "passthrough", numbers))
    if categories:
        onehot = OneHotEncoder(
            categories=[np.arange(len(features[i].categories) + 1.0) for i in categories],
            handle_unknown="ignore",
            sparse_output=False,
            dtype=np.float32,
        )
        parts.append(("categories", onehot if encode == "onehot" else "passthrough", categories))
    return ColumnTransformer(parts, sparse_threshold=0)


def _ordered(candidate: Candidate, features: Sequence[Feature]) -> list[Feature]:
    """The features as they leave `prepare` with codes: what the members of a stack read."""
    if settings(candidate)[0] == "none":
        return list(features)
    return sorted(features, key=lambda feature: feature.kind == "category")


def _estimator(
    candidate: Candidate, features: Sequence[Feature], task: Task, seed: int, n_threads: int
) -> Any:
    found = estimator_class(candidate.estimator, task)
    default = ESTIMATORS.get(candidate.estimator, OTHER)
    takes = inspect.signature(found.__init__).parameters
    params: dict[str, Any] = dict(default.params)
    if default.seed in takes or candidate.estimator == "lightgbm":
        params[default.seed] = seed
    if default.threads:
        params[default.threads] = n_threads
    if candidate.resample == "class_weight":
        params[default.class_weight[0]] = default.class_weight[1]
    if is_stack(candidate):
        params |= _stack(candidate, features, task, seed, n_threads)
    return found(**{**params, **candidate.params})


def _stack(
    candidate: Candidate, features: Sequence[Feature], task: Task, seed: int, n_threads: int
) -> dict[str, Any]:
    members = []
    for name, member in candidate.members.items():
        estimator = _estimator(member, _ordered(member, features), task, seed, n_threads)
        whole = PlainPipeline([("prepare", _prepare(member, features)), ("estimate", estimator)])
        members.append((name, whole))
    folds = (KFold if task == "regression" else StratifiedKFold)(
        STACKING_FOLDS, shuffle=True, random_state=seed
    )
    final = _estimator(parts_of(candidate)["final"], (), task, seed, n_threads)
    stack: dict[str, Any] = {"estimators": members, "final_estimator": final, "cv": folds}
    return stack if task == "regression" else {**stack, "stack_method": "predict_proba"}


def pipeline_answer(pipeline: Any, X: Matrix, task: Task) -> Answer:
    """Probabilities (n, n_classes) in class order, or values (n, 1), as the pipeline gives them."""
    if task == "regression":
        return np.asarray(pipeline.predict(X), dtype=np.float64).reshape(-1, 1)
    return np.asarray(pipeline.predict_proba(X), dtype=np.float64)


def with_params(candidate: Candidate, params: Mapping[str, Value]) -> Candidate:
    """Return the candidate with parameters set and nothing left to search."""
    own = {key: value for key, value in params.items() if "." not in key}
    changed: dict[str, Any] = {"params": {**candidate.params, **own}, "search": {}}
    inner = {
        part: with_params(
            held,
            {k.partition(".")[2]: v for k, v in params.items() if k.partition(".")[0] == part},
        )
        for part, held in parts_of(candidate).items()
    }
    if inner:
        changed |= {"final": inner["final"], "members": {k: inner[k] for k in candidate.members}}
    return candidate.model_copy(update=changed)


def fit_pipeline(
    problem: Problem, trial: Trial, features: Sequence[Feature], X: Matrix, y: Array
) -> Any:
    """Fit the trial's candidate on all n rows.

    Raises:
        DataError: A class has no row.
    """
    chosen = with_params(problem.candidates[trial.candidate], trial.params)
    return fit_with(problem, chosen, features, X, y)


def prepared_pipeline(
    problem: Problem, trial: Trial, features: Sequence[Feature], X: Matrix
) -> Any:
    """The trial's pipeline with "prepare" fitted on n rows, and "estimate" not fitted."""
    chosen = with_params(problem.candidates[trial.candidate], trial.params)
    pipeline = build_pipeline(chosen, features, task=problem.task, seed=problem.seed)
    pipeline[:-1].fit(X)
    return pipeline


def fit_with(
    problem: Problem, candidate: Candidate, features: Sequence[Feature], X: Matrix, y: Array
) -> Any:
    absent = [name for place, name in enumerate(problem.target.classes) if not (y == place).any()]
    if absent:
        raise DataError(
            f"{problem.name}: class '{absent[0]}' has no row among {len(y)} training rows; take "
            "fewer search.folds, split.kind stratified, or more data."
        )
    pipeline = build_pipeline(candidate, features, task=problem.task, seed=problem.seed)
    return pipeline.fit(X, y)
