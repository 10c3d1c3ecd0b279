"""A process that logs predictions without end, as a worker does: `fork RUN` a line, its pid back.

Each fork is a worker of its own, with its sealer in one process group, to be killed: a new
interpreter would cost more than the work. How many rows it has flushed stands in FOLDER/RUN,
written after each flush, and when it put its last row.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from service import journals, prediction_log
from service.answers import answer_records
from service.live import Model, load_model
from service.log_folder import LogFolder
from service.log_rows import Entry, LogRows
from service.metrics import Metrics
from service.prediction_log import MAX_WAITING_ROWS, PredictionLog
from service.shadow import Shadow
from tabular.prediction_log.settings import LogConfig
from tests.unit.asgi import settings
from tests.unit.tiny import RECORDS

ROWS = 50  # of one request
COUNTS = struct.Struct("<Qd")  # rows flushed; when the last row was handed over


class Watched(LogFolder):
    """Writes down how many rows are flushed."""

    def __init__(self, log: Path, model: Model, flushed: Path) -> None:
        rows = LogRows(model, LogConfig(), b"")
        super().__init__(log, model.problem, lambda _: rows)
        self._counts = os.open(flushed, os.O_WRONLY | os.O_CREAT)
        self._n_rows = 0
        self.put_at = 0.0

    def write(self, entries: Sequence[Entry]) -> None:
        """As the parent, and then the count."""
        super().write(entries)
        self._n_rows += sum(len(entry.answers) for entry in entries)
        self.note()

    def note(self) -> None:
        """Write the counts where a kill does not reach them."""
        os.pwrite(self._counts, COUNTS.pack(self._n_rows, self.put_at), 0)


async def log_for_ever(model: Model, sink: Watched, run: str) -> None:
    """Hand over entries as fast as they are taken."""
    shadow = Shadow(settings(), Metrics(CollectorRegistry()))
    log = PredictionLog(sink, shadow, shadow._metrics)
    records = [RECORDS[n % 2] for n in range(ROWS)]
    answers = answer_records(model, records, "", {})
    draining = asyncio.create_task(log.drain())
    number = 0
    while not draining.done():
        while log.n_waiting + ROWS <= MAX_WAITING_ROWS:
            entry = Entry(time.time(), f"{run}-{number}", model, records, answers, model.version)
            log.put(entry)
            sink.put_at = entry.at
            number += 1
        sink.note()
        await asyncio.sleep(0.005)


def main(bundle: Path, log: Path, folder: Path, drain_s: float, seal_rows: int) -> None:
    """Fork a writer for each line of stdin."""
    model = load_model(bundle, "tiny", "v3")
    prediction_log.DRAIN_S, journals.SEAL_ROWS = drain_s, seal_rows
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that were killed
    for line in sys.stdin:
        run = line.strip()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(log_for_ever(model, Watched(log, model, folder / run), run))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    places = [Path(one) for one in sys.argv[1:4]]
    main(*places, float(sys.argv[4]), int(sys.argv[5]))
