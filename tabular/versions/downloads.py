"""Bundles that lie in a store without folders of its own: read and verified, file by file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from tabular.bundle import MANIFEST, changed, missing, parse_manifest
from tabular.errors import BundleError
from tabular.files import whole_folder
from tabular.signatures import SIGNATURE
from tabular.stores.folder import Store

# What was damaged on the way is whole when read again; what is damaged where it lies is not.
READINGS = 3
_READERS = 8


def read_manifest(store: Store, folder: str, sealed: bytes) -> dict[str, Any]:
    """The manifest of the bundle in a store's folder, `sealed` as it was read there.

    Raises:
        BundleError: It is missing, damaged or was changed.
    """
    whole = _manifest(store, folder, sealed)
    return parse_manifest(whole, f"{store.location}/{folder}/{MANIFEST}")


def download_bundle(store: Store, folder: str, sealed: bytes, path: Path) -> None:
    """Copy the bundle in a store's folder to this disk, whole and verified or not at all.

    Args:
        store: Where it lies.
        folder: Its key there.
        sealed: Its manifest, as it was read there.
        path: Must not exist; if another process made it meanwhile, that one stays.

    Raises:
        BundleError: A file is missing or was changed; it is named.
        StoreError: The disk cannot be written, or is full.
    """
    sealed = _manifest(store, folder, sealed)
    digests = parse_manifest(sealed, MANIFEST)["files"]
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda name: _file(store, f"{folder}/{name}", digests[name]), digests)
        files = dict(zip(digests, read, strict=True))
    if signature := store.read(f"{folder}/{SIGNATURE}"):
        files[SIGNATURE] = signature.content
    with suppress(FileExistsError), whole_folder(path) as unfinished:
        for name, content in {**files, MANIFEST: sealed}.items():
            (unfinished / name).write_bytes(content)


def _manifest(store: Store, folder: str, sealed: bytes) -> bytes:
    def check(content: bytes) -> None:
        parse_manifest(content, f"{store.location}/{folder}/{MANIFEST}")

    return _read_whole(store, f"{folder}/{MANIFEST}", check, sealed)


def _file(store: Store, key: str, sha256: str) -> bytes:
    def check(content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise changed(f"{store.location}/{key}")

    return _read_whole(store, key, check)


def _read_whole(
    store: Store, key: str, check: Callable[[bytes], None], content: bytes | None = None
) -> bytes:
    """The file's content that passes the check; `content` is the first reading, where there was."""
    for reading in range(READINGS):
        if content is None:
            stored = store.read(key)
            if stored is None:
                break
            content = stored.content
        try:
            check(content)
        except BundleError:
            if reading == READINGS - 1:
                raise
            content = None
        else:
            return content
    raise missing(f"{store.location}/{key}")
