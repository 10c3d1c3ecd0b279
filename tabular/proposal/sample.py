"""A sample of a table that nobody has described: some rows as they are written, and their number.

A file of ordinary size is read through once. Of a larger one pieces are read, evenly spread over
it; of one in gzip, the beginning. No more is held than the rows that are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tabular.errors import DataError, did_you_mean, listed
from tabular.tables.csv_files import CsvTable, read_blocks
from tabular.tables.csv_forms import UTF8
from tabular.tables.locations import readable
from tabular.tables.parquet_files import ParquetTable
from tabular.tables.readers import open_table

WHOLE_BYTES = 256 << 20  # up to here a file is read through
N_PIECES, PIECE_BYTES = 32, 2 << 20
SAMPLE_ROWS, SAMPLE_CELLS = 50_000, 20_000_000
MIN_SAMPLE_ROWS = 2_000
LEGACY = "cp1252"  # what Western systems write where they do not write UTF-8
SEED = 42


@dataclass(frozen=True)
class Sample:
    """Some rows of a table in their order.

    `rows` (n, k) under the table's own names, texts or typed. `n_rows` is how many the table has,
    estimated unless `is_whole`, which says whether every row was looked at. `source` is the
    problem's `source` part. `note` says what was left out, `asides` what else is to be known.
    """

    rows: pa.Table
    n_rows: int
    is_whole: bool
    source: dict[str, Any]
    where: str
    note: str = ""
    bytes_read: int = 0
    asides: tuple[str, ...] = ()


def read_file(path: str, root: Path) -> Sample:
    """Take a sample of a file, or of a folder of Parquet parts.

    Args:
        path: A path or s3:// address.
        root: The project's folder: a path below it is named from there in `source`.

    Raises:
        DataError: Nothing is there, or it is no table; a name stands twice; a text is in no
            encoding that is known here.
        StoreError: The S3 store does not answer, or refuses.
    """
    try:
        return _read(path, root, encoding="")
    except DataError as error:
        if "utf8" not in str(error).replace("-", "").casefold():
            raise
    sample = _read(path, root, encoding=LEGACY)
    aside = f"the file is not in UTF-8; it is read as {LEGACY}, look at names with accents"
    return replace(sample, asides=(aside,))


def _read(path: str, root: Path, *, encoding: str) -> Sample:
    table = open_table(path, encoding=encoding)
    _refuse_names(table.names, path)
    if isinstance(table, ParquetTable):
        return _of_parquet(table, path, root)
    return _of_csv(table, path, root, encoding=encoding)


def _refuse_names(names: tuple[str, ...], where: str) -> None:
    """What cannot be a header: names that stand twice, and a first row of nothing but numbers."""
    stripped = [name.strip() for name in names]
    if twice := sorted(name for name, n in Counter(stripped).items() if n > 1):
        raise DataError(
            f"{where}: {len(twice)} column(s) stand twice in the header: {listed(twice)}; rename "
            "one of each."
        )
    if len(names) > 1 and all(_is_number(name) for name in stripped):
        raise DataError(
            f"{where}: the first line holds numbers only ({listed(stripped)}), not the names of "
            "columns; write a header above it."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_target(names: Iterable[str], target: str, where: str) -> str:
    """The target's name as the table has it.

    Raises:
        DataError: There is no such column (the nearest names are given), or no other beside it.
    """
    stripped = [name.strip() for name in names]
    if target.strip() not in stripped:
        raise DataError(
            f"{where}: --target '{target}' is no column{did_you_mean(target, stripped)}; it has "
            f"{listed(stripped)}."
        )
    if len(stripped) == 1:
        raise DataError(
            f"{where}: '{target}' is the only column, and there is nothing to predict it from; "
            "name a table with more columns (is its separator one of , ; tab |?)."
        )
    return target.strip()


def kept_rows(n_columns: int) -> int:
    """How many rows of a table are kept: fewer where it is wide."""
    return max(MIN_SAMPLE_ROWS, min(SAMPLE_ROWS, SAMPLE_CELLS // max(n_columns, 1)))


class Reservoir:
    """Keeps rows drawn at random among all that came, in their order."""

    def __init__(self, limit: int) -> None:
        self._limit, self._random = limit, np.random.default_rng(SEED)
        self._kept: list[pa.RecordBatch] = []
        self._keys: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        self._cut = 1.0
        self.n_seen = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take up the next rows."""
        self.n_seen += batch.num_rows
        keys = self._random.random(batch.num_rows)
        chosen = keys < self._cut
        self._kept.append(batch if chosen.all() else batch.filter(pa.array(chosen)))
        self._keys.append(keys[chosen])
        if sum(map(len, self._keys)) > 2 * self._limit:
            self._thin()

    def _thin(self) -> None:
        keys = np.concatenate(self._keys)
        if len(keys) <= self._limit:
            return
        self._cut = float(np.partition(keys, self._limit)[self._limit])
        kept = zip(self._kept, self._keys, strict=True)
        self._kept = [batch.filter(pa.array(own < self._cut)) for batch, own in kept]
        self._keys = [own[own < self._cut] for own in self._keys]

    def table(self) -> pa.Table:
        """The rows that were kept, at most `limit`."""
        self._thin()
        return pa.Table.from_batches(self._kept)


