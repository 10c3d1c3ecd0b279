"""A "host" on this machine: a proxy, ports, container names and folders of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.engine import Engine
from deploy.host.checks import Connection
from deploy.host.proxy import SLOTS
from tests.e2e.codedeploy import Host
from tests.ports import wait_for_port
from tests.s3 import free_port

STEADY = Path(__file__).parents[2] / "benchmarks" / "wrk" / "steady.lua"
NGINX = """\
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    server {{ listen 127.0.0.1:{port}; }}
    include {folder}/sites/*.conf;
}}
"""


@dataclass(frozen=True)
class Machine:
    """What a test asks a host about."""

    host: Host
    port: int
    state: Path

    def set(self, **changes: Any) -> None:
        """Change what the host's file says."""
        file = Path(self.host.environment["BENTOLINE_HOST_FILE"])
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    def ask(self, path: str = "/readyz", body: Any = None) -> tuple[int, Any]:
        """Through the proxy, as a client."""
        connection = Connection(self.port)
        try:
            return connection.ask(path, body)
        finally:
            connection.close()

    def containers(self, engine: Engine) -> dict[str, str]:
        """Names and images of the host's containers, running or not."""
        shown = '{{.Names}} {{.Label "bentoline.image"}}'
        lines = engine.call(
            "ps", "--all", f"--filter=name=^{self.host.name}-", f"--format={shown}", what="listing"
        ).splitlines()
        return dict(line.split() for line in lines)

    def files(self) -> set[str]:
        """What lies in the folder of its one problem, without what says which slot answers."""
        return {path.name for path in self.state.glob("*/*")} - set(SLOTS)


def free_ports() -> int:
    """The first of four free ports in a row: the proxy's and its containers'.

    Below those that clients are given, since a container's port is idle while another serves.
    """
    while True:
        first = secrets.randbelow(10_000) + 20_000
        try:
            for port in range(first, first + 1 + len(SLOTS)):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first


@contextmanager
def machine(name: str, folder: Path, engine: Engine, own: dict[str, str]) -> Iterator[Machine]:
    """A host whose proxy runs and serves nothing yet; its containers are removed at the end."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed; `make engine` as root installs it")
    agent, state = folder / "agent", folder / "state"
    for made in (agent, state, folder / "sites"):
        made.mkdir(parents=True)
    port, proxy = free_ports(), free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=proxy))
    (folder / "host.json").write_text(json.dumps({
        "name": name, "state": str(state), "address": "127.0.0.1", "port": port,
        "sites": str(folder / "sites"), "nginx": ["nginx", "-c", str(folder / "nginx.conf")],
        "environment": str(folder / "none.env"),
    }))  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"],
        "BENTOLINE_HOST_FILE": str(folder / "host.json"),
        **own,
    }
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(proxy, server, "nginx", within_s=30)
            yield Machine(Host(name, agent, environment), port, state)
        finally:
            server.terminate()
            for slot in SLOTS:
                for container in engine.call(
                    "ps", "--all", "--quiet", f"--filter=name=^{name}-.*-{slot}$", what="listing"
                ).split():
                    engine.tries("rm", "--force", "--volumes", container)


@dataclass
class Load:
    """What clients saw; filled in when the load ends."""

    requests: int = 0
    failed: int = 0


@contextmanager
def steady_load(
    machines: Sequence[Machine], body: Path, *, connections: int = 2, rest_ms: int = 40
) -> Iterator[Load]:
    """Ask every host's proxy all the while, by wrk; one failed answer is counted, of any kind."""
    if (wrk := shutil.which("wrk")) is None:
        pytest.skip("wrk is not installed; `make engine` as root installs it")
    load = Load()
    command = [wrk, "-t1", f"-c{connections}", "-d3600s", "--timeout=15s", "-s", str(STEADY)]
    with ExitStack() as stack:
        running = []
        for one in machines:
            asked = [
                *command,
                f"http://127.0.0.1:{one.port}/predict",
                "--",
                str(body),
                str(rest_ms),
            ]
            process = subprocess.Popen(asked, stdout=subprocess.PIPE, text=True)
            running.append(stack.enter_context(process))
        try:
            yield load
        finally:
            for process in running:
                process.send_signal(signal.SIGINT)
            for process in running:
                out, _ = process.communicate(timeout=60)
                seen = json.loads(out.splitlines()[-1])
                load.requests += seen["requests"]
                load.failed += seen["unanswered"] + seen["refused"]
