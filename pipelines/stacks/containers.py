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
    from zenml.config import DockerSettings

    if flavor == CLUSTERED:
        lock = str(root / LOCK)
        return {"docker": DockerSettings(requirements=lock, apt_packages=["libgomp1"])}
    from zenml.orchestrators.local_docker.local_docker_orchestrator import (
        LocalDockerOrchestratorSettings,
    )

    image = training_image(find_engine(environ), root, Settings.of(environ))
    shared = {
        str(root): {"bind": str(root), "mode": "ro"},
        str(home): {"bind": str(home), "mode": "rw"},
    }
    arguments = {
        "volumes": shared,
        "working_dir": str(root),
        "environment": {"PYTHONPATH": str(root)},
        "network_mode": "host",
        "remove": True,
    }
    return {
        "docker": DockerSettings(parent_image=image, skip_build=True),
        "orchestrator": LocalDockerOrchestratorSettings(run_args=arguments),
    }
