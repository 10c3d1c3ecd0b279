"""CSV files, plain or in gzip, read in batches; every column is text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.fs as pa_fs

from tabular.errors import DataError
from tabular.tables.csv_forms import UTF8, CsvForm, Separator, find_form
from tabular.tables.locations import readable

BLOCK_BYTES = 8 << 20  # also the longest row
HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class CsvTable:
    """A CSV file; how many rows it has is known only once it has been read."""

    where: str
    names: tuple[str, ...]
    filesystem: pa_fs.FileSystem
    place: str
    form: CsvForm
    n_rows: None = None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Give some columns, blanks and empty texts as they are.

        Raises:
            DataError: The file breaks off or is of another encoding, there is no row in it, or a
                line further down is another header or has another number of fields.
        """
        n_rows = 0
        with readable(self.where, "csv"), _unpacked(self.filesystem, self.place) as stream:
            for block in read_blocks(stream, self.form, columns):
                self._refuse_second_header(block, n_rows)
                n_rows += block.num_rows
                yield block
        if n_rows == 0:
            raise DataError(
                f"{self.where}: there is a header but no row below it; export it again."
            )

    def _refuse_second_header(self, block: pa.RecordBatch, n_before: int) -> None:
        """Two files joined leave a line of which most fields are the names of columns."""
        names = pa.array(sorted({form for name in self.names for form in (name, name.strip())}))
        n_names = np.zeros(block.num_rows, dtype=np.int32)
        for column in block.columns:
            n_names += pc.is_in(column, value_set=names).to_numpy(zero_copy_only=False)
        found = np.flatnonzero(n_names >= max(2, block.num_columns / 2))
        if len(found):
            raise DataError(
                f"{self.where}: row {n_before + int(found[0])} is a second header; the file looks "
                "joined from two. Take that line out where the columns are the same, or name the "
                "parts one by one."
            )


def open_csv(
    filesystem: pa_fs.FileSystem,
    place: str,
    *,
    where: str,
    separator: Separator = "",
    encoding: str = "",
) -> CsvTable:
    """Read a CSV file's header; separator and encoding are looked for unless they are given.

    Raises:
        DataError: The file is binary, or its first line cannot be read.
    """
    with readable(where, "csv"):
        with _unpacked(filesystem, place) as stream:
            head = stream.read(HEAD_BYTES)
        form = find_form(head, separator=separator, encoding=encoding)
        if b"\0" in head and not form.encoding.startswith("utf-16"):
            raise DataError(f"{where}: this is a binary file, not CSV; export it as text.")
        with _unpacked(filesystem, place) as stream:
            names = tuple(read_blocks(stream, form, None).schema.names)
    return CsvTable(where, names, filesystem, place, form)


@contextmanager
def _unpacked(filesystem: pa_fs.FileSystem, place: str) -> Iterator[pa.NativeFile]:
    packing = "gzip" if place.lower().endswith(".gz") else None
    with filesystem.open_input_stream(place, compression=packing) as stream:
        yield stream


def read_blocks(
    stream: pa.NativeFile,
    form: CsvForm,
    columns: Sequence[str] | None,
    names: Sequence[str] | None = None,
) -> pa_csv.CSVStreamingReader:
    """Cut a stream into rows.

    Args:
        stream: A whole file, or a piece of one without its header.
        form: How it is written.
        columns: Which columns to read, as text; all, with types guessed, if None.
        names: The header of a piece; the first line is the header if None.
    """
    chosen = list(columns or ())
    if form.encoding != UTF8:
        stream = pa.transcoding_input_stream(stream, form.encoding, UTF8)
    return pa_csv.open_csv(
        stream,
        # One thread: only then does a message name the row.
        read_options=pa_csv.ReadOptions(
            block_size=BLOCK_BYTES,
            use_threads=False,
            skip_rows=form.skipped_lines,
            column_names=names,
        ),
        parse_options=pa_csv.ParseOptions(delimiter=form.separator, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            include_columns=chosen,
            column_types=dict.fromkeys(chosen, pa.string()),
            strings_can_be_null=False,
        ),
    )
