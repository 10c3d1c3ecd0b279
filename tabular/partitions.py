"""LightGBM on all training rows of a table that is too large for one machine (docs/adr/0014).

Each partition is a row group of the table of checked rows. A Dask worker reads and encodes its
partitions, and the workers' LightGBMs build the trees together: no process holds all rows.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tabular.contract import Array, Feature, Matrix, encode
from tabular.engines import Cluster, lost_work, running_cluster
from tabular.errors import ConfigError, DataError, StoreError
from tabular.problem import Problem
from tabular.split import Rows, training_rows
from tabular.tables.frames import typed_columns
from tabular.tables.snapshot import CheckedRows

WORKERS_OWN = ("n_jobs", "num_threads")  # each worker uses the threads that Dask gave it


@dataclass(frozen=True)
class Partition:
    """One row group of a table, and which of its rows are training rows."""

    table: CheckedRows
    group: int
    rows: Rows

    def read(self) -> pd.DataFrame:
        """The training rows, typed.

        Raises:
            StoreError: This machine does not see the table.
        """
        try:
            batch = self.table.row_group(self.group)
        except FileNotFoundError as error:
            raise StoreError(
                f"{self.table.path}: the Dask worker on {platform.node()} does not see this "
                "file; put BENTOLINE_HOME on a disk that every worker sees under the same path."
            ) from error
        return batch.take(pa.array(self.rows)).to_pandas()


def check_partitions(problem: Problem, engine: str) -> None:
    """Refuse what cannot be fitted in partitions before any row is read.

    Raises:
        ConfigError: The YAML asks for partitions, but a candidate is no plain LightGBM, or the
            engine is not dask.
    """
    if problem.split.train_on != "partitions":
        return
    for name, candidate in problem.candidates.items():
        if candidate.estimator != "lightgbm" or candidate.resample != "none":
            raise ConfigError(
                f"{problem.name}: split.train_on partitions needs candidates of estimator lightgbm "
                f"with resample none, and candidates.{name} has {candidate.estimator} and "
                f"{candidate.resample}; change it, or write split.train_on: sample."
            )
    if engine != "dask":
        raise ConfigError(
            f"{problem.name}: split.train_on partitions is done on Dask; add --engine dask, or "
            "write split.train_on: sample."
        )


def training_partitions(table: CheckedRows, n_drawn: int, problem: Problem) -> list[Partition]:
    """All training rows in partitions, where the YAML asks for it and there are more than drawn.

    Args:
        table: Every checked row.
        n_drawn: Rows of the sample, of at most `split.max_train_rows`.
        problem: `split` is read.

    Returns:
        Partitions in the order of the table; none where the sample is what is fitted.
    """
    if problem.split.train_on != "partitions":
        return []
    numbers = training_rows(table, problem)
    if len(numbers) <= n_drawn:
        return []
    ends = np.cumsum(table.group_sizes())
    starts = np.concatenate([[0], ends[:-1]])
    cuts = np.searchsorted(numbers, ends)[:-1]
    return [
        Partition(table, group, rows - starts[group])
        for group, rows in enumerate(np.split(numbers, cuts))
        if len(rows)
    ]


def fit_on_partitions(
    partitions: Sequence[Partition], pipeline: Any, features: Sequence[Feature], problem: Problem
) -> Any:
    """Fit the pipeline's LightGBM on every partition.

    Args:
        partitions: At least one; dealt to the workers in turn.
        pipeline: Its "prepare" is fitted, its "estimate" is an unfitted LightGBM.
        features: The k columns of the model input, in order.
        problem: Contract, task and target.

    Returns:
        The pipeline, with the fitted estimator in the place of the unfitted one.

    Raises:
        ConfigError: There is no cluster.
        DataError: A worker's partitions lack a class.
        StoreError: A worker does not see the table, or the cluster lost its work.
    """
    cluster = running_cluster("split.train_on: partitions")
    workers = sorted(cluster.client.nthreads())[: len(partitions)]
    loaded = [
        cluster.client.submit(
            _encoded,
            partition,
            pipeline[:-1],
            features,
            problem,
            pure=False,
            workers=[workers[place % len(workers)]],
            allow_other_workers=True,
        )
        for place, partition in enumerate(partitions)
    ]
    classes = tuple(problem.target.classes)
    counting = cluster.client.map(_tally, loaded, n_classes=len(classes), pure=False)
    tallies = cluster.results(counting)
    _refuse_absent_classes(tallies, len(workers), problem)
    arrays = _arrays(loaded, [int(tally.sum()) for tally in tallies], _width(pipeline, features))
    fitted = _fit(cluster, pipeline[-1], *arrays)
    return type(pipeline)([*pipeline.steps[:-1], ("estimate", fitted)])


def _encoded(
    partition: Partition, prepare: Any, features: Sequence[Feature], problem: Problem
) -> tuple[Matrix, Array]:
    """Model input (n, k) and target (n,) of a partition; runs on a worker."""
    rows = partition.read()
    columns = typed_columns(rows, problem)
    X, y = prepare.transform(encode(features, columns)), rows[problem.target.column].to_numpy()
    return np.asarray(X, dtype=np.float32), y.astype(_target_type(problem))


def _target_type(problem: Problem) -> type[np.generic]:
    return np.int64 if problem.target.classes else np.float64


def _tally(loaded: tuple[Matrix, Array], n_classes: int) -> Array:
    """Rows of a partition by class; for a regression one number."""
    _, y = loaded
    return np.bincount(y, minlength=n_classes) if n_classes else np.array([len(y)])


def _refuse_absent_classes(tallies: Sequence[Array], n_workers: int, problem: Problem) -> None:
    """LightGBM takes a worker's classes for all; one that is absent shifts the others."""
    for worker in range(n_workers):
        counts = np.sum(tallies[worker::n_workers], axis=0)
        absent = [name for name, n in zip(problem.target.classes, counts, strict=False) if not n]
        if absent:
            raise DataError(
                f"{problem.name}: class '{absent[0]}' has no row among the {counts.sum():,} of "
                f"Dask worker {worker + 1} of {n_workers}; use fewer workers, shuffle the table, "
                "or write split.train_on: sample."
            )


