"""The running service: what it answers, holds and imports, and what it survives."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tabular.bundle import load_bundle
from tabular.predictor import Predictor
from tabular.registry import open_registry
from tests.integration.serving import serving
from tests.unit.tiny import RECORDS, write_tiny

GOOD = RECORDS[0]
TRAINING_LIBRARIES = ("pandas", "sklearn", "scipy", "pyarrow", "zenml", "catboost", "lightgbm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def registry(folder):
    registry = open_registry(str(folder / "registry"))
    for name in ("a", "b"):
        registry.publish("tiny", write_tiny(folder / name).path)
    return registry


def name_production(registry, version):
    registry.set_alias("tiny", "production", version, actor="test", why="test")


@pytest.fixture(scope="module")
def server(folder, registry):
    environment = {
        "BENTOLINE_REGISTRY": registry.location,
        "BENTOLINE_WORKERS": "2",
        "BENTOLINE_TOKEN": "secret",
        "BENTOLINE_TRAINER": "sh -c 'echo training; sleep 1; exit 1'",
    }
    with serving(folder, **environment) as server:
        status, health = server.ask("/health")
        assert (status, health["status"]) == (503, "unavailable")
        name_production(registry, "v1")
        server.wait_for("a model", lambda: all(_versions(server) == {"v1"} for _ in range(5)))
        yield server


def _versions(server, n=20):
    return {server.ask("/readyz")[1].get("model_version") for _ in range(n)}


class Load(threading.Thread):
    """Asks without a pause until told to stop; keeps what was no good answer."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.n, self.failed, self.stopping = server, 0, [], threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                status, answer = self.server.ask("/predict", GOOD)
            except OSError as error:
                status, answer = 0, repr(error)
            self.n += 1
            if status != 200:
                self.failed.append((status, answer))

    def end(self):
        self.stopping.set()
        self.join(30)
        return self.n, self.failed


def test_the_answer_is_the_predictors_own(server, registry):
    predictor = Predictor(load_bundle(registry.fetch("tiny", "v1")))
    expected = predictor.predict_records(RECORDS)
    status, answers = server.ask("/predict", RECORDS)
    assert status == 200
    for row, answer in enumerate(answers):
        assert answer["prediction"] == expected.labels[row]
        found = list(answer["probabilities"].values())
        assert found == pytest.approx(expected.probabilities[row].tolist(), abs=1e-6)


def test_bentomls_own_routes_are_answered_beside_ours(server):
    server.ask("/predict", GOOD)
    server.ask("/nothing/at/all")
    server.wait_for("counts", lambda: b"bentoline_rows_total" in server.ask("/metrics")[1])
    metrics = server.ask("/metrics")[1].decode()
    assert "/nothing" not in metrics
    assert server.ask("/schema.json")[1]["name"] == "bentoline"
    page = server.ask("/docs")[1].decode()
    assert "http" not in page.replace("<!doctype html>", "").replace("http-equiv", "")
    for part in ("/static_content/swagger-ui-bundle.js", "/static_content/swagger-ui.css"):
        assert part in page
        assert server.ask(part)[0] == 200
    assert server.ask("/static_content/../../etc/passwd")[0] == 404


def test_a_worker_imports_no_training_library_and_stays_small(server):
    for worker in server.workers():
        mapped = Path(f"/proc/{worker.pid}/maps").read_text()
        loaded = [name for name in TRAINING_LIBRARIES if f"/site-packages/{name}/" in mapped]
        assert loaded == []
        assert worker.memory_info().rss < 190e6


def test_training_needs_the_token_and_runs_once_at_a_time(server):
    bearer = {"Authorization": "Bearer secret"}
    assert server.ask("/train", b"")[0] == 401
    status, job = server.ask("/train", b"", bearer)
    assert (status, job["state"]) == (202, "running")
    again = [server.ask("/training", b"", bearer) for _ in range(6)]
    assert {(status, answer["id"]) for status, answer in again} == {(409, job["id"])}
    look = lambda: server.ask(f"/train/{job['id']}", None, bearer)[1]  # noqa: E731
    assert look()["state"] == "running"
    server.wait_for("the end of the job", lambda: look()["state"] != "running")
    end = look()
    assert (end["state"], end["exit_code"], end["log"]) == ("refused", 1, "training\n")


def test_a_moved_alias_is_live_in_every_worker_within_5_s_and_nothing_fails(server, registry):
    load = Load(server)
    load.start()
    name_production(registry, "v2")
    moved = time.monotonic()
    server.wait_for("v2 everywhere", lambda: _versions(server, 40) == {"v2"}, 20)
    took = time.monotonic() - moved
    n, failed = load.end()
    assert (failed, n > 0) == ([], True)
    assert took < 5 + 40 * 0.05


def test_a_killed_worker_comes_back_and_the_other_answers(server):
    killed = server.workers()[0]
    os.kill(killed.pid, signal.SIGKILL)
    server.wait_for("an answer", lambda: server.ask("/predict", GOOD)[0] == 200, 10)
    server.wait_for(
        "a new worker", lambda: len({w.pid for w in server.workers()} - {killed.pid}) == 2
    )


def test_sigterm_lets_requests_under_way_be_answered(folder, registry):
    own = folder / "drained"
    own.mkdir()
    batch = [GOOD, *RECORDS] * 2_000  # slow to read: a number in it is written as text
    with serving(own, BENTOLINE_REGISTRY=registry.location) as server:
        server.wait_for("a model", lambda: server.ask("/readyz")[0] == 200)
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(server.ask, "/predict", batch) for _ in range(4)]
            server.wait_for("the first answer", lambda: any(one.done() for one in asked))
            server.stop()
            answers = [one.result() for one in asked]
    assert [(status, len(rows)) for status, rows in answers] == [(200, len(batch))] * 4


def test_a_tampered_bundle_is_refused_at_start_and_the_process_stays(folder):
    own = folder / "tampered"
    own.mkdir()
    bundle = write_tiny(own / "v9").path
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"x")
    with serving(own, BENTOLINE_BUNDLE=str(bundle)) as server:
        pids = {worker.pid for worker in server.workers()}
        status, ready = server.ask("/readyz")
        assert (status, "model.onnx" in ready["reason"]) == (503, True)
        assert server.ask("/predict", GOOD)[0] == 503
        assert {worker.pid for worker in server.workers()} == pids
