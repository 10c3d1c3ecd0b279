"""Test the image as it will run in production, before it leaves the machine."""

import os
from typing import Annotated, Any

from zenml import log_metadata, step

from deploy import smoke
from deploy.engine import find_engine
from deploy.image import Release, released_bundle


@step(enable_cache=False)
def smoke_test(
    image_id: str, release: Release, registry: str, public_key: str
) -> Annotated[dict[str, Any], "smoke"]:
    """Readiness, golden rows over HTTP, latency; a failing image stops the run."""
    bundle = released_bundle(release, registry, public_key)
    measured = smoke.smoke_test(find_engine(os.environ), image_id, bundle).model_dump()
    log_metadata(measured)
    return measured
