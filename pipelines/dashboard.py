"""ZenML's dashboard on the project's own store: a server of its own, on this machine only.

`zenml login --local` would serve the store of the user's home folder, as a daemon, and connect
every later run to it. docs/dashboard.md walks through what it shows.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.store import store_folder
from tabular.errors import ConfigError, StoreError

HOST = "127.0.0.1"  # it asks for no password, so that nobody else may reach it
RUNS = "/projects/default/runs"
START_S, STOP_S, POLL_S = 120.0, 10.0, 0.1
APP = "zenml.zen_server.zen_server_api:app"


@contextmanager
def dashboard_server(home: Path, url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the store at `url` until the block ends; the block begins once the server answers.

    Raises:
        ConfigError: The port is taken.
        StoreError: The server ended, or did not answer in time; its log is named.
    """
    _check_free(port)
    folder = home / "zenml-dashboard"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    command = [sys.executable, "-m", "uvicorn", APP, "--host", HOST, "--port", str(port)]
    with (
        log.open("wb") as said,
        subprocess.Popen(  # noqa: S603  # our own Python
            [*command, "--no-server-header", "--log-level", "warning"],
            env=environment(home, url, folder),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes here alone, and ends it in order
        ) as server,
    ):
        try:
            _wait_for(server, port, log)
            _answer_survey(port)
            yield server
        finally:
            _stop(server)


def environment(home: Path, url: str, folder: Path) -> dict[str, str]:
    """What `zenml login --local` sets, but for this store, and without advertisements.

    The server's configuration is in a folder of its own: two processes in one would corrupt it.
    """
    own = {
        "ZENML_SERVER": "true",
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_STORE_URL": url,
        "ZENML_LOCAL_STORES_PATH": str(store_folder(home) / "local_stores"),
        "ZENML_DISABLE_DATABASE_MIGRATION": "true",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
        "ZENML_SERVER_DISPLAY_ANNOUNCEMENTS": "false",
        "ZENML_SERVER_DISPLAY_UPDATES": "false",
    }
    return {**os.environ, **own}


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"--port {port} is taken by another program; name a free one, or stop that."
            ) from error


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            _ask(port, "GET", "/health")
        except (OSError, http.client.HTTPException):
            time.sleep(POLL_S)
        else:
            return
    how = "ended" if server.poll() is not None else f"did not answer within {START_S:.0f} s"
    raise StoreError(f"ZenML's server {how}; {log} says why.")


def _answer_survey(port: int) -> None:
    """Tell ZenML that its user was asked: else a survey stands before the first page."""
    user = json.loads(_ask(port, "GET", "/api/v1/current-user"))
    known = user["metadata"]["user_metadata"] or {}
    if user["body"]["email_opted_in"] is None or not known.get("finished_onboarding_survey"):
        told = {**known, "finished_onboarding_survey": True, "overview_tour_done": True}
        answer = {"email_opted_in": False, "user_metadata": told}
        _ask(port, "PUT", "/api/v1/current-user", json.dumps(answer))


def _ask(port: int, method: str, path: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content: bytes = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise StoreError(f"ZenML's server answers {path} with {answer.status}; update ZenML.")
    return content


def _stop(server: subprocess.Popen[Any]) -> None:
    server.terminate()
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:  # a browser may keep a connection open
        server.kill()
