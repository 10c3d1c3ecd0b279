"""Training jobs: only with the token, one at a time, and their state outlives the worker."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit.asgi import Worker, settings

BEARER = {"authorization": "Bearer secret"}


def worker_of(folder, trainer, token="secret"):  # noqa: S107  # a made-up one
    return Worker(settings(folder / "none", home=folder, token=token, trainer=trainer))


def ended(worker, job):
    for _ in range(400):
        found = worker.ask("GET", f"/train/{job}", headers=BEARER).json
        if found["state"] != "running":
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_without_a_token_there_is_no_such_route(tmp_path):
    worker = worker_of(tmp_path, "true", token="")
    for method, path in (("POST", "/train"), ("POST", "/training"), ("GET", "/train/x")):
        assert worker.ask(method, path, headers=BEARER).status == 404


@pytest.mark.parametrize("given", ["", "Bearer wrong", "Bearer secret2", "secret", "Bearer \xff"])
def test_another_token_is_refused(tmp_path, given):
    worker = worker_of(tmp_path, "true")
    for method, path in (("POST", "/train"), ("GET", "/train/20260101-000000-00000000")):
        reply = worker.ask(method, path, headers={"authorization": given})
        assert (reply.status, reply.code) == (401, "token")
        assert reply.headers["www-authenticate"] == "Bearer"
    assert not (tmp_path / "jobs").exists()


@pytest.mark.parametrize(
    ("command", "state", "code"),
    [("echo hello", "done", 0), ("sh -c 'echo hello; exit 1'", "refused", 1),
     ("sh -c 'echo hello; exit 2'", "failed", 2)],
)  # fmt: skip
def test_a_job_runs_and_tells_its_outcome_and_log(tmp_path, command, state, code):
    worker = worker_of(tmp_path, command)
    reply = worker.ask("POST", "/train", headers=BEARER)
    job = reply.json["id"]
    assert (reply.status, reply.headers["location"]) == (202, f"/train/{job}")
    assert ended(worker, job) == {"id": job, "state": state, "exit_code": code, "log": "hello\n"}


def test_a_second_job_waits_for_the_first_even_from_another_worker(tmp_path):
    command = f"sh -c 'until [ -e {tmp_path}/go ]; do sleep 0.02; done'"
    first, second = worker_of(tmp_path, command), worker_of(tmp_path, command)
    job = first.ask("POST", "/training", headers=BEARER).json["id"]
    reply = second.ask("POST", "/train", headers=BEARER)
    assert (reply.status, reply.json) == (409, {"id": job, "state": "running"})
    (tmp_path / "go").touch()
    assert ended(second, job)["state"] == "done"
    assert second.ask("POST", "/train", headers=BEARER).status == 202


def test_a_job_that_died_without_a_word_is_lost(tmp_path):
    worker = worker_of(tmp_path, "sh -c 'kill -9 $PPID'")
    job = worker.ask("POST", "/train", headers=BEARER).json["id"]
    assert ended(worker, job)["state"] == "lost"


@pytest.mark.parametrize("job", ["x", "..", "20260101-000000-00000000", "%2e%2e"])
def test_a_job_that_is_none_is_not_found(tmp_path, job):
    reply = worker_of(tmp_path, "true").ask("GET", f"/train/{job}", headers=BEARER)
    assert (reply.status, reply.code) == (404, "not_found")


class Trainer(BaseHTTPRequestHandler):
    """The service that trains elsewhere: says what it was asked."""

    def answer(self):
        body = json.dumps([self.command, self.path, self.headers["Authorization"]]).encode()
        self.send_response(202 if self.command == "POST" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *words):
        """Keep quiet."""


def test_a_trainer_elsewhere_is_handed_the_request_and_the_token(tmp_path):
    server = HTTPServer(("127.0.0.1", 0), Trainer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    worker = worker_of(tmp_path, f"http://127.0.0.1:{server.server_port}/train")
    job = "20260101-000000-00000000"
    started = worker.ask("POST", "/train", headers=BEARER)
    looked = worker.ask("GET", f"/train/{job}", headers=BEARER)
    server.shutdown()
    server.server_close()
    assert (started.status, started.json) == (202, ["POST", "/train", "Bearer secret"])
    assert (looked.status, looked.json) == (404, ["GET", f"/train/{job}", "Bearer secret"])
    reply = worker.ask("POST", "/train", headers=BEARER)
    assert (reply.status, reply.code) == (503, "overloaded")
