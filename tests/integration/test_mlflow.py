"""MLflow's own server follows a registry; what it keeps is loaded where this project is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import run
from pipelines.place import Place
from pipelines.tracking.following import follow_in_mlflow, open_mlflow
from tabular.predictor import Predictor
from tabular.registry import Registry, open_registry
from tests.ports import wait_for_port
from tests.s3 import free_port
from tests.unit.published import gate
from tests.unit.tiny import RECORDS, write_tiny

MODEL = "TinyTableModel"
REPORT: dict[str, Any] = {
    "title": "Tiny table",
    "task": "binary",
    "chosen": {"candidate": "logistic", "params": {"C": 2.0}},
    "trials": [
        {"candidate": "logistic", "params": {"C": 1.0}, "mean": 0.7, "sd": 0.1, "seconds": 0.2},
        {"candidate": "logistic", "params": {"C": 2.0}, "mean": 0.8, "sd": 0.1, "seconds": 0.3},
    ],
    "metrics": {"roc_auc": {"value": 0.81, "low": 0.75, "high": None}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/m.db"]
    places += ["--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *places],
            cwd=folder,
            env={**os.environ, **quiet},
            stdout=log,
            stderr=log,
            process_group=0,
        )
        try:
            wait_for_port(port, process, "mlflow", within_s=120)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 9)
            process.wait()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Two versions of a problem; the first holds production, the second may have staging only."""
    registry = open_registry(str(tmp_path / "registry"))
    for number, accepted in ((1, True), (2, False)):
        gates = [gate("staging", passed=True), gate("production", passed=accepted)]
        verdict = {"accepted": accepted, "sentence": "As measured.", "results": gates}
        facts = {"problem": "tiny", "title": "Tiny table", "report": {**REPORT, "verdict": verdict}}
        folder = tmp_path / f"bundle{number}"
        registry.publish("tiny", write_tiny(folder, facts=facts).path)
    registry.set_alias("tiny", "production", "v1", actor="ann", why="")
    return registry


@pytest.fixture
def place(registry: Registry, server: str, tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path / "home", registry.location, mlflow=server)


def test_versions_candidates_and_aliases_are_shown_once(
    place: Place, registry: Registry, server: str
) -> None:
    assert follow_in_mlflow(place, registry, "tiny")
    with open_mlflow(server) as mlflow:
        assert mlflow.follow(registry, "tiny") == []
        assert sorted(mlflow.versions(MODEL)) == ["v1", "v2"]
        assert mlflow.aliases(MODEL) == {"production": "v1"}
        client = mlflow.client
        experiment = client.get_experiment_by_name("tiny").experiment_id
        runs = {one.info.run_name: one.data for one in client.search_runs([experiment])}
    assert runs["tiny v1"].metrics == {"roc_auc": 0.81, "roc_auc_low": 0.75}
    assert runs["tiny v1"].params == {"candidate": "logistic", "C": "2.0"}
    assert runs["logistic"].metrics["cv_sd"] == 0.1


def test_aliases_follow_the_registrys(place: Place, registry: Registry, server: str) -> None:
    follow_in_mlflow(place, registry, "tiny")
    registry.set_alias("tiny", "staging", "v2", actor="ann", why="")
    registry.set_alias("tiny", "production", "v2", actor="ann", why="")
    follow_in_mlflow(place, registry, "tiny")
    with open_mlflow(server) as mlflow:
        assert mlflow.aliases(MODEL) == {"production": "v2", "staging": "v2"}


def test_the_bundle_is_loaded_by_alias_without_this_project(
    place: Place, registry: Registry, server: str, tmp_path: Path
) -> None:
    """In a process outside the repository, isolated from its folder, as a colleague would."""
    follow_in_mlflow(place, registry, "tiny")
    (tmp_path / "rows.json").write_text(json.dumps(RECORDS))
    script = f"""
import json, mlflow, pandas, sys
model = mlflow.pyfunc.load_model("models:/{MODEL}@production")
import tabular
rows = pandas.DataFrame(json.load(open("rows.json"))).astype({{"opened": str, "age": float}})
rows["fee"] = rows["fee"].astype(float)
answer = model.predict(rows)
print(json.dumps([tabular.__file__, *answer["probability_yes"]]))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", script],
        cwd=tmp_path, env={**os.environ, "MLFLOW_TRACKING_URI": server},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    origin, *shares = json.loads(done.stdout.splitlines()[-1])
    assert str(Path(run.__file__).parent) not in origin
    expected = Predictor(write_tiny(tmp_path / "again")).predict_records(RECORDS).probabilities
    assert expected is not None
    assert shares == pytest.approx(expected[:, 1].tolist(), abs=1e-12)


def test_a_move_in_mlflow_passes_the_same_gates(
    place: Place,
    registry: Registry,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    follow_in_mlflow(place, registry, "tiny")
    for name, value in {
        "BENTOLINE_HOME": str(place.home),
        "BENTOLINE_REGISTRY": registry.location,
        "MLFLOW_TRACKING_URI": server,
    }.items():
        monkeypatch.setenv(name, value)
    promote = ["--promote", "mlflow", "--problem", "tiny", "--why", "moved there"]
    with open_mlflow(server) as mlflow:
        numbers = mlflow.versions(MODEL)
        mlflow.client.set_registered_model_alias(MODEL, "production", numbers["v2"])
        mlflow.client.set_registered_model_alias(MODEL, "staging", numbers["v2"])
        assert run.main([*promote, "--to", "production"]) == 1
        assert "f1 of production is 0.7" in capfd.readouterr().err
        assert mlflow.aliases(MODEL) == {"production": "v1"}  # taken back
        mlflow.client.set_registered_model_alias(MODEL, "staging", numbers["v2"])
        assert run.main([*promote, "--to", "staging"]) == 0
    assert registry.aliases("tiny") == {"production": "v1", "staging": "v2"}


def test_an_mlflow_that_is_away_does_not_stop_the_registry(
    registry: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    place = Place(tmp_path, tmp_path / "home", registry.location, mlflow=away)
    assert follow_in_mlflow(place, registry, "tiny") is False
    said = "".join(capfd.readouterr()).replace("\n", " ")
    assert "MLflow does not show it yet: MLFLOW_TRACKING_URI" in said


def test_a_file_keeps_its_artifacts_beside_it(registry: Registry, tmp_path: Path) -> None:
    with open_mlflow(f"sqlite:///{tmp_path}/here.db") as mlflow:
        mlflow.follow(registry, "tiny")
    assert {"model_card.html", "report.json"} <= {
        path.name for path in (tmp_path / "artifacts").rglob("*")
    }
