"""The same quick model under a random, a time-ordered and a group split of the training rows.

Each split is held against the random one on the very rows that it tests, with models fitted on as
many rows, so that neither a hard month nor a smaller training part looks like a leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold, KFold

from tabular.checks import frame_columns
from tabular.contract import MISSING, Array, Frozen, encode
from tabular.features import derive, learn_features
from tabular.leak_measures import rank_correlation, sampled
from tabular.problem import Problem
from tabular.split import group_ids

MAX_ROWS = 20_000
FOLDS = 3
BOOTSTRAP = 100
MIN_CLASS_ROWS = 10
MAX_ORDER_CORRELATION = 0.5  # a table sorted by its target tells nothing of time
MIN_REPEATED_SHARE = 0.01
METRIC = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "r2"}


class SplitScore(Frozen):
    """One split's score, and the random split's on the same rows; `noise` is the gap's one sd.

    `by` names what the rows were ordered or grouped by. Where the split could not be tried,
    `score` is None and `reason` says why.
    """

    split: Literal["random", "time", "group"]
    by: str = ""
    n_rows: int = 0
    score: float | None = None
    random_score: float | None = None
    noise: float = 0.0
    reason: str = ""

    @property
    def gap(self) -> float:
        """By how much the random split looks better."""
        if self.score is None or self.random_score is None:
            return 0.0
        return self.random_score - self.score


@dataclass(frozen=True)
class Groups:
    """A group number per row, and what the groups are made of."""

    by: str
    ids: Array


def split_scores(train: pd.DataFrame, problem: Problem) -> tuple[SplitScore, ...]:
    """Score the random, time and group split on at most `MAX_ROWS` of (n, k) training rows."""
    groups = find_groups(train, problem)
    places = _sample(len(train), groups, problem.seed)
    rows = train.iloc[places].reset_index(drop=True)
    ids = None if groups is None else groups.ids[places]
    trial = _Trial(rows, problem)
    random = trial.out_of_fold(KFold(FOLDS, shuffle=True, random_state=problem.seed).split(rows))
    base = SplitScore(split="random", n_rows=len(rows), score=trial.score(random))
    if groups is None or ids is None:
        reason = "every row's inputs stand once, and no column names who a row belongs to"
        return base, _time_score(trial, random), SplitScore(split="group", reason=reason)
    folds = GroupKFold(FOLDS, shuffle=True, random_state=problem.seed)
    grouped = trial.out_of_fold(folds.split(rows, groups=ids))
    everywhere = np.arange(len(rows))
    group = trial.compared("group", groups.by, everywhere, grouped, random)
    is_own_split = problem.split.kind == "group"
    return base, _time_score(trial, grouped if is_own_split else random), group


def _sample(n: int, groups: Groups | None, seed: int) -> Array:
    """Rows at random, whole groups together; in the table's order."""
    if groups is None or n <= MAX_ROWS:
        return sampled(n, MAX_ROWS, seed)
    codes, found = pd.factorize(groups.ids)
    rank = np.random.default_rng(seed).permutation(len(found))[codes]
    return np.sort(np.argsort(rank, kind="stable")[:MAX_ROWS])


def find_groups(rows: pd.DataFrame, problem: Problem) -> Groups | None:
    """What may tie rows together: the YAML's group columns, an id that repeats, or identical rows.

    Rows without an id stand alone.
    """
    if problem.split.kind == "group":
        return Groups(
            ", ".join(problem.split.group_columns) or "identical rows", group_ids(rows, problem)
        )
    for name, column in problem.columns.items():
        if column.type != "id" or name not in rows:
            continue
        values = rows[name].to_numpy(dtype=object)
        codes = pd.factorize(pd.Series(values).mask(values == MISSING))[0]
        alone = codes < 0
        n_groups = int(codes.max(initial=-1)) + 1
        if FOLDS <= n_groups <= 0.5 * (~alone).sum():
            return Groups(name, np.where(alone, n_groups + np.arange(len(codes)), codes))
    ids = input_hashes(rows, problem)
    if 1 - len(np.unique(ids)) / len(ids) >= MIN_REPEATED_SHARE:
        return Groups("identical rows", ids)
    return None


