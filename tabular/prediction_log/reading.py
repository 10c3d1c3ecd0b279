"""The prediction log read back: answered rows, and outcomes beside them. For batch work only."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from tabular.errors import DataError
from tabular.prediction_log.journal import read_batches
from tabular.prediction_log.layout import LABEL_SCHEMA, arrow_schema, utc
from tabular.prediction_log.names import (
    ANSWER_COLUMNS,
    FRAMES,
    OPEN,
    PRODUCTION,
    SEALED,
    days_between,
    is_stem,
    labels_folder,
    problem_folder,
    sealed_key,
)
from tabular.tables.locations import locate, readable

BATCH_ROWS = 65_536
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
ANSWER_SCHEMA = arrow_schema(ANSWER_COLUMNS)

OnUnreadable = Callable[[str], None]


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
        location: A folder or s3://bucket/prefix. In S3 the rows of the last minute or so may not
            have arrived; in a folder every flushed row is there.
        problem: The problem's name.
        since: UTC where it has no zone.
        until: The same; no end if None.
        columns: In this order, null where a file has none of that name; each file's own if None.
        on_unreadable: Is given a sentence for each file that is damaged, which is then left out.

    Raises:
        DataError: There is no log of this problem, or a file is damaged and `on_unreadable` None.
        StoreError: The S3 store does not answer.
    """
    span = _Span(utc(since), utc(until) if until else None)
    filesystem, root = locate(location)
    folder = f"{root}/{problem_folder(problem)}"
    days = _days(filesystem, folder)
    if days is None:
        raise DataError(
            f"{location}: there is no prediction log of {problem} here; the service writes one "
            "where BENTOLINE_PREDICTION_LOG names it."
        )
    for stem, is_open in _stems(filesystem, folder, days, span):
        sealed = f"{folder}/{sealed_key(stem)}"
        journal = Path(folder) / OPEN / f"{stem}{FRAMES}"
        try:
            yield from (
                _open_rows(journal, sealed, filesystem, span, columns)
                if is_open
                else (_sealed_rows(filesystem, sealed, span, columns))
            )
        except DataError as error:
            if on_unreadable is None:
                raise
            on_unreadable(str(error))


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
    span = _Span(utc(since), None)
    filesystem, root = locate(location)
    folder = f"{root}/{labels_folder(problem)}"
    days = _days(filesystem, folder) or []
    batches: list[pa.RecordBatch] = []
    for stem, _ in _stems(filesystem, folder, days, span):
        place = f"{folder}/{sealed_key(stem)}"
        try:
            batches += _sealed_rows(filesystem, place, span, LABEL_SCHEMA.names)
        except DataError as error:
            if on_unreadable is None:
                raise
            on_unreadable(str(error))
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
    answers = pa.Table.from_batches(batches, ANSWER_SCHEMA)
    labels = read_labels(location, problem, since, on_unreadable=on_unreadable)
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


def find_request(
    location: str, problem: str, request_id: str, row: int = 0
) -> dict[str, Any] | None:
    """The newest answer to one row of a request by the version in production, by column.

    Raises:
        DataError: There is no log of this problem.
    """
    wanted = (
        (pc.field("request_id") == request_id)
        & (pc.field("row") == row)
        & (pc.field("role") == PRODUCTION)
    )
    found = None
    for batch in read_log(location, problem, EARLIEST, on_unreadable=lambda _: None):
        rows = batch.filter(wanted)
        if rows.num_rows:
            found = rows.to_pylist()[-1]
    return found


class _Span(NamedTuple):
    since: datetime
    until: datetime | None

    def rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that lie in it."""
        wanted = pc.field("at") >= pa.scalar(self.since, ANSWER_SCHEMA.field("at").type)
        if self.until is not None:
            wanted &= pc.field("at") < pa.scalar(self.until, ANSWER_SCHEMA.field("at").type)
        return batch.filter(wanted)

    def is_before(self, part: pq.ParquetFile, group: int) -> bool:
        """Whether every row of a row group is older."""
        place = part.schema_arrow.get_field_index("at")
        statistics = part.metadata.row_group(group).column(place).statistics
        return bool(
            statistics is not None and statistics.has_min_max and statistics.max < self.since
        )


def _days(filesystem: pa_fs.FileSystem, folder: str) -> list[str] | None:
    """The names of the day folders; None where there is no folder."""
    with readable(folder, "a log"):
        found = filesystem.get_file_info(pa_fs.FileSelector(folder, allow_not_found=True))
        is_there = found or filesystem.get_file_info(folder).type == pa_fs.FileType.Directory
    return [info.base_name for info in found] if is_there else None


def _stems(
    filesystem: pa_fs.FileSystem, folder: str, days: Sequence[str], span: _Span
) -> list[tuple[str, bool]]:
    """Names of the files that may hold rows of this time, sorted, and whether each is a journal.

    Journals are listed first: one that is sealed meanwhile is then listed once or read when sealed.
    """
    is_local = isinstance(filesystem, pa_fs.LocalFileSystem)
    journals = Path(folder, OPEN).glob(f"*{FRAMES}") if is_local else ()
    open_stems = {path.name.removesuffix(FRAMES) for path in journals}
    sealed: set[str] = set()
    for day in days_between((name for name in days if name.startswith("date=")), *span):
        with readable(f"{folder}/{day}", "a log"):
            selector = pa_fs.FileSelector(f"{folder}/{day}", allow_not_found=True)
            names = [info.base_name for info in filesystem.get_file_info(selector)]
        sealed |= {name.removesuffix(SEALED) for name in names if name.endswith(SEALED)}
    stems = dict.fromkeys(sealed, False) | dict.fromkeys(open_stems - sealed, True)
    return sorted((stem, is_open) for stem, is_open in stems.items() if is_stem(stem))


def _sealed_rows(
    filesystem: pa_fs.FileSystem, place: str, span: _Span, columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    with (
        readable(place, "parquet"),
        filesystem.open_input_file(place) as file,
        pq.ParquetFile(file, pre_buffer=False) as part,
    ):
        wanted = None
        if columns is not None:
            wanted = [name for name in part.schema_arrow.names if name in {*columns, "at"}]
        groups = [n for n in range(part.num_row_groups) if not span.is_before(part, n)]
        for batch in part.iter_batches(BATCH_ROWS, groups, wanted):
            rows = span.rows(batch)
            if rows.num_rows:
                yield _in_order(rows, columns)


def _open_rows(
    journal: Path,
    sealed: str,
    filesystem: pa_fs.FileSystem,
    span: _Span,
    columns: Sequence[str] | None,
) -> Iterator[pa.RecordBatch]:
    try:
        frames = read_batches(journal)
    except FileNotFoundError:  # it was sealed since it was listed
        yield from _sealed_rows(filesystem, sealed, span, columns)
        return
    for frame in frames:
        with pa.ipc.open_stream(io.BytesIO(frame)) as stream:
            for batch in stream:
                rows = span.rows(batch)
                if rows.num_rows:
                    yield _in_order(rows, columns)


def _in_order(batch: pa.RecordBatch, columns: Sequence[str] | None) -> pa.RecordBatch:
    if columns is None:
        return batch
    arrays = []
    for name in columns:
        if name in batch.schema.names:
            arrays.append(batch.column(name))
        else:
            fixed = ANSWER_SCHEMA.field(name).type if name in ANSWER_SCHEMA.names else pa.null()
            arrays.append(pa.nulls(batch.num_rows, fixed))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))
