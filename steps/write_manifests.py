"""Write what a cluster needs to run the verified image."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from deploy import kubernetes
from deploy.image import Release
from tabular.registry import open_registry
from tabular.serving import Serving


@step(enable_cache=False)
def write_manifests(
    image: str, release: Release, registry: str, home: str
) -> Annotated[str, "manifests"]:
    """The file of the manifests; a person or a pipeline of theirs applies it."""
    manifest = open_registry(registry).manifest(release.problem, release.version)
    serving = Serving.model_validate(manifest.get("serving") or {})
    path = kubernetes.write_manifests(image, release, serving, Path(home))
    facts = {"manifests": str(path), "target": "kubernetes"}
    log_metadata(facts)
    log_metadata(facts, model_name=release.problem, model_version=release.version)
    return str(path)
