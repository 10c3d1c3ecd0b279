"""Sealed files of a spool become documents in MongoDB, and are taken away.

    python -m tabular.prediction_log.shipping SPOOL LOCATION

The service starts this as a process of its own, at the lowest priority: rows are encoded in Python.
Killed at any moment it loses and doubles nothing (`documents`). The login is in the environment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arro3.core import DataType, Table
from arro3.io import read_parquet

from tabular.errors import BentolineError
from tabular.prediction_log.documents import (
    ANSWERS,
    Documents,
    collection_name,
    connected,
    index_requests,
    insert,
)
from tabular.prediction_log.names import SEALED, sealed_files

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ship_all(spool: Path, location: str) -> list[str]:
    """Send every sealed file, and take it away once the server has it.

    Returns:
        Sentences about what the server would not do, and the rows do not need.

    Raises:
        ConfigError: The server refuses the user.
        StoreError: The server does not answer; what was not sent waits.
    """
    notes: dict[str, str] = {}
    with connected(location) as database:
        for path in sealed_files(spool):
            rows = database[collection_name(path.parent.parent.relative_to(spool).as_posix())]
            if rows.name.startswith(ANSWERS) and rows.name not in notes:
                notes[rows.name] = index_requests(rows)
            _ship(path, rows)
    return [note for note in notes.values() if note]


def _ship(path: Path, rows: Documents) -> None:
    try:
        with path.open("rb") as file:
            table = read_parquet(file).read_all()
    except FileNotFoundError:  # another worker of this spool sent it
        return
    insert(rows, path.name.removesuffix(SEALED), table.column_names, _values(table))
    path.unlink(missing_ok=True)


def _values(table: Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches():
        columns = [
            _times(batch[name]) if name == "at" else batch[name].to_pylist()
            for name in table.column_names
        ]
        yield from zip(*columns, strict=True)


def _times(column: Any) -> list[datetime]:
    moments = column.cast(DataType.int64()).to_pylist()  # a zone's table need not be installed
    return [_EPOCH + timedelta(microseconds=moment) for moment in moments]


if __name__ == "__main__":
    try:
        notes = ship_all(Path(sys.argv[1]), sys.argv[2])
    except BentolineError as error:
        sys.exit(str(error))
    sys.stdout.write("\n".join(notes))
