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

# Neighbouring files of a log are counted together: up to so many bytes, and up to so many files.
STRETCH_BYTES, STRETCH_FILES = 4_000_000, 64

OnUnreadable = Callable[[str], None]


class Part(NamedTuple):
    """A part of a log that is read by itself: a file by its name, a journal if `is_open`."""

    stem: str
    is_open: bool = False
    size_bytes: int = 0


Stretch = tuple[Part, ...]


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
        for part in self._parts(span):
            yield from self.rows_of(part, span, columns, on_unreadable)

    def rows_of(
        self,
        part: Part,
        span: Span,
        columns: Sequence[str] | None,
        on_unreadable: OnUnreadable | None,
    ) -> Iterator[pa.RecordBatch]:
        """One file's rows of some time, in their order."""
        stem = part.stem
        rows = self._open_rows(stem) if part.is_open else self._sealed_rows(stem, span, columns)
        try:
            for batch in rows:
                if (inside := span.rows(batch)).num_rows:
                    yield _in_order(inside, columns)
        except DataError as error:
            if on_unreadable is None:
                raise
            on_unreadable(str(error))

    def stretches(self, span: Span) -> Iterator[Stretch]:
        """The files that may hold rows of this time, in their order, small ones together."""
        stretch: list[Part] = []
        for part in self._parts(span):
            stretch.append(part)
            size_bytes = sum(one.size_bytes for one in stretch)
            if size_bytes >= STRETCH_BYTES or len(stretch) == STRETCH_FILES:
                yield tuple(stretch)
                stretch = []
        if stretch:
            yield tuple(stretch)

    def sees(self, stretch: Stretch) -> bool:
        """Whether files that were listed elsewhere are here too, one at least."""
        sealed = [sealed_key(part.stem) for part in stretch if not part.is_open]
        if not sealed:  # a journal may be sealed, or taken away, since it was listed
            return self.is_there()
        with readable(self._folder, "a log"):
            found = (self._filesystem.get_file_info(f"{self._folder}/{key}") for key in sealed)
            return any(info.type == pa_fs.FileType.File for info in found)

    def answers_to(self, request_id: str, row: int) -> Iterator[pa.RecordBatch]:
        """The answers to one row of a request; files that cannot be read are left out."""
        wanted = (pc.field("request_id") == request_id) & (pc.field("row") == row)
        for batch in self.batches(ALWAYS, None, lambda _: None):
            yield batch.filter(wanted)

    def _parts(self, span: Span) -> list[Part]:
        """The files that may hold rows of this time, sorted.

        Journals are listed first: one that is sealed meanwhile is found under both names.
        """
        is_local = isinstance(self._filesystem, pa_fs.LocalFileSystem)
        journals = Path(self._folder, OPEN).glob(f"*{FRAMES}") if is_local else ()
        open_stems = {path.name.removesuffix(FRAMES) for path in journals}
        days = _days(self._filesystem, self._folder) or []
        sealed: dict[str, Part] = {}
        for day in days_between((name for name in days if name.startswith("date=")), *span):
            place = f"{self._folder}/{day}"
            with readable(place, "a log"):
                selector = pa_fs.FileSelector(place, allow_not_found=True)
                for info in self._filesystem.get_file_info(selector):
                    stem, ending, rest = info.base_name.partition(SEALED)
                    if ending and not rest:
                        sealed[stem] = Part(stem, size_bytes=info.size or 0)
        opened = [Part(stem, is_open=True) for stem in open_stems - sealed.keys()]
        return sorted(part for part in (*sealed.values(), *opened) if is_stem(part.stem))

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
