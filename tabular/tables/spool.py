"""Batches kept on disk until the last one is there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any

import pyarrow as pa

from tabular.errors import StoreError


class Spool:
    """Arrow batches in nameless files of the temporary folder, which vanish with the process.

    The schema may change from batch to batch; each schema gets a file of its own.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files: list[IO[bytes]] = []
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Append a batch.

        Raises:
            StoreError: The disk of the temporary folder is full.
        """
        try:
            if self._writer is None or batch.schema != self._schema:
                self._begin(batch.schema)
            self._writer.write_batch(batch)
        except OSError as error:
            raise StoreError(
                f"{tempfile.gettempdir()}: cannot keep what was read ({error.strerror or error}); "
                "free some room, or set TMPDIR to a folder on a larger disk. Nothing was written."
            ) from error

    def _begin(self, schema: pa.Schema) -> None:
        if self._writer is not None:
            self._writer.close()
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # the stack closes it
        self._files.append(self._stack.enter_context(file))
        self._schema, self._writer = schema, pa.ipc.new_stream(file, schema)

    def batches(
        self, change: Callable[[pa.RecordBatch], pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Give the batches back in the order that they came, each through `change`."""
        if self._writer is not None:
            self._writer.close()
        for file in self._files:
            file.seek(0)
            with pa.ipc.open_stream(file) as reader:
                for batch in reader:
                    yield change(batch)
