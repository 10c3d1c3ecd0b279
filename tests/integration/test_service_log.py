"""The prediction log of a real server: rows outlive kill -9, and a stop seals them."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tabular.prediction_log.reading import find_request, joined_labels, read_log
from tests.integration.serving import serving
from tests.unit.tiny import RECORDS, write_tiny

SINCE = datetime(2020, 1, 1, tzinfo=UTC)
GAUGE = 'bentoline_drift_alarm{problem="tiny"} 1\n'


def logged(log: Path) -> list[str]:
    """Request ids, one a row, in order."""
    if not log.exists():
        return []
    batches = read_log(str(log), "tiny", SINCE, columns=["request_id"])
    return [row["request_id"] for batch in batches for row in batch.to_pylist()]


@pytest.mark.slow
def test_rows_outlive_a_killed_worker_and_are_sealed_at_the_end(tmp_path):
    bundle = write_tiny(
        tmp_path / "v3",
        facts={"problem": "tiny", "target": {"column": "y", "classes": {"no": 0, "yes": 1}}},
    )
    log, gauges = tmp_path / "log", tmp_path / "home" / "monitor" / "tiny.prom"
    gauges.parent.mkdir(parents=True)
    gauges.write_text(GAUGE)
    environment = {"BENTOLINE_PREDICTION_LOG": str(log), "BENTOLINE_TOKEN": "secret"}
    with serving(tmp_path, BENTOLINE_BUNDLE=str(bundle.path), **environment) as server:
        server.wait_for("a model", lambda: server.ask("/readyz")[0] == 200)

        def ask(name):
            assert server.ask("/predict", RECORDS, {"X-Request-ID": name})[0] == 200
            server.wait_for(f"{name} in the log", lambda: logged(log).count(name) == len(RECORDS))

        ask("before")
        (worker,) = server.workers()
        os.kill(worker.pid, signal.SIGKILL)
        server.wait_for(
            "another worker", lambda: [w.pid for w in server.workers()] not in ([], [worker.pid])
        )
        server.wait_for("its model", lambda: server.ask("/readyz")[0] == 200)
        ask("after")
        label = {"request_id": "before", "row": 2, "outcome": "yes"}
        assert server.ask("/labels", label)[0] == 401
        headers = {"Authorization": "Bearer secret"}
        assert server.ask("/labels", label, headers)[1]["taken"] == 1
        metrics = server.ask("/metrics")[1].decode()
        assert GAUGE in metrics
        assert "bentoline_prediction_log_waiting_rows" in metrics
        assert "bentoline_labels_total{" in metrics
        server.stop()
    assert sorted(logged(log)) == ["after"] * len(RECORDS) + ["before"] * len(RECORDS)
    assert list(log.rglob("*.frames")) == []
    (joined,) = joined_labels(str(log), "tiny", SINCE).to_pylist()
    assert (joined["request_id"], joined["row"], joined["outcome"]) == ("before", 2, "1")
    found = find_request(str(log), "tiny", "after", 1)
    assert found is not None
    assert found["in.city"] == RECORDS[1]["city"]
