"""The log as Arrow tables: schemas, and rows written as the service would have written them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tabular.contract import Contract
from tabular.errors import StoreError
from tabular.files import whole_file
from tabular.prediction_log.mongo_location import is_mongo
from tabular.prediction_log.names import (
    LABEL_COLUMNS,
    Kind,
    Sensitive,
    file_stem,
    labels_folder,
    log_columns,
    problem_folder,
    sealed_key,
)
from tabular.settings import Task
from tabular.tables.locations import locate

_TYPES: dict[Kind, pa.DataType] = {
    "time": pa.timestamp("us", tz="UTC"),
    "text": pa.string(),
    "place": pa.int32(),
    "number": pa.float64(),
}


def arrow_schema(columns: Mapping[str, Kind]) -> pa.Schema:
    """The Arrow schema of columns by kind."""
    return pa.schema([pa.field(name, _TYPES[kind]) for name, kind in columns.items()])


def log_schema(contract: Contract, task: Task, sensitive: Sensitive = "hash") -> pa.Schema:
    """The columns of a problem's log, in order; those that the task never fills are null."""
    del task
    return arrow_schema(log_columns(contract, sensitive))


LABEL_SCHEMA = arrow_schema(LABEL_COLUMNS)


def write_rows(location: str, problem: str, table: pa.Table) -> list[str]:
    """Write answered rows (a table of `log_schema`), one file a day; return where they lie.

    Raises:
        StoreError: The folder or store cannot be written.
    """
    return _write(location, problem_folder(problem), table)


def write_labels(location: str, problem: str, table: pa.Table) -> list[str]:
    """Write outcomes (a table of `LABEL_SCHEMA`), one file a day; return where they lie.

    Raises:
        StoreError: The folder or store cannot be written.
    """
    return _write(location, labels_folder(problem), table)


def _write(location: str, folder: str, table: pa.Table) -> list[str]:
    worker = secrets.token_hex(4)
    days = pc.cast(table["at"], pa.date32()).unique().to_pylist() if table.num_rows else []
    written = []
    for number, day in enumerate(sorted(days), start=1):
        rows = table.filter(pc.equal(pc.cast(table["at"], pa.date32()), pa.scalar(day)))
        stem = file_stem(pc.min(rows["at"]).as_py(), worker, number)
        written.append(_write_day(location, folder, stem, rows))
    return written


def _write_day(location: str, folder: str, stem: str, rows: pa.Table) -> str:
    if not is_mongo(location):
        return _write_file(location, f"{folder}/{sealed_key(stem)}", rows)
    from tabular.prediction_log.mongo_rows import LogCollection  # it needs this module

    return LogCollection(location, folder).add(stem, rows)


def _write_file(location: str, key: str, rows: pa.Table) -> str:
    filesystem, root = locate(location)
    place = f"{root}/{key}"
    if not location.startswith("s3://"):
        with whole_file(Path(place)) as unfinished:
            pq.write_table(rows, unfinished, compression="zstd")
        return place
    try:
        with filesystem.open_output_stream(place) as file:  # an object appears when it is whole
            pq.write_table(rows, file, compression="zstd")
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0][:200]
        raise StoreError(f"s3://{place}: cannot be written ({reason}); repeat.") from error
    return f"s3://{place}"


def utc(moment: datetime | date) -> datetime:
    """A moment with its zone; UTC where it has none."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
