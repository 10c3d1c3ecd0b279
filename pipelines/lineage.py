"""From one answer back to the version, run, data, code and person behind it: `run.py --trace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.registry_state import version_state
from tabular.errors import ConfigError, DataError
from tabular.prediction_log.reading import find_request
from tabular.registry import Registry

PRODUCTION = "production"
ANSWER = ("prediction", "value", "probability", "low", "high")


def trace_request(
    registry: Registry, log: str, problems: Sequence[str], request_id: str
) -> dict[str, Any]:
    """What is known of the first row of a request.

    Returns:
        The answer, the version's facts, its registry folder and the move that had put it into
        production by then; what is not known is null.

    Raises:
        ConfigError: The log has no such request.
    """
    for problem in problems:
        if found := _find(log, problem, request_id):
            return _lineage(registry, problem, found)
    of = ", ".join(problems) or "any problem"
    raise ConfigError(
        f"--trace: {log} has no request {request_id[:80]!r} of {of}; every answer carries its id "
        "as request_id. In S3 and MongoDB one of the last minute may not have arrived yet."
    )


def _find(log: str, problem: str, request_id: str) -> dict[str, Any] | None:
    try:
        return find_request(log, problem, request_id)
    except DataError:  # this problem was never asked
        return None


def _lineage(registry: Registry, problem: str, found: Mapping[str, Any]) -> dict[str, Any]:
    version, at = str(found["version"]), found["at"]
    manifest = registry.manifest(problem, version)
    facts = version_state(version, manifest)
    report = manifest.get("report", {})
    return {
        "request_id": found["request_id"],
        "problem": problem,
        "answered_at": at.isoformat(),
        "answer": {name: found[name] for name in ANSWER if found[name] is not None},
        "version": version,
        "bundle": f"{registry.location}/{problem}/versions/{version}",
        "model_sha256": facts["model_sha256"],
        "image_digest": registry.facts(problem, version).get("image_digest"),
        "trained_at": facts["created_at"],
        "model": (facts["chosen"] or {}).get("candidate"),
        "run": facts["run"],
        "git_commit": facts["git_commit"],
        "data": {
            "source": report.get("source", manifest.get("source")),
            "sha256": facts["data_sha256"],
            "synthetic": facts["synthetic"],
            "rows": facts["rows"],
        },
        "verdict": {"sentence": facts["verdict"], "gates": _gates(report)},
        "promoted": promoted_by(registry.audit(problem), version, at),
    }


def _gates(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    results = (report.get("verdict") or {}).get("results", [])
    return [{key: one[key] for key in ("sentence", "passed", "severity")} for one in results]


def promoted_by(
    moves: Sequence[Mapping[str, Any]], version: str, at: datetime
) -> dict[str, Any] | None:
    """The last move of production to this version before it answered."""
    done = [
        move
        for move in moves
        if (move["alias"], move["to"], move["refused"]) == (PRODUCTION, version, "")
        and datetime.fromisoformat(move["at"]) <= at
    ]
    keys = ("actor", "why", "override", "at", "from")
    return {key: done[-1][key] for key in keys} if done else None
