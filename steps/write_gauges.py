"""Leave what was found where Prometheus comes by."""

from pathlib import Path
from typing import Annotated

from zenml import step

from tabular.drift import gauges
from tabular.drift.window import Drift
from tabular.problem import Problem


@step(enable_cache=False)
def write_gauges(drift: Drift, problem: Problem, home: str) -> Annotated[str, "gauges_file"]:
    """The path of HOME/monitor/PROBLEM.prom."""
    return str(gauges.write_gauges(Path(home), problem.name, drift))
