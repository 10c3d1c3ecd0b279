"""A judged bundle becomes a version in the registry, and the names that its verdict carries."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tabular.bundle import Bundle, seal
from tabular.registry import open_registry


def publish(
    bundle: Bundle, report: dict[str, Any], *, accepted: bool, registry: str
) -> dict[str, str]:
    """Seal the bundle with its report and publish it; an accepted one becomes production.

    Returns:
        version, and the path of its bundle.
    """
    name = report["problem"]
    versions = open_registry(registry)
    with tempfile.TemporaryDirectory(prefix="bentoline-") as folder:
        kept = {k: v for k, v in report.items() if k not in ("curves", "steps")}
        sealed = seal(bundle, Path(folder) / "bundle", {"report": kept})
        version = versions.publish(name, sealed.path)
    why = report["verdict"]["sentence"]
    versions.set_alias(name, "candidate", version, actor="training run", why=why)
    if accepted:
        versions.set_alias(name, "production", version, actor="training run", why=why)
    return {"version": version, "bundle": str(versions.fetch(name, version))}