def _width(pipeline: Any, features: Sequence[Feature]) -> int:
    """Columns that leave "prepare"."""
    blank = np.zeros((1, len(features)), dtype=np.float32)
    return int(pipeline[:-1].transform(blank).shape[1])


def _arrays(loaded: Sequence[Any], sizes: Sequence[int], width: int) -> tuple[Any, Any]:
    """The workers' matrices and targets as Dask arrays (n, k) and (n,)."""
    import dask.array as da
    from dask.delayed import delayed

    parts = [(delayed(one), size) for one, size in zip(loaded, sizes, strict=True)]
    X = [da.from_delayed(part[0], (size, width), dtype=np.float32) for part, size in parts]
    y = [da.from_delayed(part[1], (size,), dtype=np.float64) for part, size in parts]
    return da.concatenate(X), da.concatenate(y)


def _fit(cluster: Cluster, estimator: Any, X: Any, y: Any) -> Any:
    """Fit by LightGBM's own estimator for Dask; gives a plain one of the estimator's class."""
    import lightgbm

    on_dask = getattr(lightgbm, f"Dask{type(estimator).__name__}")
    params = {k: v for k, v in estimator.get_params().items() if k not in WORKERS_OWN}
    _hush()
    with lost_work(lightgbm.basic.LightGBMError):  # a worker's neighbours see its socket close
        cluster.client.run(_hush)
        return on_dask(client=cluster.client, **params).fit(X, y).to_local()


def _hush() -> None:
    """Let LightGBM tell errors alone: by itself it prints each port that it binds."""
    import lightgbm

    log = logging.getLogger("lightgbm")
    log.setLevel(logging.ERROR)
    lightgbm.register_logger(log)
