"""A MongoDB-compatible server as a process of its own, over the wire, on a free loopback port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

SERVER = shutil.which("secantusd-py") or str(Path(sys.executable).with_name("secantusd-py"))
START_S = 30
MAY_INSERT = {"resource": {"db": "shop", "collection": ""}, "actions": ["insert"]}


class Server:
    """One server on one folder and port; it can be killed and started again on both."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder, self.flags, self.port = folder, flags, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def uri(self, login: str = "", options: str = "") -> str:
        """The address, with `user:password` and options where they are given."""
        at = f"{login}@" if login else ""
        return f"mongodb://{at}127.0.0.1:{self.port}/{options and '?'}{options}"

    def start(self, *flags: str) -> Server:
        """Start, and return once the port answers."""
        place = ["--port", str(self.port), "--storage-path", str(self.folder)]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [SERVER, *place, *self.flags, *flags],
                stdout=log,
                stderr=log,
                cwd=self.folder.parent,
            )
        wait_for_port(self.port, self.process)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait for the end; SIGKILL is the fault that the tests are about."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    @contextmanager
    def client(self, **options: Any) -> Iterator[MongoClient[dict[str, Any]]]:
        """A plain client, as a stranger to the code under test would have."""
        with MongoClient(self.uri(), **options) as client:
            yield client


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Server]:
    """A server for the time of the block."""
    server = Server(folder / "db", *flags).start()
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without logins, empty at first, for one module of tests."""
    with serving(tmp_path_factory.mktemp("mongo"), "--enable-test-commands") as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a login, on database shop: reader:r3ad may read, writer:wr1te read and
    write, shipper:sh1p insert and nothing else.
    """
    server = Server(tmp_path_factory.mktemp("guarded") / "db").start()
    with server.client() as client:
        shop = client["shop"]
        shop["orders"].insert_one({"_id": 1, "age": 30, "city": "Delhi"})
        shop.command("createUser", "reader", pwd="r3ad", roles=[role("read")])
        shop.command("createUser", "writer", pwd="wr1te", roles=[role("readWrite")])
        shop.command("createRole", "insert", privileges=[MAY_INSERT], roles=[])
        shop.command("createUser", "shipper", pwd="sh1p", roles=[role("insert")])
    server.stop()
    try:
        yield server.start("--auth")
    finally:
        server.stop(signal.SIGKILL)


def role(name: str) -> dict[str, str]:
    """A role on database shop."""
    return {"role": name, "db": "shop"}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once the port takes connections; fail when the process ends first."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with code {process.returncode}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the server did not answer on port {port} within {START_S} s")


def has_answered(server: Server) -> bool:
    """Whether the server answers a ping."""
    try:
        with server.client(serverSelectionTimeoutMS=1000) as client:
            return bool(client.admin.command("ping"))
    except PyMongoError:
        return False
