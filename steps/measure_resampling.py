"""Say what resampling would have cost or gained, on at most 20,000 training rows."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular import judging
from tabular.fitting import Leaderboard
from tabular.judging import ResamplingReport
from tabular.problem import Problem


@step
def measure_resampling(
    train_rows: pd.DataFrame,
    validation_rows: pd.DataFrame,
    leaderboard: Leaderboard,
    problem: Problem,
) -> Annotated[ResamplingReport, "resampling_report"]:
    """Fit the winner with and without resampling; score on validation rows."""
    report = judging.measure_resampling(train_rows, validation_rows, leaderboard, problem)
    if report.rows:
        log_metadata({"rows": min(len(train_rows), problem.evaluation.resampling_rows)})
    return report
