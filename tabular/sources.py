"""Sources: where rows come from, and the snapshot that a run can be repeated from.

A snapshot is one Parquet file and the hash of what it holds: the same columns and values in the
same order give the same hash, whatever they were read from and however the file is laid out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pydantic import Field

from tabular.contract import Contract, Frozen, match_columns
from tabular.errors import ConfigError, DataError
from tabular.files import whole_file
from tabular.problem import Problem

HASH_BATCH_ROWS = 65_536


class Snapshot(Frozen):
    """The rows of one run: a Parquet file, and where they came from."""

    path: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    n_rows: int
    columns: tuple[str, ...]
    source: str
    synthetic: bool = False


def load_table(problem: Problem, *, data: Path | None, root: Path) -> tuple[pa.Table, str, bool]:
    """Read the problem's rows.

    Args:
        problem: Its source is read, unless `data` is given.
        data: A CSV or Parquet file to read in place of the problem's source.
        root: Folder that relative paths in the YAML start from.

    Returns:
        The table with the contract's columns and the target, under the contract's names; what it
        was read from, in words; and whether it is synthetic.

    Raises:
        DataError: The file is missing, empty, unreadable, or its columns are not the problem's.
    """
    if data is not None:
        return _named(read_file(data), problem, str(data)), data.name, False
    source = problem.source
    if source.kind == "sample":
        from tabular.samples import generate, load_spec

        spec = load_spec(root / source.path)
        table = generate(spec, source.rows, problem.seed)
        what = f"synthetic sample of {source.rows:,} rows, made from {source.path}"
        return _named(table, problem, what), what, True
    if source.kind == "sklearn":
        return _named(read_sklearn(source.path), problem, source.path), source.path, False
    path = root / source.path
    return _named(read_file(path), problem, str(path)), path.name, False


def read_file(path: Path) -> pa.Table:
    """Read a CSV (every column as text) or a Parquet file.

    Raises:
        DataError: There is no such file, it is empty, or it is neither of the two.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file; check the path, or leave --data out.")
    if path.is_dir() or path.suffix.lower() not in (".csv", ".parquet"):
        raise DataError(f"{path}: a .csv or .parquet file is needed; convert it, or name another.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; export it again.")
    try:
        table = pq.read_table(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        reason = str(error).splitlines()[0].removesuffix(".")[:160]
        raise DataError(f"{path}: cannot be read as {path.suffix[1:]} ({reason}).") from error
    if table.num_rows == 0:
        raise DataError(f"{path}: there is a header but no row below it; export it again.")
    return table


def _read_csv(path: Path) -> pa.Table:
    with path.open("rb") as file:
        head = file.read(1 << 20)
    if b"\0" in head:
        raise DataError(f"{path}: this is a binary file, not CSV; export it as text.")
    parse = pa_csv.ParseOptions(newlines_in_values=b'"' in head)
    with path.open("rb") as file:
        names = pa_csv.open_csv(file, parse_options=parse).schema.names
    return pa_csv.read_csv(
        path,
        parse_options=parse,
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


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


def _named(table: pa.Table, problem: Problem, where: str) -> pa.Table:
    found = match_columns(_with_target(problem), table.column_names, where=where)
    return pa.table({name: table.column(raw) for name, raw in found.items()})


def _with_target(problem: Problem) -> Contract:
    from tabular.contract import Column

    columns = {**problem.columns, problem.target.column: Column(type="id")}
    return Contract(columns=columns)


def table_sha256(table: pa.Table) -> str:
    """Hash names, types and values in order; neither chunks nor the file's layout change it."""
    digest = hashlib.sha256()

    class Sink:
        closed = False

        def write(self, data: bytes) -> int:
            digest.update(data)
            return len(data)

        def flush(self) -> None: ...
        def close(self) -> None: ...
        def writable(self) -> bool:
            return True

    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        whole = column.combine_chunks()
        # What the memory below a missing value holds is no content: it differs from file to file.
        for array in (whole.is_valid(), whole.drop_null()):
            schema = pa.schema([(name, array.type)])
            with pa.ipc.new_stream(pa.PythonFile(Sink(), mode="w"), schema) as stream:
                for start in range(0, len(array), HASH_BATCH_ROWS):
                    # Rebuilt, so that a slice writes its own bytes and not its parent's offsets.
                    own = pa.concat_arrays([array.slice(start, HASH_BATCH_ROWS)])
                    stream.write_batch(pa.RecordBatch.from_arrays([own], schema=schema))
    return digest.hexdigest()


def save_snapshot(table: pa.Table, folder: Path, *, source: str, synthetic: bool) -> Snapshot:
    """Write a table as `folder/HASH.parquet`, whole or not at all; an equal snapshot is kept.

    Raises:
        StoreError: The folder cannot be written, or the disk is full.
    """
    sha256 = table_sha256(table)
    path = folder / f"{sha256[:16]}.parquet"
    if not path.exists():
        with whole_file(path) as unfinished:
            pq.write_table(table, unfinished)
    return Snapshot(
        path=str(path),
        sha256=sha256,
        n_rows=table.num_rows,
        columns=tuple(table.column_names),
        source=source,
        synthetic=synthetic,
    )
