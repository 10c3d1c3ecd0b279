"""How each version does on answered rows whose outcome is known, in production or in the shadow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tabular.contract import Frozen
from tabular.decision import Decision
from tabular.drift.outcomes import live_metrics, outcome_values
from tabular.errors import ConfigError, listed
from tabular.evaluation import Metric
from tabular.problem import Problem

N_BINS = 10
MIN_BIN_ROWS = 20

DecisionOf = Callable[[str], Decision]


class VersionPerformance(Frozen):
    """One version on n rows with an outcome.

    `metrics` have 95 % intervals; for a regression `coverage` is the share of outcomes inside the
    interval that was answered. `calibration` pairs the mean probability with the share that came
    true, in bins of equally many rows, lowest first; of the positive class, or of the predicted
    one where there are several.
    """

    version: str
    role: str
    n_rows: int
    metrics: dict[str, Metric]
    calibration: tuple[tuple[float, float], ...] = ()


def by_version(
    joined: pa.Table, problem: Problem, decision_of: DecisionOf
) -> list[VersionPerformance]:
    """Measure each version and role, in the order of their names.

    Args:
        joined: As `joined_labels` gives it.
        problem: Target and evaluation.
        decision_of: A version's decision.

    Raises:
        ConfigError: A version knows other classes than the YAML names now.
    """
    keys = joined.group_by(["version", "role"]).aggregate([]).sort_by("version").to_pylist()
    return [_measured(joined, problem, decision_of(key["version"]), **key) for key in keys]


def _measured(
    joined: pa.Table, problem: Problem, decision: Decision, *, version: str, role: str
) -> VersionPerformance:
    if set(decision.classes) != set(problem.target.classes):
        raise ConfigError(
            f"{problem.name} {version} answers {listed(decision.classes)}, but target.classes "
            f"names {listed(problem.target.classes)}; name them as that version does."
        )
    rows = joined.filter((pc.field("version") == version) & (pc.field("role") == role))
    metrics = live_metrics(rows, decision, problem.target, problem.evaluation, seed=problem.seed)
    return VersionPerformance(
        version=version,
        role=role,
        n_rows=rows.num_rows,
        metrics=metrics,
        calibration=_calibration(rows, decision, problem),
    )


def _calibration(
    rows: pa.Table, decision: Decision, problem: Problem
) -> tuple[tuple[float, float], ...]:
    if decision.task == "regression":
        return ()
    places, known = outcome_values(rows["outcome"], decision, problem.target)
    p = rows["probability"].to_numpy()[known]
    names = np.array(decision.classes, dtype=object)
    said = (
        np.full(len(p), names[decision.positive])
        if decision.positive is not None
        else np.array(rows["prediction"].to_pylist(), dtype=object)[known]
    )
    came_true = (names[places[known]] == said).astype(np.float64)
    n_bins = min(N_BINS, len(p) // MIN_BIN_ROWS)
    bins = np.array_split(np.argsort(p, kind="stable"), n_bins) if n_bins else []
    return tuple((float(p[b].mean()), float(came_true[b].mean())) for b in bins)
