"""`--monitor` from a log to a verdict, a page and a training: the real pipeline, on iris."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from sklearn.datasets import load_iris

import run
from tabular.bundle import load_bundle
from tabular.prediction_log.layout import LABEL_SCHEMA, log_schema, write_labels, write_rows
from tabular.prediction_log.mongo_location import location_of
from tabular.prediction_log.reading import find_request
from tabular.prediction_log.shipping import ship_all
from tabular.predictor import Predictor
from tabular.registry import Registry, open_registry
from tests.integration.mongo_server import Server, mongo

__all__ = ["mongo"]  # a fixture

ROOT = Path(__file__).parents[2]
NAME = "watched_iris"
GOOD = {"good": {"estimator": "logistic_regression", "params": {"max_iter": 500, "C": 10.0}}}
WORSE = {"worse": {"estimator": "decision_tree", "params": {"max_depth": 1}, "impute": "median"}}
LENIENT = [{"metric": "accuracy", "min": 0.1}]
STRICT = [{"metric": "accuracy", "min": 0.85}]
N_ROWS = 600

Monitor = Callable[..., tuple[int, str, dict[str, Any]]]


def write_problem(path: Path, **parts: Any) -> Path:
    """The shipped iris problem with some parts replaced."""
    raw = yaml.safe_load((ROOT / "configs" / "problems" / "iris.yaml").read_text())
    quiet = {"monitor": {"evidently_rows": 0}}
    path.write_text(yaml.safe_dump({**raw, **quiet, **parts}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def registry(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry whose production version tells two flowers of three."""
    path = tmp_path_factory.mktemp("problem") / f"{NAME}.yaml"
    write_problem(path, candidates=WORSE, gates=LENIENT)
    assert run.main(["--train", "--problem", str(path)]) == 0
    return open_registry(str(home / "registry"))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOLINE_PREDICTION_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def monitor(
    registry: Registry, log: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Monitor:
    """Call `run.py --monitor` in this process: exit code, stderr and report."""
    del registry, log

    def call(*flags: str, **parts: Any) -> tuple[int, str, dict[str, Any]]:
        report = tmp_path / "report.json"
        path = write_problem(tmp_path / f"{NAME}.yaml", **parts)
        code = run.main(["--monitor", "--problem", str(path), "--report", str(report), *flags])
        err = capfd.readouterr().err
        return code, err, json.loads(report.read_text()) if report.exists() else {}

    return call


def answered(registry: Registry, log: Path, *, factor: float = 1.0, n_labels: int = 0) -> None:
    """Let the production version answer flowers, and log it; `factor` writes another unit."""
    bunch = load_iris(as_frame=True)
    rows = bunch.frame.sample(N_ROWS, replace=True, random_state=1)
    names = [name for name in rows if name != "target"]
    version = registry.resolve(NAME, "production")
    bundle = load_bundle(registry.fetch(NAME, version))
    columns = {name: rows[name].to_numpy(np.float32) * np.float32(factor) for name in names}
    said = Predictor(bundle).predict(columns)
    assert said.labels is not None
    assert said.probabilities is not None
    at = [datetime.now(UTC) - timedelta(hours=1)] * N_ROWS
    places = [str(place) for place in range(N_ROWS)]
    schema = log_schema(bundle.contract.contract, "multiclass")
    values: dict[str, Any] = {
        "at": at,
        "request_id": places,
        "row": [0] * N_ROWS,
        "version": [version] * N_ROWS,
        "role": ["production"] * N_ROWS,
        "prediction": said.labels.tolist(),
        "probability": said.probabilities.max(axis=1).tolist(),
        **{f"in.{name}": column.astype(float).tolist() for name, column in columns.items()},
    }
    arrays = [pa.array(values.get(f.name, [None] * N_ROWS), f.type) for f in schema]
    write_rows(str(log), NAME, pa.Table.from_arrays(arrays, schema=schema))
    if n_labels:
        outcomes = [str(bunch.target_names[code]) for code in rows["target"]]
        labels = [places, [0] * N_ROWS, outcomes, at]
        table = pa.Table.from_arrays(
            [pa.array(v[:n_labels], f.type) for v, f in zip(labels, LABEL_SCHEMA, strict=True)],
            schema=LABEL_SCHEMA,
        )
        write_labels(str(log), NAME, table)


def fresh_rows(folder: Path) -> Path:
    """1,200 flowers with noise on each measure: enough test rows to call one model better."""
    bunch = load_iris(as_frame=True)
    frame = bunch.frame.assign(target=[str(bunch.target_names[code]) for code in bunch.target])
    rows = frame.sample(1200, replace=True, random_state=2).reset_index(drop=True)
    measures = [name for name in rows if name != "target"]
    noise = np.random.default_rng(3).normal(0, 0.2, (len(rows), len(measures)))
    rows[measures] = (rows[measures] + noise).clip(lower=0.05)
    rows.to_csv(folder / "fresh.csv", index=False)
    return folder / "fresh.csv"


def test_quiet_window_is_due_for_nothing_and_leaves_page_gauges_and_evidently(
    monitor: Monitor, registry: Registry, log: Path, home: Path
) -> None:
    answered(registry, log)
    code, _, report = monitor(monitor={"evidently_rows": 200})
    assert code == 0
    assert report["alarms"] == []
    assert report["drift"]["window"]["n_rows"] == N_ROWS
    page = Path(report["page"]).read_text()
    assert "Nothing is due" in page
    assert len(page) < 100_000
    assert "<script" not in page
    assert f'bentoline_drift_alarm{{problem="{NAME}"}} 0' in Path(report["gauges"]).read_text()
    assert Path(report["gauges"]) == home / "monitor" / f"{NAME}.prom"
    assert "petal width (cm)" in Path(report["evidently"]).read_text()


def test_unreadable_file_is_told_and_the_others_are_read(
    monitor: Monitor, registry: Registry, log: Path
) -> None:
    answered(registry, log)
    (whole,) = log.glob("problem=*/date=*/*.parquet")
    broken = whole.with_name(whole.name.replace("-000001", "-000002"))
    broken.write_bytes(whole.read_bytes()[:1000])
    code, _, report = monitor()
    assert code == 0
    assert report["drift"]["window"]["n_rows"] == N_ROWS
    assert any(broken.name in note for note in report["drift"]["notes"])


def test_log_in_mongodb_is_watched_labelled_and_traced(
    monitor: Monitor,
    registry: Registry,
    log: Path,
    mongo: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The same commands, on what the shipper sent to a server."""
    answered(registry, log)
    logged = find_request(str(log), NAME, "7")
    assert logged is not None
    uri = f"{mongo.uri()}watched"
    monkeypatch.setenv("BENTOLINE_PREDICTION_LOG", uri)
    assert ship_all(log, location_of(uri)) == []
    assert not list(log.rglob("*.parquet"))

    outcomes = tmp_path / "outcomes.csv"
    lines = ["request_id,outcome", *(f"{place},setosa" for place in range(40)), "never,setosa"]
    outcomes.write_text("\n".join(lines))
    problem = str(write_problem(tmp_path / f"{NAME}.yaml"))
    assert run.main(["--labels", str(outcomes), "--problem", problem]) == 0
    code, _, report = monitor()
    assert (code, report["alarms"], report["log"]) == (0, [], location_of(uri))
    assert report["drift"]["window"]["n_rows"] == N_ROWS
    assert (report["live"]["state"], report["live"]["n_labels"]) == ("unknown", 40)
    capfd.readouterr()
    assert run.main(["--trace", "7", "--problem", NAME, "--json"]) == 0
    traced = json.loads(capfd.readouterr().out)
    assert traced["version"] == registry.resolve(NAME, "production")
    assert traced["answer"] == {name: logged[name] for name in ("prediction", "probability")}
    assert run.main(["--trace", "never", "--problem", NAME]) == 2


def test_drift_without_outcomes_is_due_and_names_the_column(
    monitor: Monitor, registry: Registry, log: Path
) -> None:
    answered(registry, log, factor=2.54)
    code, _, report = monitor()
    assert code == 1
    for name in ("petal length (cm)", "petal width (cm)"):
        assert any(alarm.startswith(f"{name}: ") for alarm in report["alarms"])
    assert report["live"]["state"] == "unknown"
    assert "Action is due" in report["due"]["sentence"]


def test_missed_gate_trains_again_once_and_is_recorded(
    monitor: Monitor, registry: Registry, log: Path, tmp_path: Path
) -> None:
    """The challenger goes through the same gates; another one has to wait for the cool-down."""
    answered(registry, log, n_labels=N_ROWS)
    champion = registry.resolve(NAME, "production")
    better = {"candidates": GOOD, "gates": STRICT}
    code, _, report = monitor("--retrain", "--data", str(fresh_rows(tmp_path)), **better)
    assert report["live"]["state"] == "missed"
    assert (code, report["retraining"]["outcome"]) == (0, "accepted")
    assert registry.resolve(NAME, "production") == report["retraining"]["version"] != champion
    (record,) = registry.retrainings(NAME).records()
    assert record["trained_from"] == champion
    assert "live accuracy is 0.6" in record["why"]
    assert (record["outcome"], record["version"]) == ("accepted", report["retraining"]["version"])

    versions = registry.versions(NAME)
    code, _, report = monitor("--retrain", retrain={"max_age_days": 1e-9})
    assert (code, report["retraining"]["outcome"]) == (1, "held back")
    assert "the next may be at" in report["retraining"]["sentence"]
    assert registry.versions(NAME) == versions
    assert any("answered none of these rows" in note for note in report["drift"]["notes"])


def test_log_that_vanished_and_empty_window_are_a_sentence(
    monitor: Monitor, registry: Registry, log: Path
) -> None:
    code, err, _ = monitor()
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no prediction log" in err
    answered(registry, log)
    code, err, _ = monitor("--since", "10m")
    assert code == 2
    assert f"no answers of {NAME} were logged since" in err
    shutil.rmtree(log)
    assert monitor()[0] == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--since", "a week"), "write 90m, 12h, 7d"),
        (("--since", "2999-01-01"), "lies ahead"),
        (("--data", "new.csv"), "add --retrain"),
    ],
)
def test_wrong_flag_is_a_sentence(monitor: Monitor, flags: tuple[str, ...], words: str) -> None:
    code, err, _ = monitor(*flags)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err


def test_log_that_is_off_is_a_sentence(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOLINE_PREDICTION_LOG", "off")
    code, err, _ = monitor()
    assert code == 2
    assert "BENTOLINE_PREDICTION_LOG is off" in err
