"""Hold a window of the prediction log against the training rows of the version in production."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

import materializers  # noqa: F401  # importing registers them
from tabular.drift import measure
from tabular.drift.frames import window_frame
from tabular.drift.measure import LookAt
from tabular.drift.reference import read_reference
from tabular.drift.window import Drift
from tabular.problem import Problem


@step(enable_cache=False)  # the log grows behind the inputs' back
def measure_drift(
    at: LookAt, problem: Problem
) -> tuple[Annotated[Drift, "drift"], Annotated[pd.DataFrame, "window_rows"]]:
    """Effects and alarms by column, and a few rows for a report."""
    look = measure.open_look(at)
    drift, sample = measure.measure_drift(look, problem)
    log_metadata({"rows": drift.window.n_rows, "alarms": len(drift.alarms)})
    if sample is None or drift.obstacle:
        return drift, pd.DataFrame()
    profiles = read_reference(look.bundle).columns
    return drift, window_frame(sample, look.bundle.contract.contract, profiles)
