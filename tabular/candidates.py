"""Candidate models: from the YAML to fitted pipelines, compared by cross-validation.

A pipeline has the steps "prepare" (impute, scale, encode), "resample" (optional; training rows
only) and "estimate". Its input is the float32 matrix of `contract.encode`. Training only: the
serving image has none of these libraries.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from sklearn import metrics as skm
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, ParameterSampler, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline as PlainPipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

from tabular.contract import Array, Feature, Frozen, Matrix
from tabular.errors import ConfigError, DataError, did_you_mean
from tabular.problem import Problem
from tabular.settings import LOWER_IS_BETTER, Candidate, Range, Task, Value

Answer = npt.NDArray[np.floating[Any]]
Fold = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

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


class Trial(Frozen):
    """One set of parameters, scored on the folds; `mean` and `sd` have the metric's own sign."""

    candidate: str
    params: dict[str, Value]
    mean: float
    sd: float
    seconds: float
    resample: str = "none"


class ResamplingRow(Frozen):
    """What one way of resampling the training rows gives on untouched validation rows."""

    method: str
    f1: float
    pr_auc: float
    brier: float
    seconds: float


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


def _is_stack(candidate: Candidate) -> bool:
    return candidate.estimator == "stacking"


def _parts(candidate: Candidate) -> dict[str, Candidate]:
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
    if _is_stack(candidate) and (scale, encode) != ("none", "codes"):
        raise ConfigError(
            f"{where}: scale and encode belong to the members of a stack, got {scale} and "
            f"{encode}; move them there."
        )
    _check_params(where, candidate, found)
    for part, inner in _parts(candidate).items():
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
    if _is_stack(candidate):
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
    final = _estimator(_parts(candidate)["final"], (), task, seed, n_threads)
    stack: dict[str, Any] = {"estimators": members, "final_estimator": final, "cv": folds}
    return stack if task == "regression" else {**stack, "stack_method": "predict_proba"}


def pipeline_answer(pipeline: Any, X: Matrix, task: Task) -> Answer:
    """Probabilities (n, n_classes) in class order, or values (n, 1), as the pipeline gives them."""
    if task == "regression":
        return np.asarray(pipeline.predict(X), dtype=np.float64).reshape(-1, 1)
    return np.asarray(pipeline.predict_proba(X), dtype=np.float64)


def search_candidates(
    X: Matrix,
    y: Array,
    folds: Sequence[Fold],
    features: Sequence[Feature],
    problem: Problem,
    progress: Callable[[Trial], None] | None = None,
) -> tuple[Trial, ...]:
    """Score every candidate with each of its drawn parameters on the folds.

    Args:
        X: float32 (n, k) training rows.
        y: int64 places in `target.classes`, or float values; n of them.
        folds: Row numbers to fit on and to score on.
        progress: Called with each trial as it ends.

    Returns:
        Trials in the order of the YAML: `n_trials` for a candidate with something to search (fewer
        where fewer differ), one for any other. `mean` and `sd` are over the folds.

    Raises:
        ConfigError: A candidate that `check_candidate` refuses.
        DataError: A fold's training rows lack a class.
    """
    for name, candidate in problem.candidates.items():
        check_candidate(name, candidate, problem.task)
    drawn = [
        (name, params)
        for name, candidate in problem.candidates.items()
        for params in drawn_params(candidate, problem.seed)
    ]
    # One after the other, or wherever joblib.parallel_config says (tabular.engines).
    scored = Parallel(return_as="generator")(
        delayed(_score_fold)(X, y, fold, features, problem, name, params)
        for name, params in drawn
        for fold in folds
    )
    trials = []
    for name, params in drawn:
        scores, seconds = zip(*islice(scored, len(folds)), strict=True)
        trial = Trial(
            candidate=name,
            params=params,
            mean=float(np.mean(scores)),
            sd=float(np.std(scores)),
            seconds=sum(seconds),
            resample=problem.candidates[name].resample,
        )
        trials.append(trial)
        if progress:
            progress(trial)
    return tuple(trials)


def _score_fold(
    X: Matrix,
    y: Array,
    fold: Fold,
    features: Sequence[Feature],
    problem: Problem,
    name: str,
    params: Mapping[str, Value],
) -> tuple[float, float]:
    """The search metric on one fold, and the seconds that it took."""
    started = time.perf_counter()
    train, test = fold
    chosen = with_params(problem.candidates[name], params)
    fitted = _fit(problem, chosen, features, X[train], y[train])
    answer = pipeline_answer(fitted, X[test], problem.task)
    return score(problem, answer, y[test]), time.perf_counter() - started


