"""Small JSON documents of the registry: sealed by a sha256 of their own, and of a known format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tabular.errors import StoreError
from tabular.stores.folder import Store, Stored

FORMAT = 1
# A document that was damaged on the way is whole when read again; one damaged where it lies is not.
READINGS = 3


def seal_document(values: Mapping[str, Any]) -> bytes:
    """One line of JSON with `format` and `sha256`."""
    unsealed = {"format": FORMAT, **values}
    return _dump({**unsealed, "sha256": hashlib.sha256(_dump(unsealed)).hexdigest()}) + b"\n"


def read_document(store: Store, key: str, *, mend: str) -> tuple[dict[str, Any], Stored] | None:
    """Read a sealed document, without its seal, or None where there is none.

    Args:
        store: Where it lies.
        key: Its key.
        mend: What a user does when it is damaged.

    Raises:
        StoreError: It is damaged, changed by hand, or of a newer format.
    """
    where = f"{store.location}/{key}"
    for _ in range(READINGS):
        stored = store.read(key)
        if stored is None:
            return None
        document = _parse(stored.content)
        check_format(document, where)
        if document is not None and _is_sealed(document):
            return {name: document[name] for name in document.keys() - {"format", "sha256"}}, stored
    raise StoreError(f"{where}: the file is damaged or was changed by hand; {mend}.")


def check_format(document: object, where: str) -> None:
    """Refuse a document that a newer version wrote.

    Raises:
        StoreError: Its `format` is higher than this version's.
    """
    found = document.get("format") if isinstance(document, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise StoreError(
            f"{where}: the registry is of format {found}, and this version of bentoline reads "
            f"format {FORMAT}; use the version that wrote it. Nothing was changed."
        )


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _is_sealed(document: Mapping[str, Any]) -> bool:
    unsealed = {name: value for name, value in document.items() if name != "sha256"}
    return document.get("sha256") == hashlib.sha256(_dump(unsealed)).hexdigest()


def _dump(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
