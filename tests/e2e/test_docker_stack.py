"""A training run whose every step is in a container of its own, artifacts in S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.checkout import ROOT
from tests.e2e.conftest import Machine
from tests.s3 import client, credentials, moto

SECRET = "s3cret-key-of-nobody"  # noqa: S105  # looked for where it must not be


def train(home: Path, *flags: str, **variables: str) -> dict[str, Any]:
    report = home.with_suffix(".json")
    command = [sys.executable, "run.py", "--train", "--problem", "iris", "--report", str(report)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "ZENML_"))}
    done = subprocess.run(
        [*command, *flags], cwd=ROOT, env={**kept, "BENTOLINE_HOME": str(home), **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(report.read_text())
    return found


@pytest.mark.timeout(900)
def test_steps_in_containers_make_the_same_model(machine: Machine, tmp_path: Path) -> None:
    """The image is built where there is none for this lock: some minutes, once."""
    with moto() as address:
        client(address).create_bucket(Bucket="shelf")
        far = train(
            tmp_path / "far", "--stack", "docker",
            BENTOLINE_ARTIFACTS="s3://shelf/zenml", BENTOLINE_REGISTRY="s3://shelf/registry",
            BENTOLINE_BASE_IMAGE=machine.base,
            **{**credentials(address), "AWS_SECRET_ACCESS_KEY": SECRET},
        )  # fmt: skip
        kept = {one["Key"] for one in client(address).list_objects_v2(Bucket="shelf")["Contents"]}
    near = train(tmp_path / "near")
    assert far["model_sha256"] == near["model_sha256"]
    assert [step["name"] for step in far["steps"]] == [step["name"] for step in near["steps"]]
    assert any(key.startswith("zenml/export_bundle/bundle/") for key in kept)
    assert "registry/iris/aliases/production.json" in kept
    left = machine.engine.call("ps", "--all", "--format", "{{.Image}}", what="listing").splitlines()
    assert not [image for image in left if image.startswith("bentoline/training")]
    store = next((tmp_path / "far" / "zenml").rglob("zenml.db"))
    assert SECRET.encode() not in store.read_bytes()
