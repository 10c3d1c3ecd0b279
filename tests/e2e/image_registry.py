"""A real image registry that asks for a password, as ECR does."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from tests.ports import wait_for_port
from tests.s3 import free_port

USER = "AWS"


@contextmanager
def image_registry(folder: Path, password: str) -> Iterator[str]:
    """Give the address of a new registry that takes this password of user AWS."""
    command = shutil.which("docker-registry")
    if command is None:
        pytest.skip("docker-registry is not installed; `make engine` as root installs it")
    port = free_port()
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    settings = folder / "registry.yml"
    settings.write_text(
        f"""version: 0.1
storage: {{filesystem: {{rootdirectory: {folder / "images"}}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {folder / "htpasswd"}}}}}
"""
    )
    with (
        (folder / "registry.log").open("wb") as log,
        subprocess.Popen([command, "serve", str(settings)], stdout=log, stderr=log) as server,
    ):
        try:
            wait_for_port(port, server, "docker-registry", within_s=30)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def password_of(token: str) -> str:
    """The password in ECR's authorization token."""
    return base64.b64decode(token).decode().partition(":")[2]
