"""A table into a problem's collection, in such a way that twice is as good as once.

A row's `_id` is its key, or where the YAML names none its content; so the server itself sees to it
that no row is there twice (docs/adr/0011).
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import bson
import pyarrow as pa
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, ConnectionFailure

from tabular.contract import Column, category_text, is_missing, shown
from tabular.errors import DataError, StoreError
from tabular.mongo.errors import server_name
from tabular.mongo.reading import Documents, Progress, connect
from tabular.mongo.values import plain_value, stored_value
from tabular.problem import Problem

BATCH_ROWS = 2_000
DUPLICATE_KEY = 11000
Row = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """What became of a table's rows; the three sum to the rows that it has."""

    inserted: int = 0
    changed: int = 0
    unchanged: int = 0

    @property
    def n_rows(self) -> int:
        """Rows that are in the collection now."""
        return self.inserted + self.changed + self.unchanged


def write_rows(
    uri: str,
    problem: Problem,
    batches: Iterable[pa.RecordBatch],
    *,
    total: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Loaded:
    """Put rows into the collection of a problem's source; one of the same key is overwritten.

    Rows are told apart by `source.key`, and where there is none by all that they hold, equal rows
    by their number. Run after a crash, it goes on where it was.

    Args:
        uri: The server's address.
        problem: Its source is a collection; values are stored as its contract reads them.
        batches: Rows under the contract's names.
        total: How many rows there are, for the progress.
        progress: Called after each part of at most 2,000 rows.

    Raises:
        ConfigError: The address or the user is refused, or the user may not write.
        DataError: The collection holds rows of this key that something else put there.
        StoreError: The server is away; rows that were written stay, and are not written twice.
    """
    loaded, started = Loaded(), time.monotonic()
    rows = _rows_by_id(problem, batches)
    with connect(uri, problem.source) as collection:
        while part := list(islice(rows, BATCH_ROWS)):
            try:
                if not loaded.n_rows:
                    _refuse_foreign_rows(collection, problem, part)
                done = _write_part(collection, part)
            except ConnectionFailure as error:
                raise StoreError(
                    f"{server_name(uri)}: the server was lost after {loaded.n_rows:,} rows; run "
                    "the command again, no row is written twice."
                ) from error
            loaded = Loaded(
                loaded.inserted + done.inserted,
                loaded.changed + done.changed,
                loaded.unchanged + done.unchanged,
            )
            rate = loaded.n_rows / max(time.monotonic() - started, 1e-3)
            progress(Progress(loaded.n_rows, rate, loaded.n_rows / total if total else None))
    return loaded


def _write_part(collection: Documents, part: Sequence[tuple[Any, Row]]) -> Loaded:
    """Insert, and where the server says that the `_id` is there, set the values."""
    inserts = [InsertOne({"_id": own} | _nested(row)) for own, row in part]
    try:
        return Loaded(inserted=collection.bulk_write(inserts, ordered=False).inserted_count)
    except BulkWriteError as error:
        refused = error.details["writeErrors"]
        if any(one["code"] != DUPLICATE_KEY for one in refused):
            raise
        inserted = error.details["nInserted"]
    there = [part[one["index"]] for one in refused]
    updates = [UpdateOne({"_id": own}, {"$set": row}) for own, row in there]
    changed = collection.bulk_write(updates, ordered=True).modified_count
    return Loaded(inserted, changed, len(part) - inserted - changed)


def _refuse_foreign_rows(
    collection: Documents, problem: Problem, part: Sequence[tuple[Any, Row]]
) -> None:
    """A collection that something else filled keeps its rows under ids of its own."""
    own, row = part[0]
    key = {path: row[path] for path in (_path(problem, name) for name in problem.source.key)}
    if key and collection.find_one({**key, "_id": {"$ne": own}}, {"_id": 1}) is not None:
        raise DataError(
            f"{collection.full_name}: it holds rows of key {list(problem.source.key)} that --load "
            "did not write, so that every row would be there twice; name another collection in "
            "source.collection. Nothing was written."
        )


def check_keys(problem: Problem, batches: Iterable[pa.RecordBatch], where: str) -> int:
    """Count a table's rows, each of which must have a key of its own.

    Raises:
        DataError: A key is missing, or stands in two rows: the second would overwrite the first.
    """
    key, seen = problem.source.key, dict[int, int]()
    for row_number, row in enumerate(_rows(problem, batches), start=1):
        values = tuple(row[_path(problem, name)] for name in key)
        shown_key = ", ".join(f"{k} = {shown(v)}" for k, v in zip(key, values, strict=True))
        if None in values:
            raise DataError(
                f"{where}: row {row_number:,} has no key ({shown_key}); fill it in, or take "
                "source.key out of the problem's YAML. Nothing was written."
            )
        if (first := seen.setdefault(hash(values), row_number)) != row_number:
            raise DataError(
                f"{where}: the key {shown_key} stands twice, in rows {first:,} and "
                f"{row_number:,}; take one of them out, or add a column to source.key. Nothing "
                "was written."
            )
    return len(seen)


def _rows_by_id(problem: Problem, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, Row]]:
    """Each row's `_id`, and the row."""
    paths = [_path(problem, name) for name in problem.source.key]
    times: Counter[str] = Counter()
    own: Any
    for row in _rows(problem, batches):
        if len(paths) == 1:
            own = row[paths[0]]
        elif paths:
            own = {name: row[path] for name, path in zip(problem.source.key, paths, strict=True)}
        else:
            content = hashlib.sha256(bson.encode(row)).hexdigest()[:24]
            times[content] += 1
            own = f"{content}-{times[content]}"
        yield own, row


def _nested(row: Row) -> Row:
    """A document with parts in it, from values by dotted paths."""
    document: Row = {}
    for path, value in row.items():
        *parts, last = path.split(".")
        place = document
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return document


def _rows(problem: Problem, batches: Iterable[pa.RecordBatch]) -> Iterator[Row]:
    """One row after the other, values by the path that they are stored under."""
    for batch in batches:
        paths = [_path(problem, name) for name in batch.schema.names]
        columns = [
            _stored_column(problem, name, values.to_pylist())
            for name, values in zip(batch.schema.names, batch.columns, strict=True)
        ]
        for values in zip(*columns, strict=True):
            yield dict(zip(paths, values, strict=True))


def _path(problem: Problem, name: str) -> str:
    return problem.source.projection.get(name, name)


def _stored_column(problem: Problem, name: str, values: Sequence[Any]) -> list[Any]:
    column = problem.columns.get(name) or Column(type="number")
    tokens = problem.contract.tokens(column)
    if name == problem.target.column:
        classes = {category_text(raw): raw for raw in problem.target.classes.values()}
        if classes:
            return [_stored_class(classes, value, tokens) for value in values]
    return [stored_value(column, value, tokens) for value in values]


def _stored_class(classes: Mapping[str, Any], value: Any, tokens: frozenset[str]) -> Any:
    return (
        None if is_missing(value, tokens) else classes.get(category_text(value), plain_value(value))
    )
