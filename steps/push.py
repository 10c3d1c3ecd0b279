"""Push the tested image to ECR."""

import os
from typing import Annotated

from zenml import log_metadata, step

from deploy import ecr
from deploy.engine import find_engine
from deploy.image import Release
from deploy.settings import Settings


@step(enable_cache=False)
def push(image_id: str, release: Release, settings: Settings) -> Annotated[str, "digest"]:
    """The digest that the registry gave the image."""
    repository = ecr.open_repository(settings)
    digest = ecr.push(find_engine(os.environ), image_id, repository, release)
    log_metadata({"image": repository.image(release.tag), "digest": digest})
    return digest
