"""Every short-name estimator becomes a graph that answers as it does, or is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tabular.candidates import build_pipeline, pipeline_answer
from tabular.contract import Feature
from tabular.errors import ConfigError, ExportError
from tabular.onnx_export import TOLERANCE, compare, export_graph, probe_export
from tabular.predictor import answer_graph
from tabular.problem import Problem
from tabular.settings import Candidate, Task

FEATURES = (
    Feature(name="width", kind="number"),
    Feature(name="colour", kind="category", categories=("red", "blue", "green")),
    Feature(name="premium", kind="number"),
    Feature(name="shape", kind="category", categories=("round", "square")),
)
CLASSES = {"binary": 2, "multiclass": 3}
TREES = {"n_estimators": 10}
SINGLES: dict[str, dict[str, Any]] = {
    "logistic_regression": {},
    "ridge": {},
    "decision_tree": {},
    "random_forest": TREES,
    "hist_gradient_boosting": {"max_iter": 10},
    "lightgbm": TREES,
    "catboost": {"iterations": 20},
}
NOT_FOR = {"ridge": ("binary", "multiclass"), "logistic_regression": ("regression",)}
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")


def stack(task: Task) -> Candidate:
    members = {
        name: Candidate(estimator=name, params=params)
        for name, params in SINGLES.items()
        if task not in NOT_FOR.get(name, ()) and name != "hist_gradient_boosting"
    }
    final = "decision_tree" if task == "regression" else "logistic_regression"
    return Candidate(estimator="stacking", members=members, final=Candidate(estimator=final))


def make_rows(task: Task, seed: int, *, seen: bool) -> tuple[Any, Any]:
    """Rows with gaps in one column; `seen=False` adds gaps in another and unseen categories."""
    rng, n = np.random.default_rng(seed), 600
    X = np.column_stack(
        [
            rng.normal(40, 20, n),
            rng.integers(0, 4, n),
            rng.lognormal(8, 1, n),
            rng.integers(0, 3, n),
        ]
    )
    level = X[:, 0] / 20 + 2 * (X[:, 1] == 1) + np.log(X[:, 2]) + rng.normal(size=n)
    X[rng.random(n) < 0.1, 0] = np.nan
    if not seen:
        X[rng.random(n) < 0.2, 2] = np.nan
        X[rng.random(n) < 0.2, 1] = -1
        X[rng.random(n) < 0.2, 3] = -1
    if task == "regression":
        return X.astype(np.float32), level * 3
    cuts = np.quantile(level, np.linspace(0, 1, CLASSES[task] + 1)[1:-1])
    return X.astype(np.float32), np.digitize(level, cuts).astype(np.int64)


def fitted(candidate: Candidate, task: Task) -> Any:
    X, y = make_rows(task, 0, seen=True)
    return build_pipeline(candidate, FEATURES, task=task, seed=3).fit(X, y)


def exported(pipeline: Any, task: Task) -> bytes:
    return export_graph(pipeline, n_features=len(FEATURES), task=task, name="plants")


CASES = [
    *((task, name) for task in TASKS for name in SINGLES if task not in NOT_FOR.get(name, ())),
    *((task, "stacking") for task in TASKS),
]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_graph_answers_as_the_pipeline_with_gaps_and_unseen_categories(
    task: Task, name: str
) -> None:
    single = Candidate(estimator=name, params=SINGLES[name]) if name in SINGLES else None
    pipeline = fitted(single or stack(task), task)
    graph = exported(pipeline, task)
    for seen in (True, False):
        X, _ = make_rows(task, int(not seen), seen=seen)
        expected, answered = pipeline_answer(pipeline, X, task), answer_graph(graph, X)
        assert answered.dtype == np.float32
        assert answered.shape == (len(X), CLASSES.get(task, 1))
        parity = compare(expected, answered, None, None, TOLERANCE[task])
        assert parity.parity_share == 1.0, parity
    again = exported(pipeline, task)
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(graph).hexdigest()


def test_graph_has_one_input_and_one_output_and_no_labels() -> None:
    pipeline = fitted(Candidate(estimator="lightgbm", params=TREES), "binary")
    model = onnx.load_model_from_string(exported(pipeline, "binary"))
    graph = model.graph
    assert [i.name for i in graph.input] == ["X"]
    assert [o.name for o in graph.output] == ["answer"]
    assert {node.op_type for node in graph.node}.isdisjoint({"ZipMap", "ArgMax"})
    onnx.checker.check_model(model)


@pytest.mark.parametrize("method", ["smote_tomek", "smote_enn", "class_weight"])
def test_graph_of_a_resampled_pipeline_leaves_the_sampler_out(method: Any) -> None:
    candidate = Candidate(estimator="catboost", params={"iterations": 20}, resample=method)
    pipeline = fitted(candidate, "binary")
    X, _ = make_rows("binary", 1, seen=False)
    answered = answer_graph(exported(pipeline, "binary"), X)
    np.testing.assert_allclose(answered, pipeline_answer(pipeline, X, "binary"), atol=1e-5)


def test_export_without_a_converter_names_the_estimator() -> None:
    candidate = Candidate(estimator="sklearn.semi_supervised.LabelSpreading")
    with pytest.raises(ExportError, match="LabelSpreading does not become an ONNX graph"):
        exported(fitted(candidate, "binary"), "binary")


def test_compare_counts_rows_and_finds_the_worst() -> None:
    expected = np.array([[0.1, 0.9], [0.5, 0.5], [0.2, 0.8], [1.0, 0.0]])
    answered = expected + np.array([[0, 0], [5e-5, 0], [0, 0.3], [np.nan, 0]])
    parity = compare(expected[:3], answered[:3], np.array([1, 0, 1]), np.array([1, 1, 1]), 1e-4)
    assert (parity.n_rows, parity.worst_row) == (3, 2)
    assert parity.parity_share == pytest.approx(2 / 3)
    assert parity.label_disagreement_share == pytest.approx(1 / 3)
    assert parity.worst_difference == pytest.approx(0.3)
    assert compare(expected, answered, None, None, 1e-4).worst_difference == np.inf


def test_compare_different_shapes_are_refused() -> None:
    with pytest.raises(ExportError, match=r"shape \(2, 1\)"):
        compare(np.zeros((2, 2)), np.zeros((2, 1)), None, None, 1e-4)


def make_problem(task: Task, **candidates: Candidate) -> Problem:
    names = [f"class{i}" for i in range(CLASSES.get(task, 0))]
    target: dict[str, Any] = {"column": "y", "classes": {n: i for i, n in enumerate(names)}}
    return Problem.model_validate(
        {
            "name": "plants",
            "title": "Plants",
            "task": task,
            "source": {"kind": "csv", "path": "plants.csv"},
            "target": {**target, **({"positive": "class1"} if task == "binary" else {})},
            "columns": {
                "width": {"type": "number", "min": 0, "max": 10, "required": True},
                "colour": {"type": "category", "categories": ["red", "blue"]},
                "town": {"type": "category"},
                "ordered": {"type": "time"},
            },
            "derive": {
                "part": {"function": "part_of_day", "inputs": ["ordered"]},
                "hour": {"function": "hour", "inputs": ["ordered"]},
            },
            "split": {"kind": "random"},
            "search": {"metric": "mae" if task == "regression" else "log_loss"},
            "candidates": candidates,
            "gates": [{"metric": "latency_ms", "max": 5}],
        }
    )


@pytest.mark.parametrize("task", TASKS)
def test_probe_lets_every_short_name_pass(task: Task) -> None:
    fits = {n: Candidate(estimator=n) for n in SINGLES if task not in NOT_FOR.get(n, ())}
    probe_export(make_problem(task, **fits, whole=stack(task)))


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        # the graph gives the logarithm of the value
        ({"estimator": "hist_gradient_boosting", "params": {"loss": "poisson"}}, "100% of 300"),
        ({"estimator": "catboost", "params": {"loss_function": "Poisson"}}, "answers otherwise"),
        ({"estimator": "catboost", "params": {"depth": 99}}, "cannot be used"),
        ({"estimator": "lightgbm", "params": {"objective": "mape"}}, "does not become"),
        ({"estimator": "sklearn.isotonic.IsotonicRegression"}, "cannot be used"),
    ],
)
def test_probe_refuses_what_answers_otherwise_and_names_it(
    candidate: dict[str, Any], words: str
) -> None:
    problem = make_problem("regression", mine=Candidate.model_validate(candidate))
    with pytest.raises(ConfigError, match=r"candidates\.mine") as caught:
        probe_export(problem)
    assert words in str(caught.value)


def test_the_same_fit_gives_the_same_bytes_in_every_process() -> None:
    """Sets have another order in each; under these seeds the graph's domains once had two."""
    script = (
        "from tests.unit.test_onnx_export import *\n"
        "for task in TASKS:\n"
        "    for candidate in (Candidate(estimator='lightgbm', params=TREES), stack(task)):\n"
        "        graph = exported(fitted(candidate, task), task)\n"
        "        print(hashlib.sha256(graph).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert len(said.pop().split()) == 2 * len(TASKS)
