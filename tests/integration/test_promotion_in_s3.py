"""Moves by hand where the registry is in S3: quick, and one sentence where S3 is away."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabular.registry import Registry, open_registry
from tests import s3
from tests.unit.published import Published

ROOT = Path(__file__).parents[2]
LOCATION = f"s3://{s3.BUCKET}/models"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry in S3 whose production was v1 and is v2."""
    local = Published(tmp_path, None)  # type: ignore[arg-type]  # nothing is called on it
    local.add()
    with s3.moto() as endpoint:
        for name, value in s3.credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("BENTOLINE_HOME", str(tmp_path))
        monkeypatch.setenv("BENTOLINE_REGISTRY", LOCATION)
        s3.client(endpoint).create_bucket(Bucket=s3.BUCKET)
        registry = open_registry(LOCATION)
        for version in ("v1", "v2"):
            assert registry.publish("tiny", tmp_path / "sealed1") == version
            registry.set_alias("tiny", "production", version, actor="test", why="to begin with")
        yield registry


def command(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    others = ("ZENML_", "MLFLOW_")  # what earlier tests of this process have set up
    inherited = {key: text for key, text in os.environ.items() if not key.startswith(others)}
    return subprocess.run(
        [sys.executable, "run.py", *flags],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_rollback_in_s3_loads_no_training_library(registry: Registry) -> None:
    """What it imports decides how long it takes; benchmarks measure the seconds."""
    done = command("--rollback", "--problem", "tiny", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert registry.alias("tiny", "production") == "v1"
    check_imports(done.stderr)


def check_imports(said: str) -> None:
    """What is slow to import was not."""
    imported = set(re.findall(r"^import time:.*\| +(\w+)$", said, re.MULTILINE))
    assert "boto3" in imported
    assert not imported & {"sklearn", "pandas", "zenml", "bentoml", "catboost", "evidently"}


def test_status_and_diff_read_a_registry_in_s3(registry: Registry) -> None:
    done = command("--status", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problems"]["tiny"]["aliases"] == {"production": "v2"}
    done = command("--diff", "v1", "production", "--problem", "tiny")
    assert done.returncode == 0, done.stderr
    assert "The contracts are the same" in done.stdout


@pytest.mark.usefixtures("registry")
def test_s3_that_is_away_is_one_sentence_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.free_port()}")
    done = command("--rollback", "--problem", "tiny")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "registry" in done.stderr


@pytest.mark.parametrize("flags", [("--train",), ("--score", "rows.csv")])
def test_s3_that_is_away_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    """Neither a step nor the libraries of training are waited for."""
    for name, value in s3.credentials(f"http://127.0.0.1:{s3.free_port()}").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BENTOLINE_HOME", str(tmp_path))
    monkeypatch.setenv("BENTOLINE_REGISTRY", LOCATION)
    done = command(*flags, "--problem", "iris", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2
    assert re.search(r"cannot be reached .*Nothing was changed\.$", done.stderr)
    check_imports(done.stderr)
