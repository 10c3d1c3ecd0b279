"""Where a registry's bytes lie: whole files under keys, and three ways to write one safely.

A key is a relative path such as `iris/aliases/production.json`. `FolderStore` is below, and
`tabular/stores/s3.py` holds the same for S3. docs/adr/0008 says what is built on them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tabular.errors import StoreError
from tabular.files import disk_error, whole_file, whole_folder


@dataclass(frozen=True)
class Stored:
    """A file's content, and the tag that `replace` asks for."""

    content: bytes
    tag: str


class Store(Protocol):
    """Whole files under keys. Names that start with a dot are never shown.

    Every method raises StoreError, in one sentence, where the store does not work.
    """

    @property
    def location(self) -> str:
        """The folder or s3://bucket/prefix, as a user writes it."""

    def read(self, key: str) -> Stored | None:
        """A file, or None where there is none."""

    def keys(self, folder: str) -> list[str]:
        """The keys below a folder, at any depth, sorted."""

    def folders(self) -> list[str]:
        """The names of the folders at the top, sorted."""

    def create(self, key: str, content: bytes) -> bool:
        """Write a file that must be new. False: another one is there, and stays."""

    def replace(self, key: str, content: bytes, tag: str) -> bool:
        """Write a file over the one with this tag. False: it is not there any more."""

    def add_folder(self, folder: str, files: Mapping[str, bytes]) -> bool:
        """Write a folder that must be new, the last file last. False: the name is taken."""

    def local(self, folder: str) -> Path | None:
        """The folder on this disk, or None where it has to be fetched."""


class FolderStore:
    """Files below a folder. Writers to one folder hold its lock; readers need none."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:
        return str(self.root)

    def read(self, key: str) -> Stored | None:
        path = self.root / key
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _read_error(path, error) from error
        return Stored(content, hashlib.sha256(content).hexdigest())

    def keys(self, folder: str) -> list[str]:
        found = []
        for parent, folders, names in os.walk(self.root / folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            below = Path(parent).relative_to(self.root)
            found += [str(below / name) for name in names if not name.startswith(".")]
        return sorted(found)

    def folders(self) -> list[str]:
        if not self.root.is_dir():
            return []
        shown = [path for path in self.root.iterdir() if not path.name.startswith(".")]
        return sorted(path.name for path in shown if path.is_dir())

    def create(self, key: str, content: bytes) -> bool:
        path = self.root / key
        with self._locked(path.parent):
            if path.exists():
                return False
            _write(path, content)
        return True

    def replace(self, key: str, content: bytes, tag: str) -> bool:
        path = self.root / key
        with self._locked(path.parent):
            present = self.read(key)
            if present is None or present.tag != tag:
                return False
            _write(path, content)
        return True

    def add_folder(self, folder: str, files: Mapping[str, bytes]) -> bool:
        path = self.root / folder
        with self._locked(path.parent):
            try:
                with whole_folder(path) as unfinished:
                    for name, content in files.items():
                        (unfinished / name).write_bytes(content)
            except FileExistsError:
                return False
        return True

    def local(self, folder: str) -> Path | None:
        return self.root / folder

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        """Be a folder's only writer, and clear what a killed one left there."""
        path = folder / ".lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("ab")
        except OSError as error:
            raise disk_error(path, error) from error
        with lock:  # closing the file frees the lock, as the end of the process does
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in folder.glob(".*.part"):
                _remove(leftover)
            yield


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)


def _remove(leftover: Path) -> None:
    if leftover.is_dir():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        leftover.unlink(missing_ok=True)


def _read_error(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be read ({error.strerror or error}); check its rights.")
