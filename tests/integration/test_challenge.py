"""A second version has to beat the first: the whole pipeline, on iris with more rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from tabular.bundle import load_bundle
from tabular.registry import Registry, open_registry

Train = Callable[..., Any]
MakeProblem = Callable[..., Path]

GOOD = {"good": {"estimator": "logistic_regression", "params": {"max_iter": 500, "C": 10.0}}}
WORSE = {"worse": {"estimator": "decision_tree", "params": {"max_depth": 1}, "impute": "median"}}
LENIENT = [{"metric": "accuracy", "min": 0.1}]


@pytest.fixture
def registry(home: Path) -> Registry:
    return open_registry(str(home / "registry"))


@pytest.fixture
def blurred(tmp_path: Path) -> Path:
    """1,200 flowers whose measures are blurred, so that no model is perfect and no row repeats."""
    bunch = load_iris(as_frame=True)
    frame = bunch.frame.assign(target=[str(bunch.target_names[code]) for code in bunch.target])
    rows = frame.sample(1200, replace=True, random_state=1).reset_index(drop=True)
    return write(rows, tmp_path / "blurred.csv", seed=2)


def write(rows: pd.DataFrame, path: Path, *, seed: int) -> Path:
    """Rows with noise on each measure, as a CSV."""
    measures = [name for name in rows if name != "target"]
    noise = np.random.default_rng(seed).normal(0, 0.3, (len(rows), len(measures)))
    blurred = (rows[measures] + noise).clip(lower=0.05)
    blurred.assign(target=rows["target"]).to_csv(path, index=False)
    return path


def test_first_version_becomes_production_and_an_equal_one_does_not(
    train: Train, registry: Registry
) -> None:
    """Retraining on the same data is refused with the sentence, and production stays."""
    first, second = train("iris"), train("iris")
    assert (first.code, second.code) == (0, 1)
    version = first.report["version"]
    assert first.report["verdict"]["comparison"]["champion"] == ""
    sentence = second.report["verdict"]["sentence"]
    assert f"it is no better than the champion {version}" in sentence
    assert "It goes no further than staging." in sentence
    assert registry.aliases("iris") == {
        "candidate": second.report["version"],
        "staging": second.report["version"],
        "production": version,
    }


def test_better_version_takes_over_and_a_worse_one_does_not(
    train: Train, make_problem: MakeProblem, blurred: Path, registry: Registry
) -> None:
    """A stump is replaced by a regression that beats it; the stump does not come back."""
    rows = ("--data", str(blurred))
    stump = train(make_problem(candidates=WORSE, gates=LENIENT), *rows)
    better = train(make_problem(candidates=GOOD, gates=LENIENT), *rows)
    assert (stump.code, better.code) == (0, 0)
    comparison = better.report["verdict"]["comparison"]
    assert comparison["champion"] == stump.report["version"]
    assert comparison["whole"]["gain"]["low"] > 0
    assert comparison["whole"]["n_rows"] == better.report["evaluation_set"]["n_rows"] == 240
    again = train(make_problem(candidates=WORSE, gates=LENIENT), *rows)
    assert again.code == 1
    assert "it is worse than the champion" in again.report["verdict"]["sentence"]
    assert registry.alias("iris", "production") == better.report["version"]


def test_evaluation_set_is_the_same_for_another_seed_and_another_for_other_data(
    train: Train, make_problem: MakeProblem, blurred: Path, tmp_path: Path
) -> None:
    """The rows that decide rest on snapshot and split; when the data moved on, the report says so.

    Of the 300 new test rows, those that the champion was fitted on do not count.
    """
    problem = make_problem(candidates=GOOD, gates=LENIENT)
    one = train(problem, "--data", str(blurred)).report
    other = train(
        make_problem(candidates=GOOD, gates=LENIENT, seed=7), "--data", str(blurred)
    ).report
    assert one["evaluation_set"] == other["evaluation_set"]
    assert load_bundle(Path(one["bundle"])).manifest["evaluation_set"] == one["evaluation_set"]
    frame = pd.read_csv(blurred)
    grown = tmp_path / "grown.csv"
    pd.concat([frame, frame.head(300) + NUDGE], ignore_index=True).to_csv(grown, index=False)
    moved = train(problem, "--data", str(grown)).report
    comparison = moved["verdict"]["comparison"]
    assert moved["evaluation_set"]["sha256"] != one["evaluation_set"]["sha256"]
    assert f"The data moved on since {one['version']}" in comparison["note"]
    n_left = comparison["whole"]["n_rows"]
    assert comparison["n_left_out"] == moved["evaluation_set"]["n_rows"] - n_left
    assert 0 < comparison["n_left_out"] < 240  # so many of the test rows are old ones


NUDGE = pd.Series(
    {
        "sepal length (cm)": 0.1,
        "sepal width (cm)": 0.1,
        "petal length (cm)": 0.1,
        "petal width (cm)": 0.1,
        "target": "",
    }
)


def test_champion_with_a_changed_byte_keeps_production(
    train: Train, registry: Registry, home: Path
) -> None:
    """A champion that cannot be read is not replaced by itself; the sentence has the way out."""
    version = train("iris").report["version"]
    graph = home / "registry" / "iris" / "versions" / version / "model.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        outcome = train("iris")
    finally:
        graph.write_bytes(content)
    assert outcome.code == 1
    sentence = outcome.report["verdict"]["sentence"]
    assert "model.onnx" in sentence
    assert "--promote VERSION --to production --override" in sentence
    assert registry.alias("iris", "production") == version


def test_champion_of_another_contract_keeps_production(
    train: Train, make_problem: MakeProblem
) -> None:
    """A champion that reads a column which the problem no longer has cannot be compared."""
    train("iris")
    name = "petal width (cm)"
    columns = {"petal length (cm)": {"type": "number"}, name: {"type": "ignore"}}
    outcome = train(make_problem(columns=columns, gates=LENIENT))
    assert outcome.code == 1
    assert "reads columns" in outcome.report["verdict"]["sentence"]


def test_verdict_page_and_comparison_are_in_zenml(train: Train) -> None:
    """The page is one small HTML artifact of `decide`, fed by the comparison; so is the lineage."""
    train("iris")
    report = train("iris").report
    from zenml.client import Client

    steps = Client().get_pipeline_run(report["run"]).steps
    page = steps["decide"].outputs["verdict_page"][0].load()
    assert len(page.encode()) < 100_000
    assert "no better than the champion" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "comparison" in steps["decide"].inputs
    kept = json.loads((Path(report["bundle"]) / "manifest.json").read_text())["report"]["verdict"]
    assert kept == report["verdict"]


def test_verdict_that_carries_to_staging_only_leaves_production_alone(
    train: Train, make_problem: MakeProblem, registry: Registry
) -> None:
    """`carries_to: staging` is done when staging names it: exit code 0, production untouched."""
    version = train("iris").report["version"]
    outcome = train(make_problem(promotion={"carries_to": "staging"}))
    assert outcome.code == 0
    assert registry.aliases("iris")["staging"] == outcome.report["version"]
    assert registry.alias("iris", "production") == version
