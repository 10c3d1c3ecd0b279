"""Journals that have lost their writer become Parquet files of the same name.

    python -m tabular.prediction_log.sealing LOG

The service starts this as a process of its own, at the lowest priority: arro3 holds Python's lock
while it encodes, 1 us a row, and answers would wait for it. Killed at any moment it loses and
doubles nothing: a journal is taken away only when its file has its name, on the disk.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from arro3.core import RecordBatch, Table
from arro3.io import read_ipc_stream, write_parquet

from tabular.errors import BentolineError
from tabular.files import whole_file
from tabular.prediction_log.journal import Journal
from tabular.prediction_log.names import FRAMES, OPEN, sealed_key

COMPRESSION = "zstd(1)"


def seal_all(log: Path) -> int:
    """Seal every journal below a log, of answers and of outcomes, whose writer is gone.

    Raises:
        StoreError: A file cannot be written; its journal stays.
    """
    n_sealed = 0
    for path in sorted(log.rglob(f"problem=*/{OPEN}/*{FRAMES}")):
        try:
            journal = Journal(path, is_new=False)
        except (BlockingIOError, FileNotFoundError):  # its writer lives, or another sealed it
            continue
        with journal:
            _seal(journal)
        n_sealed += 1
    return n_sealed


def _seal(journal: Journal) -> None:
    problem = journal.path.parent.parent
    sealed = problem / sealed_key(journal.path.name.removesuffix(FRAMES))
    if not sealed.exists():
        batches = [batch for frame in journal.batches() for batch in _read(frame)]
        if batches:
            with whole_file(sealed) as unfinished:
                write_parquet(Table.from_batches(batches), unfinished, compression=COMPRESSION)
    journal.remove()


def _read(frame: bytes) -> list[RecordBatch]:
    return list(read_ipc_stream(io.BytesIO(frame)).read_all().to_batches())


if __name__ == "__main__":
    try:
        seal_all(Path(sys.argv[1]))
    except BentolineError as error:
        sys.exit(f"bentoline: {error}")
