"""`--monitor` on a Dask cluster: the log is counted there, and the report is the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from tabular.prediction_log import files
from tabular.registry import Registry
from tests.integration import test_monitor
from tests.integration.test_monitor import GOOD, N_ROWS, Monitor, answered, log, monitor, registry
from tests.s3 import free_port

__all__ = ["log", "monitor", "registry"]  # fixtures


@pytest.fixture(scope="module", autouse=True)
def named_otherwise() -> Iterator[None]:
    """A problem of its own: what is trained here stands in no other test's way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_monitor, "NAME", "iris_on_dask")
        yield


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A scheduler and a worker in this process; on one thread joblib would not ask it."""
    where = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, **where) as cluster:
        yield cluster


def told(report: dict[str, Any]) -> dict[str, Any]:
    """What a report says of the window; a look begins and ends at a time of its own."""
    window = {k: v for k, v in report["drift"]["window"].items() if k not in ("since", "until")}
    found = {name: report[name] for name in ("version", "alarms", "live", "due")}
    return {**found, "drift": {**report["drift"], "window": window}}


def test_report_is_the_same_on_a_cluster(
    monitor: Monitor,
    registry: Registry,
    log: Path,
    cluster: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On one of its own, and on one that is named: a task for each stretch, then the training."""
    monkeypatch.setattr(files, "STRETCH_FILES", 1)
    for _ in range(2):
        answered(registry, log)
    answered(registry, log, factor=2.54, n_labels=100)
    whole = max(log.glob("problem=*/date=*/*.parquet"))
    broken = shutil.copy(whole, whole.with_name(whole.name.replace("-000001", "-000002")))
    Path(broken).write_bytes(whole.read_bytes()[:1_000])

    code, _, here = monitor()
    assert code == 1
    assert here["drift"]["window"]["n_rows"] == 3 * N_ROWS
    assert any(str(broken) in note for note in here["drift"]["notes"])
    code, err, there = monitor("--engine", "dask")
    assert code == 1, err
    assert told(there) == told(here)
    with Client(cluster) as client:
        client.get_task_stream()  # from now on
        named = ("--engine", "dask", "--scheduler", cluster.scheduler_address)
        _, _, there = monitor(*named, "--retrain", candidates=GOOD)
        done = [str(task["key"]) for task in client.get_task_stream()]
    assert told(there) == told(here)
    assert there["retraining"]["version"]
    assert len([key for key in done if "count_there" in key]) == 4
    assert any("score_fold" in key for key in done)


def test_wrong_scheduler_is_one_sentence(
    monitor: Monitor,
    cluster: LocalCluster,
) -> None:
    """No engine for it, nobody there, nobody to work."""
    silent, idle = f"tcp://127.0.0.1:{free_port()}", cluster.scheduler_address
    with Client(cluster) as client:
        client.retire_workers()
    cases = [
        ((), silent, "goes with --engine dask"),
        (("--engine", "dask"), silent, "no Dask scheduler answers there within 5 s"),
        (("--engine", "dask"), idle, "the scheduler has no worker; start one with"),
    ]
    for engine, address, words in cases:
        code, err, report = monitor(*engine, "--scheduler", address)
        lines = [line for line in err.splitlines() if line.startswith("bentoline: ")]
        assert (code, len(lines)) == (2, 1), err
        assert f"--scheduler {address}" in lines[0]
        assert words in lines[0]
        assert report == {"error": lines[0].removeprefix("bentoline: ")}
