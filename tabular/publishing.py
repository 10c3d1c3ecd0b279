"""A judged bundle becomes a version in the registry, and the names that its verdict carries."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabular.bundle import Bundle, seal
from tabular.challenge import CHAMPION
from tabular.contract import Frozen
from tabular.gates import ALIASES, Verdict
from tabular.registry import ANY, open_registry


def publish(
    bundle: Bundle,
    report: dict[str, Any],
    verdict: Verdict,
    parts: Mapping[str, Frozen],
    registry: str,
    *,
    public_key: Path | None = None,
    signing_key: Path | None = None,
) -> dict[str, str]:
    """Seal the bundle with its report, publish it, and let the verdict's aliases name it.

    The version is signed where a key is given, and must be where a public one is. `parts` are those
    of the YAML that a server needs.

    Returns:
        version, and the path of its bundle.

    Raises:
        BundleError: The version is not signed as the public key asks; none was published.
        StoreError: The registry cannot be written, or somebody moved production since the champion
            was compared: the version is published, and production stays.
    """
    name = report["problem"]
    versions = open_registry(registry, public_key=public_key, signing_key=signing_key)
    with tempfile.TemporaryDirectory(prefix="bentoline-") as folder:
        kept = {k: v for k, v in report.items() if k not in ("curves", "steps")}
        facts = {
            "evaluation_set": report["evaluation_set"],
            **{name: part.model_dump() for name, part in parts.items()},
            "report": kept,
        }
        sealed = seal(bundle, Path(folder) / "bundle", facts)
        version = versions.publish(name, sealed.path)
    expected: dict[str, str | None] = {alias: ANY for alias in ALIASES if verdict.carries[alias]}
    if CHAMPION in expected:
        expected[CHAMPION] = verdict.comparison.champion or None
    versions.set_aliases(name, expected, version, actor="training run", why=verdict.sentence)
    return {"version": version, "bundle": str(versions.fetch(name, version))}
