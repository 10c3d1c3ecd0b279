"""From a fitted pipeline to an ONNX graph, and the proof that both answer alike.

Some pipelines become a graph without an error and answer wrongly (docs/adr/0001 lists those that we
met): so every export is compared with its pipeline, and every candidate of a problem is tried on
made-up rows before the real ones are read. A graph gives probabilities or values only; labels come
from `decision.py`, since a forest's ties fall otherwise in the graph's own label output.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np

from tabular.candidates import Answer, build_pipeline, with_params
from tabular.candidates import pipeline_answer as pipeline_answer
from tabular.contract import Array, Feature, Frozen, Matrix
from tabular.errors import BentolineError, ConfigError, ExportError
from tabular.estimators import check_candidate
from tabular.features import DERIVATIONS
from tabular.predictor import answer_graph
from tabular.problem import Problem
from tabular.search import drawn_params
from tabular.settings import Candidate, Task

INPUT, OUTPUT = "X", "answer"
TARGET_OPSET = {"": 17, "ai.onnx.ml": 3}
TOLERANCE = {"binary": 1e-4, "multiclass": 1e-4, "regression": 0.01}

# What a candidate that cannot be used raises, beside the boosters' own errors.
REFUSALS = (BentolineError, ValueError, TypeError, RuntimeError)
PROBE_ROWS = 300
PROBE_MISSING_SHARE = 0.1
PROBE_CATEGORIES = 4  # for a category column whose categories only the rows tell
PROBE_TREES = 8
TREE_COUNTS = {
    "random_forest": "n_estimators",
    "lightgbm": "n_estimators",
    "catboost": "iterations",
    "hist_gradient_boosting": "max_iter",
}
# One row in a hundred may fall on the other side of a threshold that float32 cannot write.
PROBE_PARITY_SHARE = 0.99


class Parity(Frozen):
    """How the graph's answers differ from the pipeline's over n rows."""

    n_rows: int
    label_disagreement_share: float
    parity_share: float
    worst_difference: float
    worst_row: int


def compare(
    expected: Answer,
    answered: Answer,
    label_expected: Array | None,
    label_answered: Array | None,
    tolerance: float,
) -> Parity:
    """Compare answers (n, c) with the expected ones.

    Args:
        label_expected: n labels, or None where the answer has none.
        tolerance: Largest absolute difference that counts as the same.

    Raises:
        ExportError: The shapes differ, or there is no row.
    """
    if expected.shape != answered.shape or not len(expected):
        raise ExportError(
            f"parity: the graph answers with shape {answered.shape}, the pipeline with "
            f"{expected.shape}; both must be the same and have a row."
        )
    difference = np.abs(np.asarray(expected, dtype=np.float64) - answered).max(axis=1)
    difference = np.where(np.isnan(difference), np.inf, difference)
    differs = np.zeros(1)
    if label_expected is not None and label_answered is not None:
        differs = np.not_equal(label_expected, label_answered)
    return Parity(
        n_rows=len(expected),
        label_disagreement_share=float(np.mean(differs)),
        parity_share=float(np.mean(difference <= tolerance)),
        worst_difference=float(difference.max()),
        worst_row=int(difference.argmax()),
    )


def export_graph(pipeline: Any, *, n_features: int, task: Task, name: str) -> bytes:
    """Write a fitted pipeline as an ONNX graph.

    Args:
        pipeline: As `build_pipeline` makes it; a resampling step is left out. Not changed.
        name: The graph's name; with it the same fit gives the same bytes.

    Returns:
        The model: input "X" float32 (None, n_features), output "answer" float32 (None, n_classes)
        or (None, 1).

    Raises:
        ExportError: A part of the pipeline has no converter.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.pipeline import Pipeline

    _register_converters()
    kept = Pipeline([step for step in pipeline.steps if not hasattr(step[1], "fit_resample")])
    options = {} if task == "regression" else {id(kept): {"zipmap": False}}
    try:
        model = convert_sklearn(
            kept,
            name=name,
            initial_types=[(INPUT, FloatTensorType([None, n_features]))],
            options=options,
            target_opset=TARGET_OPSET,
        )
    except Exception as error:  # skl2onnx raises whatever its parts raise
        raise ExportError(
            f"{name}: {type(pipeline.steps[-1][1]).__name__} does not become an ONNX graph "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason'})"
            "; choose another estimator or parameter."
        ) from error
    _keep_only(model, 0 if task == "regression" else 1)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _keep_only(model: Any, place: int) -> None:
    """Drop all outputs but one, name it "answer", and drop the nodes that nothing then reads.

    What is left has an order that is the same in every process.
    """
    graph = model.graph
    output = graph.output[place]
    old, needed, kept = output.name, {output.name}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    for node in kept:
        node.output[:] = [OUTPUT if n == old else n for n in node.output]
        node.input[:] = [OUTPUT if n == old else n for n in node.input]
    output.name = OUTPUT
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    # skl2onnx gathers the domains in a set: their order changes from process to process.
    domains = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    for field, values in (
        (model.opset_import, domains),
        (graph.node, kept[::-1]),
        (graph.output, [output]),
        (graph.initializer, initializers),
    ):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)


