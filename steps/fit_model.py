"""Fit the winner on all training rows and turn it into an ONNX graph."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular import fitting
from tabular.bundle import ServedContract
from tabular.fitting import Leaderboard
from tabular.partitions import training_partitions
from tabular.problem import Problem
from tabular.tables.snapshot import CheckedRows


@step
def fit_model(
    rows: CheckedRows,
    train_rows: pd.DataFrame,
    test_rows: pd.DataFrame,
    leaderboard: Leaderboard,
    problem: Problem,
) -> tuple[
    Annotated[bytes, "model_graph"],
    Annotated[ServedContract, "served_contract"],
    Annotated[pd.DataFrame, "pipeline_answers"],
]:
    """Fit, export, and keep what the fitted pipeline says of the test rows (never their target).

    Fitting and exporting are one step because a fitted pipeline would cross steps as a pickle.
    `rows` are read where the YAML fits a large table in partitions.
    """
    partitions = training_partitions(rows, len(train_rows), problem)
    fitted = fitting.fit_model(train_rows, test_rows, leaderboard.trials[0], problem, partitions)
    n_rows = sum(len(part.rows) for part in partitions) or len(train_rows)
    log_metadata({"rows": n_rows, "graph_bytes": len(fitted.graph)})
    return fitted.graph, fitted.contract, fitted.test_answers
