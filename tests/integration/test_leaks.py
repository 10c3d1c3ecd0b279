"""The leak audit in the pipeline: what blocks stops the run, what warns goes on; a page tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_iris

from tabular.problem import load_problem
from tabular.registry import open_registry

ROOT = Path(__file__).parents[2]
Train = Callable[..., Any]


@pytest.fixture
def leaky_iris(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Iris with a column `label` that is the species' code plus 10; the YAML gives it a type."""

    def make(kind: str = "number", **leaks: Any) -> tuple[Path, Path]:
        bunch = load_iris(as_frame=True)
        frame = bunch.frame.assign(label=bunch.target + 10)
        frame["target"] = [str(bunch.target_names[code]) for code in bunch.target]
        table = tmp_path / "leaky.csv"
        frame.to_csv(table, index=False)
        raw = yaml.safe_load((ROOT / "configs" / "problems" / "iris.yaml").read_text())
        raw["columns"]["label"] = {"type": kind}
        raw["leaks"] = leaks
        raw["candidates"] = {"one": raw["candidates"]["linear_discriminant"]}
        problem = tmp_path / "leaky_iris.yaml"
        problem.write_text(yaml.safe_dump(raw, sort_keys=False))
        return problem, table

    return make


def last_run() -> Any:
    from zenml.client import Client

    return Client().list_pipeline_runs(sort_by="desc:created", size=1).items[0]


def test_blocking_leak_exits_1_before_fitting_and_publishes_nothing(
    train: Train, leaky_iris: Callable[..., tuple[Path, Path]], home: Path
) -> None:
    """One sentence with the column and the fix; the page is there, on disk and in the DAG."""
    problem, table = leaky_iris()
    outcome = train(problem, "--data", str(table))
    assert outcome.code == 1
    assert "'label' is a one-to-one recoding of the target" in outcome.stderr
    assert "type: ignore for ['label']" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.report["verdict"]["accepted"] is False
    assert [f["rule"] for f in outcome.report["leaks"]["findings"]] == ["equals_target"]
    assert "leaky_iris" not in open_registry(str(home / "registry")).problems()
    page = home / "reports" / "leaky_iris_leaks.html"
    assert "one-to-one recoding" in page.read_text()
    steps = last_run().steps
    assert steps["audit_leaks"].outputs["leak_audit"][0].load() == page.read_text()
    assert "fit_candidates" not in steps


def test_column_taken_out_by_the_fix_trains(
    train: Train, leaky_iris: Callable[..., tuple[Path, Path]]
) -> None:
    """`type: ignore`, as the sentence says, is enough; the column may stay named as too late."""
    problem, table = leaky_iris("ignore", after_outcome=["label"])
    outcome = train(problem, "--data", str(table))
    assert outcome.code == 0
    assert outcome.report["leaks"]["findings"] == []


def test_leak_that_warns_is_in_the_report_and_on_the_card(
    train: Train, leaky_iris: Callable[..., tuple[Path, Path]]
) -> None:
    """The model is judged by its gates; whoever reads the verdict reads the warning too."""
    problem, table = leaky_iris(equals_target="warn")
    outcome = train(problem, "--data", str(table))
    assert outcome.code == 0
    (finding,) = outcome.report["leaks"]["findings"]
    assert finding["severity"] == "warn"
    card = Path(outcome.report["card"]).read_text()
    assert "Leak audit." in card
    assert "one-to-one recoding" in card


def test_audit_never_sees_the_test_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step hands over the test part's inputs only."""
    from steps.audit_leaks import audit_leaks
    from tabular.leaks import audit as leaks
    from tabular.split import split_rows

    problem = load_problem("iris", ROOT / "configs" / "problems")
    bunch = load_iris(as_frame=True)
    parts = split_rows(pd.DataFrame(bunch.frame).astype({"target": "int64"}), problem)
    seen = []
    real = leaks.audit_leaks

    def spy(train: pd.DataFrame, test_inputs: pd.DataFrame, problem: Any) -> Any:
        seen.append(list(test_inputs.columns))
        return real(train, test_inputs, problem)

    monkeypatch.setattr(leaks, "audit_leaks", spy)
    monkeypatch.setattr("steps.audit_leaks.log_metadata", lambda _: None)
    audit_leaks.entrypoint(parts.train, parts.test, problem)
    assert seen == [list(problem.columns)]