def drawn_params(candidate: Candidate, seed: int) -> list[dict[str, Value]]:
    """Draw parameters to try; those of a stack's part are named `part.param`."""
    space = _space(candidate)
    if not space:
        return [{}]
    drawn: list[dict[str, Value]] = []
    finite = all(isinstance(values, list) for values in space.values())
    size = int(np.prod([float(len(v)) for v in space.values()])) if finite else candidate.n_trials
    for params in ParameterSampler(space, min(candidate.n_trials, size), random_state=seed):
        plain = {key: v.item() if isinstance(v, np.generic) else v for key, v in params.items()}
        if plain not in drawn:
            drawn.append(plain)
    return drawn


def _space(candidate: Candidate, prefix: str = "") -> dict[str, Any]:
    space = {
        prefix + key: _distribution(values) if isinstance(values, Range) else list(values)
        for key, values in candidate.search.items()
    }
    for part, inner in _parts(candidate).items():
        space |= _space(inner, f"{prefix}{part}.")
    return space


def _distribution(span: Range) -> Any:
    from scipy import stats

    if span.integer and not span.log:
        return stats.randint(int(span.low), int(span.high) + 1)
    drawn = stats.loguniform if span.log else stats.uniform
    wide = (span.low, span.high) if span.log else (span.low, span.high - span.low)
    return _Rounded(drawn(*wide)) if span.integer else drawn(*wide)


@dataclass(frozen=True)
class _Rounded:
    """A distribution of whole numbers, in the form that ParameterSampler asks for."""

    inner: Any

    def rvs(self, random_state: Any = None) -> int:
        return round(float(self.inner.rvs(random_state=random_state)))


def with_params(candidate: Candidate, params: Mapping[str, Value]) -> Candidate:
    """Return the candidate with parameters set and nothing left to search."""
    own = {key: value for key, value in params.items() if "." not in key}
    changed: dict[str, Any] = {"params": {**candidate.params, **own}, "search": {}}
    inner = {
        part: with_params(
            held,
            {k.partition(".")[2]: v for k, v in params.items() if k.partition(".")[0] == part},
        )
        for part, held in _parts(candidate).items()
    }
    if inner:
        changed |= {"final": inner["final"], "members": {k: inner[k] for k in candidate.members}}
    return candidate.model_copy(update=changed)


def best_first(trials: Sequence[Trial], metric: str) -> tuple[Trial, ...]:
    """The trials by their mean, the best first; equals keep their order, NaN comes last."""
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return tuple(sorted(trials, key=lambda t: sign * t.mean if np.isfinite(t.mean) else np.inf))


def fit_pipeline(
    problem: Problem, trial: Trial, features: Sequence[Feature], X: Matrix, y: Array
) -> Any:
    """Fit the trial's candidate on all n rows.

    Raises:
        DataError: A class has no row.
    """
    chosen = with_params(problem.candidates[trial.candidate], trial.params)
    return _fit(problem, chosen, features, X, y)


def _fit(
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


def score(problem: Problem, answer: Answer, y: Array) -> float:
    """The search metric of n answers, in its own sign and unit.

    F1 is taken at its best threshold, since the threshold is fitted afterwards.
    """
    metric, values = problem.search.metric, answer[:, 0]
    if problem.task == "regression":
        call = {
            "mae": skm.mean_absolute_error,
            "rmse": skm.root_mean_squared_error,
            "r2": skm.r2_score,
        }[metric]
        return float(call(y, values))
    if metric == "log_loss":
        return float(skm.log_loss(y, answer, labels=np.arange(answer.shape[1])))
    if metric == "accuracy":
        return float(skm.accuracy_score(y, answer.argmax(axis=1)))
    if metric == "f1_macro":
        return float(skm.f1_score(y, answer.argmax(axis=1), average="macro"))
    place = list(problem.target.classes).index(problem.target.positive)
    return _binary_score(metric, y == place, answer[:, place])


def _binary_score(metric: str, is_positive: Array, share: Array) -> float:
    if metric == "roc_auc":
        return float(skm.roc_auc_score(is_positive, share))
    if metric == "pr_auc":
        return float(skm.average_precision_score(is_positive, share))
    if metric == "brier":
        return float(np.mean((share - is_positive) ** 2))
    precision, recall, _ = skm.precision_recall_curve(is_positive, share)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


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
        fitted = _fit(problem, tried, features, X, y)
        share = pipeline_answer(fitted, X_val, problem.task)[:, place]
        scores = {m: _binary_score(m, y_val == place, share) for m in ("f1", "pr_auc", "brier")}
        rows.append(ResamplingRow(method=method, seconds=time.perf_counter() - started, **scores))
    return tuple(rows)
