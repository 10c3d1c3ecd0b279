"""The log's files: journals that this worker fills, and the process that seals them."""

from __future__ import annotations

import logging
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from service.log_rows import Entry, LogRows
from service.settings import ROOT
from tabular.errors import StoreError
from tabular.files import disk_error
from tabular.prediction_log.journal import Journal
from tabular.prediction_log.names import FRAMES, OPEN, file_stem, problem_folder
from tabular.prediction_log.sealing import seal_all

SEAL_ROWS = 65_536
SEAL_S = 600.0
SEALER = ("nice", "-n", "19", sys.executable, "-m", "tabular.prediction_log.sealing")

log = logging.getLogger("bentoline.service")

Columns = Callable[[Entry], LogRows]


class LogFolder:
    """Appends batches to a journal, which is on the disk when `write` returns.

    A folder that was taken away is made anew, and what the present journal held is kept.
    """

    def __init__(
        self, folder: Path, problem: str, columns: Columns, *, seal_s: float = SEAL_S
    ) -> None:
        self._folder = folder
        self._problem = problem
        self._columns_of = columns
        self._seal_s = seal_s
        self._worker = secrets.token_hex(4)
        self._number = self._n_rows = 0
        self._began = 0.0
        self._journal: Journal | None = None
        self._columns: object = None
        self._is_left = True  # journals of workers that died may wait
        self._sealer: subprocess.Popen[bytes] | None = None
        self.trouble = ""

    def write(self, entries: Sequence[Entry]) -> int:
        """Append the rows of entries of one model, all or none; return how many.

        Raises:
            StoreError: The disk does not take them.
        """
        rows = self._columns_of(entries[0])
        batch, n_rows = rows.batch(entries)
        if n_rows == 0:
            return 0
        try:
            self._journal_for(entries[0], rows).append(batch)
        except OSError as error:
            self._leave()
            raise disk_error(self._folder / "log", error) from error
        self._n_rows += n_rows
        return n_rows

    def tend(self) -> None:
        """Leave a journal that is full or old, and have all that are left sealed."""
        is_old = time.monotonic() - self._began > self._seal_s
        if self._journal is not None and (is_old or self._n_rows >= SEAL_ROWS):
            self._leave()
        if self._is_left and (self._sealer is None or self._sealer.poll() is not None):
            self._is_left = False
            command = [*SEALER, str(self._folder)]
            self._sealer = subprocess.Popen(command, cwd=ROOT)  # noqa: S603  # no word of a client

    def close(self) -> None:
        """Seal what there is: nobody waits for an answer any more."""
        self._leave()
        if self._sealer is not None:
            self._sealer.wait()
        try:
            seal_all(self._folder)
        except StoreError as error:  # the journal stays, and the next worker tries again
            log.warning("%s", error)

    def _journal_for(self, entry: Entry, rows: LogRows) -> Journal:
        journal = self._journal
        if journal is not None and not journal.is_there():
            return self._saved(journal, entry, rows)
        if journal is None or self._columns != rows.columns:
            self._leave()
            self._journal = self._new(entry)
            self._columns, self._n_rows = rows.columns, 0
            self._began = time.monotonic()
        assert self._journal is not None  # noqa: S101  # made above
        return self._journal

    def _saved(self, journal: Journal, entry: Entry, rows: LogRows) -> Journal:
        """A journal at a new path with what the lost one held."""
        saved = self._new(entry)
        journal.copy_to(saved)
        with journal:
            self._journal = saved
        self.trouble = "the log's folder was taken away while rows were written; it was made anew"
        return self._journal_for(entry, rows)

    def _new(self, entry: Entry) -> Journal:
        self._number += 1
        stem = file_stem(datetime.fromtimestamp(entry.at, UTC), self._worker, self._number)
        return Journal(self._folder / problem_folder(self._problem) / OPEN / f"{stem}{FRAMES}")

    def _leave(self) -> None:
        if self._journal is not None:
            with self._journal:
                self._journal = None
            self._is_left = True
