"""Build the serving image around a Bento."""

import os
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from deploy.engine import find_engine
from deploy.image import Release, build_image
from deploy.settings import Settings


@step(enable_cache=False)
def containerize(
    bento: str, release: Release, settings: Settings, root: str
) -> Annotated[str, "image_id"]:
    """The image's id."""
    engine = find_engine(os.environ)
    dockerfile = Path(root) / "Dockerfile"
    image_id = build_image(engine, Path(bento), release, dockerfile=dockerfile, settings=settings)
    log_metadata(
        {"image": release.image, "image_id": image_id, "size_mb": engine.size_mb(image_id)}
    )
    return image_id
