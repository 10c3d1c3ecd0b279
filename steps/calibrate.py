"""Fit calibration and threshold, or the conformal interval, on the validation part."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular import fitting
from tabular.bundle import ServedContract
from tabular.decision import Decision
from tabular.problem import Problem


@step
def calibrate(
    model_graph: bytes, contract: ServedContract, validation_rows: pd.DataFrame, problem: Problem
) -> Annotated[Decision, "decision"]:
    """Decide from the ONNX graph's own answers what the service will say."""
    decision = fitting.calibrate(model_graph, contract, validation_rows, problem)
    log_metadata({"rows": len(validation_rows)})
    return decision
