"""Training, from split rows to a judged bundle: what the steps call, one function each."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabular.bundle import Bundle, ServedContract, plain_json, seal, write_bundle
from tabular.calibration import fit_decision
from tabular.candidates import (
    ResamplingRow,
    Trial,
    best_first,
    fit_pipeline,
    pipeline_answer,
    search_candidates,
)
from tabular.candidates import measure_resampling as resampling_rows
from tabular.checks import Quarantine, frame_columns
from tabular.contract import Array, Columns, Feature, Frozen, encode
from tabular.decision import Decision
from tabular.evaluation import Scores, evaluate, permutation_importance
from tabular.features import derive, learn_features
from tabular.gates import Verdict
from tabular.gates import decide as decide_gates
from tabular.onnx_export import TOLERANCE, Parity, compare, export_graph
from tabular.predictor import Predictor, answer_graph
from tabular.problem import Problem
from tabular.registry import Registry
from tabular.sources import Snapshot
from tabular.split import folds

GOLDEN_ROWS = 20
REFERENCE_ROWS = 10_000
LATENCY_CALLS = 300


class Leaderboard(Frozen):
    """Every trial of the search, best first."""

    trials: tuple[Trial, ...]


class ResamplingReport(Frozen):
    """What resampling would have done to the winner; empty for regression."""

    rows: tuple[ResamplingRow, ...] = ()


class Latency(Frozen):
    """Milliseconds of one single-row prediction from a plain record, in this process."""

    median: float
    p99: float
    pipeline_median: float


class BundleEvaluation(Frozen):
    """What the test part and the clock say of the bundle."""

    scores: Scores
    parity: Parity
    latency_ms: Latency
    importances: dict[str, float]


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


def typed_columns(rows: pd.DataFrame, problem: Problem) -> Columns:
    """Contract columns of typed rows, with the derived ones."""
    return derive(problem.contract, frame_columns(rows, problem.contract))


def fit_model(
    train: pd.DataFrame, test: pd.DataFrame, trial: Trial, problem: Problem
) -> FittedModel:
    """Fit the winning trial on all training rows and export it.

    Args:
        train: (n, k) typed rows.
        test: (m, k) typed rows; only features are read, for the parity check.
        trial: Candidate and parameters.
        problem: Contract, task, seed.
    """
    columns = typed_columns(train, problem)
    features = learn_features(problem.contract, columns)
    X, y = encode(features, columns), train[problem.target.column].to_numpy()
    pipeline = fit_pipeline(problem, trial, features, X, y)
    graph = export_graph(pipeline, n_features=len(features), task=problem.task, name=problem.name)
    X_test = encode(features, typed_columns(test, problem))
    answers = pd.DataFrame(pipeline_answer(pipeline, X_test, problem.task).astype(np.float64))
    answers.columns = [f"answer_{place}" for place in answers.columns]
    answers["pipeline_ms"] = _pipeline_latency(pipeline, features, X_test[0])
    return FittedModel(graph, ServedContract(contract=problem.contract, features=features), answers)


def _pipeline_latency(pipeline: Any, features: Sequence[Feature], row: Array) -> float:
    """Median milliseconds of the fitted pipeline on a one-row frame, as it is usually served.

    The row is encoded already: neither contract check nor derivation is counted, unlike for the
    predictor.
    """
    record = dict(zip((feature.name for feature in features), row.tolist(), strict=True))
    answer = getattr(pipeline, "predict_proba", None) or pipeline.predict

    def call() -> None:
        answer(pd.DataFrame([record], dtype=np.float32))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the pipeline was fitted without names
        return float(np.median([_timed(call) for _ in range(30)]))


def _timed(call: Callable[[], object]) -> float:
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


def export_bundle(
    graph: bytes,
    contract: ServedContract,
    decision: Decision,
    train: pd.DataFrame,
    snapshot: Snapshot,
    problem: Problem,
) -> Bundle:
    """Write the bundle into a temporary folder, and answer its golden rows from the files."""
    rng = np.random.default_rng(problem.seed)
    picked = train.iloc[np.sort(rng.permutation(len(train))[:REFERENCE_ROWS])]
    columns = frame_columns(picked, problem.contract)
    records = to_records(columns, problem, GOLDEN_ROWS)
    answer = answer_graph(graph, encode(contract.features, derive(problem.contract, columns)))
    calibrated = decision.calibrate(answer)
    golden = [
        {"record": record, "answer": calibrated[row].tolist()} for row, record in enumerate(records)
    ]
    folder = Path(tempfile.mkdtemp(prefix="bentoline-")) / "bundle"
    bundle = write_bundle(
        folder,
        graph=graph,
        contract=contract,
        decision=decision,
        golden=golden,
        reference=_reference(columns, calibrated, problem),
        facts={
            "problem": problem.name,
            "title": problem.title,
            "task": problem.task,
            "seed": problem.seed,
            "snapshot": snapshot.sha256,
            "source": snapshot.source,
            "synthetic": snapshot.synthetic,
        },
    )
    Predictor(bundle).self_test()
    return bundle


def to_records(columns: Mapping[str, Array], problem: Problem, n_rows: int) -> list[dict[str, Any]]:
    """The first n typed rows as JSON records that the contract reads back to the same values."""
    inputs = problem.contract.inputs()
    return [
        {
            name: _json_value(columns[name][row], column.type, column.format)
            for name, column in inputs.items()
        }
        for row in range(min(n_rows, len(next(iter(columns.values())))))
    ]


def _json_value(value: Any, kind: str, form: str) -> str | float | None:
    if kind == "category":
        return str(value) or None
    if np.isnan(value):
        return None
    if kind == "time":
        return f"{int(value) // 60:02d}:{int(value) % 60:02d}"
    if kind == "date":
        return datetime.fromtimestamp(round(float(value) * 86_400), tz=UTC).strftime(form)
    return float(value)


def _reference(columns: Columns, answer: Array, problem: Problem) -> dict[str, Any]:
    """What drift is measured against: per input the training distribution, and the answers'."""
    reference: dict[str, Any] = {"n_rows": len(answer), "columns": {}}
    for name, column in problem.contract.inputs().items():
        values = columns[name]
        if column.type == "category":
            texts, counts = np.unique(values.astype(str), return_counts=True)
            shares = {str(t): int(n) / len(values) for t, n in zip(texts, counts, strict=True)}
            reference["columns"][name] = {"shares": shares}
        else:
            reference["columns"][name] = _quantiles(values)
    reference["answer"] = [_quantiles(answer[:, i]) for i in range(answer.shape[1])]
    return reference


