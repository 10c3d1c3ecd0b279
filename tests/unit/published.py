"""A registry of tiny versions with reports, and calls of `run.py` on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import run
from tabular.bundle import seal
from tabular.registry import Registry, open_registry
from tests.unit.tiny import write_tiny


def gate(alias: str, *, passed: bool, severity: str = "block") -> dict[str, Any]:
    """One gate's result, as it stands in a manifest."""
    joined = "as it must be" if passed else "and must be"
    return {
        "metric": "f1",
        "limit": "at least 0.9",
        "value": 0.95 if passed else 0.7,
        "passed": passed,
        "severity": severity,
        "alias": alias,
        "sentence": f"f1 of {alias} is {0.95 if passed else 0.7}, {joined} at least 0.9",
    }


GOOD = (gate("staging", passed=True), gate("production", passed=True))
STAGING_ONLY = (gate("staging", passed=True), gate("production", passed=False))
BAD = (gate("staging", passed=False), gate("production", passed=True))


@dataclass
class Published:
    """A home with a registry of problem `tiny`."""

    home: Path
    capfd: pytest.CaptureFixture[str]
    said: str = ""
    erred: str = ""
    made: int = field(default=0, init=False)

    @property
    def registry(self) -> Registry:
        return open_registry(str(self.home / "registry"))

    def add(self, gates: Sequence[dict[str, Any]] = GOOD, **parts: Any) -> str:
        """Publish a version with this verdict; `report` adds to its report."""
        self.made += 1
        folder = self.home / f"bundle{self.made}"
        accepted = all(result["passed"] for result in gates)
        report = {
            "search_metric": "f1",
            "metrics": {"f1": {"value": 0.8, "low": 0.7, "high": 0.9}},
            "snapshot": "ab" * 32,
            "rows": {"train": 200},
            "created_at": "2026-01-02T03:04:05+00:00",
            "verdict": {"accepted": accepted, "results": list(gates), "sentence": "As measured."},
            **parts.pop("report", {}),
        }
        bundle = write_tiny(folder, **parts)
        sealed = seal(bundle, self.home / f"sealed{self.made}", {"report": report})
        return self.registry.publish("tiny", sealed.path)

    def call(self, *flags: str) -> int:
        """Run the command on problem `tiny`; what it says is kept."""
        if "--problem" not in flags:
            flags = (*flags, "--problem", "tiny")
        code = run.main(list(flags))
        self.said, self.erred = self.capfd.readouterr()
        assert "Traceback" not in self.erred
        return code

    def promote(self, version: str, *flags: str, to: str = "production") -> int:
        """Promote by hand."""
        return self.call("--promote", version, "--to", to, "--why", "it is better", *flags)

    def status(self) -> dict[str, Any]:
        """What --status --json says of `tiny`."""
        self.call("--status", "--json")
        found: dict[str, Any] = json.loads(self.said)["problems"]["tiny"]
        return found


@pytest.fixture
def published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Published:
    """A home without a ZenML store."""
    monkeypatch.setenv("BENTOLINE_HOME", str(tmp_path))
    for name in ("BENTOLINE_REGISTRY", "ZENML_CONFIG_PATH", "ZENML_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Published(tmp_path, capfd)
