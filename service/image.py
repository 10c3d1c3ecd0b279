"""What `bentoml build` makes: the serving lock as requirements, and exactly one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from bentoml.exceptions import BentoMLException
from bentoml.images import Image

from service.settings import BAKED, ROOT, Settings
from tabular.errors import BentolineError

LOCK = "requirements-serve.lock"
BASE = "python:3.11-slim-bookworm"


@attrs.define
class ServingImage(Image):
    """An image that brings the problem's bundle: written into the Bento while it is built.

    `distro` custom: BentoML's own commands for Debian install a compiler and git, 700 MB.
    """

    base_image: str = BASE
    distro: str = "custom"
    lock_python_packages: bool = False
    settings: Settings | None = None

    def freeze(self, bento_fs: Path, envs: Any, platform_: str | None = None) -> Any:
        """Put the bundle in, and the lock as it stands: complete, hashed, no index named."""
        assert self.settings is not None  # noqa: S101  # given below
        try:
            put_bundle(self.settings, bento_fs / "src" / BAKED)
        except BentolineError as error:
            raise BentoMLException(str(error)) from error
        info = super().freeze(bento_fs, envs, platform_)
        lock = (ROOT / LOCK).read_text(encoding="utf-8")
        (bento_fs / "env" / "python" / "requirements.txt").write_text(lock, encoding="utf-8")
        return info


def put_bundle(settings: Settings, folder: Path) -> None:
    """Copy the bundle to FOLDER/PROBLEM/VERSION, verified.

    Raises:
        BentolineError: There is no production version, or its bundle is not whole.
    """
    # Only a build needs these, and BentoML's supervisor imports this module too.
    from tabular.bundle import bundle_files, load_bundle
    from tabular.files import whole_folder
    from tabular.registry import open_registry

    source = settings.bundle
    if source is None:
        registry = open_registry(settings.registry, public_key=settings.public_key)
        version = registry.resolve(settings.problem, "production")
        source = registry.fetch(settings.problem, version)
    files = bundle_files(load_bundle(source, settings.public_key))
    with whole_folder(folder / settings.problem / source.name) as unfinished:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
