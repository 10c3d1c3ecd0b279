"""One ZenML store and one process for all integration tests: a fresh one costs ten seconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.champions import forget_champions

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What one call of the command gave."""

    code: int
    stderr: str
    report: dict[str, Any]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """BENTOLINE_HOME of the session; set before ZenML is imported for the first time."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["BENTOLINE_HOME"] = str(folder)
    os.environ["ZENML_CONFIG_PATH"] = str(folder / "zenml")
    yield folder
    del os.environ["BENTOLINE_HOME"], os.environ["ZENML_CONFIG_PATH"]


@pytest.fixture(autouse=True)
def no_champion(request: pytest.FixtureRequest) -> None:
    """Let each test begin as if nothing held production: versions and runs before it stay."""
    if "train" in request.fixturenames:
        forget_champions(request.getfixturevalue("home"))


@pytest.fixture
def make_problem(tmp_path: Path) -> Callable[..., Path]:
    """Write a copy of a shipped problem with some keys changed (dots go deeper)."""

    def make(name: str = "iris", **changes: Any) -> Path:
        raw = yaml.safe_load((ROOT / "configs" / "problems" / f"{name}.yaml").read_text())
        for place, value in changes.items():
            *parents, last = place.split("__")
            part = raw
            for key in parents:
                part = part[key]
            part[last] = value
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        return path

    return make


@pytest.fixture
def train(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `run.py --train` in this process and give its exit code, stderr and report."""
    import json

    import run

    def call(problem: Path | str = "iris", *flags: str) -> Outcome:
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        arguments = ["--train", "--problem", str(problem), "--report", str(report), *flags]
        code = run.main(arguments)
        err = capfd.readouterr().err
        return Outcome(code, err, json.loads(report.read_text()) if report.exists() else {})

    return call
