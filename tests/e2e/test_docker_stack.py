"""A training run whose every step is in a container, artifacts in S3, against ZenML's server."""

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
from tests.integration.zenml_server import zenml_server
from tests.s3 import client, credentials, moto

SECRET = "s3cret-key-of-nobody"  # noqa: S105  # looked for where it must not be


# The command that the orchestrator gives a container, up to where it would load the step.
START = """
import os, pathlib, sys, uuid
from pipelines.stacks.containers import container_settings
from pipelines.stacks.definition import load_stack
stack = load_stack("docker", pathlib.Path("configs/stacks"), os.environ)
container_settings(stack, os.environ, root=pathlib.Path.cwd(), home=pathlib.Path(sys.argv[1]))
from zenml.entrypoints import entrypoint, step_entrypoint_configuration
from zenml.integrations.registry import integration_registry
from zenml.orchestrators.local_docker import local_docker_orchestrator
from zenml.utils.source_utils import set_custom_source_root
set_custom_source_root(os.getcwd())
def run(self):
    print(*integration_registry.integrations)
step_entrypoint_configuration.StepEntrypointConfiguration.run = run
given = local_docker_orchestrator.StepEntrypointConfiguration
names = {"snapshot_id": uuid.uuid4(), "step_name": "decide"}
sys.argv[1:] = given.get_entrypoint_arguments(**names)
entrypoint.main()
"""


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
    """ZenML's own server keeps the run, S3 the artifacts and versions; this machine's home none.

    The image is built where there is none for this lock: some minutes, once.
    """
    with moto() as address, zenml_server(tmp_path / "server") as server:
        client(address).create_bucket(Bucket="shelf")
        far = train(
            tmp_path / "far", "--stack", "docker",
            BENTOLINE_ARTIFACTS="s3://shelf/zenml", BENTOLINE_REGISTRY="s3://shelf/registry",
            BENTOLINE_BASE_IMAGE=machine.base,
            ZENML_STORE_URL=server.url, ZENML_STORE_API_KEY=server.api_key,
            **{**credentials(address), "AWS_SECRET_ACCESS_KEY": SECRET},
        )  # fmt: skip
        kept = {one["Key"] for one in client(address).list_objects_v2(Bucket="shelf")["Contents"]}
        run = server.get(f"/api/v1/runs/{far['run']}")
        stored = server.database.read_bytes()
    near = train(tmp_path / "near")
    assert run["body"]["status"] == "completed"
    assert far["model_sha256"] == near["model_sha256"]
    assert [step["name"] for step in far["steps"]] == [step["name"] for step in near["steps"]]
    assert any(key.startswith("zenml/export_bundle/bundle/") for key in kept)
    assert not any("code_uploads" in key for key in kept)
    assert "registry/iris/aliases/production.json" in kept
    ours = ("--filter", f"volume={tmp_path / 'far'}")
    assert not machine.engine.call("ps", "--all", "--quiet", *ours, what="listing")
    assert not list((tmp_path / "far").rglob("zenml.db"))
    assert SECRET.encode() not in stored


def test_a_step_starts_without_integrations_that_no_stack_names(
    machine: Machine, tmp_path: Path
) -> None:
    """They cost a step 3 s of CPU; ZenML would import BentoML's and LightGBM's."""
    places = {"BENTOLINE_ARTIFACTS": "s3://shelf/zenml", "BENTOLINE_REGISTRY": "s3://shelf/r"}
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, **places, "BENTOLINE_BASE_IMAGE": machine.base,
             "BENTOLINE_HOME": str(tmp_path), "ZENML_CONFIG_PATH": str(tmp_path / "zenml")},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()[-1].split()) == {"aws", "kubernetes", "mlflow", "s3"}
