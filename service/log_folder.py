"""The log's files: journals that this worker fills, and the process that seals them."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from service.journals import Journals
from service.log_rows import Entry, LogRows, label_batch
from service.settings import ROOT
from tabular.errors import StoreError
from tabular.prediction_log.names import labels_folder, problem_folder
from tabular.prediction_log.outcomes import Label
from tabular.prediction_log.sealing import seal_all

SEAL_S = 600.0
NICED = ("nice", "-n", "19", sys.executable, "-m")  # a process that leaves the answers the CPU
SEALER = (*NICED, "tabular.prediction_log.sealing")
VANISHED = "the log's folder was taken away while rows were written; it was made anew"

log = logging.getLogger("bentoline.service")

Columns = Callable[[Entry], LogRows]


class LogFolder:
    """Answers and outcomes of one problem in a folder."""

    def __init__(
        self, folder: Path, problem: str, columns: Columns, *, seal_s: float = SEAL_S
    ) -> None:
        self._folder = folder
        self._columns = columns
        self._answers = Journals(folder / problem_folder(problem), seal_s)
        self._labels = Journals(folder / labels_folder(problem), seal_s)
        self._labels_lock = threading.Lock()
        self._is_left = True  # journals of workers that died may wait
        self._sealer: subprocess.Popen[bytes] | None = None

    @property
    def trouble(self) -> str:
        """What befell the folder."""
        has_vanished = self._answers.has_vanished or self._labels.has_vanished
        return VANISHED if has_vanished else ""

    def write(self, entries: Sequence[Entry]) -> None:
        """Append the rows of entries of one model, all or none.

        Raises:
            StoreError: The disk does not take them.
        """
        rows = self._columns(entries[0])
        batch, n_rows = rows.batch(entries)
        if n_rows:
            self._answers.append(batch, n_rows, start=entries[0].at, columns=rows.columns)

    def write_labels(self, labels: Sequence[Label]) -> None:
        """Append outcomes, all or none; any thread may.

        Raises:
            StoreError: The disk does not take them.
        """
        # Not of an outcome: a journal that begins with one of long ago takes those of today too.
        start = time.time()
        with self._labels_lock:
            self._labels.append(label_batch(labels), len(labels), start=start, columns=Label)

    def tend(self) -> None:
        """Leave what is full or old, and have all that is left sealed."""
        if self._answers.is_due():
            self._answers.leave()
            self._is_left = True
        with self._labels_lock:
            if self._labels.is_due():
                self._labels.leave()
                self._is_left = True
        if self._is_left and (self._sealer is None or self._sealer.poll() is not None):
            self._is_left = False
            command = [*SEALER, str(self._folder)]
            self._sealer = subprocess.Popen(command, cwd=ROOT)  # noqa: S603  # no word of a client

    def close(self) -> None:
        """Seal what there is: nobody waits for an answer any more."""
        self._answers.leave()
        self._labels.leave()
        if self._sealer is not None:  # at its priority it may take minutes on a busy machine
            self._sealer.kill()
            self._sealer.wait()
        try:
            seal_all(self._folder)
        except StoreError as error:  # the journal stays, and the next worker tries again
            log.warning("%s", error)
