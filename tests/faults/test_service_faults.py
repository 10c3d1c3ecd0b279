"""What the service survives under load: SIGTERM, kill -9, damaged versions, reloads."""

import http.client
import json
import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from tabular.registry import open_registry
from tests.integration.serving import serving
from tests.unit.tiny import RECORDS, write_tiny

BODY = json.dumps(RECORDS[0]).encode()
HEADERS = {"Content-Type": "application/json"}
N_CLIENTS = 8


class Client(threading.Thread):
    """Asks on one kept connection without a pause, and tells what became of every request.

    `lost` are requests without an answer on a connection that had been served before; `refused`
    counts connections that were never served: not taken, or taken by the kernel alone.
    """

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stopping = port, threading.Event()
        self.statuses, self.lost, self.refused = {}, [], 0

    def run(self):
        while not self.stopping.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            n_answers = 0
            try:
                connection.connect()
                while connection.sock and not self.stopping.is_set():
                    connection.request("POST", "/predict", BODY, HEADERS)
                    answer = connection.getresponse()
                    answer.read()
                    n_answers += 1
                    self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            except (OSError, http.client.HTTPException) as error:
                if n_answers:
                    self.lost.append(repr(error))
                else:
                    self.refused += 1
                    self.stopping.wait(0.02)
            connection.close()


class Clients:
    """Several clients at once."""

    def __init__(self, port):
        self.all = [Client(port) for _ in range(N_CLIENTS)]
        for client in self.all:
            client.start()

    def answered(self, status=200):
        return sum(client.statuses.get(status, 0) for client in self.all)

    def end(self):
        for client in self.all:
            client.stopping.set()
        for client in self.all:
            client.join(40)
        statuses = set().union(*(client.statuses for client in self.all))
        return statuses, [lost for client in self.all for lost in client.lost]

    def refused(self):
        return sum(client.refused for client in self.all)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    registry = open_registry(str(folder / "registry"))
    for name in ("a", "b", "c"):
        registry.publish("tiny", write_tiny(folder / name).path)
    registry.set_alias("tiny", "production", "v1", actor="test", why="test")
    return registry


def served(folder, registry, **environment):
    return serving(folder, BENTOLINE_REGISTRY=registry.location, **environment)


def is_ready(server):
    return server.ask("/readyz")[0] == 200


def serves(server, version):
    return server.ask("/readyz")[1]["model_version"] == version


def metric(server, name):
    lines = server.ask("/metrics")[1].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_sigterm_under_load_loses_no_request(tmp_path, registry):
    with served(tmp_path, registry) as server:
        server.wait_for("a model", lambda: is_ready(server))
        clients = Clients(server.port)
        server.wait_for("load", lambda: clients.answered() > 500)
        assert clients.refused() == 0
        assert server.stop() == 0
        statuses, lost = clients.end()
    assert (statuses, lost) == ({200}, [])


def test_a_worker_killed_under_load_comes_back_and_the_other_answers(tmp_path, registry):
    with served(tmp_path, registry, BENTOLINE_WORKERS="2") as server:
        server.wait_for("two workers", lambda: len(server.workers()) == 2 and is_ready(server))
        clients = Clients(server.port)
        server.wait_for("load", lambda: clients.answered() > 500)
        killed = server.workers()[0]
        os.kill(killed.pid, signal.SIGKILL)
        after = clients.answered()
        server.wait_for("answers meanwhile", lambda: clients.answered() > after + 200, 10)
        server.wait_for(
            "the worker's return",
            lambda: len({worker.pid for worker in server.workers()} - {killed.pid}) == 2,
        )
        statuses, lost = clients.end()
        assert statuses == {200}
        assert len(lost) + clients.refused() <= N_CLIENTS  # what the killed worker had in hand


def test_a_damaged_new_version_leaves_the_old_one_and_is_told_and_counted(tmp_path, registry):
    graph = registry.fetch("tiny", "v3") / "model.onnx"
    whole = graph.read_bytes()
    alias = Path(registry.location) / "tiny" / "aliases" / "production.json"
    registry.set_alias("tiny", "production", "v3", actor="test", why="still whole")
    moved = alias.read_bytes()
    registry.set_alias("tiny", "production", "v1", actor="test", why="back")
    with served(tmp_path, registry) as server:
        server.wait_for("a model", lambda: is_ready(server))
        clients = Clients(server.port)
        graph.chmod(0o644)
        graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        alias.write_bytes(moved)  # by hand: the registry itself refuses to name a damaged version
        server.wait_for("the reason", lambda: "reason" in server.ask("/health")[1], 15)
        status, health = server.ask("/health")
        assert (status, health["status"], health["model_version"]) == (200, "available", "v1")
        assert "model.onnx" in health["reason"]
        assert registry.location not in health["reason"]
        failed = lambda: metric(server, 'bentoline_reloads_total{outcome="failed"}')  # noqa: E731
        server.wait_for("the count", lambda: failed() >= 1)
        graph.write_bytes(whole)
        registry.set_alias("tiny", "production", "v2", actor="test", why="mended")
        server.wait_for("v2", lambda: serves(server, "v2"), 15)
        statuses, lost = clients.end()
        assert (statuses, lost, clients.refused()) == ({200}, [], 0)
        assert "reason" not in server.ask("/health")[1]
    registry.set_alias("tiny", "production", "v1", actor="test", why="test")


def test_reloads_under_load_fail_no_request(tmp_path, registry):
    with served(tmp_path, registry) as server:
        server.wait_for("a model", lambda: is_ready(server))
        clients = Clients(server.port)
        for version in ("v2", "v1", "v2", "v1"):
            registry.set_alias("tiny", "production", version, actor="test", why="test")
            server.wait_for(version, partial(serves, server, version), 10)
        statuses, lost = clients.end()
    assert (statuses, lost, clients.refused()) == ({200}, [], 0)


@pytest.mark.parametrize("name", ["model.onnx", "decision.json", "manifest.json"])
def test_a_tampered_production_version_is_refused_at_start_by_its_files_name(
    tmp_path, registry, name
):
    own = open_registry(str(tmp_path / "registry"))
    own.publish("tiny", registry.fetch("tiny", "v1"))
    own.set_alias("tiny", "production", "v1", actor="test", why="test")
    path = tmp_path / "registry" / "tiny" / "versions" / "v1" / name
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    with served(tmp_path, own) as server:
        server.wait_for("the refusal", lambda: "reason" in server.ask("/readyz")[1])
        status, ready = server.ask("/readyz")
        assert (status, name in ready["reason"]) == (503, True)
        assert str(tmp_path) not in ready["reason"]
        status, refused = server.ask("/predict", RECORDS[0])
        assert (status, refused["error"]["code"]) == (503, "no_model")
