"""The estimators that a YAML may name, and what is refused before anything is fitted."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Any

from tabular.errors import ConfigError, did_you_mean
from tabular.settings import Candidate, Task, Value

STACKING_FOLDS = 5
RESAMPLERS = {"smote_tomek": "SMOTETomek", "smote_enn": "SMOTEENN"}
RESAMPLINGS = ("none", "class_weight", *RESAMPLERS)


@dataclass(frozen=True)
class Estimator:
    """A short name: its classes, the parameters that we set, and how its input is prepared."""

    classifier: str = ""
    regressor: str = ""
    params: tuple[tuple[str, Value], ...] = ()
    seed: str = "random_state"
    threads: str = ""
    impute: str = "none"
    scale: str = "none"
    encode: str = "codes"
    class_weight: tuple[str, str] = ("class_weight", "balanced")


ESTIMATORS: dict[str, Estimator] = {
    "logistic_regression": Estimator(
        classifier="sklearn.linear_model.LogisticRegression",
        params=(("max_iter", 1000),),
        impute="median",
        scale="robust",
        encode="onehot",
    ),
    "ridge": Estimator(
        regressor="sklearn.linear_model.Ridge", impute="median", scale="robust", encode="onehot"
    ),
    "decision_tree": Estimator(
        classifier="sklearn.tree.DecisionTreeClassifier",
        regressor="sklearn.tree.DecisionTreeRegressor",
        params=(("max_depth", 8),),
        impute="median",
    ),
    # Full trees give a graph of 30 MB and 326 MB in each worker; a depth of 12 gives 11 and 147.
    "random_forest": Estimator(
        classifier="sklearn.ensemble.RandomForestClassifier",
        regressor="sklearn.ensemble.RandomForestRegressor",
        params=(("n_estimators", 200), ("max_depth", 12)),
        threads="n_jobs",
        impute="median",
    ),
    "hist_gradient_boosting": Estimator(
        classifier="sklearn.ensemble.HistGradientBoostingClassifier",
        regressor="sklearn.ensemble.HistGradientBoostingRegressor",
    ),
    "lightgbm": Estimator(
        classifier="lightgbm.LGBMClassifier",
        regressor="lightgbm.LGBMRegressor",
        params=(("deterministic", True), ("force_row_wise", True), ("verbose", -1)),
        threads="num_threads",
    ),
    "catboost": Estimator(
        classifier="catboost.CatBoostClassifier",
        regressor="catboost.CatBoostRegressor",
        params=(("verbose", 0), ("allow_writing_files", False)),
        seed="random_seed",
        threads="thread_count",
        class_weight=("auto_class_weights", "Balanced"),
    ),
    "stacking": Estimator(
        classifier="sklearn.ensemble.StackingClassifier",
        regressor="sklearn.ensemble.StackingRegressor",
        class_weight=("", ""),
    ),
}
# Any other class below `sklearn.` gets what most of them need.
OTHER = Estimator(impute="median", scale="robust", encode="onehot")
# Parameters with which a graph is made without an error and answers wrongly, or not at all.
NOT_EXPORTED = {
    "hist_gradient_boosting": ("categorical_features",),
    "catboost": ("cat_features", "text_features", "embedding_features", "nan_mode"),
    "lightgbm": ("categorical_feature", "linear_tree"),
}
# Measured: a forest fitted with missing values differs from its graph in 18 % of such rows.
NEED_IMPUTE = ("random_forest", "decision_tree")
CLASSES_NOT_EXPORTED = (
    "TunedThresholdClassifierCV",
    "FixedThresholdClassifier",
    "TransformedTargetRegressor",
    "CalibratedClassifierCV",
)


def estimator_class(name: str, task: Task) -> type[Any]:
    """Import the class behind a short name or a path below `sklearn.`.

    Raises:
        ConfigError: No such estimator, or it does not do the task.
    """
    known = ESTIMATORS.get(name)
    kind = "regressor" if task == "regression" else "classifier"
    path = getattr(known, kind) if known else name
    if not path:
        raise ConfigError(f"estimator '{name}' is no {kind}; task {task} needs one.")
    if known is None and not name.startswith("sklearn."):
        raise ConfigError(
            f"estimator '{name}' is not known{did_you_mean(name, list(ESTIMATORS))}; "
            f"there are {', '.join(ESTIMATORS)}, and the classes below sklearn."
        )
    module, _, attribute = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"estimator '{name}' cannot be imported: {error}.") from error
    if known is None:
        _check_kind(found, name, task, kind)
    checked: type[Any] = found
    return checked


def _check_kind(found: Any, name: str, task: Task, kind: str) -> None:
    if found.__name__ in CLASSES_NOT_EXPORTED:
        raise ConfigError(
            f"estimator '{name}' does not become a correct graph; name the estimator inside it, "
            "and use decision.calibration and decision.threshold."
        )
    wanted = "RegressorMixin" if task == "regression" else "ClassifierMixin"
    bases = [base.__name__ for base in getattr(found, "__mro__", ())]
    if wanted not in bases or (task != "regression" and not hasattr(found, "predict_proba")):
        raise ConfigError(
            f"estimator '{name}' is no {kind} with "
            f"{'predict' if task == 'regression' else 'predict_proba'}; task {task} needs one."
        )


def is_stack(candidate: Candidate) -> bool:
    return candidate.estimator == "stacking"


def parts_of(candidate: Candidate) -> dict[str, Candidate]:
    """Members of a stack by name, and "final"; empty for any other candidate."""
    final = {} if candidate.final is None else {"final": candidate.final}
    return {**candidate.members, **final}


def settings(candidate: Candidate) -> tuple[str, str, str]:
    """How the input is imputed, scaled and encoded: the candidate's own word or the default's."""
    default = ESTIMATORS.get(candidate.estimator, OTHER)
    impute = "median" if candidate.resample in RESAMPLERS else default.impute  # SMOTE takes no NaN
    return (
        candidate.impute or impute,
        candidate.scale or default.scale,
        candidate.encode or default.encode,
    )


def check_candidate(name: str, candidate: Candidate, task: Task) -> None:
    """Refuse what is known not to work or not to become a correct graph, before any row is read.

    Raises:
        ConfigError: Unknown estimator or parameter, resampling without classes, a scaler before
            hist_gradient_boosting, a parameter or estimator that ONNX has no exact form for.
    """
    where = f"candidates.{name}"
    try:
        found = estimator_class(candidate.estimator, task)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    impute, scale, encode = settings(candidate)
    if task == "regression" and candidate.resample != "none":
        raise ConfigError(
            f"{where}.resample '{candidate.resample}' needs classes, but the task is regression; "
            "write none."
        )
    if impute == "none" and candidate.estimator in NEED_IMPUTE:
        raise ConfigError(
            f"{where}.impute must be median for {candidate.estimator}, got none: its graph "
            "would send missing values down the wrong branch."
        )
    if candidate.resample in RESAMPLERS and impute == "none":
        raise ConfigError(f"{where}: resample {candidate.resample} needs impute median, got none.")
    if candidate.resample == "class_weight":
        _check_class_weight(where, candidate, found)
    if candidate.estimator == "hist_gradient_boosting" and scale != "none":
        raise ConfigError(
            f"{where}.scale must be none for hist_gradient_boosting, got {scale}: trees need no "
            "scale, and the graph would answer up to .17 otherwise than the model."
        )
    if is_stack(candidate) and (scale, encode) != ("none", "codes"):
        raise ConfigError(
            f"{where}: scale and encode belong to the members of a stack, got {scale} and "
            f"{encode}; move them there."
        )
    _check_params(where, candidate, found)
    for part, inner in parts_of(candidate).items():
        _check_part(f"{where}.{part}", part, inner)
        check_candidate(f"{name}.{part}", inner, task)


def _check_class_weight(where: str, candidate: Candidate, found: type[Any]) -> None:
    key, _ = ESTIMATORS.get(candidate.estimator, OTHER).class_weight
    takes = inspect.signature(found.__init__).parameters
    if not key or key not in takes:
        raise ConfigError(
            f"{where}.resample class_weight: {candidate.estimator} takes no class weights; write "
            "none, or set it on the members of a stack."
        )


def _check_params(where: str, candidate: Candidate, found: type[Any]) -> None:
    signature = inspect.signature(found.__init__).parameters
    is_open = any(p.kind is p.VAR_KEYWORD for p in signature.values())
    allowed = [key for key in signature if key != "self"]
    for place, key in [("params", k) for k in candidate.params] + [
        ("search", k) for k in candidate.search
    ]:
        if key in NOT_EXPORTED.get(candidate.estimator, ()):
            raise ConfigError(
                f"{where}.{place}.{key} has no exact form in ONNX; leave it out (categories are "
                "numbers here)."
            )
        if key not in allowed and not is_open:
            raise ConfigError(
                f"{where}.{place}.{key} is no parameter of {candidate.estimator}"
                f"{did_you_mean(key, allowed)}; it takes {', '.join(allowed)}."
            )


def _check_part(where: str, part: str, inner: Candidate) -> None:
    if inner.resample in RESAMPLERS:
        raise ConfigError(
            f"{where}.resample must be none or class_weight, got {inner.resample}; resample in the "
            "stack itself."
        )
    if part == "final" and any((inner.impute, inner.scale, inner.encode)):
        raise ConfigError(
            f"{where}: impute, scale and encode do nothing here, since the input is the members' "
            "answers; leave them out."
        )
