"""The pipeline from end to end on iris, in one ZenML store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_iris

from tabular.bundle import load_bundle
from tabular.predictor import Predictor
from tabular.registry import open_registry

Train = Callable[..., Any]


def cached_steps(outcome: Any) -> set[str]:
    """Names of the steps whose result was taken from the cache."""
    return {step["name"] for step in outcome.report["steps"] if step["cached"]}


@pytest.fixture
def iris_csv(tmp_path: Path) -> Path:
    """Iris as a CSV with class names, 150 rows."""
    bunch = load_iris(as_frame=True)
    frame = bunch.frame.assign(target=[str(bunch.target_names[code]) for code in bunch.target])
    path = tmp_path / "iris.csv"
    frame.to_csv(path, index=False)
    return path


def test_train_on_iris_gives_an_accepted_bundle_that_answers(train: Train) -> None:
    """One command ends in a whole bundle, a report that names it, and exit code 0."""
    outcome = train("iris")
    assert outcome.code == 0
    report = outcome.report
    assert report["verdict"]["accepted"] is True
    assert sum(report["rows"][part] for part in ("train", "validation", "test")) == 150
    bundle = load_bundle(Path(report["bundle"]))
    assert bundle.manifest["files"]["model.onnx"] == report["model_sha256"]
    assert bundle.manifest["report"]["metrics"] == report["metrics"]
    Predictor(bundle).self_test()


def test_train_reports_every_metric_with_its_interval(train: Train) -> None:
    """Each metric has a value inside its own interval, and each gate a limit and a value."""
    report = train("iris").report
    assert report["metrics"]
    for metric in report["metrics"].values():
        assert metric["low"] <= metric["value"] <= metric["high"]
    for gate in report["verdict"]["results"]:
        assert {"limit", "value", "passed", "sentence"} <= gate.keys()


def test_train_again_takes_everything_from_the_cache_and_gives_the_same_graph(train: Train) -> None:
    """Same data, config and code: nothing is fitted again, and a new version has the same hash."""
    first, second = train("iris"), train("iris")
    assert {"check_contract", "fit_candidates", "fit_model", "evaluate_bundle"} <= cached_steps(
        second
    )
    assert first.report["model_sha256"] == second.report["model_sha256"]
    assert first.report["version"] != second.report["version"]


def test_edit_of_a_gate_judges_again_but_fits_nothing(
    train: Train, make_problem: Callable[..., Path]
) -> None:
    """A step gets only the config that it reads: a new limit re-runs `decide` and what follows."""
    train("iris")
    outcome = train(make_problem(gates=[{"metric": "accuracy", "min": 0.5}]))
    assert "fit_model" in cached_steps(outcome)
    assert "decide" not in cached_steps(outcome)


def test_edit_of_the_data_runs_again_what_rests_on_it(train: Train, iris_csv: Path) -> None:
    """Another value in the file is another snapshot: no step that read it stays cached."""
    train("iris", "--data", str(iris_csv))
    frame = pd.read_csv(iris_csv)
    frame.iloc[0, 0] += 0.1
    frame.to_csv(iris_csv, index=False)
    assert not {"check_contract", "fit_model"} & cached_steps(
        train("iris", "--data", str(iris_csv))
    )


def test_edit_of_helper_code_runs_everything_again(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache key holds a fingerprint of all helper code, not only of the step's own source."""
    from pipelines import code_fingerprint

    train("iris")
    monkeypatch.setattr(code_fingerprint, "code_fingerprint", lambda: "edited")
    assert not {"fit_model", "decide"} & cached_steps(train("iris"))


def test_code_fingerprint_changes_with_any_helper_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One changed byte in a helper module changes the fingerprint."""
    from pipelines import code_fingerprint

    module = tmp_path / "pipelines" / "code_fingerprint.py"
    (tmp_path / "tabular").mkdir()
    (tmp_path / "requirements.lock").write_text("")
    helper = tmp_path / "tabular" / "helper.py"
    helper.write_text("A = 1\n")
    monkeypatch.setattr(code_fingerprint, "__file__", str(module))
    before = code_fingerprint.code_fingerprint()
    helper.write_text("A = 2\n")
    assert code_fingerprint.code_fingerprint() != before


def test_refused_model_exits_1_and_leaves_production_where_it_was(
    train: Train, make_problem: Callable[..., Path], home: Path
) -> None:
    """A gate that cannot hold refuses the model; the version stays, the alias does not move."""
    accepted = train("iris")
    outcome = train(make_problem(gates=[{"metric": "accuracy", "min": 1.01}]))
    assert outcome.code == 1
    assert outcome.report["verdict"]["accepted"] is False
    registry = open_registry(str(home / "registry"))
    assert registry.alias("iris", "production") == accepted.report["version"]


def test_model_card_is_one_small_page(train: Train) -> None:
    """The card is under 100 KB and asks nothing of the network."""
    card = Path(train("iris").report["card"]).read_text()
    assert len(card.encode()) < 100_000
    assert "http" not in card.replace("http://www.w3.org/2000/svg", "")


def test_zenml_shows_run_model_version_and_named_artifacts(train: Train) -> None:
    """The dashboard's data: a completed run, artifacts by name, a model version with metrics."""
    report = train("iris").report
    from zenml.client import Client

    run = Client().get_pipeline_run(report["run"])
    assert run.status.value == "completed"
    assert "model_card" in run.steps["write_report"].outputs
    version = Client().get_model_version("iris", report["version"])
    assert version.run_metadata["accuracy"] == report["metrics"]["accuracy"]["value"]
