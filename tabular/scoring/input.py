"""Rows to score, cut into pieces that do not depend on each other.

A Parquet table is cut at its row groups, so that any process can read a piece by itself. Any other
table is read from its start, and a piece carries its rows with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from tabular.contract import Contract, match_columns
from tabular.files import whole_file
from tabular.settings import Source
from tabular.tables.csv_files import CsvTable
from tabular.tables.locations import readable
from tabular.tables.parquet_files import ParquetTable
from tabular.tables.readers import StoredTable, open_table

# At least this many rows make a piece: about a second's work, so that little is lost in a crash.
PIECE_ROWS = 262_144
COPY = "_input.parquet"  # of a collection, in the work folder


@dataclass(frozen=True)
class HeldPiece:
    """Rows that were read already."""

    number: int
    first_row: int
    n_rows: int
    held: tuple[pa.RecordBatch, ...]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, under the contract's names."""
        return iter(self.held)


@dataclass(frozen=True)
class ParquetPiece:
    """Row groups of one Parquet file; `names` maps the contract's names to the table's."""

    number: int
    first_row: int
    n_rows: int
    file: ParquetTable
    row_groups: tuple[int, ...]
    names: dict[str, str]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, under the contract's names, at most 65,536 at a time.

        Raises:
            DataError: The file is damaged.
        """
        for batch in self.file.batches(list(self.names.values()), self.row_groups):
            yield batch.rename_columns(list(self.names))


Piece: TypeAlias = HeldPiece | ParquetPiece


@dataclass(frozen=True)
class ScoringInput:
    """A table to score; `names` maps the contract's inputs and ids to the table's names."""

    table: StoredTable
    names: dict[str, str]
    ids: tuple[str, ...]

    @property
    def n_rows(self) -> int | None:
        """How many rows there are, where that is known before they are read."""
        return self.table.n_rows

    def pieces(self) -> Iterator[Piece]:
        """The pieces, numbered from 0: the same ones each time."""
        if isinstance(self.table, CsvTable):
            return _held_pieces(self.table, self.names)
        return _parquet_pieces(self.table, self.names)

    def fingerprint(self) -> list[dict[str, str | int]]:
        """What tells this input from another: path, size and time of change of each file."""
        table = self.table
        places = [table.place] if isinstance(table, CsvTable) else [p for p, _ in table.parts]
        with readable(table.where, "a table"):
            found = table.filesystem.get_file_info(places)
        return [{"path": i.path, "size_bytes": i.size, "changed_ns": i.mtime_ns} for i in found]


ReadInput: TypeAlias = Callable[[Path], ScoringInput]


def open_input(contract: Contract, path: str) -> ScoringInput:
    """Look at the table to score. The target is not asked for, and other columns do no harm.

    Raises:
        DataError: Nothing is there, it is no table, or a column that the model reads is missing.
        StoreError: The S3 store does not answer, or refuses.
    """
    table = open_table(path)
    inputs = Contract(columns=contract.inputs())
    found = match_columns(inputs, table.names, where=path)
    given = {name.strip(): name for name in table.names}
    ids = {
        name: given[known[0]]
        for name, column in contract.columns.items()
        if column.type == "id"
        and (known := [n for n in (name.strip(), *column.also_named) if n in given])
    }
    return ScoringInput(table, {**ids, **found}, tuple(ids))


def copy_collection(contract: Contract, source: Source, uri: str, work: Path) -> ScoringInput:
    """Copy a MongoDB collection into the work folder, once: a run that goes on reads the copy.

    Raises:
        ConfigError: The address, the user or the query is refused.
        DataError: There is no such collection, nothing in it, or a column is missing.
        StoreError: The server is away, or the disk is full.
    """
    from tabular.mongo.reading import read_batches

    copy = work / COPY
    if not copy.exists():
        ids = {name: c for name, c in contract.columns.items() if c.type == "id"}
        batches = read_batches(uri, source, {**ids, **contract.inputs()})
        first = next(batches)
        with whole_file(copy) as unfinished, pq.ParquetWriter(unfinished, first.schema) as writer:
            for batch in chain([first], batches):
                writer.write_batch(batch, row_group_size=PIECE_ROWS)
    return open_input(contract, str(copy))


def _parquet_pieces(table: ParquetTable, names: dict[str, str]) -> Iterator[Piece]:
    number = first_row = 0
    for part in table.parts:
        file = replace(table, parts=(part,))
        with (
            readable(part[0], "parquet"),
            table.filesystem.open_input_file(part[0]) as opened,
        ):
            metadata = pq.read_metadata(opened)
        for groups, n_rows in _whole_groups(metadata):
            yield ParquetPiece(number, first_row, n_rows, file, groups, names)
            number, first_row = number + 1, first_row + n_rows


def _whole_groups(metadata: pq.FileMetaData) -> Iterator[tuple[tuple[int, ...], int]]:
    """Runs of row groups of at least `PIECE_ROWS` rows each, the last of a file excepted."""
    groups: list[int] = []
    n_rows = 0
    for group in range(metadata.num_row_groups):
        groups.append(group)
        n_rows += metadata.row_group(group).num_rows
        if n_rows >= PIECE_ROWS or (group == metadata.num_row_groups - 1 and n_rows):
            yield tuple(groups), n_rows
            groups, n_rows = [], 0


def _held_pieces(table: CsvTable, names: dict[str, str]) -> Iterator[Piece]:
    number = first_row = n_held = 0
    held: list[pa.RecordBatch] = []
    for block in table.batches(list(names.values())):
        batch = block.rename_columns(list(names))
        held.append(batch)
        n_held += batch.num_rows
        if n_held >= PIECE_ROWS:
            yield HeldPiece(number, first_row, n_held, tuple(held))
            number, first_row, n_held, held = number + 1, first_row + n_held, 0, []
    if n_held:
        yield HeldPiece(number, first_row, n_held, tuple(held))
