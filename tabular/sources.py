"""Sources: where a problem's rows come from, read in batches under the contract's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tabular.contract import Column, Contract, match_columns
from tabular.errors import ConfigError
from tabular.parquet_files import BATCH_ROWS
from tabular.problem import Problem
from tabular.readers import open_table
from tabular.settings import Source

if TYPE_CHECKING:
    from tabular.mongo import Progress


@dataclass(frozen=True)
class Rows:
    """A table on its way: batches of at most 65,536 rows, all of one schema, read once.

    `names` are the columns in every batch: the contract's, then the target where it is there.
    `n_rows` is None where only reading will tell.
    """

    names: tuple[str, ...]
    batches: Iterator[pa.RecordBatch]
    source: str
    synthetic: bool = False
    n_rows: int | None = None


def open_rows(
    problem: Problem,
    *,
    data: str,
    root: Path,
    mongodb_uri: str,
    needs_target: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Rows:
    """Find the problem's rows and its columns among them.

    Args:
        problem: Its source is read, unless `data` is given.
        data: A path or s3:// address to read in place of the problem's source, or an empty text.
        root: Folder that relative paths in the YAML start from.
        mongodb_uri: The server for kind mongodb; where it is empty, `source.otherwise` is read.
        needs_target: Whether rows without the target are refused.
        progress: Told how far the reading of a collection is.

    Raises:
        ConfigError: Kind mongodb, and there is neither a server nor another source.
        DataError: The table is missing, empty, unreadable, or its columns are not the problem's.
        StoreError: A server does not answer, or refuses.
    """
    if data:
        return _stored(problem, data, needs_target)
    source = problem.source
    if source.kind == "mongodb":
        if mongodb_uri:
            return _from_mongodb(problem, mongodb_uri, needs_target, progress)
        source = source.otherwise or _no_server(source)
    if source.kind == "sample":
        return _generated(problem, source, root)
    if source.kind == "sklearn":
        return _in_memory(problem, read_sklearn(source.path), source.path)
    path = source.path if source.path.startswith("s3://") else str(root / source.path)
    return _stored(problem, path, needs_target)


def _stored(problem: Problem, path: str, needs_target: bool) -> Rows:
    table = open_table(path)
    found = _find_columns(problem, table.names, path, needs_target)
    batches = (_renamed(batch, found) for batch in table.batches(list(found.values())))
    return Rows(tuple(found), batches, path.rstrip("/").rpartition("/")[2], n_rows=table.n_rows)


def _generated(problem: Problem, source: Source, root: Path) -> Rows:
    from tabular.samples import generate, load_spec

    table = generate(load_spec(root / source.path), source.rows, problem.seed)
    what = f"synthetic sample of {source.rows:,} rows, made from {source.path}"
    return _in_memory(problem, table, what, synthetic=True)


def _in_memory(problem: Problem, table: pa.Table, what: str, *, synthetic: bool = False) -> Rows:
    found = _find_columns(problem, table.column_names, what, needs_target=True)
    batches = table.select(list(found.values())).to_batches(max_chunksize=BATCH_ROWS)
    renamed = (_renamed(batch, found) for batch in batches)
    return Rows(tuple(found), renamed, what, synthetic, table.num_rows)


def _from_mongodb(
    problem: Problem, uri: str, needs_target: bool, progress: Callable[[Progress], None]
) -> Rows:
    """Read the collection to its end: only then it is known to be whole, and which columns it has.

    What came is on the disk and not in memory by then.
    """
    from tabular.mongo import read_batches

    source = problem.source
    target = Column(type="number" if problem.task == "regression" else "category")
    columns = {**problem.columns, problem.target.column: target}
    batches = read_batches(uri, source, columns, progress=progress)
    first = next(batches)
    what = f"{source.database}.{source.collection}"
    found = _find_columns(problem, first.schema.names, what, needs_target)
    renamed = (_renamed(batch, found) for batch in chain([first], batches))
    return Rows(tuple(found), renamed, what)


def _no_server(source: Source) -> Source:
    raise ConfigError(
        f"source.kind is mongodb (collection '{source.collection}'), and MONGODB_URI is not set; "
        "set MONGODB_URI to the server's address, name a file with --data, or add "
        "source.otherwise to the problem's YAML."
    )


def _find_columns(
    problem: Problem, names: tuple[str, ...] | list[str], where: str, needs_target: bool
) -> dict[str, str]:
    """The table's name for each column of the contract, the target last."""
    target = problem.target.column
    has_target = target in (name.strip() for name in names)
    contract = _with_target(problem) if needs_target or has_target else problem.contract
    return match_columns(contract, names, where=where)


def _with_target(problem: Problem) -> Contract:
    return Contract(columns={**problem.columns, problem.target.column: Column(type="id")})


def _renamed(batch: pa.RecordBatch, found: Mapping[str, str]) -> pa.RecordBatch:
    columns = [batch.column(raw) for raw in found.values()]
    return pa.RecordBatch.from_arrays(columns, names=list(found))


def read_sklearn(name: str) -> pa.Table:
    """Read one of scikit-learn's bundled tables, such as `iris`, its target as class names."""
    from sklearn import datasets

    load = getattr(datasets, f"load_{name}", None)
    if load is None:
        raise ConfigError(f"source.path: scikit-learn has no bundled table '{name}'; try 'iris'.")
    bunch = load(as_frame=True)
    table = pa.Table.from_pandas(bunch.frame, preserve_index=False)
    if hasattr(bunch, "target_names"):
        names = [str(bunch.target_names[code]) for code in bunch.target]
        place = table.schema.get_field_index("target")
        table = table.set_column(place, "target", pa.array(names))
    return table