@functools.cache
def _register_converters() -> None:
    """Teach skl2onnx LightGBM and CatBoost; imported here, since both are slow to import."""
    from catboost import CatBoostClassifier, CatBoostRegressor
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes as classifier_shapes,
    )
    from skl2onnx.common.shape_calculator import (
        calculate_linear_regressor_output_shapes as regressor_shapes,
    )

    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    zipmap = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        classifier_shapes,
        convert_lightgbm,
        options=zipmap,
    )
    update_registered_converter(
        LGBMRegressor,
        "LightGbmLGBMRegressor",
        regressor_shapes,
        convert_lightgbm,
        options={"split": None},
    )
    update_registered_converter(
        CatBoostClassifier,
        "CatBoostClassifier",
        classifier_shapes,
        _convert_catboost,
        parser=_parse_catboost,
        options=zipmap,
    )
    update_registered_converter(
        CatBoostRegressor, "CatBoostRegressor", regressor_shapes, _convert_catboost
    )


def _parse_catboost(
    scope: Any,
    model: Any,
    inputs: Any,
    custom_parsers: Any = None,  # noqa: ARG001 skl2onnx names it
) -> Any:
    """Declare label and probabilities: skl2onnx does not see that CatBoost's class classifies."""
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType

    operator = scope.declare_local_operator("CatBoostClassifier", model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    operator.outputs.append(scope.declare_local_variable("probabilities", FloatTensorType()))
    return operator.outputs


def _convert_catboost(scope: Any, operator: Any, container: Any) -> None:
    """Copy the tree ensemble that CatBoost itself writes into the graph that skl2onnx builds."""
    import onnx
    from catboost.utils import convert_to_onnx_object

    written = convert_to_onnx_object(operator.raw_operator)
    trees = [node for node in written.graph.node if node.op_type.startswith("TreeEnsemble")]
    others = {node.op_type for node in written.graph.node} - {trees[0].op_type, "ZipMap"}
    if len(trees) != 1 or others:
        raise ExportError(f"catboost: expected one tree ensemble in its graph, got also {others}.")
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in trees[0].attribute}
    container.add_node(
        trees[0].op_type,
        [operator.inputs[0].full_name],
        [output.full_name for output in operator.outputs],
        op_domain="ai.onnx.ml",
        op_version=1,
        name=scope.get_unique_operator_name("CatBoost"),
        **attributes,
    )


def probe_export(problem: Problem) -> None:
    """Fit every candidate on made-up rows of the contract, export it, and compare the answers.

    Raises:
        ConfigError: A candidate cannot be fitted, or its graph fails or answers otherwise.
    """
    features = _likely_features(problem)
    X, y = _made_up_rows(features, problem)
    for name, candidate in problem.candidates.items():
        check_candidate(name, candidate, problem.task)
        try:
            parity = _probe(_small(candidate, problem.seed), features, X, y, problem)
        except Exception as error:  # the boosters have error types of their own
            is_boosters = type(error).__module__.partition(".")[0] in ("lightgbm", "_catboost")
            if not (is_boosters or isinstance(error, REFUSALS)):
                raise
            raise ConfigError(
                f"candidates.{name} ({candidate.estimator}) cannot be used: {error}"
            ) from error
        if parity.parity_share < PROBE_PARITY_SHARE:
            raise ConfigError(
                f"candidates.{name} ({candidate.estimator}): its ONNX graph answers otherwise "
                f"than the model in {1 - parity.parity_share:.0%} of {parity.n_rows} made-up rows "
                f"(by up to {parity.worst_difference:.2g}); change its params, or take another."
            )


