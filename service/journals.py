"""The journals of one worker in one folder: begun, filled, left to be sealed."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from tabular.files import disk_error
from tabular.prediction_log.journal import Journal
from tabular.prediction_log.names import FRAMES, OPEN, file_stem

SEAL_ROWS = 65_536


class Journals:
    """Appends batches to one journal at a time, on the disk when `append` returns.

    A folder that was taken away is made anew, and what the present journal held is kept.
    """

    def __init__(self, folder: Path, seal_s: float) -> None:
        self._folder = folder
        self._seal_s = seal_s
        self._worker = secrets.token_hex(4)
        self._number = self._n_rows = 0
        self._began = 0.0
        self._journal: Journal | None = None
        self._columns: object = None
        self.has_vanished = False

    def append(self, batch: bytes, n_rows: int, *, start: float, columns: object) -> None:
        """Append a batch of n rows, all or none.

        Args:
            batch: An Arrow IPC stream.
            n_rows: How many rows it has.
            start: When its first row was answered or came, in seconds since 1970.
            columns: What tells its schema; a journal holds batches of one.

        Raises:
            StoreError: The disk does not take it.
        """
        try:
            self._journal_for(start, columns).append(batch)
        except OSError as error:
            self.leave()
            raise disk_error(self._folder / "log", error) from error
        self._n_rows += n_rows

    def is_due(self) -> bool:
        """Whether the present journal is full or old."""
        is_old = time.monotonic() - self._began > self._seal_s
        return self._journal is not None and (is_old or self._n_rows >= SEAL_ROWS)

    def leave(self) -> None:
        """Let the present journal go: whose lock is free is sealed."""
        if self._journal is not None:
            with self._journal:
                self._journal = None

    def _journal_for(self, start: float, columns: object) -> Journal:
        journal = self._journal
        if journal is not None and not journal.is_there():
            journal = self._saved(journal, start)
        if journal is None or self._columns != columns:
            self.leave()
            journal = self._new(start)
            self._columns, self._n_rows = columns, 0
            self._began = time.monotonic()
        self._journal = journal
        return journal

    def _saved(self, lost: Journal, start: float) -> Journal:
        """A journal at a new path with what the lost one held."""
        saved = self._new(start)
        lost.copy_to(saved)
        with lost:
            self.has_vanished = True
        return saved

    def _new(self, start: float) -> Journal:
        self._number += 1
        stem = file_stem(datetime.fromtimestamp(start, UTC), self._worker, self._number)
        return Journal(self._folder / OPEN / f"{stem}{FRAMES}")
