"""Fit the winner on all training rows and turn it into an ONNX graph."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular import fitting
from tabular.bundle import ServedContract
from tabular.fitting import Leaderboard
from tabular.problem import Problem


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
    fitted = fitting.fit_model(train_rows, test_rows, leaderboard.trials[0], problem)
    log_metadata({"rows": len(train_rows), "graph_bytes": len(fitted.graph)})
    return fitted.graph, fitted.contract, fitted.test_answers
