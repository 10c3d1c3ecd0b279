"""This machine: Python and its packages, the disk, where runs write, the container engine."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from deploy.engine import find_engine
from pipelines.store import store_folder
from tabular.errors import ConfigError, StoreError

# A run of the largest shipped problem writes 0.3 GB, an image 0.4 GB.
MIN_FREE_GB = 1.0
# Versions of these change what a run does; another one than the lock's is how most puzzles begin.
LOCKED = ("zenml", "bentoml", "scikit-learn", "pandas", "numpy", "onnxruntime", "skl2onnx")


def python() -> str:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise ConfigError(f"Python {version}; 3.11 to 3.13 work: make PYTHON=/path/to/python3.11.")
    return version


def packages(root: Path) -> str:
    """Whether what is installed is what the lock names."""
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line.rstrip(" \\")) for line in lines if line.startswith(LOCKED)]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    other = [
        f"{pin.name} {_installed(pin.name)} in place of {str(pin.specifier)[2:]}"
        for pin in here
        if pin.name in LOCKED and f"=={_installed(pin.name)}" != str(pin.specifier)
    ]
    if other:
        raise ConfigError(
            f"{'; '.join(other)}: install the lock again: `rm .venv/.installed`, `make train`."
        )
    return f"{len(LOCKED)} packages as the lock names them"


def writable(folder: Path, variable: str) -> str:
    """Whether files can be written to the folder that a variable names."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # With a buffer, closing fails too on a full disk, and the file stays.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-", buffering=0) as probe:
            probe.write(b"x" * 4096)
            os.fsync(probe.fileno())
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}); free room or rights there, or set "
            f"{variable} to another folder."
        ) from error
    return str(folder)


def disk(folder: Path) -> str:
    """Whether there is room for a run."""
    present = next(place for place in (folder, *folder.parents) if place.exists())
    free_gb = shutil.disk_usage(present).free / 1e9
    if free_gb < MIN_FREE_GB:
        raise StoreError(
            f"{free_gb:.2f} GB are free on the disk of {folder}, a run wants {MIN_FREE_GB:.0f}; "
            "free some room, or set BENTOLINE_HOME to another disk."
        )
    return f"{free_gb:.0f} GB free"


def zenml_store(folder: Path) -> str:
    """Whether ZenML's database in a file is whole."""
    found = sorted(store_folder(folder).rglob("zenml.db"))
    if not found:
        return "not there yet; the first run makes it"
    try:
        with closing(sqlite3.connect(f"file:{found[0]}?mode=ro", uri=True, timeout=1)) as database:
            answer = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        answer = str(error)
    if answer != "ok":
        raise StoreError(
            f"{found[0]} is damaged ({answer}); move the folder {store_folder(folder)} away: the "
            "next run makes a new one, and the registry's versions stand without it."
        )
    return "whole"


def engine(environ: Mapping[str, str]) -> str:
    """Whether a container engine answers."""
    found = find_engine(environ)
    return found.call("version", "--format", "{{.Server.Version}}", what="asking for its version")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
