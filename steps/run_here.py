"""Let the tested image serve the problem on this machine."""

import os
from typing import Annotated

from zenml import log_metadata, step

from deploy import local
from deploy.engine import find_engine
from deploy.image import Release, released_bundle
from tabular.serving import Serving


@step(enable_cache=False)
def run_here(
    image_id: str, release: Release, registry: str, public_key: str
) -> Annotated[str, "container"]:
    """The container's name; it takes the place of the one before it only when it is ready."""
    bundle = released_bundle(release, registry, public_key)
    port = Serving.model_validate(bundle.manifest.get("serving") or {}).port
    name = local.replace(
        find_engine(os.environ), image_id, bundle, problem=release.problem, port=port
    )
    log_metadata({"container": name, "port": port})
    return name
