"""The image in which a step of a training run can be: built once for each lock."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from deploy.engine import Engine
from deploy.settings import Settings

DOCKERFILE, LOCK = "deploy/training.Dockerfile", "requirements.lock"


def training_image(engine: Engine, root: Path, settings: Settings) -> str:
    """The image's name; it is built where there is none for this lock and Dockerfile.

    Raises:
        EngineError: The base image or a package could not be had, or the disk is full.
    """
    digest = hashlib.sha256()
    for file in (DOCKERFILE, LOCK):
        digest.update((root / file).read_bytes())
    digest.update(settings.base.encode())
    name = f"bentoline/training:{digest.hexdigest()[:12]}"
    if engine.inspect("image", name):
        return name
    arguments = ["build", "--file", str(root / DOCKERFILE), "--tag", name]
    if settings.base:
        arguments += ["--build-arg", f"BASE={settings.base}"]
    if settings.certificates:
        arguments += ["--secret", f"id=certificates,src={settings.certificates}"]
    with tempfile.TemporaryDirectory() as context:  # nothing else of the checkout is sent along
        shutil.copy(root / LOCK, context)
        engine.call(*arguments, context, what=f"building {name}")
    return name
