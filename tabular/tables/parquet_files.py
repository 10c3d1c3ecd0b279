"""Parquet, one file or a folder of parts, read in batches; columns come in their plain types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from tabular.errors import DataError, did_you_mean, listed
from tabular.tables.locations import readable

BATCH_ROWS = 65_536
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"

Partition = dict[str, str | None]


@dataclass(frozen=True)
class ParquetTable:
    """One table in one or more parts, in the order of their names.

    `schema` has plain types; a folder named `year=2024` gives its parts a text column `year`.
    """

    where: str
    schema: pa.Schema
    filesystem: pa_fs.FileSystem
    parts: tuple[tuple[str, Partition], ...]
    n_rows: int

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(self.schema.names)

    def batches(
        self, columns: Sequence[str], row_groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Give some columns, at most 65,536 rows at a time.

        Args:
            columns: Names as in the table.
            row_groups: Of a table of one part, which of its row groups; all if None.

        Raises:
            DataError: A part's bytes are damaged.
        """
        schema = pa.schema([self.schema.field(name) for name in columns])
        for place, partition in self.parts:
            inside = [name for name in columns if name not in partition]
            with (
                readable(place, "parquet"),
                self.filesystem.open_input_file(place) as file,
                _open(file) as part,
            ):
                for batch in part.iter_batches(BATCH_ROWS, row_groups, inside):
                    arrays = [
                        _constant(partition[field.name], batch.num_rows)
                        if field.name in partition
                        else _plain(batch.column(field.name), field.type)
                        for field in schema
                    ]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def open_parquet(
    filesystem: pa_fs.FileSystem, parts: Sequence[tuple[str, Partition]], *, where: str
) -> ParquetTable:
    """Read the footers of all parts.

    Raises:
        DataError: A part is no Parquet file, its columns are not those of the first, or no part has
            a row.
    """
    n_rows, schema = 0, pa.schema([])
    for number, (place, partition) in enumerate(parts):
        with (
            readable(place, "parquet"),
            filesystem.open_input_file(place) as file,
            _open(file) as part,
        ):
            own = plain_schema(part.schema_arrow, partition)
            n_rows += part.metadata.num_rows
        schema = _joined(schema, own, first=parts[0][0], other=place) if number else own
    if n_rows == 0:
        raise DataError(f"{where}: there is a header but no row below it; export it again.")
    return ParquetTable(where, schema, filesystem, tuple(parts), n_rows)


def find_parts(filesystem: pa_fs.FileSystem, folder: str) -> list[tuple[str, Partition]]:
    """The .parquet files below a folder, sorted by name; names with `_` or `.` first are none."""
    found = filesystem.get_file_info(pa_fs.FileSelector(folder, recursive=True))
    parts = []
    for info in found:
        steps = info.path[len(folder) :].strip("/").split("/")
        is_hidden = any(step.startswith((".", "_")) for step in steps)
        if info.type == pa_fs.FileType.File and steps[-1].endswith(".parquet") and not is_hidden:
            pairs = [step.split("=", 1) for step in steps[:-1] if "=" in step]
            parts.append((info.path, {key: _partition_value(text) for key, text in pairs}))
    return sorted(parts, key=lambda part: part[0])


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, whatever encoding its writer chose."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


def plain_schema(schema: pa.Schema, partition: Partition | None = None) -> pa.Schema:
    """A schema with plain types and no metadata; a partition's columns stand last."""
    fields = [
        pa.field(f.name, plain_type(f.type)) for f in schema if f.name not in (partition or {})
    ]
    return pa.schema([*fields, *(pa.field(name, pa.string()) for name in partition or {})])


def _joined(schema: pa.Schema, own: pa.Schema, *, first: str, other: str) -> pa.Schema:
    """One schema for both; only a column without any value may take another type."""
    if sorted(schema.names) != sorted(own.names):
        gone = [name for name in schema.names if name not in own.names]
        new = [name for name in own.names if name not in schema.names]
        hint = did_you_mean(gone[0], new) if gone else ""
        raise DataError(
            f"{other}: this part has other columns than {first}: without {listed(gone)}{hint}, "
            f"with {listed(new)} beside. Write the parts anew with the same columns."
        )
    fields = []
    for field in schema:
        kinds = {field.type, own.field(field.name).type}
        known = kinds - {pa.null()}
        if len(known) > 1:
            raise DataError(
                f"{other}: column '{field.name}' is {own.field(field.name).type} in this part and "
                f"{field.type} in {first}; write the parts anew with the same types."
            )
        fields.append(pa.field(field.name, known.pop() if known else pa.null()))
    return pa.schema(fields)


def _open(file: pa.NativeFile) -> pq.ParquetFile:
    # Without pre-buffering: it would keep what it read of every row group until the end.
    return pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)


def _plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    plain = column if column.type == kind else column.cast(kind)
    if pa.types.is_string(kind):
        plain.validate(full=True)  # text that is not UTF-8 is found here, where the file is known
    return plain


def _constant(text: str | None, n_rows: int) -> pa.Array:
    return pa.array([text], pa.string()).take(pa.array([0] * n_rows, pa.int8()))


def _partition_value(text: str) -> str | None:
    return None if text == HIVE_NULL else unquote(text)
