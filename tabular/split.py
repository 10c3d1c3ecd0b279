"""Split rows into train, validation and test so that the test part tells the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
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
from tabular.settings import Split
from tabular.tables.snapshot import TableFile

Rows = npt.NDArray[np.int64]

PARTS = ("train", "validation", "test")
BY_ORDER = ("time", "group")  # kinds that part whole moments or whole groups


@dataclass(frozen=True)
class Parts:
    """The three parts of a table, order kept within each; no row is in two.

    `n_rows` has the size of each part before `max_train_rows` and `max_test_rows` were drawn of it,
    `n_fitted` how many rows the winner is fitted on: more than `train` where that is in partitions.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    n_rows: dict[str, int]
    n_fitted: int


def split_rows(rows: pd.DataFrame, problem: Problem) -> Parts:
    """Split rows as the YAML says.

    Args:
        rows: (n, k) typed rows, target included. Not changed.
        problem: `split` says how, how many at most, and with which seed.

    Returns:
        The parts. random, stratified: test has ceil(test_share * n) rows. time: the latest rows by
        `time_column`, never parting rows of one moment. group: rows that agree in the group columns
        (by default every feature: identical rows) stay on one side.

    Raises:
        DataError: A part would be empty, or lack a class.
    """
    numbers, n_rows = _draw(len(rows), _key(rows, problem), problem)
    train, validation, test = (rows.iloc[part].reset_index(drop=True) for part in numbers)
    return Parts(train, validation, test, n_rows, n_fitted=len(train))


def split_table(table: TableFile, problem: Problem) -> Parts:
    """`split_rows` for typed rows in a file that need not fit into memory.

    Only the columns that the split goes by are read whole, as one number a row; of the others only
    the rows that are drawn.
    """
    key = _read_key(table, problem)
    numbers, n_rows = _draw(table.n_rows, key, problem)
    n_fitted = len(numbers[0])
    if problem.split.train_on == "partitions":
        n_fitted = len(_all_training_rows(table.n_rows, key, numbers, problem))
    del key
    train, validation, test = _read(table, numbers)
    return Parts(train, validation, test, n_rows, n_fitted)


def training_rows(table: TableFile, problem: Problem) -> Rows:
    """Ascending numbers of all rows that may be fitted, of which `split_table` drew its `train`.

    Kind random, stratified: every row that is in neither of the other parts. time, group: the whole
    training part, so that nothing later, and no row of a held-out group, is among them.
    """
    key = _read_key(table, problem)
    numbers, _ = _draw(table.n_rows, key, problem)
    return _all_training_rows(table.n_rows, key, numbers, problem)


def _all_training_rows(
    n: int, key: npt.NDArray[Any] | None, numbers: Sequence[Rows], problem: Problem
) -> Rows:
    if problem.split.kind in BY_ORDER:
        return np.sort(_whole_parts(n, key, problem.split)[0])
    is_free = np.ones(n, dtype=bool)
    for part in numbers[1:]:
        is_free[part] = False
    return np.flatnonzero(is_free)


def _read_key(table: TableFile, problem: Problem) -> npt.NDArray[Any] | None:
    """`_key` of a table in a file."""
    columns = _key_columns(problem)
    if not columns:
        return None
    batches = (batch.to_pandas() for batch in table.batches(columns))
    return np.concatenate([_key(frame, problem) for frame in batches])


def _read(table: TableFile, parts: Sequence[Rows]) -> list[pd.DataFrame]:
    """Read the numbered rows (ascending) of each part in one pass."""
    picked: list[list[pa.RecordBatch]] = [[] for _ in parts]
    start = 0
    for batch in table.batches():
        for part, batches in zip(parts, picked, strict=True):
            first, end = np.searchsorted(part, [start, start + batch.num_rows])
            if first < end:
                batches.append(batch.take(pa.array(part[first:end] - start)))
        start += batch.num_rows
    return [pa.Table.from_batches(batches).to_pandas() for batches in picked]


def _key_columns(problem: Problem) -> list[str]:
    """The columns that decide a row's part."""
    split = problem.split
    named = {
        "random": (),
        "stratified": (problem.target.column,),
        "time": (split.time_column,),
        "group": _group_columns(problem),
    }
    return list(named[split.kind])


def _key(rows: pd.DataFrame, problem: Problem) -> npt.NDArray[Any] | None:
    """What decides the part of each of n rows: class, day, or group; None for kind random."""
    split = problem.split
    if split.kind == "group":
        return group_ids(rows, problem)
    columns = _key_columns(problem)
    if not columns:
        return None
    values = rows[columns[0]].to_numpy()
    return values.astype(np.int32) if split.kind == "stratified" else values  # half the room


