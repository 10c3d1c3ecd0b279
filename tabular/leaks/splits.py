"""The same quick model under a random, a time-ordered and a group split of the training rows.

Each split is held against the random one on the very rows that it tests, with models fitted on as
many rows, so that neither a hard month nor a smaller training part looks like a leak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GroupKFold, KFold

from tabular.contract import MISSING, Array, Frozen, encode
from tabular.features import learn_features
from tabular.leaks.measures import rank_correlation, roc_auc, sampled
from tabular.problem import Problem
from tabular.split import group_ids
from tabular.tables.frames import typed_columns

MAX_ROWS = 20_000
FOLDS = 3
REPEATS = 3
BOOTSTRAP = 60
MIN_CLASS_ROWS = 10
MAX_ORDER_CORRELATION = 0.5  # a table sorted by its target tells nothing of time
MIN_REPEATED_SHARE = 0.01
MAX_OWNER_SHARE = 0.5  # owners by rows: an id that stands twice on average ties rows together
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
    seeds = range(problem.seed, problem.seed + REPEATS)
    random = [
        trial.out_of_fold(KFold(FOLDS, shuffle=True, random_state=seed).split(rows))
        for seed in seeds
    ]
    score = float(np.mean([trial.score(answer) for answer in random]))
    base = SplitScore(split="random", n_rows=len(rows), score=score)
    if groups is None or ids is None or len(np.unique(ids)) < FOLDS:
        reason = "no column names who a row belongs to, and copies are few"
        return base, _time_score(trial, random), SplitScore(split="group", reason=reason)
    is_own_split = problem.split.kind == "group"
    grouped = [
        trial.out_of_fold(
            GroupKFold(FOLDS, shuffle=True, random_state=seed).split(rows, groups=ids)
        )
        for seed in (seeds if is_own_split else seeds[:1])
    ]
    group = trial.compared("group", groups.by, np.arange(len(rows)), grouped[0], random)
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
        if column.type == "id" and name in rows:
            owners = _owners(rows[name].to_numpy(dtype=object))
            if len(np.unique(owners)) <= MAX_OWNER_SHARE * len(owners):
                return Groups(name, owners)
    ids = input_hashes(rows, problem)
    if 1 - len(np.unique(ids)) / len(ids) >= MIN_REPEATED_SHARE:
        return Groups("identical rows", ids)
    return None


def _owners(values: Array) -> Array:
    """A number per id; a missing id is an owner of its own."""
    codes = pd.factorize(pd.Series(values).mask(values == MISSING))[0]
    return np.where(codes < 0, len(codes) + np.arange(len(codes)), codes)


def input_hashes(rows: pd.DataFrame, problem: Problem) -> Array:
    """A number for each of n rows, equal where all that a prediction reads is equal."""
    names = [name for name in problem.contract.inputs() if name in rows]
    plain = rows[names].apply(lambda column: column + 0.0 if column.dtype.kind == "f" else column)
    return pd.util.hash_pandas_object(plain, index=False).to_numpy()  # -0.0 became 0.0


def _time_score(trial: _Trial, random: Sequence[Array]) -> SplitScore:
    problem, rows = trial.problem, trial.rows
    dates = [name for name, column in problem.columns.items() if column.type == "date"]
    name = problem.split.time_column or (dates[0] if dates else "")
    when = rows[name].to_numpy(dtype=np.float64) if name else np.arange(len(rows), dtype=np.float64)
    by = name or "row order"
    when = np.where(np.isnan(when), -np.inf, when)  # rows without a date are learned from
    cut = len(rows) - len(rows) // FOLDS
    order = np.argsort(when, kind="stable")
    earlier, later = order[:cut], order[cut:]
    if name and when[earlier].max() == when[later].min():
        earlier = earlier[when[earlier] < when[later].min()]
    if reason := trial.why_not_by(order, earlier, later):
        return SplitScore(split="time", by=by, reason=reason)
    answer = np.full_like(random[0], np.nan)
    answer[later] = trial.answer(earlier, later)
    return trial.compared("time", by, later, answer, random)


class _Trial:
    """The quick model on fixed rows."""

    def __init__(self, rows: pd.DataFrame, problem: Problem) -> None:
        columns = typed_columns(rows, problem)
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
        if is_number:
            model.fit(self.X[learned], self.y[learned])
            return model.booster_.predict(self.X[asked])[:, None]
        answer = np.zeros((len(asked), self.n_classes))
        if len(np.unique(self.y[learned])) == 1:
            answer[:, self.y[learned[0]]] = 1.0
            return answer
        model.fit(self.X[learned], self.y[learned])
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
            return roc_auc(y == 1, said[:, 1])
        return float(accuracy_score(y, said.argmax(axis=1)))

    def compared(
        self,
        split: Literal["time", "group"],
        by: str,
        places: Array,
        answer: Array,
        random: Sequence[Array],
    ) -> SplitScore:
        """Hold an answer against the random splits' at the same rows.

        The gap's noise is that of the rows, by bootstrap, and that of the models, by the repeats:
        fitted on other rows, they differ too.
        """
        rng = np.random.default_rng(self.problem.seed)
        draws = (rng.choice(places, len(places)) for _ in range(BOOTSTRAP))
        gaps = [self.score(random[0], draw) - self.score(answer, draw) for draw in draws]
        repeats = [self.score(one, places) for one in random]
        of_models = np.var(repeats, ddof=1) if len(repeats) > 1 else 0.0
        return SplitScore(
            split=split,
            by=by,
            n_rows=len(places),
            score=self.score(answer, places),
            random_score=float(np.mean(repeats)),
            noise=float(np.sqrt(np.var(gaps) + (1 + 1 / len(repeats)) * of_models)),
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
