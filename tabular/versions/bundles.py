"""The versions of a registry: bundles that are whole when they are seen, and never changed."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tabular.bundle import MANIFEST, bundle_files, load_bundle
from tabular.errors import BundleError, ConfigError, StoreError, listed
from tabular.signatures import SIGNATURE, check_keys, check_signature, sign
from tabular.stores.folder import Store
from tabular.versions.documents import read_document, seal_document
from tabular.versions.downloads import download_bundle, read_manifest

VERSION = re.compile(r"v([1-9][0-9]*)")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_FORMAT = "registry.json"
_PROBE = ".probe"


@dataclass(frozen=True)
class Keys:
    """PEM files: what versions are verified with, and signed with."""

    public: Path | None = None
    signing: Path | None = None


class Versions:
    """What `Registry` says of versions; its docstrings name what is raised."""

    def __init__(self, store: Store, cache: Path, keys: Keys) -> None:
        self._store = store
        self._cache = cache
        self._keys = keys
        self._is_known_format = False

    def names(self, problem: str) -> list[str]:
        """Oldest first."""
        self._check_format()
        folder = f"{checked_name(problem, 'problem')}/versions"
        found = (key.split("/") for key in self._store.keys(folder) if key.endswith(MANIFEST))
        names = [parts[-2] for parts in found if len(parts) == 4 and VERSION.fullmatch(parts[-2])]
        return sorted(names, key=_number)

    def manifest(self, problem: str, version: str) -> dict[str, Any]:
        """The manifest of a version; the other files are not looked at."""
        return read_manifest(self._store, *self._found(problem, version))

    def fetch(self, problem: str, version: str) -> Path:
        """A folder on this disk with the whole bundle of a version, verified.

        From S3 it is downloaded once, and verified each time.
        """
        folder, sealed = self._found(problem, version)
        path = self._store.local(folder)
        if path is None:
            manifest = read_manifest(self._store, folder, sealed)
            path = self._cache / manifest["sha256"][:16] / problem / version
            if not _holds(path, manifest):
                shutil.rmtree(path, ignore_errors=True)
                download_bundle(self._store, folder, sealed, path)
        load_bundle(path, self._keys.public)
        return path

    def publish(self, problem: str, bundle_folder: Path) -> str:
        """Copy a bundle, verified, as the next version, and return its name."""
        files = self._signed(checked_name(problem, "problem"), bundle_folder)
        number = max(map(_number, self.names(problem)), default=0) + 1
        if self._store.read(_FORMAT) is None:
            self._check_store(problem)
            self._store.create(_FORMAT, seal_document({}))
        while not self._store.add_folder(f"{problem}/versions/v{number}", files):
            number += 1
        return f"v{number}"

    def check_publishable(self, problem: str) -> None:
        """Have keys and store show that a version could be published, and publish none."""
        check_keys(self._keys.public, self._keys.signing)
        self._check_format()
        self._check_store(checked_name(problem, "problem"))

    def folder(self, problem: str, version: str) -> str:
        """The key of a version that is there."""
        return self._found(problem, version)[0]

    def _found(self, problem: str, version: str) -> tuple[str, bytes]:
        """The key of a version that is there, and its manifest as it was read."""
        self._check_format()
        folder = f"{checked_name(problem, 'problem')}/versions/{version}"
        manifest = self._store.read(f"{folder}/{MANIFEST}") if VERSION.fullmatch(version) else None
        if manifest:
            return folder, manifest.content
        known = self.names(problem)
        have = listed(_nearest(version, known)) if known else "none; train it first"
        raise ConfigError(
            f"registry {self._store.location}: {problem} has no version '{version[:60]}'; "
            f"it has {have}."
        )

    def verified_manifest(self, problem: str, version: str) -> dict[str, Any]:
        """The manifest of a version, once every file was read from where it lies and verified."""
        folder, sealed = self._found(problem, version)
        with tempfile.TemporaryDirectory(prefix="bentoline-") as scratch:
            path = self._store.local(folder)
            if path is None:
                path = Path(scratch) / version
                download_bundle(self._store, folder, sealed, path)
            return load_bundle(path, self._keys.public).manifest

    def _signed(self, problem: str, folder: Path) -> dict[str, bytes]:
        """The files of a bundle, signed and verified as the keys ask, the manifest last."""
        files = bundle_files(load_bundle(folder))
        signature = files.pop(SIGNATURE, None)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        if self._keys.signing:
            signature = sign(digests, problem, self._keys.signing)
        if self._keys.public:
            check_signature(digests, signature, folder / SIGNATURE, self._keys.public)
        return files if signature is None else {SIGNATURE: signature, **files}

    def _check_store(self, problem: str) -> None:
        """Have the store show that it can be written, and keeps what must be new."""
        for _ in range(2):
            is_new = self._store.create(f"{problem}/{_PROBE}", uuid4().hex.encode())
        if is_new:
            raise StoreError(
                f"registry {self._store.location}: the store writes over a file that had to be new "
                "(it does not know If-None-Match); use one with conditional writes. "
                "No version was published."
            )

    def _check_format(self) -> None:
        """Read the registry's format once; a newer one is refused."""
        if not self._is_known_format:
            read_document(self._store, _FORMAT, mend="restore it from a copy")
            self._is_known_format = True


def _number(version: str) -> int:
    return int(version.removeprefix("v"))


def _holds(path: Path, manifest: dict[str, Any]) -> bool:
    try:
        return load_bundle(path).manifest == manifest
    except BundleError:
        return False


def _nearest(version: str, known: list[str]) -> list[str]:
    """The versions with the nearest numbers first, or the newest first where there is no number."""
    number = _number(version) if VERSION.fullmatch(version) else _number(known[-1])
    return sorted(known, key=lambda name: abs(_number(name) - number))


def checked_name(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"registry: the {what} '{name[:60]}' is no name; use letters, digits, '_' and '-'."
        )
    return name