def _draw(
    n: int, key: npt.NDArray[Any] | None, problem: Problem
) -> tuple[list[Rows], dict[str, int]]:
    """Ascending row numbers of train, validation and test, and how many rows each was drawn of."""
    split = problem.split
    try:
        by_kind = _by_order if split.kind in BY_ORDER else _at_random
        parts, sizes = by_kind(n, key, problem.split)
    except ValueError as error:  # scikit-learn's word for a part without rows or a class
        raise DataError(
            f"{problem.name}: {n} rows cannot be split by kind {split.kind} ({error}); "
            "take more rows, or change the shares or the group columns."
        ) from error
    n_rows = dict(zip(PARTS, sizes, strict=True))
    if empty := [name for name, size in n_rows.items() if size == 0]:
        raise DataError(
            f"{problem.name}: split.kind {split.kind} leaves no row for {' and '.join(empty)}; "
            "change the shares, the time column or the group columns."
        )
    return [np.sort(part) for part in parts], n_rows


def _limits(split: Split) -> tuple[int, int, int]:
    return split.max_train_rows, split.max_test_rows, split.max_test_rows


def _at_random(
    n: int, classes: npt.NDArray[Any] | None, split: Split
) -> tuple[list[Rows], tuple[int, ...]]:
    """Draw no more rows than are kept: scikit-learn needs 40 bytes for each that it draws."""
    n_test = math.ceil(split.test_share * n)
    n_validation = math.ceil(split.validation_share / (1 - split.test_share) * (n - n_test))
    sizes = (n - n_test - n_validation, n_validation, n_test)
    n_train, n_validation, n_test = map(min, sizes, _limits(split))
    two_parts = partial(train_test_split, random_state=split.seed)
    rest, test = two_parts(
        np.arange(n), train_size=n_train + n_validation, test_size=n_test, stratify=classes
    )
    train, validation = two_parts(
        rest,
        train_size=n_train,
        test_size=n_validation,
        stratify=None if classes is None else classes[rest],
    )
    return [train, validation, test], sizes


def _by_order(
    n: int, key: npt.NDArray[Any] | None, split: Split
) -> tuple[list[Rows], tuple[int, ...]]:
    """Part whole moments or whole groups, then draw within each part."""
    parts, random = _whole_parts(n, key, split), np.random.default_rng(split.seed)
    drawn = [
        part if len(part) <= limit else random.choice(part, limit, replace=False)
        for part, limit in zip(parts, _limits(split), strict=True)
    ]
    return drawn, tuple(map(len, parts))


def _whole_parts(n: int, key: npt.NDArray[Any] | None, split: Split) -> tuple[Rows, Rows, Rows]:
    assert key is not None  # noqa: S101  # both kinds have a column
    apart = _latest_apart if split.kind == "time" else _groups_apart
    rest, test = apart(key, np.arange(n), split.test_share, split)
    of_rest = split.validation_share / (1 - split.test_share)
    train, validation = apart(key, rest, of_rest, split)
    return train, validation, test


def _groups_apart(
    ids: npt.NDArray[Any], among: Rows, share: float, split: Split
) -> tuple[Rows, Rows]:
    shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=split.seed)
    kept, apart = next(shuffle.split(among, groups=ids[among]))
    return among[kept], among[apart]


def _latest_apart(
    times: npt.NDArray[Any],
    among: Rows,
    share: float,
    split: Split,  # noqa: ARG001  # as groups
) -> tuple[Rows, Rows]:
    """Put the latest rows apart, at least `share` of them; rows without a time are kept."""
    when = times[among]
    known = when[~np.isnan(when)]
    if not len(known):
        return among, among[:0]
    cut = np.quantile(known, 1 - share, method="lower")
    if (known < cut).sum() == 0:
        cut = known.max()
    later = when >= cut
    return among[~later], among[later]


def _group_columns(problem: Problem) -> tuple[str, ...]:
    features = (name for name, column in problem.columns.items() if column.is_feature)
    return problem.split.group_columns or tuple(features)


def group_ids(rows: pd.DataFrame, problem: Problem) -> Rows:
    """A number for each of n rows, equal where the group columns agree (missing equals missing)."""
    named = rows[list(_group_columns(problem))]
    numbers = named.select_dtypes(["float32", "float64"])
    named = named.assign(**(numbers + 0))  # -0 becomes 0, which is the same group
    return pd.util.hash_pandas_object(named, index=False).to_numpy().view(np.int64)


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
