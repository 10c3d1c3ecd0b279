"""How steps run in containers of this machine: which image, and what they share with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.engine import find_engine
from deploy.settings import Settings
from deploy.training_image import LOCK, training_image
from pipelines.stacks.definition import StackDefinition

CONTAINED, CLUSTERED = "local_docker", "kubernetes"
# What `run.py` or its caller says of threads holds in a step's container too.
THREADS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")


def container_settings(
    stack: StackDefinition, environ: Mapping[str, str], *, root: Path, home: Path
) -> dict[str, Any]:
    """A pipeline's settings for ZenML; {} for a stack whose steps run in this process.

    On this machine the checkout is mounted where it lies here, and read-only: the image holds
    requirements alone, so that it is built once for each lock. For a cluster ZenML builds the
    image, of the same lock and the checkout.

    Raises:
        ConfigError: There is no engine.
        EngineError: The image cannot be built.
    """
    flavor = stack.components["orchestrator"].flavor
    if flavor not in (CONTAINED, CLUSTERED):
        return {}
    if flavor == CLUSTERED:
        from zenml.config import DockerSettings

        lock = str(root / LOCK)
        return {"docker": DockerSettings(requirements=lock, apt_packages=["libgomp1"])}
    image = training_image(find_engine(environ), root, Settings.of(environ))
    return _on_this_machine(image, environ, root=root, home=home)


def _on_this_machine(
    image: str, environ: Mapping[str, str], *, root: Path, home: Path
) -> dict[str, Any]:
    from zenml.config import DockerSettings
    from zenml.orchestrators.local_docker import local_docker_orchestrator

    from pipelines.stacks.step_entrypoint import StepEntrypoint

    # ZenML lets an orchestrator start steps its own way, and gives no setting for it.
    local_docker_orchestrator.StepEntrypointConfiguration = StepEntrypoint
    threads = {name: environ[name] for name in THREADS if name in environ}
    arguments = {
        "volumes": {
            str(root): {"bind": str(root), "mode": "ro"},
            str(home): {"bind": str(home), "mode": "rw"},
        },
        "working_dir": str(root),
        "environment": {"PYTHONPATH": str(root), **threads},
        "network_mode": "host",
        "remove": True,
    }
    return {
        # The code is mounted: otherwise ZenML sends it through S3, and unpacks it in every step.
        "docker": DockerSettings(
            parent_image=image, skip_build=True, allow_download_from_artifact_store=False
        ),
        "orchestrator": local_docker_orchestrator.LocalDockerOrchestratorSettings(
            run_args=arguments
        ),
    }