def _quantiles(values: Array) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    grid = np.quantile(known, np.linspace(0, 1, 101)) if len(known) else np.array([])
    missing_share = 1 - len(known) / len(values)
    return {"quantiles": [float(q) for q in grid], "missing_share": missing_share}


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
    )
    validation_columns = frame_columns(validation, problem.contract)
    inputs = {n: validation_columns[n] for n in problem.contract.inputs()}
    return BundleEvaluation(
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
    times = [_timed(partial(predictor.predict_records, [record])) for record in records * 2]
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


def judge(evaluation: BundleEvaluation, problem: Problem) -> Verdict:
    """Hold metrics, parity and latency against the problem's gates."""
    facts = {
        "latency_ms": evaluation.latency_ms.median,
        "parity_share": evaluation.parity.parity_share,
        "label_disagreement_share": evaluation.parity.label_disagreement_share,
    }
    return decide_gates(problem.gates, evaluation.scores.metrics, facts)


def build_report(
    *,
    problem: Problem,
    snapshot: Snapshot,
    quarantine: Quarantine,
    rows: dict[str, int],
    leaderboard: Leaderboard,
    resampling: ResamplingReport,
    bundle: Bundle,
    evaluation: BundleEvaluation,
    verdict: Verdict,
) -> dict[str, Any]:
    """The whole outcome as JSON values; a gate's value that is not a number is null."""
    measured = evaluation.model_dump(mode="json")
    scores = measured.pop("scores")
    chosen = leaderboard.trials[0]
    return plain_json(
        {
            "problem": problem.name,
            "title": problem.title,
            "task": problem.task,
            "unit": problem.target.unit,
            "synthetic": snapshot.synthetic,
            "source": snapshot.source,
            "snapshot": snapshot.sha256,
            "seed": problem.seed,
            "split": problem.split.kind,
            "search_metric": problem.search.metric,
            "rows": {"read": snapshot.n_rows, "refused": quarantine.n_refused, **rows},
            "quarantine": quarantine.model_dump(mode="json"),
            **scores,
            **measured,
            "trials": [trial.model_dump(mode="json") for trial in leaderboard.trials],
            "chosen": chosen.model_dump(mode="json"),
            "resampling": [row.model_dump(mode="json") for row in resampling.rows],
            "decision": bundle.decision.model_dump(mode="json", exclude={"knots_x", "knots_y"}),
            "verdict": verdict.model_dump(mode="json"),
            "model_sha256": bundle.manifest["files"]["model.onnx"],
            "git_commit": git_commit(),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


def git_commit() -> str:
    """The commit that this code stands at, or an empty text outside a checkout."""
    if shutil.which("git") is None:
        return ""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607  # the user's git
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()


def publish(
    bundle: Bundle, report: dict[str, Any], *, accepted: bool, registry: Path
) -> dict[str, str]:
    """Seal the bundle with its report and publish it; an accepted one becomes production.

    Returns:
        version, and the path of its bundle.
    """
    name = report["problem"]
    versions = Registry(registry)
    with tempfile.TemporaryDirectory(prefix="bentoline-") as folder:
        kept = {k: v for k, v in report.items() if k not in ("curves", "steps")}
        sealed = seal(bundle, Path(folder) / "bundle", {"report": kept})
        version = versions.publish(name, sealed.path)
    why = report["verdict"]["sentence"]
    versions.set_alias(name, "candidate", version, actor="training run", why=why)
    if accepted:
        versions.set_alias(name, "production", version, actor="training run", why=why)
    return {"version": version, "bundle": str(versions.path(name, version))}
