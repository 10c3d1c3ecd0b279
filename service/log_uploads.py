"""A log in S3 or MongoDB: a spool on this disk, and a thread that has its sealed files moved.

A file's key, and a row's, come of its name, so that what is sent twice is there once. While the
store is away the spool grows, at most to `MAX_SPOOL_BYTES`.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from service.live import public_reason
from service.log_folder import NICED, LogFolder
from service.log_rows import Entry
from service.settings import ROOT
from tabular.errors import BentolineError, StoreError
from tabular.prediction_log.names import sealed_files
from tabular.prediction_log.outcomes import Label
from tabular.stores.folder import Store

MAX_SPOOL_BYTES = 512_000_000
UPLOAD_S = 5.0
CLOSE_S = 10.0
SHIPPER = (*NICED, "tabular.prediction_log.shipping")

log = logging.getLogger("bentoline.service")


class LogUploads:
    """Keeps entries in a spool, and moves what is sealed there to a store."""

    def __init__(
        self, spool: Path, folder: LogFolder, location: str, send: Callable[[], None]
    ) -> None:
        self._spool = spool
        self._folder = folder
        self._location = location
        self._send = send
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log uploads", daemon=True)
        self._starting = threading.Lock()
        self._is_started = False
        self._upload_trouble = ""

    @property
    def trouble(self) -> str:
        """Why files wait in the spool, or what befell it."""
        return self._upload_trouble or self._folder.trouble

    def write(self, entries: Sequence[Entry]) -> None:
        """Keep entries in the spool, all or none.

        Raises:
            StoreError: The spool is full, or the disk.
        """
        self._make_ready()
        self._folder.write(entries)

    def write_labels(self, labels: Sequence[Label]) -> None:
        """Keep outcomes in the spool, all or none.

        Raises:
            StoreError: The spool is full, or the disk.
        """
        self._make_ready()
        self._folder.write_labels(labels)

    def _make_ready(self) -> None:
        with self._starting:
            if not self._is_started and not self._stopping.is_set():
                self._thread.start()
                self._is_started = True
        if self.size_bytes() >= MAX_SPOOL_BYTES:
            raise StoreError(
                f"{self._spool}: the spool is full ({MAX_SPOOL_BYTES / 1e6:,.0f} MB wait for "
                f"{self._location}); rows are dropped until the store takes files again."
            )

    def tend(self) -> None:
        """What the spool needs now and then."""
        self._folder.tend()

    def close(self) -> None:
        """Seal, and send what the store takes within some seconds; the rest waits on the disk."""
        self._stopping.set()
        self._folder.close()
        last = threading.Thread(target=self._upload_all, daemon=True)
        last.start()
        last.join(CLOSE_S)

    def size_bytes(self) -> int:
        """What waits in the spool."""
        sizes = []
        for path in self._spool.rglob("*"):
            with suppress(FileNotFoundError):  # it was moved since it was listed
                status = path.stat()
                sizes.append(status.st_size if S_ISREG(status.st_mode) else 0)
        return sum(sizes)

    def _run(self) -> None:
        while not self._stopping.wait(UPLOAD_S):
            self._upload_all()

    def _upload_all(self) -> None:
        try:
            self._send()
        except (BentolineError, OSError) as error:
            self._upload_trouble = public_reason(error)
        else:
            self._upload_trouble = ""


class SendFiles:
    """Moves the sealed files of a spool to S3."""

    def __init__(self, spool: Path, location: str) -> None:
        self._spool = spool
        self._location = location
        self._store: Store | None = None

    def __call__(self) -> None:
        """Move what is there.

        Raises:
            StoreError: The store does not answer, or refuses.
        """
        for path in sealed_files(self._spool):
            self._upload(path)

    def _upload(self, path: Path) -> None:
        if self._store is None:
            from tabular.stores.s3 import S3Store  # boto3 costs half a second to import

            self._store = S3Store(self._location)
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # another worker of this spool sent it
            return
        # Refused where it is there already: the same name is the same rows.
        self._store.create(str(path.relative_to(self._spool)), content)
        path.unlink(missing_ok=True)


class SendRows:
    """Has the rows of a spool's sealed files sent to MongoDB, by a process of its own."""

    def __init__(self, spool: Path, location: str) -> None:
        self._spool = spool
        self._command = [*SHIPPER, str(spool), location]
        self._told: set[str] = set()

    def __call__(self) -> None:
        """Send what is there.

        Raises:
            StoreError: The server does not answer, or refuses.
        """
        if not sealed_files(self._spool):
            return
        sent = subprocess.run(  # noqa: S603  # no word of a client
            self._command, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if sent.returncode:
            raise StoreError((sent.stderr.strip().splitlines() or ["the shipper was killed"])[-1])
        for note in sent.stdout.splitlines():
            if note not in self._told:  # not again with every file
                log.warning("prediction log: %s", note)
                self._told.add(note)
