"""Trees by table: the answers of onnxruntime's tree node, for every graph that is taken."""

import io
import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.bundle import TREES, load_bundle
from tabular.candidates import build_pipeline
from tabular.contract import Feature
from tabular.errors import BundleError
from tabular.onnx_export import export_graph
from tabular.predictor import TABLE_ROWS, Predictor, answer_graph
from tabular.settings import Candidate
from tabular.trees.building import build_words, packed_tables
from tabular.trees.graph import Trees, read_trees
from tabular.trees.tables import TreeTables, TreeWords
from tests.unit.tiny import RECORDS, write_tiny

FEATURES = [Feature(name=f"n{i}", kind="number") for i in range(4)]
TAKEN = [
    ("lightgbm", "binary", {"num_leaves": 12}),
    ("lightgbm", "binary", {"num_leaves": 60, "min_child_samples": 2}),
    ("lightgbm", "regression", {"num_leaves": 31}),
    ("hist_gradient_boosting", "binary", {"max_leaf_nodes": 16}),
    ("hist_gradient_boosting", "regression", {}),
    ("catboost", "binary", {"iterations": 20, "depth": 6}),
    ("catboost", "regression", {"iterations": 20, "depth": 4}),
]
NOT_TAKEN = [
    ("lightgbm", "multiclass", {}),
    ("lightgbm", "regression", {"num_leaves": 70}),
    ("random_forest", "binary", {"n_estimators": 5}),
    ("catboost", "regression", {"iterations": 5, "depth": 8}),
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
        chosen = {**dict(params), "thread_count": 1}
    candidate = Candidate(estimator=estimator, params=chosen)
    fitted = build_pipeline(candidate, FEATURES, task=task, seed=1).fit(X, y)
    return export_graph(fitted, n_features=4, task=task, name="t")


def cases(listed):
    return [pytest.param(e, t, tuple(p.items()), id=f"{e}-{t}-{p}") for e, t, p in listed]


def naive_scores(trees: Trees, X: np.ndarray) -> np.ndarray:
    """Walk every tree for every row by its nodes, in plain Python."""
    scores = []
    for row in X:
        total = np.float32(0)
        for tree, leaves in enumerate(trees.leaves):
            left = (1 << len(leaves)) - 1
            for node in trees.nodes:
                if node.tree == tree:
                    value = row[node.feature]
                    is_low = node.missing_is_low if np.isnan(value) else value <= node.threshold
                    left &= ~(node.high_leaves if is_low else node.low_leaves)
            total += np.float32(leaves[left.bit_length() - 1])
        scores.append(total + np.float32(trees.base))
    return np.array(scores, dtype=np.float32)


@pytest.mark.parametrize(("estimator", "task", "params"), cases(TAKEN))
def test_tables_answer_as_the_graph_does_to_the_bit(estimator, task, params):
    graph = graph_of(estimator, task, params)
    X = table(5000, seed=2)
    X[:2] = [[np.inf] * 4, [-np.inf] * 4]
    X[2:6, 1] = [0.5, 1e-36, -1e30, 1e30]
    tables = TreeTables(TreeWords.unpacked(packed_tables(graph, X)))
    for n_rows in (1, 2, 30, 256, 257, 258, 5000):
        answer, expected = tables.answer(X[:n_rows]), answer_graph(graph, X[:n_rows])
        assert answer.dtype == expected.dtype
        np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize(("estimator", "task", "params"), cases(TAKEN[2:]))
def test_scores_are_those_of_trees_that_are_walked(estimator, task, params):
    trees = read_trees(graph_of(estimator, task, params))
    X = table(20, seed=3)
    scores = naive_scores(trees, X)
    answer = TreeTables(build_words(trees)).answer(X)
    expected = scores[:, None] if task == "regression" else 1 / (1 + np.exp(-scores))[:, None]
    np.testing.assert_allclose(answer[:, -1:], expected, rtol=1e-6, atol=1e-7)


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
    np.testing.assert_array_equal(TreeTables(build_words(trees)).answer(X), answer_graph(graph, X))


@pytest.mark.parametrize(("estimator", "task", "params"), cases(NOT_TAKEN))
def test_other_graphs_are_left_to_onnxruntime(estimator, task, params):
    graph = graph_of(estimator, task, params)
    assert read_trees(graph) is None
    assert packed_tables(graph, table(10)) is None


@pytest.fixture(scope="module")
def boosted():
    """A graph of trees, and its tables as they stand in a bundle."""
    graph = graph_of(*TAKEN[0][:2], (("num_leaves", 12),))
    return graph, packed_tables(graph, table(500))


def test_tables_that_answer_one_bit_otherwise_are_not_written(boosted, monkeypatch):
    graph, _ = boosted
    right = TreeTables.answer
    monkeypatch.setattr(TreeTables, "answer", lambda self, X: np.nextafter(right(self, X), 2))
    assert packed_tables(graph, table(500)) is None


def test_tables_too_large_to_pay_are_not_written(boosted, monkeypatch):
    monkeypatch.setattr("tabular.trees.building.MAX_BYTES", 1000)
    assert packed_tables(boosted[0], table(10)) is None


def test_many_rows_are_answered_by_table_and_few_by_the_graph(boosted, tmp_path, monkeypatch):
    graph, trees = boosted
    X = table(TABLE_ROWS, seed=4)
    predictor = Predictor(write_tiny(tmp_path / "b", graph=graph, golden=[], trees=trees))
    expected = answer_graph(graph, X)
    np.testing.assert_array_equal(predictor.answer_matrix(X), expected)
    np.testing.assert_array_equal(predictor.answer_matrix(X[1:]), expected[1:])
    monkeypatch.setattr(predictor, "_session", None)
    np.testing.assert_array_equal(predictor.answer_matrix(X), expected)
    with pytest.raises(AttributeError):
        predictor.answer_matrix(X[1:])


def test_bundle_without_tables_answers_the_same(boosted, tmp_path):
    graph, trees = boosted
    X = table(100, seed=5)
    with_tables, without = (
        Predictor(write_tiny(tmp_path / name, graph=graph, golden=[], trees=given))
        for name, given in (("a", trees), ("b", None))
    )
    assert without.tables is None
    np.testing.assert_array_equal(with_tables.answer_matrix(X), without.answer_matrix(X))


def test_tables_need_only_numpy_to_be_read(boosted):
    with np.load(io.BytesIO(boosted[1]), allow_pickle=False) as file:
        assert sorted(file) == sorted(TreeWords.__dataclass_fields__)
    assert TreeWords.unpacked(boosted[1]).packed() == boosted[1]


def test_changed_tables_are_refused_with_the_files_name(boosted, tmp_path):
    graph, trees = boosted
    path = write_tiny(tmp_path / "b", graph=graph, golden=[], trees=trees).path
    (path / TREES).write_bytes(trees[:-1] + bytes([trees[-1] ^ 1]))
    with pytest.raises(BundleError, match=TREES):
        load_bundle(path)


def changed_words(trees: bytes, **changes) -> bytes:
    """The file with other arrays in it."""
    words = TreeWords.unpacked(trees)
    return replace(
        words, **{name: change(getattr(words, name)) for name, change in changes.items()}
    ).packed()


@pytest.mark.parametrize(
    "changes",
    [
        {"words": lambda a: a[1:]},
        {"words": lambda a: a.astype(np.uint64)},
        {"sizes": lambda a: a + 1},
        {"features": lambda a: a[1:]},
        {"features": lambda a: a + 9},
        {"features": lambda a: a - 9},
        {"leaves": lambda a: a[:, :7]},
        {"link": lambda a: a + 7},
        {"thresholds": lambda a: a.astype(np.float64)},
    ],
    ids=str,
)
def test_tables_of_another_form_are_refused(boosted, tmp_path, changes):
    graph, trees = boosted
    bundle = write_tiny(tmp_path / "b", graph=graph, trees=changed_words(trees, **changes))
    with pytest.raises(BundleError, match=r"trees\.npz: does not fit.*train the problem again"):
        Predictor(bundle)


def test_file_that_is_no_table_is_refused(boosted, tmp_path):
    for place, content in enumerate((b"", b"PK\3\4", pickle.dumps([1]), b"\x93NUMPY")):
        bundle = write_tiny(tmp_path / str(place), graph=boosted[0], trees=content)
        with pytest.raises(BundleError, match=r"trees\.npz"):
            Predictor(bundle)


def test_tables_of_a_machine_that_rounds_otherwise_are_left_unused(boosted, tmp_path):
    graph, trees = boosted
    nearly = changed_words(trees, base=lambda a: np.float32(a + np.float32(1e-6)))
    predictor = Predictor(write_tiny(tmp_path / "b", graph=graph, golden=[], trees=nearly))
    X = table(100, seed=6)
    assert predictor.tables is None
    np.testing.assert_array_equal(predictor.answer_matrix(X), answer_graph(graph, X))


def test_self_test_asks_graph_and_tables_for_the_golden_rows(boosted, tmp_path, monkeypatch):
    graph, trees = boosted
    X = Predictor(write_tiny(tmp_path / "a")).encode_record(RECORDS[0])
    golden = [{"record": RECORDS[0], "answer": answer_graph(graph, X)[0]}]
    predictor = Predictor(write_tiny(tmp_path / "b", graph=graph, golden=golden, trees=trees))
    predictor.self_test()
    right = TreeTables.answer
    monkeypatch.setattr(TreeTables, "answer", lambda self, X: np.nextafter(right(self, X), 2))
    with pytest.raises(BundleError, match=r"trees\.npz: answers the golden rows otherwise"):
        predictor.self_test()
