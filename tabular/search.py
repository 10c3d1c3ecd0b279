"""Search: draw each candidate's parameters, cross-validate them, rank the trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from sklearn import metrics as skm
from sklearn.model_selection import ParameterSampler

from tabular.candidates import Answer, Trial, fit_with, pipeline_answer, with_params
from tabular.contract import Array, Feature, Matrix
from tabular.estimators import check_candidate, parts_of
from tabular.metrics import log_loss
from tabular.problem import Problem
from tabular.settings import LOWER_IS_BETTER, Candidate, Range, Value

Fold = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


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
    fitted = fit_with(problem, chosen, features, X[train], y[train])
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
    for part, inner in parts_of(candidate).items():
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


def best_first(trials: Sequence[Trial], metric: str) -> tuple[Trial, ...]:
    """The trials by their mean, the best first; equals keep their order, NaN comes last."""
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return tuple(sorted(trials, key=lambda t: sign * t.mean if np.isfinite(t.mean) else np.inf))


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
        return float(log_loss(answer[np.arange(len(y)), y]).mean())
    if metric == "accuracy":
        return float(skm.accuracy_score(y, answer.argmax(axis=1)))
    if metric == "f1_macro":
        return float(skm.f1_score(y, answer.argmax(axis=1), average="macro"))
    place = list(problem.target.classes).index(problem.target.positive)
    return binary_score(metric, y == place, answer[:, place])


def binary_score(metric: str, is_positive: Array, share: Array) -> float:
    if metric == "roc_auc":
        return float(skm.roc_auc_score(is_positive, share))
    if metric == "pr_auc":
        return float(skm.average_precision_score(is_positive, share))
    if metric == "brier":
        return float(np.mean((share - is_positive) ** 2))
    precision, recall, _ = skm.precision_recall_curve(is_positive, share)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
