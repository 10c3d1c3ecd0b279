"""The prediction log through what can befall it: killed writers, full disks, S3 away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tabular.prediction_log.reading import EARLIEST, read_log
from tests.faults.log_promises import ROOT, kill
from tests.s3 import client, credentials, free_port, moto
from tests.unit.test_service_log import logging_worker, turn
from tests.unit.tiny import RECORDS


@pytest.mark.slow
def test_a_killed_writer_loses_and_doubles_no_flushed_row(tmp_path):
    found = kill(tmp_path, 5, lives_s=(0.05, 0.6), drain_s=0.05, seal_rows=2_000)
    assert found["rows"] >= found["flushed"] > 5 * 2_000


def test_a_disk_of_a_killed_test_is_unmounted(disk, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    subprocess.run(["mount", "--bind", str(disk("2m")), str(folder)], check=True)
    code = (
        "import os, pathlib, signal, sys\n"
        "from tests.disks import unmounted_at_the_end\n"
        "with unmounted_at_the_end(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        killed.stdout.read()  # its shell has the same pipe, and is the last to close it
    assert killed.returncode == -signal.SIGKILL
    assert not os.path.ismount(folder)


def test_on_a_full_disk_the_service_answers_rows_wait_and_are_written_once_there_is_room(
    tmp_path, disk
):
    small_disk = disk("2m")
    worker = logging_worker(tmp_path, location=small_disk / "log")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_900_000))
    n_rows = 0
    while not worker.app.log.trouble:
        assert worker.ask("POST", "/predict", RECORDS * 100).status == 200
        n_rows += 400
        turn(worker)
        assert n_rows < 20_000
    assert "No space left" in worker.app.log.trouble
    n_waiting = worker.app.log.n_waiting
    assert n_waiting == 400
    ballast.unlink()
    turn(worker)
    assert (worker.app.log.n_waiting, worker.app.log.trouble) == (0, "")
    worker.app.log._sink.close()  # seals
    found = list(read_log(str(small_disk / "log"), "tiny", EARLIEST))
    assert sum(batch.num_rows for batch in found) == n_rows
    assert worker.value("bentoline_prediction_log_dropped_total") == 0


def test_while_s3_is_away_the_spool_waits_and_then_catches_up_once(tmp_path, monkeypatch):
    port = free_port()
    for name, value in credentials(f"http://127.0.0.1:{port}").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tabular.stores.s3.ATTEMPTS_FOR_S", 0.2)
    worker = logging_worker(tmp_path, location="s3://predictions/log")
    sink = worker.app.log._sink
    sink._is_started = True  # its turns are taken here
    for name in ("a", "b"):
        worker.ask("POST", "/predict", RECORDS, {"x-request-id": name})
        turn(worker)
        sink._folder.close()
        sink._upload_all()
        assert (
            worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": name + "1"}).status == 200
        )
        turn(worker)
    state = worker.ask("GET", "/health").json["prediction_log"]
    assert (state["state"], state["waiting_rows"], state["dropped_rows"]) == ("failing", 0, 0)
    assert "the store cannot be reached" in state["reason"]
    with moto(port):
        client(f"http://127.0.0.1:{port}").create_bucket(Bucket="predictions")
        for _ in range(2):  # what was sent is not sent again
            sink._folder.close()
            sink._upload_all()
        assert sink.size_bytes() == 0
        assert sink.trouble == ""
        log = read_log("s3://predictions/log", "tiny", EARLIEST, columns=["request_id", "row"])
        rows = sorted(tuple(row.values()) for batch in log for row in batch.to_pylist())
    assert rows == sorted(
        [(name, row) for name in ("a", "b") for row in range(4)] + [("a1", 0), ("b1", 0)]
    )
