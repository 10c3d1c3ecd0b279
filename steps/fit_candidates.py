"""Compare the candidates by cross-validation on training rows."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular.fitting import Leaderboard, compare_candidates
from tabular.problem import Problem


@step
def fit_candidates(
    train_rows: pd.DataFrame, problem: Problem
) -> Annotated[Leaderboard, "candidate_leaderboard"]:
    """Search every candidate's space; the best trial by the search metric comes first."""
    leaderboard = compare_candidates(train_rows, problem)
    best = leaderboard.trials[0]
    log_metadata(
        {
            "rows": len(train_rows),
            "trials": len(leaderboard.trials),
            "best_candidate": best.candidate,
            f"cv_{problem.search.metric}": best.mean,
        }
    )
    return leaderboard
