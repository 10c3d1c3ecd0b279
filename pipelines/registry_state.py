"""What the registry holds of a problem, as plain values: for the terminal and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.promotion import failed_gates
from tabular.errors import BundleError
from tabular.registry import Registry
from tabular.versions.stages import LED_TO


def problem_state(registry: Registry, problem: str) -> dict[str, Any]:
    """Aliases, versions (oldest first) and moves (oldest first) of a problem."""
    aliases = registry.aliases(problem)
    versions = [_version_state(registry, problem, name) for name in registry.versions(problem)]
    for version in versions:
        version["aliases"] = [name for name, to in aliases.items() if to == version["version"]]
    return {
        "problem": problem,
        "title": next((v["title"] for v in reversed(versions) if v.get("title")), problem),
        "aliases": aliases,
        "versions": versions,
        "moves": registry.audit(problem),
    }


def _version_state(registry: Registry, problem: str, version: str) -> dict[str, Any]:
    """Facts of a version; `damaged` is a sentence where it is not whole, and else empty."""
    try:
        return version_state(version, registry.manifest(problem, version))
    except BundleError as error:
        return {"version": version, "damaged": str(error)}


def version_state(version: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a version, from its manifest; what an older one does not hold is null."""
    report = manifest.get("report", {})
    verdict = report.get("verdict")
    return {
        "version": version,
        "damaged": "",
        "title": manifest.get("title"),
        "task": manifest.get("task"),
        "created_at": report.get("created_at"),
        "accepted": verdict["accepted"] if verdict else None,
        "verdict": verdict["sentence"] if verdict else None,
        "may_be": [alias for alias in LED_TO if not failed_gates(verdict, alias)],
        "search_metric": report.get("search_metric"),
        "metrics": report.get("metrics", {}),
        "data_sha256": report.get("snapshot", manifest.get("snapshot")),
        "evaluation_set": report.get("evaluation_set"),
        "synthetic": report.get("synthetic", manifest.get("synthetic")),
        "rows": report.get("rows", {}),
        "chosen": report.get("chosen"),
        "git_commit": report.get("git_commit"),
        "run": report.get("run"),
        "model_sha256": manifest["files"].get("model.onnx"),
        "packages": manifest.get("versions", {}),
    }
