"""Build the serving image around a Bento, or take what an earlier run pushed of this release."""

import os
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from deploy import ecr
from deploy.engine import find_engine
from deploy.image import Release, build_image
from deploy.settings import Settings


@step(enable_cache=False)
def containerize(
    bento: str, release: Release, settings: Settings, root: str, *, for_registry: bool
) -> Annotated[str, "image_id"]:
    """The image's id.

    A tag in the registry is never given twice: where a run died after its push, its image is taken
    as if built here, and tested and verified like any other.
    """
    engine = find_engine(os.environ)
    repository = ecr.open_repository(settings) if for_registry else None
    digest = ecr.pushed(repository, release) if repository else None
    if repository and digest:
        image_id = ecr.adopt(engine, repository, release, digest)
    else:
        dockerfile = Path(root) / "Dockerfile"
        image_id = build_image(
            engine, Path(bento), release, dockerfile=dockerfile, settings=settings
        )
    facts = {"image": release.image, "image_id": image_id, "size_mb": engine.size_mb(image_id)}
    log_metadata({**facts, "adopted": digest is not None})
    return image_id