def _probe(
    candidate: Candidate, features: tuple[Feature, ...], X: Matrix, y: Array, problem: Problem
) -> Parity:
    pipeline = build_pipeline(candidate, features, task=problem.task, seed=problem.seed)
    half = len(X) // 2  # the other half has categories and gaps that the fit has not seen
    pipeline.fit(X[:half], y[:half])
    graph = export_graph(pipeline, n_features=len(features), task=problem.task, name=problem.name)
    expected = pipeline_answer(pipeline, X, problem.task)
    return compare(expected, answer_graph(graph, X), None, None, TOLERANCE[problem.task])


def _small(candidate: Candidate, seed: int) -> Candidate:
    """The first draw of the candidate, with few trees in it and in its parts."""
    candidate = with_params(candidate, drawn_params(candidate, seed)[0])
    changed: dict[str, Any] = {}
    if key := TREE_COUNTS.get(candidate.estimator):
        n_trees = candidate.params.get(key)
        few = min(n_trees, PROBE_TREES) if isinstance(n_trees, int) else PROBE_TREES
        changed["params"] = {**candidate.params, key: few}
    if candidate.final is not None:
        members = {name: _small(member, seed) for name, member in candidate.members.items()}
        changed |= {"members": members, "final": _small(candidate.final, seed)}
    return candidate.model_copy(update=changed)


def _likely_features(problem: Problem) -> tuple[Feature, ...]:
    """The model input as the contract promises it; unknown categories get made-up names."""
    invented = tuple(f"c{i}" for i in range(PROBE_CATEGORIES))
    features = []
    for name, column in problem.columns.items():
        if column.is_feature and column.type == "category":
            names = column.categories or invented
            features.append(Feature(name=name, kind="category", categories=names))
        elif column.is_feature:
            features.append(Feature(name=name, kind="number"))
    for name, derivation in problem.derive.items():
        if names := DERIVATIONS[derivation.function].categories:
            features.append(Feature(name=name, kind="category", categories=names))
        else:
            features.append(Feature(name=name, kind="number"))
    return tuple(features)


def _made_up_rows(features: tuple[Feature, ...], problem: Problem) -> tuple[Matrix, Array]:
    """Draw rows (n, k) with gaps and unseen categories, and a target that depends on them."""
    rng = np.random.default_rng(problem.seed)
    X = np.empty((PROBE_ROWS, len(features)), dtype=np.float32)
    for place, feature in enumerate(features):
        if feature.kind == "category":
            X[:, place] = rng.integers(-1, len(feature.categories) + 1, PROBE_ROWS)
            continue
        column = problem.columns.get(feature.name)
        low = column.min if column and column.min is not None else 0.0
        high = column.max if column and column.max is not None else low + 100.0
        X[:, place] = rng.uniform(low, high, PROBE_ROWS)
        if column and column.integer:
            X[:, place] = np.round(X[:, place])
        if not (column and column.required):
            X[rng.random(PROBE_ROWS) < PROBE_MISSING_SHARE, place] = np.nan
    filled = np.nan_to_num(X.astype(np.float64), nan=0.0)
    spread = filled.std(axis=0)
    level = (filled / np.where(spread > 0, spread, 1)) @ rng.normal(size=len(features))
    level += rng.normal(size=PROBE_ROWS) * level.std()
    if problem.task == "regression":
        return X, (level - level.min()) / (level.std() or 1.0) * 10 + 1  # some losses need y > 0
    cuts = np.quantile(level, np.linspace(0, 1, len(problem.target.classes) + 1)[1:-1])
    return X, np.digitize(level, cuts).astype(np.int64)
