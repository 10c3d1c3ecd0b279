"""Snapshots: a run's rows as one Parquet file, named by the hash of what it holds.

Same columns, types, values and order give the same hash, whatever the rows were read from, in
whichever batches, and however a file lays them out. Both hash and file are made in one pass over
the batches, so that a table need not fit into memory (docs/adr/0012).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tabular.contract import Frozen
from tabular.errors import DataError
from tabular.files import sync, whole_file
from tabular.tables.parquet_files import BATCH_ROWS, plain_schema

UNNAMED = ".unnamed-"  # a table is called so until its hash is known


class TableFile(Frozen):
    """A Parquet file, and the hash of what it holds."""

    path: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    n_rows: int
    columns: tuple[str, ...]

    def batches(self, columns: Iterable[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Give some columns, or all, at most 65,536 rows at a time."""
        with pq.ParquetFile(self.path, pre_buffer=False, page_checksum_verification=True) as file:
            yield from file.iter_batches(
                BATCH_ROWS, columns=list(self.columns if columns is None else columns)
            )

    def group_sizes(self) -> list[int]:
        """Rows of each row group, in order."""
        facts = pq.read_metadata(self.path)
        return [facts.row_group(place).num_rows for place in range(facts.num_row_groups)]

    def row_group(self, place: int) -> pa.Table:
        """All columns of one row group."""
        with pq.ParquetFile(self.path, pre_buffer=False, page_checksum_verification=True) as file:
            return file.read_row_group(place, columns=list(self.columns))


class Snapshot(TableFile):
    """The rows of one run as they were read, and where they came from."""

    source: str
    synthetic: bool = False


class CheckedRows(TableFile):
    """The typed rows that keep the contract, target last."""


class TableHash:
    """A running hash over equal batches: each column has a digest of its own."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._digests = [hashlib.sha256() for _ in schema]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows; all batches but the last must have 65,536."""
        for digest, column in zip(self._digests, batch.columns, strict=True):
            digest.update(f"{len(column)},{column.null_count};".encode())
            if column.null_count:
                digest.update(_bytes(column.is_valid().cast(pa.uint8())))
            # What the memory below a missing value holds is no content.
            digest.update(_bytes(column.drop_null()))

    def hexdigest(self) -> str:
        """The hash of names, types and values so far."""
        whole = hashlib.sha256()
        for field, digest in zip(self._schema, self._digests, strict=True):
            whole.update(f"{field.name!r} {field.type}: {digest.hexdigest()}\n".encode())
        return whole.hexdigest()


def _bytes(column: pa.Array) -> memoryview:
    """The values of a column without missing ones, as the Arrow stream format writes them."""
    # Rebuilt, so that a slice gives its own bytes and not its parent's offsets.
    own = pa.concat_arrays([column])
    batch = pa.RecordBatch.from_arrays([own], names=[""])
    return memoryview(batch.serialize())


def equal_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Give the same rows in batches of 65,536 (the last has what is left), in plain types."""
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, BATCH_ROWS - n_waiting)
            waiting.append(piece)
            start += piece.num_rows
            n_waiting += piece.num_rows
            if n_waiting == BATCH_ROWS:
                yield _one(waiting, schema)
                waiting, n_waiting = [], 0
    if waiting:
        yield _one(waiting, schema)


def _one(pieces: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    table = pa.Table.from_batches(pieces)
    columns = [
        pa.concat_arrays([*(chunk.cast(field.type) for chunk in table.column(i).chunks)])
        for i, field in enumerate(schema)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def table_sha256(table: pa.Table) -> str:
    """Hash a table that is in memory as a snapshot of it would be hashed."""
    schema = plain_schema(table.schema)
    digest = TableHash(schema)
    for batch in equal_batches(table.to_batches(), schema):
        digest.add(batch)
    return digest.hexdigest()


def save_snapshot(
    batches: Iterable[pa.RecordBatch], folder: Path, *, source: str, synthetic: bool
) -> Snapshot:
    """Write rows as `folder/HASH.parquet` in one pass, whole or not at all.

    Raises:
        DataError: The source gives no row; or whatever it raises while it is read.
        StoreError: The folder cannot be written, or the disk is full.
    """
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        raise DataError(f"{source}: there is no row to read; take other rows, or another query.")
    written = write_table(chain([first], batches), plain_schema(first.schema), folder)
    return Snapshot(**written.model_dump(), source=source, synthetic=synthetic)


def write_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path) -> TableFile:
    """Write batches as `folder/HASH.parquet`, whole or not at all; an equal file is kept.

    One process at a time may write there: what a killed one left is taken away first.

    Raises:
        StoreError: The folder cannot be written, or the disk is full. Nothing stays of it.
    """
    for left in folder.glob(f"*{UNNAMED}*"):
        left.unlink()
    unnamed = folder / f"{UNNAMED}{os.getpid()}.parquet"
    digest, n_rows = TableHash(schema), 0
    with (
        whole_file(unnamed) as unfinished,
        pq.ParquetWriter(unfinished, schema, write_page_checksum=True) as file,
    ):
        for batch in equal_batches(batches, schema):
            digest.add(batch)
            file.write_batch(batch)
            n_rows += batch.num_rows
    sha256 = digest.hexdigest()
    path = folder / f"{sha256[:16]}.parquet"
    if path.exists():
        unnamed.unlink()
    else:
        os.replace(unnamed, path)
        sync(folder)
    return TableFile(path=str(path), sha256=sha256, n_rows=n_rows, columns=tuple(schema.names))
