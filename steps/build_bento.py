"""Build the Bento of one published bundle."""

import tempfile
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from deploy import image
from deploy.image import Release


@step(enable_cache=False)
def build_bento(
    release: Release, registry: str, root: str, home: str, public_key: str
) -> Annotated[str, "bento"]:
    """A new folder under `home`, so that builds at once do not meet."""
    key = Path(public_key) if public_key else None
    bundle = image.released_bundle(release, registry, public_key).path
    builds = Path(home) / image.BUILDS
    builds.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{release.tag}-", dir=builds))
    bento = image.build_bento(bundle, folder, root=Path(root), public_key=key)
    log_metadata({"version": release.version, "commit": release.commit, "bento": bento.name})
    return str(bento)
