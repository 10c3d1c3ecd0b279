"""ZenML's own server in a process of its own, as `zenmldocker/zenml-server` runs it, on SQLite."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.dashboard import APP
from tests.ports import wait_for_port
from tests.s3 import free_port


@dataclass(frozen=True)
class ZenmlServer:
    """A server with an administrator and the key of a service account."""

    url: str
    database: Path
    token: str
    api_key: str

    def get(self, path: str) -> Any:
        """The JSON at a path of its API."""
        return _ask(self.url + path, None, f"Bearer {self.token}")


@contextmanager
def zenml_server(folder: Path) -> Iterator[ZenmlServer]:
    """Give a new server at a free port; it ends with the block."""
    port, password = free_port(), secrets.token_urlsafe(16)
    url = f"http://127.0.0.1:{port}"
    environ = {
        **{key: text for key, text in os.environ.items() if not key.startswith("ZENML_")},
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_SERVER_AUTO_ACTIVATE": "1",
        "ZENML_DEFAULT_USER_NAME": "admin",
        "ZENML_DEFAULT_USER_PASSWORD": password,
        "ZENML_SERVER_JWT_SECRET_KEY": secrets.token_hex(32),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "CRITICAL",
    }
    command = [sys.executable, "-m", "uvicorn", APP, "--host", "127.0.0.1", "--port", str(port)]
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, env=environ, stdout=silent, stderr=silent) as server:
        try:
            wait_for_port(port, server, "ZenML's server", within_s=120)
            login = urllib.parse.urlencode({"username": "admin", "password": password}).encode()
            token = _ask(f"{url}/api/v1/login", login)["access_token"]
            key = _api_key(f"{url}/api/v1/service_accounts", f"Bearer {token}")
            yield ZenmlServer(url, next(folder.rglob("zenml.db")), token, key)
        finally:
            server.kill()


def _api_key(accounts: str, bearer: str) -> str:
    account = _ask(accounts, json.dumps({"name": "trainer", "active": True}).encode(), bearer)
    body = json.dumps({"name": "key"}).encode()
    made = _ask(f"{accounts}/{account['id']}/api_keys", body, bearer)
    return str(made["body"]["key"])


def _ask(url: str, body: bytes | None, bearer: str = "") -> Any:
    form = "application/x-www-form-urlencoded"
    kind = {"Content-Type": "application/json" if bearer else form}
    headers = {**kind, **({"Authorization": bearer} if bearer else {})}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
