"""Measure the version in production on the outcomes that came in later."""

from typing import Annotated

from zenml import log_metadata, step

from tabular.drift import measure
from tabular.drift.live import Live
from tabular.drift.measure import LookAt
from tabular.problem import Problem


@step(enable_cache=False)  # outcomes arrive behind the inputs' back
def measure_live(at: LookAt, problem: Problem) -> Annotated[Live, "live"]:
    """Live metrics with intervals, beside gates and test metrics."""
    live = measure.measure_live(measure.open_look(at), problem)
    log_metadata({"rows": live.n_labels, "state": live.state})
    log_metadata({one.metric: one.live.value for one in live.metrics})
    return live
