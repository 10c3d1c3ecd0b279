"""An S3 server for tests: moto in a process of its own, spoken to over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports import wait_for_port

BUCKET = "registry"
ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port of the loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def credentials(endpoint: str) -> dict[str, str]:
    """What boto3 reads from the environment, with the developer's own settings shut out."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@contextmanager
def moto(port: int = 0, log: Path = Path(os.devnull)) -> Iterator[str]:
    """Give the address of a new server, at a free port unless given; it ends with the block.

    A line for each request is added to `log`.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "tests.moto_process", str(port)]
    with (
        log.open("ab") as lines,
        subprocess.Popen(command, cwd=ROOT, stdout=lines, stderr=lines) as server,
    ):
        try:
            wait_for_port(port, server, "moto", within_s=60)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def client(endpoint: str) -> Any:
    """A boto3 client of the server, past the code under test."""
    from boto3.session import Session
    from botocore.config import Config

    return Session("test", "test", region_name="us-east-1").client(
        "s3", endpoint_url=endpoint, config=Config(proxies={})
    )
