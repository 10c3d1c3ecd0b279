"""Sources: where a problem's rows come from, read in batches under the contract's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from tabular.contract import Column, Contract, match_columns
from tabular.errors import ConfigError
from tabular.problem import Problem
from tabular.settings import Source
from tabular.tables.parquet_files import BATCH_ROWS
from tabular.tables.readers import open_table

if TYPE_CHECKING:
    from tabular.mongo.reading import Progress


class Table(Protocol):
    """Columns under the names that their source gives them; each can be read from its start."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def n_rows(self) -> int | None: ...
    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns, at most 65,536 rows at a time."""
        ...


@dataclass(frozen=True)
class Found:
    """A table that was found, where in words, and how messages name it."""

    table: Table
    source: str
    where: str
    synthetic: bool = False


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
    found = find_table(problem, data=data, root=root, mongodb_uri=mongodb_uri, progress=progress)
    table, target = found.table, problem.target.column
    has_target = target in (name.strip() for name in table.names)
    contract = with_target(problem) if needs_target or has_target else problem.contract
    names = match_columns(contract, table.names, where=found.where)
    batches = (_renamed(batch, names) for batch in table.batches(list(names.values())))
    return Rows(tuple(names), batches, found.source, found.synthetic, table.n_rows)


def find_table(
    problem: Problem,
    *,
    data: str,
    root: Path,
    mongodb_uri: str,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Found:
    """`open_rows` before the contract is looked at: whatever columns are there."""
    source = problem.source
    if data:
        return _stored(data, source)
    if source.kind == "mongodb":
        if mongodb_uri:
            return _from_mongodb(problem, mongodb_uri, progress)
        source = source.otherwise or _no_server(source)
    if source.kind == "sample":
        from tabular.samples import generate, load_spec

        table = generate(load_spec(root / source.path), source.rows, problem.seed)
        what = f"synthetic sample of {source.rows:,} rows, made from {source.path}"
        return Found(_in_memory(table.to_batches()), what, what, synthetic=True)
    if source.kind == "sklearn":
        table = read_sklearn(source.path)
        return Found(_in_memory(table.to_batches()), source.path, source.path)
    path = source.path if source.path.startswith("s3://") else str(root / source.path)
    return _stored(path, source)


def _stored(path: str, source: Source) -> Found:
    """Another table in place of the problem's own is taken to be written as that one is."""
    table = open_table(path, separator=source.separator, encoding=source.encoding)
    return Found(table, path.rstrip("/").rpartition("/")[2], path)


@dataclass(frozen=True)
class _Batches:
    """Batches that come from elsewhere than files."""

    names: tuple[str, ...]
    source: Iterable[pa.RecordBatch]
    n_rows: int | None = None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in self.source:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.select(list(columns)).slice(start, BATCH_ROWS)


def _in_memory(batches: list[pa.RecordBatch]) -> _Batches:
    n_rows = sum(batch.num_rows for batch in batches)
    return _Batches(tuple(batches[0].schema.names), batches, n_rows)


def _from_mongodb(problem: Problem, uri: str, progress: Callable[[Progress], None]) -> Found:
    """Read the collection to its end: only then it is known to be whole, and which columns it has.

    What came is on the disk and not in memory by then; it can be taken up once.
    """
    from tabular.mongo.reading import read_batches

    source = problem.source
    target = Column(type="number" if problem.task == "regression" else "category")
    columns = {**problem.columns, problem.target.column: target}
    batches = read_batches(uri, source, columns, progress=progress)
    first = next(batches)
    what = f"{source.database}.{source.collection}"
    return Found(_Batches(tuple(first.schema.names), chain([first], batches)), what, what)


def _no_server(source: Source) -> Source:
    raise ConfigError(
        f"source.kind is mongodb (collection '{source.collection}'), and MONGODB_URI is not set; "
        "set MONGODB_URI to the server's address, name a file with --data, or add "
        "source.otherwise to the problem's YAML."
    )


def with_target(problem: Problem) -> Contract:
    """The problem's columns, and its target as one more."""
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
