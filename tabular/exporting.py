"""From a fitted graph to a bundle on disk: golden rows, and what drift is measured against."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabular.bundle import Bundle, ServedContract, write_bundle
from tabular.contract import Array, Columns, Matrix, encode
from tabular.decision import Decision, Floats
from tabular.drift.reference import PROFILES, learn_reference
from tabular.features import derive
from tabular.partitions import Partition
from tabular.predictor import Predictor, answer_graph
from tabular.problem import Problem
from tabular.records import raw_value
from tabular.row_hashes import Hashes, hash_rows, packed
from tabular.tables.frames import frame_columns
from tabular.tables.snapshot import Snapshot
from tabular.trees.building import packed_tables

GOLDEN_ROWS = 20
REFERENCE_ROWS = 10_000
GAP_SHARE = 0.1


def export_bundle(
    graph: bytes,
    contract: ServedContract,
    decision: Decision,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    snapshot: Snapshot,
    problem: Problem,
    partitions: Sequence[Partition] = (),
) -> Bundle:
    """Write the bundle into a temporary folder, and answer its golden rows from the files.

    Fitted and validation rows are written down as hashes: calibration and threshold saw the latter.
    The fitted rows are those of the partitions, where there are any, else those of `train`.
    """
    rng = np.random.default_rng(problem.seed)
    picked = train.iloc[np.sort(rng.permutation(len(train))[:REFERENCE_ROWS])]
    columns = frame_columns(picked, problem.contract)
    records = to_records(columns, problem, GOLDEN_ROWS)
    X = encode(contract.features, derive(problem.contract, columns))
    answer = answer_graph(graph, X)
    calibrated = decision.calibrate(answer)
    golden = [
        {"record": record, "answer": calibrated[row].tolist()} for row, record in enumerate(records)
    ]
    profiles = learn_reference(
        train,
        validation,
        partial(_answers, graph, contract, decision),
        contract,
        decision,
        target=problem.target.column,
        seed=problem.seed,
    )
    fitted = (partition.read() for partition in partitions) if partitions else (train,)
    seen = chain(fitted, (validation,))
    scratch = Path(tempfile.mkdtemp(prefix="bentoline-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    folder = scratch / "bundle"
    bundle = write_bundle(
        folder,
        graph=graph,
        contract=contract,
        decision=decision,
        golden=golden,
        reference={
            **_reference(columns, calibrated, problem),
            PROFILES: profiles.model_dump(mode="json"),
        },
        facts={
            "problem": problem.name,
            "title": problem.title,
            "target": problem.target.model_dump(
                include={"column", "description", "unit", "classes", "min", "max"}
            ),
            "task": problem.task,
            "seed": problem.seed,
            "snapshot": snapshot.sha256,
            "source": snapshot.source,
            "synthetic": snapshot.synthetic,
        },
        fitted_rows=packed(np.concatenate([contract_hashes(part, problem) for part in seen])),
        trees=packed_tables(graph, _with_gaps(X, contract, rng)),
    )
    Predictor(bundle).self_test()
    return bundle


def _with_gaps(X: Matrix, contract: ServedContract, rng: np.random.Generator) -> Matrix:
    """Rows (n, k), and as many in which one value in ten is missing or a category never seen."""
    other = X.copy()
    gaps = rng.random(X.shape) < GAP_SHARE
    for place, feature in enumerate(contract.features):
        is_number = feature.kind == "number"
        codes = [np.nan] if is_number else [-1, len(feature.categories)]
        other[gaps[:, place], place] = rng.choice(codes, int(gaps[:, place].sum()))
    return np.concatenate([X, other])


def _answers(
    graph: bytes, contract: ServedContract, decision: Decision, columns: Columns
) -> Floats:
    """Calibrated answers (n, c) of a graph to typed columns."""
    X = encode(contract.features, derive(contract.contract, columns))
    return decision.calibrate(answer_graph(graph, X))


def contract_hashes(rows: pd.DataFrame, problem: Problem) -> Hashes:
    """A hash of each of n typed rows, by the columns that a prediction needs and the target."""
    columns = frame_columns(rows, problem.contract)
    names = tuple(problem.contract.inputs())
    return hash_rows(columns, names, rows[problem.target.column].to_numpy())


def to_records(columns: Mapping[str, Array], problem: Problem, n_rows: int) -> list[dict[str, Any]]:
    """The first n typed rows as JSON records that the contract reads back to the same values."""
    inputs = problem.contract.inputs()
    return [
        {name: raw_value(column, columns[name][row]) for name, column in inputs.items()}
        for row in range(min(n_rows, len(next(iter(columns.values())))))
    ]


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
