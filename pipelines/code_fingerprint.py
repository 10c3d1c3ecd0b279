"""A hash of the code that a step's result rests on: part of its cache key.

It stands alone, so that a step's container reads it without importing every other step.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

CODE_FOLDERS = ("tabular", "steps", "materializers")


def code_fingerprint() -> str:
    """Hash of all code that a step's result can rest on.

    ZenML itself looks at a step function's own source only, so an edited helper would give a stale
    cached result.
    """
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    files = [
        file
        for folder in CODE_FOLDERS
        for file in sorted((root / folder).rglob("*"))
        if file.suffix in (".py", ".html", ".css")
    ]
    for file in (*files, root / "requirements.lock"):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