def input_hashes(rows: pd.DataFrame, problem: Problem) -> Array:
    """A number for each of n rows, equal where all that a prediction reads is equal."""
    names = [name for name in problem.contract.inputs() if name in rows]
    return pd.util.hash_pandas_object(rows[names], index=False).to_numpy()


def _time_score(trial: _Trial, random: Array) -> SplitScore:
    problem, rows = trial.problem, trial.rows
    dates = [name for name, column in problem.columns.items() if column.type == "date"]
    name = problem.split.time_column or (dates[0] if dates else "")
    when = rows[name].to_numpy(dtype=np.float64) if name else np.arange(len(rows), dtype=np.float64)
    by = name or "row order"
    order = np.argsort(np.where(np.isnan(when), -np.inf, when), kind="stable")
    cut = len(rows) - len(rows) // FOLDS
    earlier, later = order[:cut], order[cut:]
    if name and when[earlier].max() == when[later].min():
        earlier = earlier[when[earlier] < when[later].min()]
    if reason := trial.why_not_by(order, earlier, later):
        return SplitScore(split="time", by=by, reason=reason)
    answer = np.full_like(random, np.nan)
    answer[later] = trial.answer(earlier, later)
    return trial.compared("time", by, later, answer, random)


class _Trial:
    """The quick model on fixed rows."""

    def __init__(self, rows: pd.DataFrame, problem: Problem) -> None:
        columns = derive(problem.contract, frame_columns(rows, problem.contract))
        self.rows, self.problem = rows, problem
        self.X = encode(learn_features(problem.contract, columns), columns)
        self.y = rows[problem.target.column].to_numpy()
        self.n_classes = len(problem.target.classes)

    def answer(self, learned: Array, asked: Array) -> Array:
        """Fit on some rows and answer others: (m, classes), or (m, 1) for regression."""
        from lightgbm import LGBMClassifier, LGBMRegressor

        is_number = self.problem.task == "regression"
        model: Any = (LGBMRegressor if is_number else LGBMClassifier)(
            n_estimators=60,
            min_child_samples=min(20, max(3, len(learned) // 50)),
            random_state=self.problem.seed,
            n_jobs=1,  # so small a fit costs more in threads that wait than it gains
            deterministic=True,
            force_row_wise=True,
            verbose=-1,
        )
        model.fit(self.X[learned], self.y[learned])
        if is_number:
            return model.booster_.predict(self.X[asked])[:, None]
        answer = np.zeros((len(asked), self.n_classes))
        answer[:, model.classes_] = model.predict_proba(self.X[asked])
        return answer

    def out_of_fold(self, folds: Any) -> Array:
        answer = np.zeros((len(self.y), max(self.n_classes, 1)))
        for learned, asked in folds:
            answer[asked] = self.answer(learned, asked)
        return answer

    def score(self, answer: Array, places: Array | None = None) -> float:
        places = np.arange(len(self.y)) if places is None else places
        y, said = self.y[places], answer[places]
        if self.problem.task == "regression":
            return float(r2_score(y, said[:, 0]))
        if self.problem.task == "binary":
            return float(roc_auc_score(y, said[:, 1]))
        return float(accuracy_score(y, said.argmax(axis=1)))

    def compared(
        self,
        split: Literal["time", "group"],
        by: str,
        places: Array,
        answer: Array,
        random: Array,
    ) -> SplitScore:
        rng = np.random.default_rng(self.problem.seed)
        draws = (rng.choice(places, len(places)) for _ in range(BOOTSTRAP))
        gaps = [self.score(random, draw) - self.score(answer, draw) for draw in draws]
        return SplitScore(
            split=split,
            by=by,
            n_rows=len(places),
            score=self.score(answer, places),
            random_score=self.score(random, places),
            noise=float(np.std(gaps)),
        )

    def why_not_by(self, order: Array, earlier: Array, later: Array) -> str:
        """Why this order cannot be tested, or an empty text."""
        if not len(earlier):
            return "too many rows share one moment"
        if self.problem.task == "regression":
            is_sorted = (
                abs(rank_correlation(self.y[order], np.arange(len(order)))) > MAX_ORDER_CORRELATION
            )
            return "the rows are sorted by the target" if is_sorted else ""
        for part in (earlier, later):
            if np.bincount(self.y[part], minlength=self.n_classes).min() < MIN_CLASS_ROWS:
                return "the rows are sorted by the target, or a class is too rare"
        return ""
