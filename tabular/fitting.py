"""Search and fit: from split rows to the winner's graph and the decision that goes with it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tabular.bundle import ServedContract
from tabular.calibration import fit_decision
from tabular.candidates import Trial, fit_pipeline, pipeline_answer, prepared_pipeline
from tabular.contract import Feature, Frozen, encode
from tabular.decision import Decision
from tabular.features import learn_features
from tabular.onnx_export import export_graph
from tabular.partitions import Partition, fit_on_partitions
from tabular.predictor import answer_graph
from tabular.problem import Problem
from tabular.search import best_first, search_candidates
from tabular.split import folds
from tabular.tables.frames import typed_columns

PIPELINE_CALLS = 30


class Leaderboard(Frozen):
    """Every trial of the search, best first."""

    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class FittedModel:
    """The winner as an ONNX graph, and what the fitted pipeline answers for the test rows."""

    graph: bytes
    contract: ServedContract
    test_answers: pd.DataFrame


def compare_candidates(
    train: pd.DataFrame, problem: Problem, progress: Callable[[Trial], None] | None = None
) -> Leaderboard:
    """Search every candidate by cross-validation on at most `search.max_rows` training rows."""
    if len(train) > problem.search.max_rows and problem.split.kind == "time":
        train = train.tail(problem.search.max_rows).reset_index(drop=True)
    elif len(train) > problem.search.max_rows:
        chosen = np.random.default_rng(problem.seed).permutation(len(train))
        train = train.iloc[np.sort(chosen[: problem.search.max_rows])].reset_index(drop=True)
    if problem.split.kind == "time":
        train = train.sort_values(problem.split.time_column, kind="stable", ignore_index=True)
    columns = typed_columns(train, problem)
    features = learn_features(problem.contract, columns)
    trials = search_candidates(
        encode(features, columns),
        train[problem.target.column].to_numpy(),
        list(folds(train, problem)),
        features,
        problem,
        progress=progress,
    )
    return Leaderboard(trials=best_first(trials, problem.search.metric))


def fit_model(
    train: pd.DataFrame,
    test: pd.DataFrame,
    trial: Trial,
    problem: Problem,
    partitions: Sequence[Partition] = (),
) -> FittedModel:
    """Fit the winning trial on all training rows and export it.

    Args:
        train: (n, k) typed rows. What is learnt of the columns before the fit comes from these.
        test: (m, k) typed rows; only features are read, for the parity check.
        trial: Candidate and parameters.
        problem: Contract, task, seed.
        partitions: Training rows to fit on in place of `train`, where there are any.
    """
    columns = typed_columns(train, problem)
    features = learn_features(problem.contract, columns)
    X, y = encode(features, columns), train[problem.target.column].to_numpy()
    if partitions:
        unfitted = prepared_pipeline(problem, trial, features, X)
        pipeline = fit_on_partitions(partitions, unfitted, features, problem)
    else:
        pipeline = fit_pipeline(problem, trial, features, X, y)
    graph = export_graph(pipeline, n_features=len(features), task=problem.task, name=problem.name)
    X_test = encode(features, typed_columns(test, problem))
    answers = pd.DataFrame(pipeline_answer(pipeline, X_test, problem.task).astype(np.float64))
    answers.columns = [f"answer_{place}" for place in answers.columns]
    answers["pipeline_ms"] = _pipeline_latency(
        pipeline, features, test.head(PIPELINE_CALLS), problem
    )
    return FittedModel(graph, ServedContract(contract=problem.contract, features=features), answers)


def _pipeline_latency(
    pipeline: Any, features: Sequence[Feature], rows: pd.DataFrame, problem: Problem
) -> float:
    """Median milliseconds of the fitted pipeline on a one-row frame, as it is usually served.

    As for the predictor the clock runs from a record to the answer, derivations and encoding
    included; unlike there, the contract is not checked.
    """
    records = rows.to_dict("records")

    def call(record: dict[Any, Any]) -> None:
        columns = typed_columns(pd.DataFrame([record]), problem)
        pipeline_answer(pipeline, encode(features, columns), problem.task)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the pipeline was fitted without names
        return float(np.median([timed(partial(call, record)) for record in records]))


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def calibrate(
    graph: bytes, contract: ServedContract, validation: pd.DataFrame, problem: Problem
) -> Decision:
    """Fit what turns the graph's answers into decisions, on validation rows."""
    columns = typed_columns(validation, problem)
    answer = answer_graph(graph, encode(contract.features, columns))
    return fit_decision(problem, answer, validation[problem.target.column].to_numpy())
