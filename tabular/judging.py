"""What is measured of a finished bundle, and the verdict on it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from tabular.bundle import Bundle
from tabular.challenge import Comparison
from tabular.contract import Array, Columns, Frozen, encode
from tabular.decision import Decision
from tabular.evaluation import Scores, evaluate, permutation_importance
from tabular.exporting import to_records
from tabular.features import derive, learn_features
from tabular.fitting import Leaderboard, timed
from tabular.gates import Verdict
from tabular.gates import decide as decide_gates
from tabular.onnx_export import TOLERANCE, Parity, compare
from tabular.predictor import Predictor
from tabular.problem import Problem
from tabular.records import Record
from tabular.resampling import ResamplingRow
from tabular.resampling import measure_resampling as resampling_rows
from tabular.tables.frames import frame_columns, typed_columns
from tabular.tables.snapshot import table_sha256

LATENCY_CALLS = 300


class Latency(Frozen):
    """Milliseconds from a plain record to its answer, as the service goes, in this process."""

    median: float
    p99: float
    pipeline_median: float


class EvaluationSet(Frozen):
    """Which rows decided: the hash of their content, and the snapshot that they are a part of."""

    sha256: str
    n_rows: int
    snapshot: str


class BundleEvaluation(Frozen):
    """What the test part and the clock say of the bundle."""

    evaluation_set: EvaluationSet
    scores: Scores
    parity: Parity
    latency_ms: Latency
    importances: dict[str, float]


class ResamplingReport(Frozen):
    """What resampling would have done to the winner; empty for regression."""

    rows: tuple[ResamplingRow, ...] = ()


def evaluate_bundle(
    bundle: Bundle,
    test: pd.DataFrame,
    pipeline_answers: pd.DataFrame,
    validation: pd.DataFrame,
    problem: Problem,
) -> BundleEvaluation:
    """Measure the bundle on the test part, whose target is used here and nowhere else."""
    predictor, decision = Predictor(bundle), bundle.decision
    columns = frame_columns(test, problem.contract)
    raw = predictor.answer(columns)
    answer = decision.calibrate(raw)
    expected = pipeline_answers.filter(like="answer_").to_numpy()
    scores = evaluate(
        decision,
        answer,
        test[problem.target.column].to_numpy(),
        problem.evaluation,
        seed=problem.seed,
        slice_values=_slices(columns, problem),
        cost=problem.decision.threshold.cost,
    )
    validation_columns = frame_columns(validation, problem.contract)
    inputs = {n: validation_columns[n] for n in problem.contract.inputs()}
    return BundleEvaluation(
        evaluation_set=EvaluationSet(
            sha256=table_sha256(pa.Table.from_pandas(test, preserve_index=False)),
            n_rows=len(test),
            snapshot=bundle.manifest["snapshot"],
        ),
        scores=scores,
        parity=compare(
            expected,
            raw,
            _labels(decision, expected),
            _labels(decision, raw),
            TOLERANCE[problem.task],
        ),
        latency_ms=_latency(predictor, columns, problem, pipeline_answers),
        importances=permutation_importance(
            lambda some: decision.calibrate(predictor.answer(some)),
            inputs,
            validation[problem.target.column].to_numpy(),
            decision,
            seed=problem.seed,
        ),
    )


def _slices(columns: Columns, problem: Problem) -> dict[str, Array]:
    derived = derive(problem.contract, columns)
    return {name: derived[name] for name in problem.evaluation.slices}


def _labels(decision: Decision, raw: Array) -> Array:
    if decision.task == "regression":
        return np.zeros(len(raw), dtype=np.int64)
    return decision.labels(decision.calibrate(raw))


def _latency(
    predictor: Predictor, columns: Columns, problem: Problem, pipeline_answers: pd.DataFrame
) -> Latency:
    records = to_records(columns, problem, LATENCY_CALLS)

    def answer(record: Record) -> None:
        predictor.predict_row(predictor.encode_record(record))

    times = [timed(partial(answer, record)) for record in records * 2]
    settled = times[len(records) :]  # the first round warms up
    return Latency(
        median=float(np.median(settled)),
        p99=float(np.quantile(settled, 0.99)),
        pipeline_median=float(pipeline_answers["pipeline_ms"].iloc[0]),
    )


def measure_resampling(
    train: pd.DataFrame, validation: pd.DataFrame, leaderboard: Leaderboard, problem: Problem
) -> ResamplingReport:
    """Score the winner on validation rows with each resampling, fitted on the same few rows."""
    if problem.task == "regression":
        return ResamplingReport()
    limit = problem.evaluation.resampling_rows
    if len(train) > limit:
        chosen = np.random.default_rng(problem.seed).permutation(len(train))[:limit]
        train = train.iloc[np.sort(chosen)]
    columns, held = typed_columns(train, problem), typed_columns(validation, problem)
    features = learn_features(problem.contract, columns)
    name = problem.target.column
    return ResamplingReport(
        rows=resampling_rows(
            problem,
            leaderboard.trials[0],
            features,
            encode(features, columns),
            train[name].to_numpy(),
            encode(features, held),
            validation[name].to_numpy(),
        )
    )


def judge(evaluation: BundleEvaluation, comparison: Comparison, problem: Problem) -> Verdict:
    """Hold metrics, parity, latency and the champion against the problem's gates."""
    facts = {
        "latency_ms": evaluation.latency_ms.median,
        "parity_share": evaluation.parity.parity_share,
        "label_disagreement_share": evaluation.parity.label_disagreement_share,
    }
    return decide_gates(
        problem.gates, evaluation.scores.metrics, facts, problem.promotion, comparison
    )
