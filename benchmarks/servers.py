"""Servers under measurement: started, asked, and read by their processes' own figures."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
START_S = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server; `paths` by whether one row is sent or a list."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    one: str = "/predict"
    many: str = "/predict"

    def url(self, path: str) -> str:
        """An address of it."""
        return f"http://127.0.0.1:{self.port}{path}"

    def predict_url(self, n_rows: int) -> str:
        """Where n rows are sent."""
        return self.url(self.one if n_rows == 1 else self.many)

    def ask(self, path: str, body: bytes | None = None) -> Any:
        """The JSON that it answers."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url(path), body, headers)  # noqa: S310  # our own
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def cpu_s(self) -> float:
        """User and system time of all its processes until now."""
        return sum(_cpu_s(pid) for pid in _tree(self.process.pid))

    def largest_mb(self) -> float:
        """Proportional resident memory of its largest process, which is a worker."""
        return max(_pss_mb(pid) for pid in _tree(self.process.pid))


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    environment: dict[str, str],
    *,
    ready: str,
    cpu: int | None = None,
    many: str = "/predict",
) -> Iterator[Server]:
    """Start a server on a free port, on one core where `cpu` names it; end it with the block.

    Args:
        name: In the tables.
        command: `{port}` is replaced.
        environment: Over this process's own.
        ready: A path that answers 200 once it serves; "" where listening is enough.
        cpu: The core.
        many: Where a list of rows is sent.
    """
    port = free_port()
    pinned = ["taskset", "-c", str(cpu)] if cpu is not None else []
    log = Path(environment["BENTOML_HOME"]).parent / f"{name.replace(' ', '-')}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*pinned, *(part.format(port=port) for part in command)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, process, port, many=many)
    try:
        wait_ready(server, ready, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_ready(server: Server, path: str, log: Path) -> None:
    """Return once the path answers 200.

    Raises:
        SystemExit: It does not within a minute, or the server ended.
    """
    deadline = time.monotonic() + START_S
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            if not path:
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
                return
            with urllib.request.urlopen(server.url(path), timeout=1):  # noqa: S310  # our own
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    server.process.kill()
    raise SystemExit(f"{server.name} did not start:\n{log.read_text()[-3000:]}")


def free_port() -> int:
    """A port of the loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                found += _tree(int(child))
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _pss_mb(pid: int) -> float:
    with suppress(OSError):  # the log's sealing child may have ended by now
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
