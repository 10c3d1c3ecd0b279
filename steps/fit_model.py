"""Fit the winner on all training rows and turn it into an ONNX graph."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular import training
from tabular.bundle import ServedContract
from tabular.problem import Problem
from tabular.training import Leaderboard


@step
def fit_model(
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
    """
    fitted = training.fit_model(train_rows, test_rows, leaderboard.trials[0], problem)
    log_metadata({"rows": len(train_rows), "graph_bytes": len(fitted.graph)})
    return fitted.graph, fitted.contract, fitted.test_answers
