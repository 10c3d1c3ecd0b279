"""A journal: batches of a file that is still growing, each there whole or not at all.

A frame is a header (magic, length, CRC-32) and an Arrow IPC stream. A process that is killed while
it appends leaves a torn last frame, and every reader stops before it. The writer holds the file's
lock for as long as it lives, so that a journal whose lock is free has lost its writer.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tabular.files import sync

MAGIC = b"BLF1"
_HEADER = struct.Struct("<4sII")


class Journal:
    """A journal that this process owns."""

    def __init__(self, path: Path, *, is_new: bool = True) -> None:
        """Make a journal, or take over one that has lost its writer.

        Raises:
            BlockingIOError: Its writer lives.
            OSError: It cannot be written, or is gone.
        """
        self.path = path
        if is_new:
            path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if is_new else 0)
        self._file = os.open(path, flags, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_new:
                sync(path.parent)
            elif not self.is_there():
                raise FileNotFoundError(f"{path} was sealed by another process")
        except OSError:
            os.close(self._file)
            raise
        self.size_bytes = os.fstat(self._file).st_size

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def append(self, batch: bytes) -> None:
        """Add a batch; when this returns it is on the disk.

        Raises:
            OSError: The disk is full or broken. Nothing of the batch stays.
        """
        frame = _HEADER.pack(MAGIC, len(batch), zlib.crc32(batch)) + batch
        try:
            written = 0
            while written < len(frame):
                written += os.write(self._file, memoryview(frame)[written:])
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):  # readers stop before a torn frame anyway
                os.ftruncate(self._file, self.size_bytes)
            raise
        self.size_bytes += len(frame)

    def is_there(self) -> bool:
        """Whether the path still leads to this file: somebody may have taken the folder away."""
        own = os.fstat(self._file)
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino)

    def batches(self) -> Iterator[bytes]:
        """What was appended, also where the path is gone."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            yield from _frames(file.read())

    def copy_to(self, other: Journal) -> None:
        """Append every batch to another journal."""
        for batch in self.batches():
            other.append(batch)

    def remove(self) -> None:
        """Take the file away, once it is sealed."""
        with suppress(FileNotFoundError):
            self.path.unlink()


def read_batches(path: Path) -> list[bytes]:
    """Every whole batch of a journal that another process may be writing.

    Raises:
        OSError: It cannot be read, or is gone.
    """
    with path.open("rb") as file:
        return list(_frames(file.read()))


def _frames(content: bytes) -> Iterator[bytes]:
    place = 0
    while place + _HEADER.size <= len(content):
        magic, length, checksum = _HEADER.unpack_from(content, place)
        batch = content[place + _HEADER.size : place + _HEADER.size + length]
        if magic != MAGIC or len(batch) != length or zlib.crc32(batch) != checksum:
            return
        yield batch
        place += _HEADER.size + length
