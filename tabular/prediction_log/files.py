"""The files of a log, sealed ones and journals, as one stream of batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from tabular.errors import DataError
from tabular.prediction_log.journal import read_batches
from tabular.prediction_log.layout import arrow_schema
from tabular.prediction_log.names import (
    ANSWER_COLUMNS,
    FRAMES,
    OPEN,
    SEALED,
    days_between,
    is_stem,
    sealed_key,
)
from tabular.tables.locations import locate, readable

BATCH_ROWS = 65_536
ANSWER_SCHEMA = arrow_schema(ANSWER_COLUMNS)

OnUnreadable = Callable[[str], None]


class LogFiles:
    """What lies in one folder of a log."""

    def __init__(self, location: str, folder: str) -> None:
        self._filesystem, root = locate(location)
        self._folder = f"{root}/{folder}"

    def is_there(self) -> bool:
        """Whether anything was ever written to it."""
        return _days(self._filesystem, self._folder) is not None

    def batches(
        self, span: Span, columns: Sequence[str] | None, on_unreadable: OnUnreadable | None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of some time, in the order of the files; arguments as `read_log` has them."""
        for stem, is_open in self._stems(span):
            rows = self._open_rows(stem) if is_open else self._sealed_rows(stem, span, columns)
            try:
                for batch in rows:
                    if (inside := span.rows(batch)).num_rows:
                        yield _in_order(inside, columns)
            except DataError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(str(error))

    def answers_to(self, request_id: str, row: int) -> Iterator[pa.RecordBatch]:
        """The answers to one row of a request; files that cannot be read are left out."""
        wanted = (pc.field("request_id") == request_id) & (pc.field("row") == row)
        for batch in self.batches(ALWAYS, None, lambda _: None):
            yield batch.filter(wanted)

    def _stems(self, span: Span) -> list[tuple[str, bool]]:
        """Names of the files that may hold rows of this time, sorted, and which are journals.

        Journals are listed first: one that is sealed meanwhile is found under both names.
        """
        is_local = isinstance(self._filesystem, pa_fs.LocalFileSystem)
        journals = Path(self._folder, OPEN).glob(f"*{FRAMES}") if is_local else ()
        open_stems = {path.name.removesuffix(FRAMES) for path in journals}
        days = _days(self._filesystem, self._folder) or []
        sealed: set[str] = set()
        for day in days_between((name for name in days if name.startswith("date=")), *span):
            place = f"{self._folder}/{day}"
            with readable(place, "a log"):
                selector = pa_fs.FileSelector(place, allow_not_found=True)
                names = [info.base_name for info in self._filesystem.get_file_info(selector)]
            sealed |= {name.removesuffix(SEALED) for name in names if name.endswith(SEALED)}
        stems = dict.fromkeys(sealed, False) | dict.fromkeys(open_stems - sealed, True)
        return sorted((stem, is_open) for stem, is_open in stems.items() if is_stem(stem))

    def _sealed_rows(
        self, stem: str, span: Span, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        place = f"{self._folder}/{sealed_key(stem)}"
        with (
            readable(place, "parquet"),
            self._filesystem.open_input_file(place) as file,
            pq.ParquetFile(file, pre_buffer=False) as part,
        ):
            names = part.schema_arrow.names
            wanted = None if columns is None else [n for n in names if n in {*columns, "at"}]
            groups = [n for n in range(part.num_row_groups) if not span.is_before(part, n)]
            yield from part.iter_batches(BATCH_ROWS, groups, wanted)

    def _open_rows(self, stem: str) -> Iterator[pa.RecordBatch]:
        try:
            frames = read_batches(Path(self._folder, OPEN, f"{stem}{FRAMES}"))
        except FileNotFoundError:  # it was sealed since it was listed
            yield from self._sealed_rows(stem, ALWAYS)
            return
        for frame in frames:
            with pa.ipc.open_stream(io.BytesIO(frame)) as stream:
                yield from stream


class Span(NamedTuple):
    """The time of [since, until); both with a zone, no end if None."""

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


ALWAYS = Span(datetime(1971, 1, 1, tzinfo=UTC), None)


def _days(filesystem: pa_fs.FileSystem, folder: str) -> list[str] | None:
    """The names of the day folders; None where there is no folder."""
    with readable(folder, "a log"):
        found = filesystem.get_file_info(pa_fs.FileSelector(folder, allow_not_found=True))
        is_there = found or filesystem.get_file_info(folder).type == pa_fs.FileType.Directory
    return [info.base_name for info in found] if is_there else None


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
