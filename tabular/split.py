"""Split rows into train, validation and test so that the test part tells the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)

from tabular.errors import DataError
from tabular.problem import Problem

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """The three parts of a table; together every row once, order kept within each."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def split_rows(rows: pd.DataFrame, problem: Problem) -> Parts:
    """Split rows as the YAML says.

    Args:
        rows: (n, k) typed rows, target included. Not changed.
        problem: `split` says how, and with which seed.

    Returns:
        The parts. random, stratified: test has ceil(test_share * n) rows. time: the latest rows by
        `time_column`, never parting rows of one moment. group: rows that agree in the group columns
        (by default every feature: identical rows) stay on one side.

    Raises:
        DataError: A part would be empty, or lack a class.
    """
    split, everything = problem.split, np.arange(len(rows))
    test_of, validation_of = split.test_share, split.validation_share / (1 - split.test_share)
    try:
        rest, test = _two_parts(rows, everything, test_of, problem)
        train, validation = _two_parts(rows, rest, validation_of, problem)
    except ValueError as error:  # scikit-learn's word for a part without rows or a class
        raise DataError(
            f"{problem.name}: {len(rows)} rows cannot be split by kind {split.kind} ({error}); "
            "take more rows, or change the shares or the group columns."
        ) from error
    sizes = {"train": len(train), "validation": len(validation), "test": len(test)}
    if empty := [name for name, size in sizes.items() if size == 0]:
        raise DataError(
            f"{problem.name}: split.kind {split.kind} leaves no row for {' and '.join(empty)}; "
            "change the shares, the time column or the group columns."
        )
    return Parts(
        *(rows.iloc[np.sort(part)].reset_index(drop=True) for part in (train, validation, test))
    )


def _two_parts(
    rows: pd.DataFrame, among: Rows, share: float, problem: Problem
) -> tuple[Rows, Rows]:
    split = problem.split
    if split.kind == "time":
        return _latest_apart(rows[split.time_column].to_numpy()[among], among, share)
    if split.kind == "group":
        groups = group_ids(rows.iloc[among], problem)
        shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=problem.split.seed)
        kept, apart = next(shuffle.split(among, groups=groups))
        return among[kept], among[apart]
    y = rows[problem.target.column].to_numpy()[among] if split.kind == "stratified" else None
    kept, apart = train_test_split(
        among, test_size=share, random_state=problem.split.seed, stratify=y
    )
    return kept, apart


def _latest_apart(when: npt.NDArray[Any], among: Rows, share: float) -> tuple[Rows, Rows]:
    """Put the latest rows apart, at least `share` of them; rows without a time are kept."""
    known = when[~np.isnan(when)]
    if not len(known):
        return among, among[:0]
    cut = np.quantile(known, 1 - share, method="lower")
    if (known < cut).sum() == 0:
        cut = known.max()
    later = when >= cut
    return among[~later], among[later]


def group_ids(rows: pd.DataFrame, problem: Problem) -> Rows:
    """A number for each of n rows, equal where the group columns agree (missing equals missing)."""
    named = problem.split.group_columns or [
        name for name, column in problem.columns.items() if column.is_feature
    ]
    return pd.util.hash_pandas_object(rows[list(named)], index=False).to_numpy().view(np.int64)


def folds(
    rows: pd.DataFrame, problem: Problem
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Cross-validation folds over training rows, of the same kind as the split itself.

    Args:
        rows: (n, k) typed training rows; for kind time they must be sorted by time.
        problem: `split.kind`, `search.folds` and `seed`.
    """
    kind, n_folds, seed = problem.split.kind, problem.search.folds, problem.seed
    y = rows[problem.target.column]
    if kind == "time":
        return TimeSeriesSplit(n_folds).split(rows)
    if kind == "group":
        by_group = GroupKFold(n_folds, shuffle=True, random_state=seed)
        return by_group.split(rows, y, groups=group_ids(rows, problem))
    if problem.task == "regression":
        return KFold(n_folds, shuffle=True, random_state=seed).split(rows)
    return StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(rows, y)
