"""Say by the YAML's rules whether the model should be trained again."""

from typing import Annotated

from zenml import log_metadata, step
from zenml.types import HTMLString

from tabular.drift.due import Due, decide_due
from tabular.drift.live import Live
from tabular.drift.measure import LookAt, open_look
from tabular.drift.page import render_monitoring
from tabular.drift.window import Drift
from tabular.problem import Problem


@step(enable_cache=False)  # age counts too
def decide_retraining(
    drift: Drift, live: Live, at: LookAt, problem: Problem
) -> tuple[Annotated[Due, "due"], Annotated[HTMLString, "monitoring_page"]]:
    """What is due and why, in words and as a page."""
    trained_at = open_look(at).trained_at
    due = decide_due(drift, live, problem.retrain, trained_at=trained_at, now=at.now)
    log_metadata({"is_due": due.is_due, "sentence": due.sentence})
    return due, HTMLString(render_monitoring(drift, live, due, problem))
