"""A tiny trained problem: two numbers, one category, one derived column."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from tabular.bundle import Bundle, ServedContract, write_bundle
from tabular.contract import Column, Contract, Derivation, Feature
from tabular.decision import Decision

CONTRACT = Contract(
    columns={
        "row": Column(type="id"),
        "age": Column(type="number", min=18, max=90, integer=True, required=True),
        "fee": Column(type="number", also_named=("Fee in EUR",)),
        "city": Column(type="category", aliases={"Bombay": "Mumbai"}),
        "opened": Column(type="time"),
    },
    derive={"opened_hour": Derivation(function="hour", inputs=("opened",))},
)
FEATURES = (
    Feature(name="age", kind="number"),
    Feature(name="fee", kind="number"),
    Feature(name="city", kind="category", categories=("Delhi", "Mumbai")),
    Feature(name="opened_hour", kind="number"),
)
SERVED = ServedContract(contract=CONTRACT, features=FEATURES)
BINARY = Decision(task="binary", classes=("no", "yes"), positive=1, threshold=0.4)
REGRESSION = Decision(task="regression", interval_level=0.9, interval_half_width=2.5, unit="min")
RECORDS: list[dict[str, Any]] = [
    {"age": 30, "fee": 1.5, "city": "Delhi", "opened": "09:30"},
    {"age": 61, "fee": -2, "city": "Bombay", "opened": "23:59"},
    {"age": "44", "fee": "0.25", "city": "Paris", "opened": 0.5},
    {"age": 18.0, "fee": 3e3, "city": None, "opened": "24:05:00"},
]

REFERENCE: dict[str, Any] = {
    "n_rows": 200,
    "columns": {
        "age": {"quantiles": [20.0, 40.0, 60.0], "missing_share": 0.0},
        "fee": {"quantiles": [0.0, 1.0, 2.0], "missing_share": 0.0},
        "city": {"shares": {"Delhi": 0.4, "Mumbai": 0.6}},
        "opened": {"quantiles": [480.0, 600.0, 720.0], "missing_share": 0.0},
    },
}


@cache
def fitted(task: str) -> tuple[Any, np.ndarray]:
    """A linear model and the float32 (200, 4) matrix that it was fitted on."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 4)).astype(np.float32) * np.float32([10, 2, 1, 6])
    y = X[:, 0] + X[:, 1] * 4 + rng.normal(size=200)
    if task == "regression":
        return LinearRegression().fit(X, y), X
    return LogisticRegression().fit(X, (y > 0).astype(int)), X


@cache
def graph_of(model: Any, n_features: int = 4) -> bytes:
    """The model as a graph from "X" to "answer"; 0 stands in for a missing number."""
    is_classifier = hasattr(model, "predict_proba")
    imputer = SimpleImputer(strategy="constant", fill_value=0.0)
    graph = convert_sklearn(
        make_pipeline(imputer.fit(np.zeros((1, n_features), dtype=np.float32)), model),
        name="tiny",
        initial_types=[("X", FloatTensorType([None, n_features]))],
        options={id(model): {"zipmap": False}} if is_classifier else None,
        target_opset=17,
    )
    if is_classifier:
        del graph.graph.output[0]
    raw = graph.graph.output[0].name
    graph.graph.output[0].name = "answer"
    for node in graph.graph.node:
        node.output[:] = ["answer" if name == raw else name for name in node.output]
    return bytes(graph.SerializeToString())


def write_tiny(folder: Path, task: str = "binary", **changes: Any) -> Bundle:
    """Write a whole bundle; its golden row comes from scikit-learn."""
    model, _ = fitted(task)
    X = np.array([[30, 1.5, 0, 9]], dtype=np.float32)
    answer = model.predict_proba(X)[0] if task == "binary" else model.predict(X)
    parts: dict[str, Any] = {
        "graph": graph_of(model),
        "contract": SERVED,
        "decision": BINARY if task == "binary" else REGRESSION,
        "golden": [{"record": RECORDS[0], "answer": answer}],
        "reference": REFERENCE,
        "facts": {"problem": "tiny", "git_commit": "abc", "metrics": {"f1": float("nan")}},
    }
    return write_bundle(folder, **{**parts, **changes})
