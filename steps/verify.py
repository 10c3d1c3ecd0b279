"""Hold what the registry gives against what was tested, and write the digest down."""

import os
from typing import Annotated
from uuid import UUID

from zenml import get_step_context, log_metadata, step
from zenml.client import Client

from deploy import ecr
from deploy.engine import find_engine
from deploy.image import Release
from deploy.settings import Settings
from steps.model_version import link_run, mirror_problem
from tabular.registry import open_registry


@step(enable_cache=False)
def verify(
    image_id: str, digest: str, release: Release, settings: Settings, registry: str
) -> Annotated[str, "image"]:
    """The image's full name by digest, as a server pulls it."""
    repository = ecr.open_repository(settings)
    ecr.verify(find_engine(os.environ), image_id, repository, digest)
    image = f"{repository.host}/{repository.name}@{digest}"
    versions = open_registry(registry)
    versions.record_fact(release.problem, release.version, "image_digest", digest)
    versions.record_fact(release.problem, release.version, "image", image)
    mirror_problem(versions, release.problem)
    facts = {"image": image, "image_digest": digest, "image_tag": release.tag, "target": "ecr"}
    log_metadata(facts, model_name=release.problem, model_version=release.version)
    client = Client()
    version = client.get_model_version(release.problem, release.version)
    link_run(client, version.id, UUID(str(get_step_context().pipeline_run.id)))
    return image
