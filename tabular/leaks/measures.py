"""What the leak audit measures of one column, or of a few, against the target.

The target is given as a matrix: one indicator column per class, or the standardised number. So one
formula serves both: the variance of an indicator, summed over the classes, is Gini's impurity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeRegressor

from tabular.contract import MISSING, Array
from tabular.problem import Problem
from tabular.settings import Task
from tabular.tables.frames import frame_columns, typed_columns

FOLDS = 3
MAX_LEAVES = 64
PRIOR_ROWS = (
    5.0  # a category's mean is drawn towards the mean of all rows, as if it had so many more
)


@dataclass(frozen=True)
class Inspected:
    """One model input of n rows.

    `codes` numbers its values, -1 where missing. `numbers` (float64, NaN where missing) is None
    for a category. `known` says where a value is.
    """

    name: str
    codes: Array
    n_distinct: int
    numbers: Array | None = None

    @property
    def known(self) -> Array:
        return self.codes >= 0

    def take(self, places: Array) -> Inspected:
        """The same column at some rows."""
        numbers = None if self.numbers is None else self.numbers[places]
        return Inspected(self.name, self.codes[places], self.n_distinct, numbers)


@dataclass(frozen=True)
class TargetValues:
    """The target of n rows: class places or numbers `y`, and the (n, c) matrix of the module."""

    task: Task
    y: Array
    matrix: Array

    def take(self, places: Array) -> TargetValues:
        """The same target at some rows."""
        return TargetValues(self.task, self.y[places], self.matrix[places])


@dataclass(frozen=True)
class Agreement:
    """How far rows of one value agree in the target: 1 always, 0 as rows drawn at random do.

    `share` is the part of the rows whose value stands in another row too: only they can agree.
    `n_pairs` is how many differences chance would have shown among them.
    """

    alpha: float
    share: float
    n_pairs: float


def inspect_columns(rows: pd.DataFrame, problem: Problem) -> tuple[Inspected, ...]:
    """Every column that the model sees, derived ones last, of (n, k) typed rows."""
    columns = typed_columns(rows, problem)
    names = [name for name, column in problem.columns.items() if column.is_feature]
    return tuple(_inspected(name, columns[name]) for name in (*names, *problem.derive))


def _inspected(name: str, values: Array) -> Inspected:
    if values.dtype != object:
        numbers = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        codes, distinct = pd.factorize(numbers)
        return Inspected(name, codes, len(distinct), numbers)
    codes, texts = pd.factorize(pd.Series(values).mask(values == MISSING))
    return Inspected(name, codes, len(texts))


def missing_masks(rows: pd.DataFrame, problem: Problem) -> dict[str, Array]:
    """Where each column that a prediction reads has no value, of (n, k) typed rows."""
    columns, inputs = frame_columns(rows, problem.contract), problem.contract.inputs()
    return {
        name: values == MISSING if values.dtype == object else np.isnan(values)
        for name, values in columns.items()
        if name in inputs
    }


def target_values(y: Array, task: Task) -> TargetValues:
    """The target of n rows as the measures take it."""
    if task == "regression":
        spread = float(np.std(y)) or 1.0
        return TargetValues(task, y, ((y - np.mean(y)) / spread)[:, None])
    return TargetValues(task, y, (y[:, None] == np.unique(y)).astype(np.float64))


def agreement(codes: Array, target: TargetValues) -> Agreement:
    """Krippendorff's alpha of the target, with the rows of one code as the raters of one unit.

    Content Analysis (2004), ch. 11: nominal for classes, interval for numbers. A value that stands
    once counts nothing, so a column of unique values does not "determine" the target by chance.
    """
    counts = np.bincount(codes[codes >= 0]) if (codes >= 0).any() else np.zeros(1, dtype=np.int64)
    covered = (codes >= 0) & (counts[codes] >= 2)
    if not covered.any():
        return Agreement(0.0, 0.0, 0.0)
    matrix, groups = target.matrix[covered], codes[covered]
    sizes = counts[counts >= 2]
    expected = float(matrix.var(axis=0, ddof=1).sum())
    within = 0.0
    for column in matrix.T:
        sums = np.bincount(groups, weights=column, minlength=len(counts))[counts >= 2]
        squares = np.bincount(groups, weights=column**2, minlength=len(counts))[counts >= 2]
        within += float((sizes * (squares - sums**2 / sizes) / (sizes - 1)).sum())
    share = len(groups) / int((codes >= 0).sum())
    if expected == 0:
        return Agreement(0.0, share, 0.0)
    n_pairs = float((sizes - 1).sum()) * min(expected, 1.0)
    return Agreement(1 - within / len(groups) / expected, share, n_pairs)


def joint_codes(columns: tuple[Inspected, ...]) -> Array:
    """Number the combinations of values; -1 where one of them is missing."""
    joint, known = np.zeros(len(columns[0].codes), dtype=np.int64), columns[0].known
    for column in columns:
        joint, known = joint * max(column.n_distinct, 1) + column.codes, known & column.known
    codes = pd.factorize(joint)[0]
    return np.where(known, codes, -1)


def single_score(column: Inspected, target: TargetValues, *, seed: int) -> float:
    """How well this column alone answers the target, out of fold, in [0, 1].

    ROC AUC for two classes, the AUC of the worst class against the rest for more (a column that
    knows one class alone is no leak), R2 for numbers. A small tree over numbers; over categories
    the mean of each, learned on other rows. The order of the numbers itself is tried too.
    """
    answer = _out_of_fold(column, target, seed)
    if target.task == "regression":
        explained = float(r2_score(target.matrix[:, 0], answer[:, 0]))
        return max(0.0, explained, _squared_rank(column, target.y))
    scores = [
        roc_auc(truth == 1, guess) for truth, guess in zip(target.matrix.T, answer.T, strict=True)
    ]
    if column.numbers is not None and len(scores) == 2 and column.known.all():
        area = roc_auc(target.matrix[:, 1] == 1, column.numbers)
        return max(*scores, area, 1 - area)
    return min(scores)


def _out_of_fold(column: Inspected, target: TargetValues, seed: int) -> Array:
    answer = np.empty_like(target.matrix)
    for learned, asked in KFold(FOLDS, shuffle=True, random_state=seed).split(answer):
        answer[asked] = (
            _category_means(column.codes, target.matrix, learned, asked)
            if column.numbers is None
            else _tree_answer(column.numbers, target.matrix, learned, asked, seed)
        )
    return answer


def _category_means(codes: Array, matrix: Array, learned: Array, asked: Array) -> Array:
    shifted = codes + 1  # missing is a value of its own here
    size, prior = int(shifted.max()) + 1, matrix[learned].mean(axis=0)
    counts = np.bincount(shifted[learned], minlength=size)[:, None]
    sums = np.column_stack(
        [np.bincount(shifted[learned], weights=y, minlength=size) for y in matrix[learned].T]
    )
    return ((sums + PRIOR_ROWS * prior) / (counts + PRIOR_ROWS))[shifted[asked]]


def _tree_answer(numbers: Array, matrix: Array, learned: Array, asked: Array, seed: int) -> Array:
    tree = DecisionTreeRegressor(
        max_leaf_nodes=MAX_LEAVES,
        min_samples_leaf=max(3, len(learned) // 1000),
        random_state=seed,
    )
    tree.fit(numbers[learned, None], matrix[learned])
    return tree.predict(numbers[asked, None]).reshape(len(asked), -1)


def _squared_rank(column: Inspected, y: Array) -> float:
    if column.numbers is None or not column.known.all():
        return 0.0
    return rank_correlation(column.numbers, y) ** 2


def roc_auc(is_positive: Array, scores: Array) -> float:
    """Area under the ROC curve by Mann and Whitney's U; 0.5 where one side has no row.

    Takes a fifth of the time of scikit-learn's, which the bootstrap asks 240 times.
    """
    ranks = pd.Series(scores).rank().to_numpy()
    n_positive = int(is_positive.sum())
    n_pairs = n_positive * (len(scores) - n_positive)
    if n_pairs == 0:
        return 0.5
    return float(ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2) / n_pairs


def rank_correlation(left: Array, right: Array) -> float:
    """Spearman's rho of two arrays without gaps; 0 where one of them is constant."""
    return correlation(pd.Series(left).rank().to_numpy(), pd.Series(right).rank().to_numpy())


def correlation(left: Array, right: Array) -> float:
    """Pearson's r of two arrays without gaps; 0 where one of them is constant."""
    a, b = left - np.mean(left), right - np.mean(right)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def sampled(n: int, limit: int, seed: int) -> Array:
    """At most `limit` of n places, drawn at random, in order."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:limit])
