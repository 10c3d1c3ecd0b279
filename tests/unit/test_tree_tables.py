"""Trees by table: the answers of onnxruntime's tree node, for every graph that is taken."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.candidates import build_pipeline
from tabular.contract import Feature
from tabular.onnx_export import export_graph
from tabular.predictor import Predictor, answer_graph
from tabular.scoring.tree_graph import read_trees
from tabular.scoring.tree_tables import TreeTables, fast_answer
from tabular.settings import Candidate
from tests.unit.tiny import write_tiny

FEATURES = [Feature(name=f"n{i}", kind="number") for i in range(4)]
TAKEN = [
    ("lightgbm", "binary", {"num_leaves": 12}),
    ("lightgbm", "binary", {"num_leaves": 60, "min_child_samples": 2}),
    ("lightgbm", "regression", {"num_leaves": 31}),
    ("hist_gradient_boosting", "binary", {"max_leaf_nodes": 16}),
    ("hist_gradient_boosting", "regression", {}),
]
NOT_TAKEN = [
    ("lightgbm", "multiclass", {}),
    ("lightgbm", "regression", {"num_leaves": 70}),
    ("random_forest", "binary", {"n_estimators": 5}),
    ("catboost", "regression", {"iterations": 5}),
    ("logistic_regression", "binary", {}),
]


def table(n_rows: int, seed: int = 0) -> np.ndarray:
    """Float32 (n, 4): a continuous column, whole numbers, a wide and a very small one, NaN."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 4)).astype(np.float32)
    X[:, 1] = rng.integers(-3, 12, n_rows)
    X[:, 2] = rng.integers(0, 10**6, n_rows)
    X[:, 3] *= np.float32(1e-30)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


@cache
def graph_of(estimator: str, task: str, params: tuple) -> bytes:
    """A fitted candidate as a graph."""
    X = table(3000)
    y = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1]) ** 2 + np.nan_to_num(X[:, 2]) / 1e5
    y = y if task == "regression" else (y > 20).astype(int) + (task == "multiclass") * (y > 60)
    size = "max_iter" if estimator.startswith("hist") else "n_estimators"
    chosen = {size: 20, **dict(params)} if "boost" in estimator or estimator == "lightgbm" else {}
    if estimator == "catboost":
        chosen = dict(params)
    candidate = Candidate(estimator=estimator, params=chosen)
    fitted = build_pipeline(candidate, FEATURES, task=task, seed=1).fit(X, y)
    return export_graph(fitted, n_features=4, task=task, name="t")


def cases(listed):
    return [pytest.param(e, t, tuple(p.items()), id=f"{e}-{t}-{p}") for e, t, p in listed]


@pytest.mark.parametrize(("estimator", "task", "params"), cases(TAKEN))
def test_tables_answer_as_the_graph_does(estimator, task, params):
    graph = graph_of(estimator, task, params)
    X = table(5000, seed=2)
    X[:2] = [[np.inf] * 4, [-np.inf] * 4]
    X[2:6, 1] = [0.5, 1e-36, -1e30, 1e30]
    answer, expected = TreeTables(read_trees(graph)).answer(X), answer_graph(graph, X)
    assert answer.dtype == expected.dtype
    if task == "regression":
        np.testing.assert_array_equal(answer, expected)
    else:
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1.2e-7)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_threshold_is_met_as_in_the_graph(data):
    estimator, task, params = data.draw(st.sampled_from(TAKEN))
    graph = graph_of(estimator, task, tuple(params.items()))
    trees = read_trees(graph)
    at = [float(np.float32(node.threshold)) for node in trees.nodes]
    value = st.sampled_from(at) | st.floats(width=32) | st.integers(-4, 13).map(float)
    rows = data.draw(st.lists(st.lists(value, min_size=4, max_size=4), min_size=1, max_size=8))
    X = np.array(rows, dtype=np.float32)
    # Of few rows onnxruntime adds the trees in another order: 1e-6 is a sum's last bits.
    np.testing.assert_allclose(TreeTables(trees).answer(X), answer_graph(graph, X), rtol=1e-6)


@pytest.mark.parametrize(("estimator", "task", "params"), cases(NOT_TAKEN))
def test_other_graphs_are_left_to_onnxruntime(estimator, task, params):
    assert read_trees(graph_of(estimator, task, params)) is None


def test_graph_of_trees_is_answered_by_table_and_any_other_by_itself(tmp_path):
    boosted = write_tiny(tmp_path / "a", graph=graph_of(*TAKEN[0][:2], (("num_leaves", 12),)))
    predictor = Predictor(boosted)
    assert fast_answer(predictor).__self__.__class__ is TreeTables
    linear = Predictor(write_tiny(tmp_path / "b"))
    assert fast_answer(linear) == linear.answer_matrix


def test_tables_that_answer_otherwise_are_not_used(tmp_path, monkeypatch):
    graph = graph_of(*TAKEN[0][:2], (("num_leaves", 12),))
    predictor = Predictor(write_tiny(tmp_path / "b", graph=graph))
    right = TreeTables.answer
    monkeypatch.setattr(TreeTables, "answer", lambda self, X: right(self, X) + np.float32(1e-4))
    assert fast_answer(predictor) == predictor.answer_matrix
