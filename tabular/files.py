"""Files that are there whole or not at all: one file, or a folder of them.

Both are written under a temporary name that starts with a dot, synced to the disk and renamed. What
a killed process leaves keeps its temporary name, and no reader looks at such names.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tabular.errors import StoreError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write; it takes its name, synced, only when all went well.

    Raises:
        StoreError: The folder cannot be written, or the disk is full. No partial file stays.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        sync(unfinished)
        os.replace(unfinished, path)
        sync(path.parent)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        with suppress(OSError):  # a folder that cannot be written has nothing to take away
            unfinished.unlink()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it takes its name, synced, only when all went well.

    Raises:
        FileExistsError: There is a folder of that name already, with something in it.
        StoreError: The folder cannot be written, or the disk is full. No partial folder stays.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        for file in sorted(unfinished.iterdir()):
            sync(file)
        sync(unfinished)
        _rename_folder(unfinished, path)
        sync(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _rename_folder(unfinished: Path, path: Path) -> None:
    try:
        os.rename(unfinished, path)
    except OSError as error:
        if path.exists():
            raise FileExistsError(f"{path} exists") from error
        raise


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(path: Path, error: OSError) -> StoreError:
    """The sentence for a disk that does not take a file."""
    free = ""
    if path.parent.exists():
        free = f", {shutil.disk_usage(path.parent).free / 1e6:,.0f} MB free"
    return StoreError(
        f"{path}: cannot be written ({error.strerror or error}{free}); free some room or set "
        "BENTOLINE_HOME to another folder. Nothing was changed."
    )
