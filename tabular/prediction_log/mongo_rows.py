"""The documents of a log in MongoDB as one stream of batches, as `files` gives those of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby, islice
from typing import Any

import pyarrow as pa

from tabular.prediction_log.documents import (
    Document,
    Documents,
    columns_of,
    insert,
    opened,
    stem_of,
    value_of,
)
from tabular.prediction_log.files import (
    ANSWER_SCHEMA,
    BATCH_ROWS,
    OnUnreadable,
    Part,
    Span,
    Stretch,
)
from tabular.prediction_log.layout import LABEL_SCHEMA
from tabular.prediction_log.names import INPUT, file_stem, start_of

BY_NAME = [("_id", 1)]
_TYPES = {field.name: field.type for field in (*LABEL_SCHEMA, *ANSWER_SCHEMA)}


class LogCollection:
    """What lies in one collection of a log."""

    def __init__(self, location: str, folder: str) -> None:
        self._location, self._folder = location, folder

    def is_there(self) -> bool:
        """Whether anything was ever written to it."""
        with opened(self._location, self._folder) as rows:
            return rows.find_one({}, {"_id": 1}) is not None

    def batches(
        self,
        span: Span,
        columns: Sequence[str] | None,
        on_unreadable: OnUnreadable | None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows of some time, as `LogFiles` gives them; no document is unreadable."""
        del on_unreadable
        with opened(self._location, self._folder) as rows:
            yield from _batches(_found(rows, _query(span), columns), columns)

    def rows_of(
        self,
        part: Part,
        span: Span,
        columns: Sequence[str] | None,
        on_unreadable: OnUnreadable | None,
    ) -> Iterator[pa.RecordBatch]:
        """One day's rows of some time, in their order."""
        del on_unreadable
        query = _query(span)
        names, next_day = query["_id"], date.fromisoformat(part.stem).toordinal() + 1
        names["$gte"] = max(names["$gte"], part.stem)
        names["$lt"] = min(names.get("$lt", _day(next_day)), _day(next_day))
        with opened(self._location, self._folder) as rows:
            yield from _batches(_found(rows, query, columns), columns)

    def stretches(self, span: Span) -> Iterator[Stretch]:
        """What lies under the names of a day, day by day."""
        names = _query(span)["_id"]
        with opened(self._location, self._folder) as rows:
            while found := rows.find_one({"_id": names}, {"_id": 1}, sort=BY_NAME):
                day = start_of(stem_of(found)).toordinal()
                names["$gte"] = _day(day + 1)
                yield (Part(_day(day)),)

    def sees(self, stretch: Stretch) -> bool:
        """Whether the collection is here too."""
        del stretch
        return self.is_there()

    def answers_to(self, request_id: str, row: int) -> Iterator[pa.RecordBatch]:
        """The answers to one row of a request, which the server has an index for."""
        with opened(self._location, self._folder) as rows:
            found = rows.find({"request_id": request_id, "row": row}).sort(BY_NAME)
            yield from _batches(found, None)

    def add(self, stem: str, rows: pa.Table) -> str:
        """Insert the rows of one file; return where they are."""
        values = (tuple(row.values()) for batch in rows.to_batches() for row in batch.to_pylist())
        with opened(self._location, self._folder) as documents:
            insert(documents, stem, rows.column_names, values)
            return f"{self._location}: {documents.name} {stem}"


def _query(span: Span) -> dict[str, Any]:
    """By `_id` too, which is the index.

    A file that holds these rows began a day before them at most, and never after them: the hour is
    for clocks that are set back.
    """
    names = {"$gte": _second(span.since - timedelta(days=1))}
    moments = {"$gte": span.since}
    if span.until is not None:
        names["$lt"] = _second(span.until + timedelta(hours=1))
        moments["$lt"] = span.until
    return {"_id": names, "at": moments}


def _day(ordinal: int) -> str:
    """How the names of files begin that begin on a day."""
    return f"{date.fromordinal(ordinal):%Y%m%d}"


def _second(moment: datetime) -> str:
    """How the names of files begin that begin then."""
    return file_stem(moment, "", 0).partition("-")[0]


def _found(
    rows: Documents, query: dict[str, Any], columns: Sequence[str] | None
) -> Iterable[Document]:
    """Documents in the order of their names, with the inputs only where one of them is asked for.

    All of them then: a column's name may have a dot, which a projection takes for a path.
    """
    names = {"in" if name.startswith(INPUT) else name for name in columns or ()}
    found = rows.find(query, sorted(names) or None, batch_size=5_000)
    return found.sort(BY_NAME).hint(BY_NAME)


def _batches(found: Iterable[Document], columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    for _, documents in groupby(found, key=stem_of):  # one file's rows have one schema
        while many := list(islice(documents, BATCH_ROWS)):
            yield _batch(many, columns)


def _batch(documents: Sequence[Document], columns: Sequence[str] | None) -> pa.RecordBatch:
    names = columns_of(documents[0]) if columns is None else list(columns)
    logged = set(columns_of(documents[0]))
    arrays = [
        _array([value_of(document, name) for document in documents], name, is_there=name in logged)
        for name in names
    ]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _array(values: Sequence[Any], name: str, *, is_there: bool) -> pa.Array:
    column = pa.array(values, _TYPES.get(name))
    # A type of nothing says that the file had no such column; this one had, and all is missing.
    return column.cast(pa.float64()) if is_there and pa.types.is_null(column.type) else column
