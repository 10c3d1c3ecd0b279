"""A real `bentoml serve` of this folder, over HTTP."""

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
BENTOML = Path(sys.executable).parent / "bentoml"


class Server:
    """One running server; `log` is what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def ask(
        self, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """GET, or POST a body of bytes or JSON; the parsed answer where it is JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=data,
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _parsed(answer)
        except urllib.error.HTTPError as error:
            return error.code, _parsed(error)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer, without a fork of theirs that has not begun its command."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        alive = [p for p in children if p.status() != psutil.STATUS_ZOMBIE]
        found = {p.pid: p for p in alive if "_bentoml_impl.worker.service" in p.cmdline()}
        return [p for p in found.values() if p.ppid() not in found]

    def wait_for(self, what: str, is_so: Any, timeout_s: float = 60) -> None:
        """Poll until something is so."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                if is_so():
                    return
            except (OSError, psutil.Error):
                pass
            assert time.monotonic() < end, (
                f"{what}: not within {timeout_s} s\n{self.log.read_text()}"
            )
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM, and wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def _parsed(answer: Any) -> Any:
    body = answer.read()
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    return json.loads(body) if is_json else body


@contextmanager
def serving(folder: Path, *command: str, **environment: str) -> Iterator[Server]:
    """Start a server of the tiny problem on a free port; it is ended at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "server.log"
    given = {
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOLINE_HOME": str(folder / "home"),
        "BENTOLINE_PROBLEM": "tiny",
        **environment,
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENTOLINE_", "PROMETHEUS_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(command or (str(BENTOML), "serve", ".", "--host", "127.0.0.1")),
                "--port",
                str(port),
            ],
            cwd=ROOT,
            env={**kept, **given},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, port, log)
    try:
        server.wait_for("the first answer", lambda: server.ask("/livez")[0] == 200)
        yield server
    finally:
        if process.poll() is None:
            workers = server.workers()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                for one in [*workers, psutil.Process(process.pid)]:
                    one.kill()
                process.wait()
