"""The prediction log read back: answered rows, and outcomes beside them. For batch work only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tabular.errors import DataError
from tabular.prediction_log.files import ALWAYS, ANSWER_SCHEMA, LogFiles, OnUnreadable, Span
from tabular.prediction_log.layout import LABEL_SCHEMA, utc
from tabular.prediction_log.mongo_location import is_mongo
from tabular.prediction_log.names import PRODUCTION, labels_folder, problem_folder

if TYPE_CHECKING:
    from tabular.prediction_log.mongo_rows import LogCollection

    Log = LogFiles | LogCollection

__all__ = [
    "ANSWER_SCHEMA", "EARLIEST", "OnUnreadable", "find_log", "find_request", "joined_labels",
    "log_at", "read_labels", "read_log",
]  # fmt: skip

EARLIEST = ALWAYS.since
# Of an outcome by another clock: it may seem to come before its answer.
SKEW = timedelta(hours=1)


def read_log(
    location: str,
    problem: str,
    since: datetime,
    until: datetime | None = None,
    columns: Sequence[str] | None = None,
    *,
    on_unreadable: OnUnreadable | None = None,
) -> Iterator[pa.RecordBatch]:
    """Give the answered rows of [since, until), in the order of the files.

    Args:
        location: A folder, s3://bucket/prefix or mongodb://host/database. In the last two the rows
            of the last minute or so may not have arrived; in a folder every flushed row is there.
        problem: The problem's name.
        since: UTC where it has no zone.
        until: The same; no end if None.
        columns: In this order, null where a file has none of that name; each file's own if None.
        on_unreadable: Is given a sentence for each file that is damaged, which is then left out.

    Raises:
        DataError: There is no log of this problem, or a file is damaged and `on_unreadable` None.
        StoreError: The store or server does not answer.
    """
    files = find_log(location, problem)
    span = Span(utc(since), utc(until) if until else None)
    yield from files.batches(span, columns, on_unreadable)


def read_labels(
    location: str,
    problem: str,
    since: datetime,
    *,
    on_unreadable: OnUnreadable | None = None,
) -> pa.Table:
    """The outcomes that were taken since then (LABEL_SCHEMA), each row of a request once.

    Of two outcomes for a row, which only two writers at one time can leave, the first counts.

    Raises:
        DataError: A file is damaged and `on_unreadable` is None.
        StoreError: The S3 store does not answer.
    """
    files = _rows(location, labels_folder(problem))
    batches = files.batches(Span(utc(since), None), LABEL_SCHEMA.names, on_unreadable)
    rows = pa.Table.from_batches(batches, LABEL_SCHEMA).sort_by("at")
    return (
        rows.group_by(["request_id", "row"], use_threads=False)
        .aggregate([("outcome", "first"), ("at", "first")])
        .select(["request_id", "row", "outcome_first", "at_first"])
        .rename_columns(LABEL_SCHEMA.names)
    )


def joined_labels(
    location: str,
    problem: str,
    since: datetime,
    until: datetime | None = None,
    *,
    on_unreadable: OnUnreadable | None = None,
) -> pa.Table:
    """Answered rows of [since, until) whose outcome is known, by time.

    Returns:
        request_id, row, at (of the answer), version, role, prediction, value, probability, low,
        high, outcome. A row that two versions answered stands once for each.
    """
    batches = read_log(
        location, problem, since, until, ANSWER_SCHEMA.names, on_unreadable=on_unreadable
    )
    labels = read_labels(location, problem, utc(since) - SKEW, on_unreadable=on_unreadable)
    labelled = _of_requests(batches, labels["request_id"].unique())
    answers = pa.Table.from_batches(labelled, ANSWER_SCHEMA)
    outcomes = labels.select(["request_id", "row", "outcome"])
    joined = answers.join(outcomes, ["request_id", "row"], join_type="inner")
    names = [
        "request_id",
        "row",
        *(n for n in ANSWER_SCHEMA.names if n not in ("request_id", "row")),
    ]
    return joined.select([*names, "outcome"]).sort_by(
        [("at", "ascending"), ("request_id", "ascending"), ("row", "ascending")]
    )


def _of_requests(batches: Iterable[pa.RecordBatch], ids: pa.Array) -> Iterator[pa.RecordBatch]:
    """The rows of these requests, so that the others are not held.

    Each search hashes all ids, so that it is made in as many rows as there are ids.
    """
    held: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in batches:
        held.append(batch)
        n_rows += batch.num_rows
        if n_rows >= len(ids):
            yield from _having(held, ids)
            held, n_rows = [], 0
    yield from _having(held, ids)


def _having(batches: list[pa.RecordBatch], ids: pa.Array) -> list[pa.RecordBatch]:
    rows = pa.Table.from_batches(batches, ANSWER_SCHEMA)
    return rows.filter(pc.is_in(rows["request_id"], ids)).to_batches()


def find_log(location: str, problem: str) -> Log:
    """The answers of a problem.

    Raises:
        DataError: There are none.
    """
    files = log_at(location, problem)
    if not files.is_there():
        raise DataError(
            f"{location}: there is no prediction log of {problem} here; the service writes one "
            "where BENTOLINE_PREDICTION_LOG names it."
        )
    return files


def log_at(location: str, problem: str) -> Log:
    """The same, whether there are any or not."""
    return _rows(location, problem_folder(problem))


def _rows(location: str, folder: str) -> Log:
    if not is_mongo(location):
        return LogFiles(location, folder)
    from tabular.prediction_log.mongo_rows import LogCollection  # the driver costs 0.2 s

    return LogCollection(location, folder)


def find_request(
    location: str, problem: str, request_id: str, row: int = 0
) -> dict[str, Any] | None:
    """The newest answer to one row of a request by the version in production, by column.

    Raises:
        DataError: There is no log of this problem.
    """
    answers = find_log(location, problem).answers_to(request_id, row)
    found = None
    for batch in answers:
        rows = batch.filter(pc.field("role") == PRODUCTION)
        if rows.num_rows:
            found = rows.to_pylist()[-1]
    return found
