"""GET /versions: the registry's versions and verdicts, or the one version that a Bento holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from service.http import Answer, Request, json_answer
from service.live import Live
from tabular.errors import BentolineError
from tabular.registry import Registry, open_registry

MAX_VERSIONS = 50
KEPT_S = 5.0  # so that many open pages cost the registry little


class Versions:
    """The newest versions, each with its aliases, metrics and verdict."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._registry: Registry | None = None
        self._kept: tuple[float, list[dict[str, Any]]] = (0.0, [])
        self._reading = asyncio.Lock()

    async def __call__(self, request: Request) -> Answer:  # noqa: ARG002  # a handler's signature
        """Newest first; without a registry, the version that serves."""
        async with self._reading:
            read_at, versions = self._kept
            if time.monotonic() - read_at > KEPT_S or not versions:
                versions = await asyncio.to_thread(self._read)
                self._kept = (time.monotonic(), versions)
        served = self._live.model.version if self._live.model else ""
        marked = [{**one, "serves": one["version"] == served} for one in versions]
        return json_answer({"problem": self._live.settings.problem, "versions": marked})

    def _read(self) -> list[dict[str, Any]]:
        settings = self._live.settings
        if not settings.registry:
            model = self._live.model
            return [_line(model.version, model.predictor.bundle.manifest, [])] if model else []
        if self._registry is None:
            self._registry = open_registry(settings.registry)
        registry, problem = self._registry, settings.problem
        aliases = registry.aliases(problem)
        lines = []
        for version in registry.versions(problem)[: -MAX_VERSIONS - 1 : -1]:
            names = [name for name, named in aliases.items() if named == version]
            try:
                lines.append(_line(version, registry.manifest(problem, version), names))
            except BentolineError:  # one damaged version hides no other
                lines.append(_line(version, {}, names))
        return lines


def _line(version: str, manifest: Mapping[str, Any], aliases: list[str]) -> dict[str, Any]:
    report = manifest.get("report", {})
    verdict = report.get("verdict", {})
    return {
        "version": version,
        "aliases": aliases,
        "metrics": report.get("metrics", {}),
        "accepted": bool(verdict.get("accepted")),
        "verdict": verdict.get("sentence", "its manifest cannot be read"),
        "created_at": report.get("created_at", ""),
        "data": report.get("snapshot", ""),
        "synthetic": report.get("synthetic", False),
    }