def _of_csv(table: CsvTable, path: str, root: Path, *, encoding: str) -> Sample:
    is_packed = table.place.lower().endswith(".gz")
    with readable(path, "csv"):
        size = table.filesystem.get_file_info(table.place).size
    is_wide = table.form.encoding.startswith("utf-16")
    source: dict[str, Any] = {"kind": "csv", "path": _named(path, root)}
    source |= {"encoding": encoding} if encoding else {}
    reservoir = Reservoir(kept_rows(len(table.names)))
    if size <= WHOLE_BYTES or is_packed or is_wide:
        return _of_stream(table, reservoir, source, size, is_packed=is_packed)
    for batch in _pieces(table, size):
        reservoir.add(batch)
    if not reservoir.n_seen:
        raise DataError(f"{path}: no row could be read in {N_PIECES} places of it; look into it.")
    read = N_PIECES * PIECE_BYTES
    n_rows = int(size / read * reservoir.n_seen)
    return Sample(
        rows=reservoir.table(),
        n_rows=n_rows,
        is_whole=False,
        source=source,
        where=path,
        note=f"{read / 1e6:,.0f} MB of {size / 1e6:,.0f} MB were read, in {N_PIECES} places",
        bytes_read=read,
    )


def _of_stream(
    table: CsvTable, reservoir: Reservoir, source: dict[str, Any], size: int, *, is_packed: bool
) -> Sample:
    """Read from the start, and at most `WHOLE_BYTES` of what is in a packed file."""
    read, note = 0, ""
    for batch in table.batches(table.names):
        reservoir.add(batch)
        read += batch.nbytes
        if read > 2 * WHOLE_BYTES:  # Arrow holds a text with its place
            note = f"only the first {reservoir.n_seen:,} rows were read"
            break
    return Sample(
        rows=reservoir.table(),
        n_rows=reservoir.n_seen,
        is_whole=not note,
        source=source,
        where=table.where,
        note=note,
        bytes_read=read if is_packed else min(size, read),
    )


def _pieces(table: CsvTable, size: int) -> Iterator[pa.RecordBatch]:
    """Rows from places evenly spread over a file; a place in the middle of a quote gives none."""
    with readable(table.where, "csv"), table.filesystem.open_input_file(table.place) as file:
        for number in range(N_PIECES):
            file.seek(number * (size - PIECE_BYTES) // (N_PIECES - 1))
            lines = file.read(PIECE_BYTES).partition(b"\n")[2].rpartition(b"\n")[0]
            text = lines.decode(table.form.encoding, errors="replace").strip("\0")
            if text.strip("\0\r\n "):
                yield from _piece(table, text.encode(UTF8))


def _piece(table: CsvTable, lines: bytes) -> list[pa.RecordBatch]:
    form = replace(table.form, encoding=UTF8, skipped_lines=0)
    try:
        reader = read_blocks(pa.BufferReader(lines), form, table.names, table.names)
        return list(reader)
    except pa.ArrowInvalid:
        return []


def _of_parquet(table: ParquetTable, path: str, root: Path) -> Sample:
    """Some row groups of some parts, evenly spread, where there is more than is read through."""
    source = {"kind": "parquet", "path": _named(path, root)}
    reservoir = Reservoir(kept_rows(len(table.names)))
    groups = _chosen_groups(table)
    for part, group in groups:
        of_part = replace(table, parts=(part,))
        for batch in of_part.batches(table.names, None if group is None else (group,)):
            reservoir.add(batch)
    is_whole = reservoir.n_seen == table.n_rows
    note = "" if is_whole else f"{reservoir.n_seen:,} of {table.n_rows:,} rows were looked at"
    rows = reservoir.table()
    return Sample(rows, table.n_rows, is_whole, source, path, note, rows.nbytes)


def _chosen_groups(table: ParquetTable) -> list[tuple[Any, int | None]]:
    with readable(table.where, "parquet"):
        sizes = [table.filesystem.get_file_info(place).size for place, _ in table.parts]
    if sum(sizes) <= WHOLE_BYTES:
        return [(part, None) for part in table.parts]
    step = max(1, len(table.parts) // N_PIECES)
    found: list[tuple[Any, int | None]] = []
    for part in table.parts[::step]:
        with readable(part[0], "parquet"), table.filesystem.open_input_file(part[0]) as file:
            n_groups = pq.read_metadata(file).num_row_groups
        found += [(part, group) for group in range(n_groups)]
    return found[:: max(1, len(found) // N_PIECES)]


def _named(path: str, root: Path) -> str:
    if "://" in path:
        return path
    whole = Path(path).resolve()
    return str(whole.relative_to(root) if whole.is_relative_to(root) else whole)
