"""A real image registry that asks for a password, as ECR does."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

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
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def password_of(token: str) -> str:
    """The password in ECR's authorization token."""
    return base64.b64decode(token).decode().partition(":")[2]


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("docker-registry did not start")
