"""The monitoring pipeline: wiring only."""

from __future__ import annotations

from pipelines.unlogged import unlogged
from steps.decide_retraining import decide_retraining
from steps.measure_drift import measure_drift
from steps.measure_live import measure_live
from steps.write_evidently import write_evidently
from steps.write_gauges import write_gauges
from tabular.drift.measure import LookAt
from tabular.problem import Problem


@unlogged()
def monitoring(at: LookAt, problem: Problem, home: str) -> None:
    """From a window of the prediction log to what is due."""
    watched = problem.only("gates", "evaluation", "monitor", "retrain")
    drift, window_rows = measure_drift(at, watched)
    write_gauges(drift, problem.only(), home)
    live = measure_live(at, watched)
    decide_retraining(drift, live, at, problem.only("title", "retrain"))
    write_evidently(window_rows, at, problem.only("monitor"), home)
